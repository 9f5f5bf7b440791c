"""How waiting times are spread, and whether a figure reaches its goal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.model import Figure


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (above 0, at most 1) of the ascending values do not pass.

    Nearest rank: always one of the values, so a worst case is never averaged away.

    Raises:
        ValueError: there are no values.
    """
    if not ordered:
        raise ValueError("there is nothing to take a percentile of")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def verdict(figure: Figure, *, at_least: float | None = None, at_most: float | None = None) -> str:
    """One line for people: the figure, its goal, and whether it is reached. Give one of the two limits."""
    if (at_least is None) is (at_most is None):
        raise ValueError("a goal has one limit: at_least or at_most")
    if at_least is not None:
        met, goal = figure.value >= at_least, f"at least {at_least:,.0f}"
    else:
        met, goal = figure.value <= float(at_most or 0), f"at most {at_most:,.0f}"
    return (
        f"  {figure.bench}: {figure.value:,.0f} {figure.unit}, goal {goal}: {'reached' if met else 'MISSED'}"
    )
