"""Whatever is published in whatever order, people end up in one place, and nobody is left nowhere."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.workspace import Journey
from tests.unit.core.kit import journey
from tests.unit.core.releases_kit import BANNER, DAY, HOUR, MAIL, OFFER, Publisher
from workers.core.journeys.alignment import align, paths
from workers.core.journeys.releases import Wishes

WAITS: list[dict[str, Any]] = [{"wait": "1d"}, {"wait": "2d"}, {"wait": "5d"}]
PLAIN = st.sampled_from([BANNER, MAIL, OFFER, *WAITS])
BRANCH = st.lists(PLAIN, min_size=1, max_size=3).map(
    lambda steps: {"branch": [{"when": {"trait": "vip", "eq": True}, "steps": steps}, {"otherwise": steps}]}
)
INNER = st.lists(PLAIN, min_size=1, max_size=3)
FOR = INNER.map(lambda steps: {"wait_for": {"event": "paid", "timeout": "2d"}, "timed_out": steps})
UNTIL = INNER.map(
    lambda steps: {"wait_until": {"when": {"trait": "seats", "gte": 5}, "timeout": "3d"}, "timed_out": steps}
)
PARTS = st.lists(INNER, min_size=2, max_size=3).map(
    lambda parts: {"parallel": [{"steps": steps} for steps in parts]}
)
LOOP = st.tuples(INNER, st.integers(1, 3)).map(
    lambda said: {"repeat": {"times": said[1], "steps": said[0]}},
)
STEPS = st.lists(PLAIN | BRANCH | FOR | UNTIL | PARTS | LOOP, min_size=1, max_size=5)
POLICIES = st.sampled_from(["follow", "follow", "pin", "drain"])
EDITS = st.lists(st.tuples(STEPS | st.none(), POLICIES, st.integers(0, 48)), max_size=5)


@given(STEPS, EDITS, st.integers(0, 31))
def test_looked_at_early_or_late_people_are_in_the_same_place(
    steps: list[Any], edits: list[Any], swept: int
) -> None:
    """After each publication, after some, or only after the last; unless a step ran in between."""
    places = []
    for mask in (31, swept, 0):
        publisher = Publisher()
        publisher.publish(journey(steps=[{"wait": "90d"}, *steps]))
        publisher.world.track("limit")
        for number, (edited, policy, hours) in enumerate(edits):
            content = [] if edited is None else [journey(steps=[{"wait": "80d"}, *edited])]
            publisher.publish(*content, wishes=Wishes(policies={"upsell": policy}))
            if mask >> number & 1:
                publisher.sweep()
            publisher.world.advance(hours * HOUR)
        publisher.sweep()
        (inside,) = publisher.world.progress.enrollments
        at = tuple((one.step, one.due_ms, one.until_ms) for one in inside.positions)
        places.append((inside.version, at, inside.due_ms, inside.end_reason))
        timers = [timer.due_ms for timer in publisher.world.timers.values()]
        assert timers == ([inside.due_ms] if inside.is_active else [])
    # Who ends keeps the place where that was found out, which is earlier for who was looked at earlier.
    found = {place if place[3] is None else place[3] for place in places}
    contents = [json.dumps(edited) for edited, _, _ in edits]
    if len(set(contents)) == len(contents):
        assert len(found) == 1
    else:
        # What was taken back before they were looked at has ended nobody; the others are in one place.
        assert len({place for place in places if place[3] is None}) <= 1


@given(STEPS, EDITS)
def test_everybody_ends(steps: list[Any], edits: list[Any]) -> None:
    """Nobody waits for ever, whatever was published meanwhile; and no timer is left behind them."""
    publisher = Publisher()
    publisher.publish(journey(steps=steps))
    publisher.world.track("limit")
    for edited, policy, hours in edits:
        content = [] if edited is None else [journey(steps=edited)]
        publisher.publish(*content, wishes=Wishes(policies={"upsell": policy}))
        publisher.world.advance(hours * HOUR)
    publisher.world.advance(100 * DAY)
    assert [one.state for one in publisher.world.progress.enrollments] == ["ended"]
    assert not publisher.world.timers


@given(STEPS, STEPS)
def test_every_step_is_accounted_for_and_no_two_become_one(old: list[Any], new: list[Any]) -> None:
    """Each step of the old version has a successor of its own kind, or is said to have none."""
    before, after = (Journey.model_validate(journey(steps=steps)) for steps in (old, new))
    aligned = align(before, after, {}).steps
    assert aligned.keys() == paths(before).keys()
    found = [path for path in aligned.values() if path is not None]
    assert len(found) == len(set(found))
    for path, successor in aligned.items():
        if successor is not None:
            assert type(paths(before)[path]) is type(paths(after)[successor])


@given(STEPS)
def test_the_same_steps_stay_where_they_are(steps: list[Any]) -> None:
    """A publication that changes something else moves nobody."""
    model = Journey.model_validate(journey(steps=steps))
    assert align(model, model, {}).changed() == {}
