"""Publishing with people who wait for events and conditions, stand at several places, or go in loops."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.workspace import Journey
from tests.unit.core.releases_kit import (
    BANNER,
    DAY,
    HOUR,
    LOOP,
    MAIL,
    OFFER,
    PAID,
    PARTS,
    SEATS,
    START,
    WAIT,
    Publisher,
    edited,
    places,
    waiting,
)
from workers.core.journeys.alignment import align, paths
from workers.core.journeys.lineage import SPREAD_MS
from workers.core.journeys.releases import Wishes

FIRST: dict[str, Any] = {
    "wait_for": {
        "first_of": [{"event": "paid", "steps": [{"wait": "1h"}]}, {"event": "left", "steps": [WAIT]}],
        "timeout": "3d",
    },
    "timed_out": [{"wait": "4h"}],
}
SPLIT: dict[str, Any] = {
    "split": [
        {"name": "one", "weight": 50, "steps": [{"wait": "1h"}]},
        {"name": "two", "weight": 50, "steps": [WAIT]},
    ]
}


@pytest.mark.parametrize(
    "steps", [[PARTS], [LOOP], [FIRST], [SPLIT], [PAID], [SEATS], [{**PARTS, "id": "p"}]]
)
def test_paths_are_those_that_run(steps: list[Any]) -> None:
    """Every step of the file has the path under which it is compiled."""
    model = Journey.model_validate(edited(steps))
    publisher = Publisher()
    publisher.publish(edited(steps))
    compiled = publisher.plan.user.journeys["upsell"].steps
    ends = {path for path in compiled if path.endswith((".join", ".again"))}
    assert compiled.keys() - ends == paths(model).keys()


@pytest.mark.parametrize(
    ("old", "new", "at", "to"),
    [
        pytest.param([PARTS], [BANNER, PARTS], "0.1.0", "1.1.0", id="inside a part"),
        pytest.param([PARTS], [BANNER, PARTS], "0.join", "1.join", id="where parts come together"),
        pytest.param(
            [PARTS],
            [{"parallel": [{"steps": [BANNER]}, *PARTS["parallel"]]}],
            "0.1.0",
            "0.2.0",
            id="a part added before",
        ),
        pytest.param([PARTS], [MAIL], "0.join", None, id="parts that are gone do not come together"),
        pytest.param([LOOP], [BANNER, LOOP], "0.1", "1.1", id="inside a loop"),
        pytest.param([LOOP], [BANNER, LOOP], "0.again", "1.again", id="the end of a round"),
        pytest.param(
            [LOOP],
            [{"repeat": {"times": 9, "steps": [BANNER, *LOOP["repeat"]["steps"]]}}],
            "0.1",
            "0.2",
            id="a step added in a loop that runs longer",
        ),
        pytest.param([PAID], [BANNER, PAID], "0.1.0", "1.1.0", id="after a timeout"),
        pytest.param([SEATS], [BANNER, SEATS], "0.0.0", "1.0.0", id="after the timeout of a condition"),
        pytest.param(
            [SPLIT], [{"split": SPLIT["split"][::-1]}], "0.1.0", "0.0.0", id="ways of a split turned"
        ),
        pytest.param(
            [FIRST],
            [{**FIRST, "wait_for": {**FIRST["wait_for"], "first_of": FIRST["wait_for"]["first_of"][1:]}}],
            "0.1.0",
            "0.0.0",
            id="an event removed before",
        ),
        pytest.param(
            [FIRST],
            [{**FIRST, "wait_for": {**FIRST["wait_for"], "first_of": FIRST["wait_for"]["first_of"][1:]}}],
            "0#1",
            "0#0",
            id="what came early is of its event",
        ),
        pytest.param(
            [FIRST],
            [{**FIRST, "wait_for": {**FIRST["wait_for"], "first_of": FIRST["wait_for"]["first_of"][1:]}}],
            "0.2.0",
            "0.1.0",
            id="what runs after the timeout",
        ),
        pytest.param([PAID], [MAIL], "0#0", None, id="what came early for a step that is gone"),
        pytest.param(
            [{**WAIT, "id": "pause"}, LOOP],
            [{"repeat": {"times": 2, "steps": [{**WAIT, "id": "pause"}]}}],
            "pause",
            "pause",
            id="an id is found wherever it is",
        ),
        pytest.param(
            [{**PARTS, "id": "both"}],
            [{"branch": [{"when": {"trait": "x", "eq": 1}, "steps": [{**PARTS, "id": "both"}]}]}],
            "both.1.0",
            "both.1.0",
            id="and so is what is inside",
        ),
        pytest.param([WAIT], [{**WAIT, "id": "pause"}], "0", "pause", id="a step that is given an id"),
        pytest.param(
            [WAIT, {**WAIT, "id": "b"}], [{**WAIT, "id": "b"}], "0", None, id="an id is no other step's"
        ),
    ],
)
def test_a_place_is_found_again(old: list[Any], new: list[Any], at: str, to: str | None) -> None:
    """Also inside the steps that hold others, and what closes these."""
    models = [Journey.model_validate(edited(steps)) for steps in (old, new)]
    aligned = align(models[0], models[1], {})
    assert (aligned.steps | aligned.beside)[at] == to


@pytest.mark.parametrize(
    ("policy", "sent"),
    [("follow", ["banner", "hello"]), ("pin", ["mail", "offer"]), ("drain", ["mail", "offer"])],
)
@pytest.mark.parametrize("sweeping", [True, False], ids=["swept", "found when it came"])
@pytest.mark.parametrize("step", [PAID, SEATS], ids=["wait_for", "wait_until"])
def test_who_waits_for_something_goes_on_in_the_version_that_governs(
    policy: Any, sent: list[str], sweeping: bool, step: dict[str, Any]
) -> None:
    """What is waited for takes them on at their own place, at once, whichever version that is in."""
    publisher = waiting([step, MAIL, OFFER])
    new = [{"send": {"in_app": "news"}}, step, {"send": {"in_app": "banner"}}, {"send": {"email": "hello"}}]
    publisher.publish(edited(new), wishes=Wishes(policies={"upsell": policy}))
    if sweeping:
        publisher.sweep()
    publisher.world.track("paid")
    publisher.world.identify(seats=5)
    assert publisher.world.sent() == sent
    assert publisher.world.outcomes("exit") == [("completed", None)]


@pytest.mark.parametrize("policy", ["pin", "drain"])
def test_what_a_version_waits_for_is_heard_where_no_newer_one_speaks_of_it(policy: Any) -> None:
    """Neither the event nor the trait is in any file that is in force."""
    publisher = waiting([PAID, SEATS, MAIL])
    publisher.publish(edited([WAIT]), wishes=Wishes(policies={"upsell": policy}))
    publisher.world.track("paid")
    publisher.world.identify(seats=5)
    assert publisher.world.sent() == ["mail"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(PAID, {"wait_for": {"event": "paid", "timeout": "5d"}, "timed_out": [OFFER]}, id="for"),
        pytest.param(
            SEATS,
            {"wait_until": {"when": {"trait": "seats", "gte": 5}, "timeout": "5d"}, "timed_out": [OFFER]},
            id="until",
        ),
        pytest.param({"wait": "3d"}, {"wait": {"for": "5d"}}, id="another form"),
        pytest.param({"wait": {"for": "3d"}}, {"wait": "5d"}, id="and back"),
        pytest.param(
            {**WAIT, "id": "a"},
            {**PAID, "wait_for": {"event": "paid", "timeout": "5d"}, "id": "a"},
            id="kind",
        ),
        pytest.param({**SEATS, "id": "a"}, {"wait": "5d", "id": "a"}, id="another kind"),
    ],
)
@pytest.mark.parametrize("sweeping", [True, False])
def test_a_longer_wait_of_any_kind_counts_from_its_beginning(old: Any, new: Any, sweeping: bool) -> None:
    """Who waits already waits as long as those who come after."""
    publisher = waiting([old, OFFER])
    publisher.world.advance(DAY)
    publisher.publish(edited([new, OFFER]))
    if sweeping:
        publisher.sweep()
    publisher.world.advance(4 * DAY - 1)
    assert publisher.world.sent() == []
    publisher.world.advance(1)
    assert publisher.world.sent()[0] == "offer"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(PAID, {"wait_for": {"event": "paid", "timeout": "1h"}, "timed_out": [OFFER]}, id="for"),
        pytest.param(
            SEATS,
            {"wait_until": {"when": {"trait": "seats", "gte": 5}, "timeout": "1h"}, "timed_out": [OFFER]},
            id="until",
        ),
        pytest.param({"wait": {"for": "3d", "at": "09:00"}}, {"wait": "1h"}, id="a time of day"),
    ],
)
def test_who_waited_longer_than_any_new_wait_goes_on_within_minutes(old: Any, new: Any) -> None:
    """And not all in one second."""
    publisher = waiting([old, OFFER])
    publisher.world.advance(DAY)
    publisher.publish(edited([new, OFFER]))
    publisher.sweep()
    publisher.world.look()
    (timer,) = publisher.world.timers.values()
    assert START + DAY <= timer.due_ms < START + DAY + SPREAD_MS
    publisher.world.advance(SPREAD_MS)
    assert publisher.world.sent()[0] == "offer"


def test_an_event_that_comes_after_the_shorter_timeout_is_too_late() -> None:
    """The new version's time counts, from the beginning of the wait."""
    shorter = {"wait_for": {"event": "paid", "timeout": "25h"}, "timed_out": [OFFER]}
    publisher = waiting([PAID, MAIL])
    publisher.world.advance(DAY)
    publisher.publish(edited([shorter, MAIL]))
    publisher.world.advance(HOUR)
    publisher.world.track("paid")
    publisher.sweep()
    publisher.world.advance(1)
    assert publisher.world.sent() == ["offer", "mail"]


def test_a_condition_that_is_true_in_the_new_version_is_seen_when_people_are_brought_in_line() -> None:
    """Nothing else may ever happen to them."""
    publisher = waiting([SEATS, MAIL])
    publisher.world.identify(seats=3)
    fewer = {"wait_until": {"when": {"trait": "seats", "gte": 3}, "timeout": "3d"}, "timed_out": [OFFER]}
    publisher.publish(edited([fewer, MAIL]))
    publisher.sweep()
    publisher.world.look()
    assert publisher.world.sent() == ["mail"]


def test_each_part_is_carried_to_its_own_place() -> None:
    """The parts come together in the new version as they would have in the old."""
    publisher = waiting([PARTS, BANNER])
    publisher.publish(edited([{"send": {"email": "news"}}, PARTS, {"send": {"email": "end"}}]))
    publisher.sweep()
    assert places(publisher) == {"1.0.0", "1.1.0"}
    publisher.world.track("paid")
    publisher.world.advance(DAY)
    assert publisher.world.sent() == ["offer", "mail", "end"]
    assert publisher.world.outcomes("exit") == [("completed", None)]


@pytest.mark.parametrize("policy", ["pin", "drain"])
def test_parts_that_are_pinned_go_on_side_by_side(policy: Any) -> None:
    """Whatever became of the journey."""
    publisher = waiting([PARTS, BANNER])
    publisher.publish(wishes=Wishes(policies={"upsell": policy}))
    publisher.sweep()
    publisher.world.track("paid")
    publisher.world.advance(DAY)
    assert publisher.world.sent() == ["offer", "mail", "banner"]


@pytest.mark.parametrize(
    ("moves", "stuck", "sent"),
    [
        pytest.param({}, True, [], id="one place of two is gone"),
        pytest.param({"0.1.0": "0.1.0"}, False, ["mail", "hello"], id="a move says where"),
        pytest.param({"0.1.0": "0.join"}, False, ["mail"], id="a move lets the part be over"),
        pytest.param({"0.1.0": "0.0.0"}, False, ["mail"], id="two places become one"),
    ],
)
def test_who_stands_at_a_step_that_is_gone_is_stuck_as_a_whole(
    moves: dict[str, str], stuck: bool, sent: list[str]
) -> None:
    """A person with one part that nothing is known of cannot go on; the preview tells."""
    publisher = waiting([PARTS])
    without = {"parallel": [PARTS["parallel"][0], {"steps": [{"send": {"email": "hello"}}]}]}
    wishes = Wishes(moves={"upsell": moves})
    plan = publisher.propose(edited([without]), wishes=wishes)
    assert publisher.fates(plan, "0.0.0", "0.1.0").is_stuck is stuck
    publisher.publish(edited([without]), wishes=wishes)
    publisher.sweep()
    assert (publisher.world.outcomes("exit") == [("exited", "version_gone")]) is stuck
    publisher.world.advance(4 * DAY)
    assert publisher.world.sent() == sent
    assert not publisher.world.timers


def test_who_is_in_a_loop_stays_in_the_round() -> None:
    """Each message comes as often as the new version says, those that came already included."""
    publisher = waiting([LOOP])
    publisher.world.advance(2 * DAY)
    publisher.publish(edited([BANNER, {"repeat": {"times": 4, "steps": [MAIL, {"wait": "2d"}]}}, OFFER]))
    publisher.sweep()
    publisher.world.advance(20 * DAY)
    assert publisher.world.sent() == ["mail"] * 4 + ["offer"]


def test_who_comes_into_a_loop_is_in_its_first_round() -> None:
    """The next round is the second: its messages are no repetition of those of the first."""
    pause, loop = {**WAIT, "id": "pause"}, {"repeat": {"times": 2, "steps": [{**WAIT, "id": "pause"}, MAIL]}}
    publisher = waiting([pause])
    publisher.publish(edited([loop]))
    publisher.sweep()
    publisher.world.advance(9 * DAY)
    assert publisher.world.sent() == ["mail", "mail"]
    assert publisher.world.outcomes("send") == [("send", None)] * 2


def test_who_was_in_a_loop_that_is_gone_goes_on_without() -> None:
    """By the id of the step; rounds that no loop counts are forgotten."""
    pause = {**WAIT, "id": "pause"}
    publisher = waiting([{"repeat": {"times": 3, "steps": [pause, MAIL]}}])
    publisher.world.advance(2 * DAY)
    publisher.publish(edited([pause, OFFER]))
    publisher.sweep()
    publisher.world.advance(3 * DAY)
    assert publisher.world.sent() == ["mail", "offer"]


def test_what_came_early_is_known_at_the_steps_new_place() -> None:
    """The step that waits for it since the entry is passed at once."""
    since = {"wait_for": {"event": "paid", "timeout": "3d", "since": "entry"}, "timed_out": [OFFER]}
    publisher = waiting([WAIT, since, MAIL])
    publisher.world.track("paid", amount=3)
    publisher.publish(edited([BANNER, WAIT, BANNER, since, MAIL]))
    publisher.sweep()
    publisher.world.advance(2 * DAY)
    assert publisher.world.sent() == ["banner", "mail"]
    assert publisher.world.messages[-1].context.awaited == {"amount": 3}


def test_an_exit_condition_of_the_new_version_ends_who_it_concerns_when_they_are_brought_in_line() -> None:
    """Those of the old one end nobody any more."""
    publisher = waiting([WAIT, MAIL], exit=[{"when": {"trait": "plan", "eq": "pro"}}])
    publisher.publish(edited([WAIT, MAIL], exit=[{"when": {"trait": "seats", "gte": 5}}]))
    publisher.world.identify(plan="pro")
    assert publisher.world.outcomes("exit") == []
    publisher.world.traits["seats"] = 5
    publisher.sweep()
    publisher.world.look()
    assert publisher.world.outcomes("exit") == [("exited", "condition: trait seats gte 5")]


def test_exit_conditions_of_a_pinned_version_hold_for_its_people() -> None:
    """Also where the newest has none."""
    publisher = waiting([WAIT, MAIL], exit=[{"when": {"trait": "plan", "eq": "pro"}}])
    publisher.publish(edited([BANNER]), wishes=Wishes(policies={"upsell": "pin"}))
    publisher.world.identify(plan="pro")
    assert publisher.world.outcomes("exit") == [("exited", "condition: trait plan eq pro")]
