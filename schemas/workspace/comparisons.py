"""Operators on a value, and what each means.

A comparison is true, false, or **missing**: it asks about a value that is not there (absent, null, or of a
type that the operator cannot compare). ``if_missing: pass`` or ``if_missing: fail`` says what that means.

=====================  =============================================  ====================================
operator               true when the value                            missing
=====================  =============================================  ====================================
``eq``                 equals; ``1`` is not ``true``, ``5`` not "5"   not there
``ne``                 does not equal                                 not there
``in``                 equals one of the list                         not there
``not_in``             equals none of the list                        not there
``gt gte lt lte``      is a number that compares so                   not there, or not a number
``exists``             is there (``false``: is not)                   never
``contains``           is a list with this item, or a text with       not there, or neither list nor text
                       this text in it
``not_contains``       is a list or text without it                   the same
``starts_with``        is a text that begins so                       not there, or not a text
``ends_with``          is a text that ends so                         the same
``matches``            is a text of this form; ``*`` stands for any   the same
                       characters, none included
``before``             is a date before this one                      not there, or not a date
``after``              is a date at or after this one                 the same
``older_than``         is a date at least this long ago               the same
``younger_than``       is a date less than this long ago, not to come the same
``in_next``            is a date to come, at most this far ahead      the same
``within``             is a date in this span                         the same
=====================  =============================================  ====================================

Several operators in one comparison must all hold. Where ``{trait: NAME}``, ``{account: NAME}`` or
``{property: NAME}`` stands for a constant, the comparison is also missing where that field is. A date is an
ISO 8601 text or a number of Unix time, in seconds below 100,000,000,000 and else in milliseconds; a plain
date is the beginning of that day in the subject's zone, a moment without an offset is UTC.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from schemas.workspace.base import Duration, Model, Path, refuse
from schemas.workspace.spans import BoundedSpan  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.values import (
    DateOperand,
    FieldRef,
    NumberOperand,
    ScalarOperand,
    Scalars,
    Text,
)

DATE_OPERATORS: Final = ("before", "after", "older_than", "younger_than", "in_next", "within")
RELATIVE_OPERATORS: Final = ("older_than", "younger_than", "in_next", "within")
"""Those on dates whose outcome changes as time passes."""

NUMBER_OPERATORS: Final = ("eq", "ne", "gt", "gte", "lt", "lte")
OPERATORS: Final = (
    "eq",
    "ne",
    "in",
    "not_in",
    "gt",
    "gte",
    "lt",
    "lte",
    "exists",
    "contains",
    "not_contains",
    "starts_with",
    "ends_with",
    "matches",
    *DATE_OPERATORS,
)
NEGATIVE: Final = ("ne", "not_in", "not_contains")
"""Operators that a missing value would seem to satisfy; the linter asks what is meant."""

BY_SEGMENT: Final = "Make it a segment, with gte, and begin the journey on its entry: on: {segment: NAME}"
"""What crosses a number without one event that does it."""

_ATTRIBUTES: Final = {"in": "in_"}


class Operators(Model):
    """One or more operators on a value; all must hold."""

    allowed: ClassVar[tuple[str, ...]] = OPERATORS

    if_missing: Literal["pass", "fail"] | None = Field(
        None, description="What a missing value means here; without it the outcome is `missing`."
    )

    @model_validator(mode="before")
    @classmethod
    def _reaches_nothing(cls, value: Any) -> Any:
        if isinstance(value, dict) and "reaches" in value and "reaches" not in cls.model_fields:
            refuse("reaches", f"reaches is known of counts and sums of events alone. {BY_SEGMENT}")
        return value

    @model_validator(mode="after")
    def _has_operators(self) -> Self:
        used = self.operators()
        if not used and self.needs_operator():
            refuse("operator", f"an operator is needed: one of {', '.join(self.allowed)}")
        if "exists" in used and (len(used) > 1 or self.if_missing is not None):
            refuse("operator", "exists stands alone: what another operator compares must exist anyway")
        return self

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """The operators first: who misspelled one looks for them."""
        others = (name for name in super().fields() if name not in cls.allowed)
        return (*cls.allowed, *others)

    def needs_operator(self) -> bool:
        """Whether this says nothing without an operator."""
        return True

    def operators(self) -> dict[str, Any]:
        """The operators that are used, each with what it compares with, in the order of the table above."""
        found = {name: getattr(self, _ATTRIBUTES.get(name, name)) for name in self.allowed}
        return {name: value for name, value in found.items() if value is not None}

    def references(self) -> tuple[FieldRef, ...]:
        """The other fields that the comparison reads."""
        divisor: FieldRef | None = getattr(self, "divided_by", None)
        found = [value for value in self.operators().values() if isinstance(value, FieldRef)]
        return (*found, divisor) if divisor is not None else tuple(found)


class NumberComparison(Operators):
    """Operators on a number, or on its ratio to another field."""

    allowed: ClassVar[tuple[str, ...]] = NUMBER_OPERATORS

    eq: NumberOperand = Field(None, description="Equals.")
    ne: NumberOperand = Field(None, description="Does not equal.")
    gt: NumberOperand = Field(None, description="Above this.")
    gte: NumberOperand = Field(None, description="This or above.")
    lt: NumberOperand = Field(None, description="Below this.")
    lte: NumberOperand = Field(None, description="This or below.")
    divided_by: FieldRef | None = Field(
        None, description="Compares the ratio to this field; missing where that is not a number above 0."
    )


class DateComparison(Operators):
    """Operators on a date."""

    allowed: ClassVar[tuple[str, ...]] = ("exists", *DATE_OPERATORS)

    exists: bool | None = Field(None, description="true: there is a date; false: there is none.")
    before: DateOperand = Field(None, description="A date before this one.")
    after: DateOperand = Field(None, description="A date at or after this one.")
    older_than: Duration | None = Field(None, description="A date at least this long ago.")
    younger_than: Duration | None = Field(None, description="A date less than this long ago, not to come.")
    in_next: Duration | None = Field(None, description="A date to come, at most this far ahead.")
    within: BoundedSpan | None = Field(None, description="A date in this span.")


class Comparison(DateComparison):
    """Every operator."""

    allowed: ClassVar[tuple[str, ...]] = OPERATORS

    eq: ScalarOperand = Field(None, description="Equals.")
    ne: ScalarOperand = Field(None, description="Does not equal.")
    in_: Scalars | None = Field(None, alias="in", description="Equals one of these.")
    not_in: Scalars | None = Field(None, description="Equals none of these.")
    gt: NumberOperand = Field(None, description="A number above this.")
    gte: NumberOperand = Field(None, description="A number of this or above.")
    lt: NumberOperand = Field(None, description="A number below this.")
    lte: NumberOperand = Field(None, description="A number of this or below.")
    contains: ScalarOperand = Field(None, description="A list with this item, or a text with this in it.")
    not_contains: ScalarOperand = Field(None, description="A list without this item, or a text without it.")
    starts_with: Text = Field(None, description="A text that begins so.")
    ends_with: Text = Field(None, description="A text that ends so.")
    matches: Text = Field(None, description="A text of this form; * stands for any characters, or none.")
    divided_by: FieldRef | None = Field(
        None, description="Compares the ratio to this field; missing where that is not a number above 0."
    )

    @model_validator(mode="after")
    def _ratio_is_a_number(self) -> Self:
        if self.divided_by is not None and not set(self.operators()) <= set(NUMBER_OPERATORS):
            refuse("operator", f"a ratio is a number: compare it by {', '.join(NUMBER_OPERATORS)}")
        return self


def bare(value: Any) -> Any:
    """A bare value is short for ``eq``."""
    return value if isinstance(value, (dict, Comparison)) else {"eq": value}


def _of_the_event_alone(where: dict[str, Comparison]) -> dict[str, Comparison]:
    for comparison in where.values():
        relative = [name for name in comparison.operators() if name in RELATIVE_OPERATORS]
        if relative:
            refuse(
                "where",
                f"where filters once, when an event arrives, and {relative[0]} changes as time passes: "
                "compare with a date: before, after, also of {property: NAME}",
            )
        if any(reference.kind != "property" for reference in comparison.references()):
            refuse("where", "where knows the event alone: compare with a constant or {property: NAME}")
    return where


Where: TypeAlias = Annotated[
    dict[Path, Annotated[Comparison, BeforeValidator(bare)]],
    Field(min_length=1, max_length=20),
    AfterValidator(_of_the_event_alone),
]
"""Comparisons of an event's properties, all of which must be true: a missing property does not match.

Of dates ``before`` and ``after``; a plain date begins at midnight UTC, as an event has no zone.
"""
