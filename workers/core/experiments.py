"""Which variant of an experiment a unit (a person, or an account) gets: a hash, and nothing else.

Each variant draws a number for the unit, and the largest draw in proportion to the weight wins: weighted
rendezvous hashing (Mosharaf, Schindler: "Weighted Distributed Hash Tables", 2005; Resch, "New Hashing
Algorithms for Data Storage", 2015). So the order in which units come or variants are written makes no
difference, experiments of other names are independent, and where a weight grows the units that move all
move to that variant, where one shrinks all away from it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from workers.core.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Mapping

WHOLE_BP: Final = 10_000
"""The weights of an experiment add up to this: basis points."""

_DRAW_HEX: Final = 13
"""Hex digits of a draw: 52 bits, as many as a double between 0 and 1 holds."""


def assign(experiment: str, unit: str, weights: Mapping[str, int]) -> str:
    """The variant of a unit in an experiment. ``weights`` are in basis points by the variant's name.

    A variant of weight 0 is given to nobody. Only the proportions matter here; that they add up to 10,000 is
    for who reads the file to see to.

    Raises:
        ValueError: no variant has a weight above 0.
    """
    best, chosen = -math.inf, ""
    for variant in sorted(weights):
        if weights[variant] <= 0:
            continue
        draw = (int(stable_id("variant", experiment, variant, unit)[:_DRAW_HEX], 16) + 0.5) / 16**_DRAW_HEX
        score = math.log(draw) / weights[variant]
        if score > best:
            best, chosen = score, variant
    if not chosen:
        raise ValueError(f"the experiment {experiment!r} has no variant with a weight above 0")
    return chosen
