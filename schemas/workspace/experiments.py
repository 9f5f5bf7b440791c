"""Experiments as files write them (``experiments/*.yaml``), and the holdout of the whole workspace."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from schemas.fields import SubjectType  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.base import Identifier, Model, Share, described, refuse

WHOLE_BP: Final = 10_000
"""All of a whole, in basis points."""

MAX_VARIANTS: Final = 20


def _percent(value: Any) -> int:
    """Basis points of a percentage with at most two decimals."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    basis_points = round(value * 100) if is_number and abs(value) <= WHOLE_BP else -1
    if not 0 <= basis_points <= WHOLE_BP or abs(value * 100 - basis_points) > 1e-6:  # noqa: PLR2004  rounding
        refuse("weight", f"a weight is a percentage, 0 to 100 with two decimals; not {described(value)}")
    return basis_points


def _whole(weights: dict[str, int]) -> dict[str, int]:
    total = sum(weights.values())
    if total != WHOLE_BP:
        refuse("weights", f"the weights add up to {total / 100:g}, not to 100")
    return weights


Weight: TypeAlias = Annotated[
    int,
    BeforeValidator(_percent),
    PlainSerializer(lambda basis_points: basis_points / 100, return_type=float),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100}),
]
"""Written as a percentage, 0 to 100 with at most two decimals; held in basis points."""

Weights: TypeAlias = Annotated[
    dict[Identifier, Weight], Field(min_length=2, max_length=MAX_VARIANTS), AfterValidator(_whole)
]
"""Variants with the share of units that gets each; the shares add up to 100."""


class Experiment(Model):
    """One experiment: which variant each unit gets, the same in all journeys that name the experiment.

    With ``factors`` each factor is assigned by itself, independently of the others. ``unit`` is what is
    assigned as one: each user, or all users of an account together.
    """

    experiment: Identifier
    description: str = Field("", max_length=500)
    unit: SubjectType = "user"
    variants: Weights | None = None
    factors: Annotated[dict[Identifier, Weights], Field(min_length=1, max_length=8)] | None = None

    @model_validator(mode="after")
    def _is_one_of_two_kinds(self) -> Self:
        if (self.variants is None) is (self.factors is None):
            refuse("experiment", "an experiment has variants, or factors that each have theirs")
        return self

    def assigned(self) -> dict[str, dict[str, int]]:
        """The weights in basis points by what is assigned: the experiment, or ``EXPERIMENT.FACTOR``."""
        if self.variants is not None:
            return {self.experiment: self.variants}
        return {f"{self.experiment}.{name}": weights for name, weights in (self.factors or {}).items()}


class GlobalHoldout(Model):
    """Who is in no journey's treatment: they walk through journeys, and get no message of any.

    With ``unit: account`` all users of an account are held out together, and it with them.
    """

    share: Share
    unit: SubjectType = "user"
