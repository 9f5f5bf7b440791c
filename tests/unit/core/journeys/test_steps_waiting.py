"""Steps that wait for a condition or an event: when they go on, and what counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.core.journeys.test_steps import inside, mark, wait_for, world_of
from tests.unit.core.kit import DAY, HOUR, SECOND, START
from workers.core.journeys.waits import AWAITED_MAX_BYTES

# -- wait_until


UNTIL_PRO = {"wait_until": {"when": {"trait": "plan", "eq": "pro"}, "timeout": "3d"}}


def test_a_condition_that_is_true_already_is_passed_at_once() -> None:
    """No timer, no delay."""
    world = world_of(UNTIL_PRO, mark("after"))
    world.identify(plan="pro")
    world.track("limit")
    assert world.sent() == ["after"]
    assert world.timers == {}


def test_a_condition_that_becomes_true_is_passed_then() -> None:
    """At the change itself, not when the time is out, and the timer goes."""
    world = inside(UNTIL_PRO, mark("after"))
    world.advance(HOUR)
    world.identify(plan="team")
    assert world.sent() == []
    world.identify(plan="pro")
    assert world.sent() == ["after"]
    assert world.timers == {}


@pytest.mark.parametrize(
    ("timed_out", "sent"), [([], ["after"]), ([mark("late")], ["late", "after"]), ([{"exit": "late"}], [])]
)
def test_a_condition_that_stays_untrue_is_waited_for_until_the_timeout(
    timed_out: list[Any], sent: list[str]
) -> None:
    """Then what timed_out says runs, and the journey goes on behind the step."""
    world = inside(UNTIL_PRO | {"timed_out": timed_out}, mark("after"))
    world.advance(3 * DAY - 1)
    assert world.sent() == []
    world.advance(1)
    assert world.sent() == sent


def test_a_condition_that_time_makes_true_is_passed_at_that_instant() -> None:
    """Three events leave their window one by one; nothing else happens."""
    few = {"performed": "opened", "at_most": 1, "within": "7d"}
    world = world_of({"wait_until": {"when": few, "timeout": "30d"}}, mark("after"))
    for _ in range(3):
        world.track("opened")
        world.advance(HOUR)
    world.track("limit")
    world.advance(START + 7 * DAY + HOUR - 1 - world.now_ms)
    assert world.sent() == []
    world.advance(1)
    assert [message.requested_at_ms for message in world.messages] == [START + 7 * DAY + HOUR]


def test_a_counted_event_may_make_a_condition_true() -> None:
    """Also where no journey enters, ends or converts on it."""
    often = {"performed": "opened", "at_least": 2, "within": "7d"}
    world = inside({"wait_until": {"when": often, "timeout": "30d"}}, mark("after"))
    world.track("opened")
    assert world.sent() == []
    world.track("opened")
    assert world.sent() == ["after"]


def test_only_who_waits_for_what_changed_is_looked_at() -> None:
    """For others nothing is written."""
    world = inside({"wait": "1d"}, mark("after"))
    before = world.progress
    world.identify(plan="pro")
    assert world.progress is before


# -- wait_for


@pytest.mark.parametrize(
    ("after_ms", "sent"),
    [(0, ["after"]), (HOUR - 1, ["after"]), (HOUR, ["late", "after"])],
)
def test_an_event_is_waited_for_until_the_timeout(after_ms: int, sent: list[str]) -> None:
    """Half-open: at the timeout it is too late."""
    world = inside(wait_for() | {"timed_out": [mark("late")]}, mark("after"))
    world.advance(after_ms)
    world.track("paid")
    assert world.sent() == sent


@pytest.mark.parametrize(
    ("event_ms", "heard"),
    [
        (START, False),  # before the step, though it arrives while it waits
        (START + DAY - 1, False),
        (START + DAY, True),  # the second of the step: producers' clocks tell no more
        (START + DAY + 501, True),
    ],
)
def test_what_counts_is_what_happened_since_the_step(event_ms: int, heard: bool) -> None:
    """By the event's own time."""
    world = world_of({"wait": "1d"}, wait_for(), mark("after"))
    world.advance(500)
    world.track("limit", START)
    world.advance(DAY + HOUR // 2)
    world.track("paid", event_ms)
    assert (world.sent() == ["after"]) is heard


@pytest.mark.parametrize(("late_ms", "heard"), [(1, True), (0, False)])
def test_an_event_of_the_wait_counts_until_the_timer_has_fired(late_ms: int, heard: bool) -> None:
    """It comes late, and so does the timer; what happened at the timeout itself was too late anyway."""
    world = inside(wait_for() | {"timed_out": [{"exit": "late"}]}, mark("after"))
    world.now_ms = START + 2 * HOUR
    world.track("paid", START + HOUR - late_ms)
    world.advance(0)
    assert (world.sent() == ["after"]) is heard


def test_in_a_loop_each_round_waits_for_an_event_of_its_own() -> None:
    """One that came early is used up by the step that it passes."""
    loop = {"repeat": {"times": 2, "steps": [wait_for(since="entry"), mark("again")]}}
    world = inside({"wait": "1d"}, loop)
    world.track("paid")
    world.advance(DAY)
    assert world.sent() == ["again"]
    world.track("paid")
    assert world.sent() == ["again", "again"]


def test_since_entry_counts_what_came_before_the_step() -> None:
    """It passes at once then, and templates read the event's properties."""
    world = inside({"wait": "1d"}, wait_for(since="entry"), mark("after"))
    world.advance(HOUR)
    world.track("paid", amount=3)
    world.track("paid", amount=4)
    world.advance(DAY)
    assert world.sent() == ["after"]
    assert world.messages[0].context.awaited == {"amount": 3}


def test_since_entry_counts_what_came_between_the_trigger_and_the_enrolment() -> None:
    """The record waited in its topic meanwhile; the window remembers."""
    world = world_of(wait_for(since="entry"), mark("after"))
    records, _ = world.signal("limit")
    world.advance(SECOND)
    world.track("paid")
    world.advance(SECOND)
    world.enroll(records[0])
    assert world.sent() == ["after"]


def test_the_trigger_is_not_what_is_waited_for() -> None:
    """Even where the event is the same."""
    world = inside(wait_for(event="limit", since="entry"), mark("after"))
    assert world.sent() == []
    world.track("limit")
    assert world.sent() == ["after"]


@pytest.mark.parametrize(
    ("properties", "heard"),
    [({"order_id": "o1"}, True), ({"order_id": "o2"}, False), ({}, False), ({"order_id": None}, False)],
)
def test_an_event_may_have_to_match_the_trigger(properties: dict[str, Any], heard: bool) -> None:
    """The payment of this order, and not of another."""
    world = inside(wait_for(match={"order_id": "order_id"}), mark("after"))
    world.track("paid", **properties)
    assert (world.sent() == ["after"]) is heard


def test_properties_that_both_lack_do_not_match() -> None:
    """Nothing equals nothing nowhere else either."""
    world = world_of(wait_for(match={"order_id": "order_id"}), mark("after"))
    world.track("limit")
    world.track("paid")
    assert world.sent() == []


def test_where_is_looked_at() -> None:
    """As everywhere else."""
    world = inside(wait_for(where={"amount": {"gte": 10}}), mark("after"))
    world.track("paid", amount=9)
    assert world.sent() == []
    world.track("paid", amount=10)
    assert world.sent() == ["after"]


FIRST_OF = {
    "wait_for": {
        "first_of": [
            {"event": "paid", "steps": [mark("thanks")]},
            {"event": "cancelled", "where": {"by": "user"}, "steps": [mark("sorry")]},
            {"event": "archived"},
        ],
        "timeout": "1h",
    },
    "timed_out": [mark("late")],
}


@pytest.mark.parametrize(
    ("event", "properties", "sent"),
    [
        ("paid", {}, ["thanks", "after"]),
        ("cancelled", {"by": "user"}, ["sorry", "after"]),
        ("cancelled", {"by": "us"}, []),
        ("archived", {}, ["after"]),
        ("unheard of", {}, []),
    ],
)
def test_the_first_of_several_events_wins(event: str, properties: dict[str, Any], sent: list[str]) -> None:
    """What comes after it changes nothing."""
    world = inside(FIRST_OF, mark("after"))
    world.track(event, **properties)
    assert world.sent() == sent
    world.track("paid")
    assert world.sent() == (sent or ["thanks", "after"])


def test_a_restart_begins_the_timeout_anew() -> None:
    """Each time the event comes, from its own time on, and never shorter."""
    step = wait_for(restart_on={"event": "added", "match": {"order_id": "order_id"}})
    world = inside(step | {"timed_out": [mark("late")]})
    world.advance(HOUR - 1)
    world.track("added", order_id="other")
    world.track("added", order_id="o1")
    world.track("added", START, order_id="o1")
    world.advance(HOUR - 1)
    assert world.sent() == []
    world.advance(1)
    assert world.sent() == ["late"]


def test_large_properties_of_an_awaited_event_are_not_kept() -> None:
    """A row stays small."""
    world = inside(wait_for(), mark("after"))
    world.track("paid", text="x" * AWAITED_MAX_BYTES)
    assert world.messages[0].context.awaited is None


def test_an_exit_on_the_event_comes_first() -> None:
    """Nothing is sent at the instant of an exit."""
    world = inside(
        UNTIL_PRO, mark("after"), exit=[{"when": {"event": "left"}}, {"when": {"changed": "plan"}}]
    )
    world.identify(plan="pro")
    assert world.sent() == []
    assert world.outcomes("exit") == [("exited", "changed: plan")]


def test_a_part_that_goes_on_to_a_longer_wait_than_another_is_there() -> None:
    """Neither a message nor another timer comes of it; it is kept all the same."""
    until = {"wait_until": {"when": {"trait": "seats", "gte": 5}, "timeout": "9d"}}
    parts = [{"steps": [{"wait": "1d"}]}, {"steps": [until, {"wait": "5d"}]}]
    world = inside({"parallel": parts})
    world.identify(seats=5)
    world.identify(seats=1)
    world.advance(5 * DAY)
    assert world.outcomes("exit") == [("completed", None)]
