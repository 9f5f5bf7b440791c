"""Which variant of an experiment a unit (a person, or an account) gets, and who is held out: a hash alone.

Each variant draws a number for the unit, and the largest draw in proportion to the weight wins: weighted
rendezvous hashing (Mosharaf, Schindler: "Weighted Distributed Hash Tables", 2005; Resch, "New Hashing
Algorithms for Data Storage", 2015). So the order in which units come or variants are written makes no
difference, experiments of other names are independent, and where a weight grows the units that move all
move to that variant, where one shrinks all away from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workers.core.ids import bucket, stable_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.fields import SubjectType
    from schemas.workspace import Experiment, GlobalHoldout

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


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """An experiment, compiled: weights in basis points by what is assigned (see ``Experiment.assigned``)."""

    name: str
    unit: SubjectType
    weights: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class HoldoutPlan:
    """The workspace's holdout, in basis points."""

    share_bp: int
    unit: SubjectType


def compile_experiments(experiments: Iterable[Experiment]) -> dict[str, ExperimentPlan]:
    """The plans by name."""
    return {one.experiment: ExperimentPlan(one.experiment, one.unit, one.assigned()) for one in experiments}


def compile_holdout(holdout: GlobalHoldout | None) -> HoldoutPlan | None:
    """The plan; None where the workspace holds nobody out."""
    return HoldoutPlan(holdout.share, holdout.unit) if holdout is not None and holdout.share else None


def unit_of(unit: SubjectType, subject: str, account: str | None) -> str:
    """What is assigned: the subject, or its account; who has no account stands for themselves."""
    return account or subject if unit == "account" else subject


def assignments(experiments: Iterable[ExperimentPlan], subject: str, account: str | None) -> dict[str, str]:
    """The variants of a subject in several experiments, by what is assigned."""
    return {
        name: assign(name, unit_of(one.unit, subject, account), weights)
        for one in experiments
        for name, weights in one.weights.items()
    }


def is_in_holdout(holdout: HoldoutPlan | None, subject: str, account: str | None) -> bool:
    """Whether no journey may write to the subject: the same for ever, whatever the workspace says else."""
    if holdout is None:
        return False
    return bucket("holdout of the workspace", unit_of(holdout.unit, subject, account)) < holdout.share_bp
