"""Conditions of journeys: what a file may ask about a subject, and what each operator means.

A condition is true, false, or **missing**: it asks about a value that is not there (absent, null, or of
a type that cannot be compared). Missing is not true, so ``require`` is not met, and it is not an excuse
either: ``exclude`` excludes only what is true, and ``not`` of missing is missing. Where that is not what
is meant, ``if_missing: pass`` or ``if_missing: fail`` says so.

==================  ================================  =============================================
operator            true when the value               missing
==================  ================================  =============================================
``eq``              equals; ``1`` is not ``true``,    not there
                    ``5`` is not ``"5"``
``ne``              does not equal                    not there
``in``              equals one of the list            not there
``not_in``          equals none of the list           not there
``gt gte lt lte``   is a number that compares so      not there, or not a number
``exists``          is there (``false``: is not)      never
==================  ================================  =============================================

Several operators in one condition must all hold. ``performed``, ``received`` and ``enrolled`` are never
missing: what is not known of did not happen.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from schemas.fields import Channel  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.base import (
    MAX_LIST,
    AsList,
    Duration,
    EventName,
    Identifiers,
    Model,
    Path,
    described,
    refuse,
    tag_of,
)

MAX_COUNT: Final = 128
"""Largest threshold of ``performed``: up to here a window is exact at every instant."""

OPERATORS: Final = ("eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte", "exists")
NEGATIVE: Final = ("ne", "not_in")
"""Operators that a missing value would seem to satisfy; the linter asks what is meant."""

MAX_TEXT_CHARS: Final = 500


def _scalar(value: Any) -> Any:
    plain = isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value))
    if not plain:
        refuse(
            "scalar",
            f"a text, a number, true or false is expected (quote dates; `exists: false` asks for nothing); "
            f"not {described(value)}",
        )
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARS:
        refuse("scalar", f"a text to compare with has at most {MAX_TEXT_CHARS} characters")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        refuse("number", f"a number is expected; not {described(value)}")
    return value


Scalar: TypeAlias = Annotated[
    Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Number: TypeAlias = Annotated[Any, AfterValidator(_number), WithJsonSchema({"type": "number"})]
Scalars: TypeAlias = Annotated[tuple[Scalar, ...], AsList, Field(min_length=1, max_length=MAX_LIST)]


class Comparison(Model):
    """One or more operators on a value; all must hold."""

    eq: Scalar = Field(None, description="Equals.")
    ne: Scalar = Field(None, description="Does not equal.")
    in_: Scalars | None = Field(None, alias="in", description="Equals one of these.")
    not_in: Scalars | None = Field(None, description="Equals none of these.")
    gt: Number = Field(None, description="A number above this.")
    gte: Number = Field(None, description="A number of this or above.")
    lt: Number = Field(None, description="A number below this.")
    lte: Number = Field(None, description="A number of this or below.")
    exists: bool | None = Field(None, description="true: the value is there; false: it is not.")
    if_missing: Literal["pass", "fail"] | None = Field(
        None, description="What a missing value means here; without it the outcome is `missing`."
    )

    @model_validator(mode="after")
    def _has_operators(self) -> Self:
        used = self.operators()
        if not used:
            refuse("operator", f"an operator is needed: one of {', '.join(OPERATORS)}")
        if "exists" in used and (len(used) > 1 or self.if_missing is not None):
            refuse("operator", "exists stands alone: what another operator compares must exist anyway")
        return self

    def operators(self) -> dict[str, Any]:
        """The operators that are used, each with what it compares with, in the order of the table above."""
        attributes = {"in": "in_"}
        found = {name: getattr(self, attributes.get(name, name)) for name in OPERATORS}
        return {name: value for name, value in found.items() if value is not None}


def _comparison(value: Any) -> Any:
    """A bare value is short for ``eq``."""
    return value if isinstance(value, (dict, Comparison)) else {"eq": value}


Where: TypeAlias = Annotated[
    dict[Path, Annotated[Comparison, BeforeValidator(_comparison)]],
    Field(min_length=1, max_length=20),
]
"""Comparisons of an event's properties, all of which must be true: a missing property does not match."""


class TraitCondition(Comparison):
    """Compares a trait of the subject: of the user in a user's journey, of the account in an account's."""

    trait: Path


class AccountTrait(Comparison):
    """A trait of the account."""

    trait: Path


class AccountCondition(Model):
    """Compares a trait of the user's account."""

    account: AccountTrait


class PerformedCondition(Model):
    """How often an event happened within a sliding window that ends now, the triggering event included.

    In an account's journey the events of all members count. The window is half-open: what happened
    exactly ``within`` ago has left it. Without a number it is ``at_least: 1``.
    """

    performed: EventName
    at_least: int | None = Field(None, ge=1, le=MAX_COUNT)
    at_most: int | None = Field(None, ge=0, le=MAX_COUNT)
    exactly: int | None = Field(None, ge=0, le=MAX_COUNT)
    within: Duration
    where: Where | None = None

    @model_validator(mode="after")
    def _is_satisfiable(self) -> Self:
        if self.exactly is not None and (self.at_least is not None or self.at_most is not None):
            refuse("performed", "exactly stands alone, without at_least and at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            refuse("performed", f"no count is at_least {self.at_least} and at_most {self.at_most}")
        return self

    def bounds(self) -> tuple[int, int | None]:
        """The smallest and the largest count that is true; None without an upper limit."""
        if self.exactly is not None:
            return self.exactly, self.exactly
        if self.at_least is None and self.at_most is None:
            return 1, None
        return self.at_least or 0, self.at_most


class Received(Model):
    """Which messages: with one of the tags, over the channel; both where both are given."""

    tag: Identifiers | None = None
    channel: Channel | None = None

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if self.tag is None and self.channel is None:
            refuse("received", "say which messages: tag, channel or both")
        return self


class ReceivedCondition(Model):
    """Whether a message was sent to the subject within a sliding window that ends now."""

    received: Received
    within: Duration


class Enrolled(Model):
    """Which journeys: by name, by tag; one of them is enough."""

    journey: Identifiers | None = None
    tag: Identifiers | None = None

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if self.journey is None and self.tag is None:
            refuse("enrolled", "say in which journeys: journey, tag or both")
        return self


class EnrolledCondition(Model):
    """Whether the subject is in one of some journeys now."""

    enrolled: Enrolled


class AllCondition(Model):
    """True where all are true; false where one is false; else missing."""

    all_: Conditions = Field(alias="all", min_length=1)


class AnyCondition(Model):
    """True where one is true; missing where none is true and one is missing; else false."""

    any_: Conditions = Field(alias="any", min_length=1)


class NotCondition(Model):
    """True where the condition is false, false where it is true, missing where it is missing."""

    not_: Condition = Field(alias="not")


CONDITION_KEYS: Final = ("trait", "account", "performed", "received", "enrolled", "all", "any", "not")


def _condition_tag(value: Any) -> str | None:
    return tag_of(value, CONDITION_KEYS)


def _is_condition(value: Any) -> Any:
    if isinstance(value, dict) and _condition_tag(value) is None:
        kinds = ", ".join(CONDITION_KEYS)
        raise PydanticCustomError(
            "condition",
            "a condition has one of {kinds}; this is {found}",
            {"kinds": kinds, "found": described(value)},
        )
    if not isinstance(value, (dict, Model)):
        refuse(
            "condition",
            f"a condition is a mapping with one of {', '.join(CONDITION_KEYS)}; not {described(value)}",
        )
    return value


Condition: TypeAlias = Annotated[
    Annotated[TraitCondition, Tag("#trait")]
    | Annotated[AccountCondition, Tag("#account")]
    | Annotated[PerformedCondition, Tag("#performed")]
    | Annotated[ReceivedCondition, Tag("#received")]
    | Annotated[EnrolledCondition, Tag("#enrolled")]
    | Annotated[AllCondition, Tag("#all")]
    | Annotated[AnyCondition, Tag("#any")]
    | Annotated[NotCondition, Tag("#not")],
    Discriminator(_condition_tag),
    BeforeValidator(_is_condition),
]
"""One condition, told by its key."""

Conditions: TypeAlias = Annotated[tuple[Condition, ...], AsList, Field(max_length=MAX_LIST)]

AllCondition.model_rebuild()
AnyCondition.model_rebuild()
NotCondition.model_rebuild()


def children(condition: Condition) -> tuple[Condition, ...]:
    """The conditions directly inside another; empty for one that asks something itself."""
    match condition:
        case AllCondition():
            return condition.all_
        case AnyCondition():
            return condition.any_
        case NotCondition():
            return (condition.not_,)
        case _:
            return ()
