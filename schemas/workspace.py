"""The workspace's journeys as pydantic models: what the YAML files may say, and what is refused by name.

A duration is a number and a unit: ``90s``, ``15m``, ``12h``, ``21d`` or ``2w``. A day is 24 hours.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(\d{1,5})\s*([smhdw])")
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,2})?)\s*%")

BASIS_POINTS = 10_000
"""Shares are kept in hundredths of a percent, the width of a bucket of ``workers.core.ids.bucket``."""

STEPS_MAX = 100
WITHIN_MAX_MS = 400 * 86_400_000
"""Longest window: a year and a month, so that a year can be compared with the one before."""


def _duration_ms(value: object) -> object:
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match:
            return int(match[1]) * _UNITS_MS[match[2]]
    raise ValueError(f"{value!r} is not a duration such as 90s, 15m, 12h, 21d or 2w")


def _share(value: object) -> object:
    if isinstance(value, str):
        match = _PERCENT.fullmatch(value.strip())
        if match and float(match[1]) <= 100:  # noqa: PLR2004 - percent
            return round(float(match[1]) * 100)
    raise ValueError(f"{value!r} is not a share such as 10% or 2.5%")


DurationMs = Annotated[
    int,
    BeforeValidator(_duration_ms),
    Field(gt=0, le=WITHIN_MAX_MS),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,5}\s*[smhdw]$", "examples": ["21d", "12h"]}),
]
Share = Annotated[
    int, BeforeValidator(_share), WithJsonSchema({"type": "string", "pattern": r"^\d{1,3}(\.\d{1,2})?\s*%$"})
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,79}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Scalar: TypeAlias = bool | int | float | str


class Model(BaseModel):
    """Unknown fields are mistakes in a file that people write: they are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Test(Model):
    """One comparison of a value. Exactly one operator. Numbers compare with numbers and texts with texts."""

    __test__ = False

    eq: Scalar | None = None
    ne: Scalar | None = None
    in_: list[Scalar] | None = Field(None, alias="in", min_length=1)
    not_in: list[Scalar] | None = Field(None, min_length=1)
    gt: int | float | None = None
    gte: int | float | None = None
    lt: int | float | None = None
    lte: int | float | None = None
    exists: bool | None = None

    @model_validator(mode="after")
    def _one_operator(self) -> Self:
        given = [name for name in OPERATORS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of {', '.join(sorted(name.rstrip('_') for name in OPERATORS))}")
        return self

    @property
    def operator(self) -> str:
        """Name of the one operator."""
        return next(name for name in OPERATORS if getattr(self, name) is not None)


OPERATORS = ("eq", "ne", "in_", "not_in", "gt", "gte", "lt", "lte", "exists")


def _where(value: object) -> object:
    """A plain value is short for ``eq``."""
    if isinstance(value, dict):
        return {path: test if isinstance(test, dict) else {"eq": test} for path, test in value.items()}
    return value


Where = Annotated[dict[Text, Test], BeforeValidator(_where)]
"""Tests of event properties by dotted path; all must hold."""


class Trait(Test):
    """A trait of the subject, or with ``of: account`` of the user's account."""

    trait: Text
    of: Literal["subject", "account"] = "subject"


class Performed(Model):
    """How often something happened in the sliding window that ends now."""

    performed: Text
    within: DurationMs
    where: Where = Field(default_factory=dict)
    at_least: int | None = Field(None, ge=1)
    at_most: int | None = Field(None, ge=0)
    exactly: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if sum(bound is not None for bound in (self.at_least, self.at_most, self.exactly)) != 1:
            raise ValueError("needs exactly one of at_least, at_most, exactly")
        return self


class MessageFilter(Model):
    """Messages with this tag, or on this channel; with both, those that have both."""

    tag: Text | None = None
    channel: Literal["email", "sms", "push", "in_app", "webhook"] | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.tag is None and self.channel is None:
            raise ValueError("needs a tag or a channel")
        return self


class Received(Model):
    """The subject was sent such a message in the sliding window that ends now."""

    received: MessageFilter
    within: DurationMs


class JourneyFilter(Model):
    """A journey by name, or journeys with one of these tags."""

    journey: Name | None = None
    tag: Text | list[Text] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.journey is None) == (self.tag is None):
            raise ValueError("needs either journey or tag")
        return self


class Enrolled(Model):
    """The subject is in such a journey now."""

    enrolled: JourneyFilter


class AllOf(Model):
    """Every one of them."""

    all: list[Condition] = Field(min_length=1)


class AnyOf(Model):
    """At least one of them."""

    any: list[Condition] = Field(min_length=1)


class Not(Model):
    """The opposite; what cannot be told stays untold."""

    not_: Condition = Field(alias="not")


_KINDS = ("trait", "performed", "received", "enrolled", "all", "any", "not")


def _kind(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((kind for kind in _KINDS if kind in value), None)
    return next((kind for kind in _KINDS if hasattr(value, kind.replace("not", "not_"))), None)


Condition = Annotated[
    Annotated[Trait, Tag("trait")]
    | Annotated[Performed, Tag("performed")]
    | Annotated[Received, Tag("received")]
    | Annotated[Enrolled, Tag("enrolled")]
    | Annotated[AllOf, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")],
    Discriminator(
        _kind,
        custom_error_type="condition_kind",
        custom_error_message=f"a condition begins with one of {', '.join(_KINDS)}",
    ),
]


class EventFilter(Model):
    """An event by name, with tests of its properties."""

    event: Text
    where: Where = Field(default_factory=dict)


class Again(Model):
    """Re-entry is possible this long after the last entry."""

    after: DurationMs


class Entry(Model):
    """Who may enrol, and when: ``on`` makes a candidate, ``require`` must hold, ``exclude`` must not."""

    on: EventFilter
    require: list[Condition] = Field(default_factory=list)
    exclude: list[Condition] = Field(default_factory=list)
    again: Literal["never", "always"] | Again = "never"


class Changed(Model):
    """A trait got another value."""

    changed: Text


class ExitRule(Model):
    """Ends an enrollment at once, also during a wait."""

    when: EventFilter | Changed


class Goal(Model):
    """The counted event, within this time after entry. ``revenue`` is a dotted path to a number in its properties."""

    event: Text
    where: Where = Field(default_factory=dict)
    within: DurationMs
    revenue: Annotated[str, StringConstraints(pattern=r"^properties(\.[^.]+)+$")] | None = None


class Recipients(Model):
    """Whom an account journey writes to: members with these roles, the first role first; everybody where nobody has one."""

    role: list[Text] = Field(min_length=1)
    limit: int = Field(3, ge=1, le=100)


class InApp(Model):
    """An in-app message by template."""

    in_app: Name
    once: Literal["user"] | None = None


class Email(Model):
    """An e-mail by template."""

    email: Name
    once: Literal["user"] | None = None


class Send(Model):
    """Send a message, if the gate lets it pass."""

    send: InApp | Email


class Wait(Model):
    """Do nothing for a while."""

    wait: DurationMs


Step = Send | Wait


class Journey(Model):
    """A journey: one file ``journeys/<name>.yaml``."""

    journey: Name
    subject: Literal["user", "account"] = "user"
    description: str = ""
    tags: list[Text] = Field(default_factory=list)
    priority: int = 0
    entry: Entry
    exit: list[ExitRule] = Field(default_factory=list)
    goal: Goal | None = None
    holdout: Share = 0
    recipients: Recipients | None = None
    steps: list[Step] = Field(min_length=1, max_length=STEPS_MAX)

    @model_validator(mode="after")
    def _recipients_of_accounts(self) -> Self:
        if (self.recipients is not None) is not (self.subject == "account"):
            raise ValueError("an account journey names its recipients, and only an account journey does")
        return self


AllOf.model_rebuild()
AnyOf.model_rebuild()
Not.model_rebuild()
