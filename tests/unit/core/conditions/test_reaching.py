"""The event that brings a sum to a number: once, and again only after the sum was below it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.workspace.journeys import Journey
from tests.unit.core.kit import DAY, HOUR, World, journey, plan_of
from workers.core.journeys.entry import Eligible


class Buyer:
    """Somebody whose orders shall reach a sum; amounts in cents."""

    def __init__(self, within: str = "7d", reaches: float = 1000, **where: Any) -> None:
        asked = {"sum": "amount", "of": "bought", "within": within, "reaches": reaches, **where}
        entry = {"on": {"event": "bought"}, "require": [asked], "again": "always"}
        self.world = World(plan_of(journey(entry=entry)).user)

    def buys(self, cents: int, late_ms: int = 0, **more: Any) -> bool:
        """Whether this order reaches it."""
        at_ms = self.world.now_ms - late_ms
        _, verdicts = self.world.signal("bought", at_ms, amount=cents / 100, **more)
        return isinstance(verdicts[0], Eligible)


def test_a_sum_reaches_a_number_once() -> None:
    """Exactly, or by passing it; what comes after that finds it reached."""
    buyer = Buyer()
    assert [buyer.buys(cents) for cents in (60_000, 39_999, 1, 1, 500_000)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert Buyer().buys(500_000)


@pytest.mark.parametrize("within", ["7d", "this_month", "lifetime"])
def test_the_last_bits_of_floats_make_no_second_crossing_nor_none(within: str) -> None:
    """Ten times 0.1 is less than 1 in floats, and what is taken off again is not what was added."""
    buyer = Buyer(within, reaches=1)
    assert [buyer.buys(10) for _ in range(15)] == [False] * 9 + [True] + [False] * 5


def test_it_is_reached_again_after_it_was_below() -> None:
    """As time passes, or by a refund."""
    buyer = Buyer()
    assert buyer.buys(100_000)
    buyer.world.advance(7 * DAY - 1)
    assert not buyer.buys(1)
    buyer.world.advance(1)
    assert buyer.buys(99_999)
    assert not buyer.buys(-50)
    assert buyer.buys(50)


def test_a_late_event_reaches_it_where_the_span_goes_back_that_far() -> None:
    """It counts by when it happened."""
    buyer = Buyer()
    assert not buyer.buys(99_999)
    assert not buyer.buys(100, late_ms=7 * DAY)
    assert buyer.buys(100, late_ms=7 * DAY - 1)
    assert not buyer.buys(100, late_ms=HOUR)


def test_an_event_that_adds_nothing_reaches_nothing() -> None:
    """Its property is no number, or `where` leaves it out."""
    buyer = Buyer(where={"kind": "new"})
    assert not buyer.buys(99_900, kind="new")
    assert not buyer.buys(500, kind="old")
    assert not isinstance(buyer.world.signal("bought", amount="1", kind="new")[1][0], Eligible)
    assert buyer.buys(100, kind="new")


orders = st.tuples(st.integers(-300, 700), st.integers(0, 8 * 24), st.integers(0, 3 * 24))


@settings(max_examples=60, deadline=None)
@given(st.lists(orders, max_size=14))
def test_it_is_as_with_all_orders_in_a_list(steps: list[tuple[int, int, int]]) -> None:
    """Late, out of order, with refunds, at any distance: below without the order, not below with it."""
    buyer = Buyer(reaches=10)
    known: list[tuple[int, int]] = []
    for cents, late_hours, passed_hours in steps:
        now_ms = buyer.world.now_ms
        at_ms, since_ms = now_ms - late_hours * HOUR, now_ms - 7 * DAY
        before = sum(one for when_ms, one in known if since_ms < when_ms)
        after = before + (cents if since_ms < at_ms else 0)
        known.append((at_ms, cents))
        assert buyer.buys(cents, late_hours * HOUR) is (before < 1000 <= after)
        buyer.world.advance(passed_hours * HOUR)


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (
            {"distinct": "n", "of": "limit", "within": "7d", "reaches": 3},
            "whether the event brought a new one",
        ),
        (
            {"average": "n", "of": "limit", "within": "7d", "reaches": 3},
            "does not grow by what an event brings",
        ),
        ({"max": "n", "of": "limit", "within": "7d", "reaches": 3}, "on: {segment: NAME}"),
        ({"trait": "seats_used", "reaches": 3}, "on: {segment: NAME}"),
        (
            {"account": {"trait": "seats_used", "divided_by": {"account": "seats"}, "reaches": 1}},
            "on: {segment",
        ),
        ({"sum": "n", "of": "limit", "within": "7d", "reaches": 3, "gte": 1}, "stands alone"),
        ({"sum": "n", "of": "limit", "within": "previous_month", "reaches": 3}, "a span that is over"),
        ({"sum": "n", "of": "limit", "within": "7d", "reaches": 0}, "above 0"),
    ],
)
def test_what_cannot_be_told_of_one_event_is_refused_with_the_reason(
    condition: dict[str, Any], told: str
) -> None:
    """And with what to do instead."""
    with pytest.raises(ValidationError) as refused:
        Journey.model_validate(journey(entry={"on": {"event": "limit"}, "require": [condition]}))
    assert told in str(refused.value)
