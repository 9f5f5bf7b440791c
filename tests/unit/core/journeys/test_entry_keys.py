"""One enrollment for each key: several orders of one customer walk through one journey side by side."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.kit import BANNER, DAY, HOUR, START, World, journey, plan_of
from workers.core.journeys.entry import Declined
from workers.core.journeys.progress import KEYED_ACTIVE_MAX, KEYS_MAX, Progress
from workers.core.merge import merge_progress

WAITING = [{"wait": "1d"}, BANNER]


def orders(again: Any = "never", **fields: Any) -> World:
    """Someone in a workspace whose one journey is entered for each order."""
    entry = {"on": {"event": "ordered"}, "key": "properties.order_id", "again": again}
    exits = [{"when": {"event": "paid", "match": "properties.order"}}, {"when": {"event": "left"}}]
    return World(plan_of(journey(entry=entry, exit=exits, **{"steps": WAITING, **fields})).user)


def inside(world: World) -> list[str]:
    """The keys of the active enrollments."""
    return [held.key for held in world.progress.enrollments if held.is_active]


def test_each_order_has_an_enrollment_of_its_own() -> None:
    """And a second event of the same order none."""
    world = orders()
    for order in ("a", "b", "a", 7):
        world.track("ordered", order_id=order)
    assert inside(world) == ["a", "b", "7"]
    assert world.outcomes("entry")[2] == ("declined", "already_enrolled")
    world.advance(DAY)
    assert world.sent() == ["banner"] * 3


@pytest.mark.parametrize(
    "properties", [{}, {"order_id": None}, {"order_id": ""}, {"order_id": True}], ids=str
)
def test_without_a_key_nobody_enters(properties: dict[str, Any]) -> None:
    """And the decision says so."""
    world = orders()
    world.track("ordered", **properties)
    assert world.outcomes("entry") == [("declined", "no_key")]


def test_an_exit_that_matches_ends_the_one_and_an_exit_that_does_not_ends_all() -> None:
    """A key that no enrollment has ends none."""
    world = orders()
    for order in ("a", "b", "c"):
        world.track("ordered", order_id=order)
    world.track("paid", order="b")
    assert inside(world) == ["a", "c"]
    world.track("paid", order="x")
    world.track("paid")
    assert inside(world) == ["a", "c"]
    world.track("left")
    assert inside(world) == []
    assert not world.timers


def test_an_order_that_is_paid_between_candidate_and_enrolment_does_not_enter() -> None:
    """And the payment of another order keeps nobody out."""
    world = orders()
    records = [world.signal("ordered", order_id=order)[0][0] for order in ("a", "b")]
    world.advance(1)
    world.track("paid", order="a")
    for record in records:
        world.enroll(record)
    assert world.outcomes("entry") == [("declined", "exited"), ("enrolled", None)]
    assert inside(world) == ["b"]


@pytest.mark.parametrize(
    ("again", "after_ms", "enters"),
    [("never", 30 * DAY, False), ("always", 2 * DAY, True), ({"after": "7d"}, 7 * DAY, True)],
    ids=str,
)
def test_again_is_about_one_key(again: Any, after_ms: int, enters: bool) -> None:
    """Another key enters at once."""
    world = orders(again)
    world.track("ordered", order_id="a")
    world.advance(after_ms - HOUR)
    world.track("ordered", order_id="b")
    world.advance(HOUR)
    verdict = world.track("ordered", order_id="a")[0]
    assert isinstance(verdict, Declined) is not enters
    assert "b" in inside(world)


def test_a_goal_that_matches_credits_the_order() -> None:
    """Not the newest enrollment, as without a key."""
    goal = {"event": "delivered", "within": "14d", "match": "properties.order"}
    world = orders(goal=goal)
    first = world.track("ordered", order_id="a")
    world.track("ordered", order_id="b")
    world.track("delivered", order="a")
    world.track("delivered", order="x")
    assert first
    assert [one.enrollment for one in world.conversions] == [world.progress.enrollments[0].id]


def test_one_journey_does_not_take_all_the_room() -> None:
    """Beyond the bound an order is declined, with the reason."""
    world = orders()
    for number in range(KEYED_ACTIVE_MAX + 1):
        world.track("ordered", order_id=f"o{number}")
    assert len(inside(world)) == KEYED_ACTIVE_MAX
    assert world.outcomes("entry")[-1] == ("declined", "too_many_keys")


def test_what_is_remembered_of_keys_is_bounded() -> None:
    """Of both kinds; the latest stay."""
    world = orders(steps=[BANNER])
    for number in range(KEYS_MAX + 5):
        world.track("ordered", order_id=f"o{number}")
        world.track("paid", order=f"p{number}")
    assert len(world.progress.keys["upsell"]) == len(world.progress.left["upsell"]) == KEYS_MAX
    verdict = world.track("ordered", order_id=f"o{KEYS_MAX}")[0]
    assert isinstance(verdict, Declined)
    assert verdict.reason == "again"


def test_two_ids_of_one_person_keep_an_enrollment_for_each_key() -> None:
    """Of the same key the one that was entered first goes on."""
    one, two = orders(), orders()
    one.track("ordered", order_id="a")
    two.advance(HOUR)
    two.track("ordered", order_id="a")
    two.track("ordered", order_id="b")
    merged = merge_progress(one.progress, two.progress, START + DAY)
    assert sorted(held.key for held in merged.enrollments if held.is_active) == ["a", "b"]
    assert len(merged.keys["upsell"]) == 2


EVENTS = st.lists(
    st.tuples(st.sampled_from(["ordered", "paid", "left", "wait", "repeat"]), st.sampled_from("abc")),
    max_size=30,
)


@given(EVENTS, st.sampled_from(["never", "always"]))
def test_at_most_one_enrollment_of_a_key_whatever_comes(events: list[tuple[str, str]], again: str) -> None:
    """Also where a record of the scheduler topic comes twice; and every enrollment begins once."""
    world = orders(again)
    records = []
    for what, order in events:
        if what == "ordered":
            new, _ = world.signal("ordered", order_id=order)
            records += new
            for record in new:
                world.enroll(record)
        elif what == "repeat":
            for record in records:
                world.enroll(record)
        elif what == "wait":
            world.advance(7 * HOUR)
        else:
            world.track(what, order=order)
        active = inside(world)
        assert len(active) == len(set(active))
    begun = [one.enrollment for one in world.decisions if one.outcome == "enrolled"]
    assert len(begun) == len(set(begun))


def test_rows_from_before_keys_are_read() -> None:
    """Fields were added at the end."""
    assert Progress("u1").keys == Progress("u1").left == {}
