"""Percentiles are values that occurred, and goals say plainly whether they are reached."""

from __future__ import annotations

import pytest

from tests.bench.model import Figure
from tests.bench.spread import percentile, verdict


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100), (0.001, 1)],
)
def test_a_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    """Of 1 to 100, the 99th percentile is 99: ninety-nine in a hundred are not above it."""
    assert percentile(range(1, 101), share) == expected


def test_nothing_has_no_percentile() -> None:
    """A benchmark that measured nothing must not report zero milliseconds."""
    with pytest.raises(ValueError, match="nothing to take a percentile of"):
        percentile([], 0.5)


@pytest.mark.parametrize(
    ("value", "limits", "says"),
    [
        (200_000, {"at_least": 200_000}, "goal at least 200,000: reached"),
        (199_999, {"at_least": 200_000}, "goal at least 200,000: MISSED"),
        (100, {"at_most": 100}, "goal at most 100: reached"),
        (101, {"at_most": 100}, "goal at most 100: MISSED"),
    ],
)
def test_a_goal_is_reached_at_its_limit(value: float, limits: dict[str, float], says: str) -> None:
    """Both limits belong to what is good enough."""
    assert verdict(Figure("bench", "brimful", value, "unit"), **limits).endswith(says)


@pytest.mark.parametrize("limits", [{}, {"at_least": 1.0, "at_most": 2.0}])
def test_a_goal_has_one_limit(limits: dict[str, float]) -> None:
    """Neither none nor two: one of them would be ignored."""
    with pytest.raises(ValueError, match="one limit"):
        verdict(Figure("bench", "brimful", 1, "unit"), **limits)
