"""Scores as files write them (``scores/*.yaml``): weighted sums of behaviour that fade, with thresholds.

An event's points halve with every ``half_life`` that passes; a trait's points stand while its comparison is
true. A score reaches a threshold when it is at least the number, and has fallen below when it is less than
``falls_below`` (the same number where nothing else is said).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from schemas.fields import SubjectType  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.base import (
    MAX_LIST,
    AsList,
    Duration,
    EventName,
    Identifier,
    Model,
    described,
    refuse,
    tag_of,
)
from schemas.workspace.comparisons import DATE_OPERATORS, Where
from schemas.workspace.conditions import TraitCondition

MAX_POINTS: Final = 1_000_000
MAX_CAP_TIMES: Final = 20
"""Largest cap: the times of the occurrences that count are kept while late ones may still come."""


def _points(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        refuse("points", f"points are a number, below 0 to take away; not {described(value)}")
    if value == 0 or abs(value) > MAX_POINTS:
        refuse("points", f"points are not 0 and at most {MAX_POINTS:,} either way; not {value}")
    return value


def _level(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        refuse("level", f"a number of points is expected; not {described(value)}")
    return value


Points: TypeAlias = Annotated[Any, AfterValidator(_points), WithJsonSchema({"type": "number"})]
Level: TypeAlias = Annotated[Any, AfterValidator(_level), WithJsonSchema({"type": "number"})]


class Cap(Model):
    """Of each stretch of ``per``, counted from 1970 in UTC, the first ``times`` occurrences bring points."""

    times: int = Field(ge=1, le=MAX_CAP_TIMES)
    per: Duration


class EventContribution(Model):
    """Points for each occurrence of an event of the subject; of any member in an account's score."""

    event: EventName
    where: Where | None = None
    points: Points
    cap: Cap | None = None


class TraitContribution(TraitCondition):
    """Points while the comparison of a trait is true; a value that is not there brings none."""

    points: Points

    @model_validator(mode="after")
    def _is_steady(self) -> Self:
        if any(name in DATE_OPERATORS for name in self.operators()):
            refuse(
                "trait", "points for a date change as time passes: give them for an event, with a half-life"
            )
        if any(reference.kind != "trait" for reference in self.references()):
            refuse("trait", "compare with a constant or another trait of the subject: {trait: NAME}")
        return self


def _contribution_tag(value: Any) -> str | None:
    return tag_of(value, ("event", "trait"))


def _is_contribution(value: Any) -> Any:
    if _contribution_tag(value) is None:
        refuse(
            "contribution",
            f"a contribution is {{event: NAME, points: N}} or {{trait: NAME, eq: VALUE, points: N}}; "
            f"not {described(value)}",
        )
    return value


Contribution: TypeAlias = Annotated[
    Annotated[EventContribution, Tag("#event")] | Annotated[TraitContribution, Tag("#trait")],
    Discriminator(_contribution_tag),
    BeforeValidator(_is_contribution),
]


class Threshold(Model):
    """Reached at ``reaches`` points or more; left again below ``falls_below`` (without it: ``reaches``)."""

    reaches: Level
    falls_below: Level | None = None

    @model_validator(mode="after")
    def _is_hysteresis(self) -> Self:
        if self.falls_below is not None and self.falls_below > self.reaches:
            refuse("falls_below", f"falls_below is at most reaches ({self.reaches}); not {self.falls_below}")
        return self

    def floor(self) -> float:
        """The points below which the threshold is left."""
        return float(self.reaches if self.falls_below is None else self.falls_below)


def _threshold(value: Any) -> Any:
    """A bare number is short for ``reaches``."""
    return value if isinstance(value, (dict, Threshold)) else {"reaches": value}


def _each_once(contributions: tuple[Contribution, ...]) -> tuple[Contribution, ...]:
    seen: list[Any] = []
    for one in contributions:
        same = one.model_dump(mode="json", exclude={"points"})
        if same in seen:
            what = one.event if isinstance(one, EventContribution) else one.trait
            refuse("contributions", f"two contributions ask the same of {what!r}: add up their points")
        seen.append(same)
    return contributions


class Score(Model):
    """One score of users or of accounts."""

    score: Identifier
    subject: SubjectType
    description: str = Field("", max_length=500)
    half_life: Duration
    contributions: Annotated[
        tuple[Contribution, ...],
        AsList,
        Field(min_length=1, max_length=MAX_LIST),
        AfterValidator(_each_once),
    ]
    thresholds: Annotated[
        dict[Identifier, Annotated[Threshold, BeforeValidator(_threshold)]], Field(max_length=20)
    ] = Field(default_factory=dict)
