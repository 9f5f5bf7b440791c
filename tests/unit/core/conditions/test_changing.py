"""Which numbers a count falls below with another outcome, and how many have to leave for that."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.workspace.comparisons import NumberComparison
from tests.unit.core.condition_kit import Someone, compiled, moment, times
from tests.unit.core.kit import DAY, START
from workers.core.conditions.changing import limits_between, limits_of, until_below
from workers.core.conditions.compiled import shared


@pytest.mark.parametrize(
    ("operators", "limits"),
    [
        ({"gte": 3}, (3,)),
        ({"gte": 2.5}, (3,)),
        ({"gt": 3}, (4,)),
        ({"gt": 2.5}, (3,)),
        ({"lt": 3}, (3,)),
        ({"lte": 3}, (4,)),
        ({"eq": 3}, (4, 3)),
        ({"ne": 3}, (4, 3)),
        ({"eq": 2.5}, (3,)),
        ({"gte": 2, "lte": 5}, (6, 2)),
        ({"gte": 0}, ()),
        ({"gt": -4}, ()),
        ({"gte": {"trait": "seats"}}, None),
        ({"gte": 1, "divided_by": {"trait": "seats"}}, None),
    ],
)
def test_a_comparison_has_limits(operators: dict[str, Any], limits: tuple[int, ...] | None) -> None:
    """The highest first; None where another field decides too."""
    assert limits_of(NumberComparison.model_validate(operators)) == limits


@pytest.mark.parametrize(
    ("least", "most", "limits"),
    [(2, None, (2,)), (0, 3, (4,)), (2, 2, (3, 2)), (0, None, ()), (2, 5, (6, 2))],
)
def test_bounds_have_limits(least: int, most: int | None, limits: tuple[int, ...]) -> None:
    """A count that may be anything has none."""
    assert limits_between(least, most) == limits


@pytest.mark.parametrize(("count", "number"), [(9, 4), (6, 1), (5, 4), (3, 2), (2, 1), (1, None), (0, None)])
def test_a_count_falls_below_the_next_limit(count: int, number: int | None) -> None:
    """Between 2 and 5: from above it becomes true at 5, and from there false at 1."""
    assert until_below((6, 2), count) == number


@pytest.mark.parametrize(
    ("condition", "number", "changes"),
    [
        ({"count": "e", "within": "7d", "gte": 3}, 2, None),
        ({"count": "e", "within": "7d", "gte": 3}, 3, 0),
        ({"count": "e", "within": "7d", "gte": 3}, 5, 2),
        ({"count": "e", "within": "7d", "lt": 3}, 5, 2),
        ({"count": "e", "within": "7d", "gte": 150}, 400, 250),
        ({"performed": "e", "within": "7d", "at_least": 3}, 2, None),
        ({"performed": "e", "within": "7d", "exactly": 3}, 5, 1),
        ({"distinct": "n", "of": "e", "within": "7d", "gte": 3}, 5, 2),
        ({"distinct": "n", "of": "e", "within": "7d", "gte": 3}, 2, None),
        ({"sum": "n", "of": "e", "within": "7d", "gte": 1_000}, 2, 0),
    ],
)
def test_a_count_that_is_not_met_wakes_nobody(
    condition: dict[str, Any], number: int, changes: int | None
) -> None:
    """Of so many, one an hour, the one of that number leaves when the outcome changes; sums may at any."""
    plan, asked = compiled(condition)
    hour = 3_600_000
    who = Someone(
        did=tuple(
            one for at in range(number) for one in times(1, "e", first=hour * (number - 1 - at) // 24, n=at)
        )
    )
    found = asked.changes_at_ms(moment(plan, who))
    if changes is None:
        assert found is None
        return
    oldest_ms = START - who.did[changes].age_ms
    bucket_ms = 0 if number <= 192 else 900_000
    assert found is not None
    assert oldest_ms + 7 * DAY - bucket_ms <= found <= oldest_ms + 7 * DAY


def test_conditions_that_ask_for_the_same_read_it_once() -> None:
    """At one moment; at another one anew."""
    read: list[int] = []
    plan, _ = compiled({"performed": "e", "within": "7d", "at_least": 3})
    now, later = moment(plan, Someone()), moment(plan, Someone(), later_ms=1)
    asking = [shared(("e", 7), lambda at: read.append(at.now_ms)) for _ in range(3)]
    for one in asking:
        one(now)
    asking[0](later)
    assert read == [START, START + 1]
