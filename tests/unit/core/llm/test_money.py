"""Costs and caps, to the billionth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.core.llm.money import DAY_MS, Caps, Prices, Spending, on_day, over_cap, reserve, settle

PRICES = Prices(input_picos=150_000, output_picos=600_000, cached_input_picos=75_000)
"""0.15, 0.60 and 0.075 for a million tokens."""


@pytest.mark.parametrize(
    ("counted", "nanos"),
    [
        ((1_000_000, 0, 0), 150_000_000),
        ((0, 1_000_000, 0), 600_000_000),
        ((1_000_000, 0, 1_000_000), 75_000_000),
        ((1_000, 100, 400), 90_000 + 30_000 + 60_000),
        ((0, 0, 0), 0),
        ((1_000, 0, 5_000), 75_000),  # more cached than there were: no more than all
    ],
)
def test_a_call_costs_what_its_tokens_cost(counted: tuple[int, int, int], nanos: int) -> None:
    """In billionths; what was in the endpoint's cache at its own price."""
    assert PRICES.cost_nanos(*counted) == nanos


def test_a_part_of_a_billionth_is_rounded_up() -> None:
    """Never less than it cost."""
    assert Prices(1, 0, 1).cost_nanos(1, 0) == 1


TODAY = 20_000
CAPS = Caps(per_day_nanos=1_000, per_call_nanos=300, per_journey_nanos=600)


@pytest.mark.parametrize(
    ("spent", "reserved", "worst", "cap"),
    [
        ({}, {}, 300, None),
        ({}, {}, 301, "cap_per_call"),
        ({"upsell": 300}, {}, 300, None),
        ({"upsell": 301}, {}, 300, "cap_per_journey"),
        ({"upsell": 100}, {"upsell": 201}, 300, "cap_per_journey"),
        ({"other": 700}, {}, 300, None),
        ({"other": 701}, {}, 300, "cap_per_day"),
        ({"other": 500}, {"third": 201}, 300, "cap_per_day"),
    ],
)
def test_a_call_whose_worst_case_breaks_a_cap_is_not_made(
    spent: dict[str, int], reserved: dict[str, int], worst: int, cap: str | None
) -> None:
    """What calls under way may cost counts like what was spent."""
    assert over_cap(Spending(TODAY, spent, reserved), CAPS, "upsell", worst) == cap


def test_a_new_day_begins_with_what_is_under_way() -> None:
    """At midnight UTC; a clock that goes back gives nothing back."""
    held = Spending(TODAY, {"upsell": 500}, {"upsell": 50})
    assert on_day(held, (TODAY + 1) * DAY_MS - 1) == held
    assert on_day(held, (TODAY + 1) * DAY_MS) == Spending(TODAY + 1, {}, {"upsell": 50})
    assert on_day(held, TODAY * DAY_MS - 1) == held
    assert on_day(None, TODAY * DAY_MS) == Spending(TODAY)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 400), st.integers(0, 400)), max_size=30)
)
def test_no_cap_is_ever_exceeded(calls: list[tuple[str, int, int]]) -> None:
    """However many calls are under way, as long as none costs more than its worst case."""
    spending = Spending(TODAY)
    under_way: list[tuple[str, int, int]] = []
    for journey, worst, cost in calls:
        if over_cap(spending, CAPS, journey, worst) is None:
            spending = reserve(spending, journey, worst)
            under_way.append((journey, worst, min(cost, worst)))
        if len(under_way) > 2:
            spending = settle(spending, *under_way.pop(0))
    total = sum(cost for _, _, cost in under_way) + sum(spending.spent.values())
    for one in under_way:
        spending = settle(spending, *one)
    assert spending.reserved == {}
    assert sum(spending.spent.values()) == total <= CAPS.per_day_nanos
    assert all(spent <= (CAPS.per_journey_nanos or 0) for spent in spending.spent.values())
