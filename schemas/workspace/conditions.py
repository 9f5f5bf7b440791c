"""Conditions of journeys: what a file may ask about a subject.

What the operators on a value mean: :mod:`schemas.workspace.comparisons`.

A condition is true, false, or **missing**: it asks about a value that is not there. Missing is not true, so
``require`` is not met, and it is not an excuse either: ``exclude`` excludes only what is true, and ``not``
of missing is missing. ``performed``, ``received``, ``enrolled`` and the like are missing only where the
subject has no billing period to look at: what is not known of did not happen. docs/conditions.md has every
kind with an example.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Self, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from schemas.fields import Channel  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.accounts import (
    AccountCondition,
    AccountSegmentCondition,
    names_segment,
    refuse_unknown_of_account,
)
from schemas.workspace.base import (
    DAY_MS,
    MAX_DURATION_MS,
    MAX_LIST,
    AsList,
    Duration,
    EventName,
    Identifier,
    Identifiers,
    Model,
    Path,
    described,
    refuse,
    tag_of,
)
from schemas.workspace.comparisons import (
    BY_SEGMENT,
    DATE_OPERATORS,
    Comparison,
    DateComparison,
    NumberComparison,
    Where,
)
from schemas.workspace.llm import LlmCondition
from schemas.workspace.relations import ObjectCondition, RelatedCondition
from schemas.workspace.spans import BoundedSpan, Span, SpanValue, ends_now, lookback_ms
from schemas.workspace.values import Number  # noqa: TC001  pydantic reads it at run time

MAX_COUNT: Final = 128
"""Largest threshold up to which a sliding window is exact at every instant, however much happens."""

MAX_THRESHOLD: Final = 1_000_000
"""Largest threshold of a count. Beyond :data:`MAX_COUNT` docs/conditions.md states the error of a window."""

MAX_WINDOWS: Final = 104
"""Most windows in a row: two years of weeks."""

AGGREGATES: Final = ("count", "sum", "average", "min", "max", "distinct", "members")
"""What can be made of the events of a span; ``count`` and ``members`` name the event itself."""


def _fits(span: SpanValue, windows: int) -> None:
    """Refuses what reaches back further than windows are kept."""
    reach_ms = lookback_ms(span, windows)
    if windows > 1 and reach_ms is None:
        refuse("span", "lifetime is one span: there is none before it")
    # A period may be hours or days longer than it usually is; that must not refuse "two years".
    if reach_ms is not None and reach_ms > MAX_DURATION_MS + 7 * DAY_MS:
        refuse("span", f"{windows} such spans reach back further than two years, the longest that is kept")


class TraitCondition(Comparison):
    """Compares a trait of the subject: of the user in a user's journey, of the account in an account's."""

    trait: Path


class PropertyCondition(Comparison):
    """Compares a property of the event that began the journey; missing where there is no such event."""

    property_: Path = Field(alias="property")


class PerformedCondition(Model):
    """How often an event happened within a span, the triggering event included.

    In an account's journey the events of all members count. A sliding window is half-open: what happened
    exactly ``within`` ago has left it. Without a number it is ``at_least: 1``.

    ``reaches`` is true for the one event that makes the count N, and for no event before or after it, until
    the count falls below N and reaches it again. ``each_of_last`` asks the same of that many spans in a row.
    """

    performed: EventName
    at_least: int | None = Field(None, ge=1, le=MAX_THRESHOLD)
    at_most: int | None = Field(None, ge=0, le=MAX_THRESHOLD)
    exactly: int | None = Field(None, ge=0, le=MAX_THRESHOLD)
    reaches: int | None = Field(None, ge=1, le=MAX_COUNT)
    within: Span
    each_of_last: int | None = Field(None, ge=2, le=MAX_WINDOWS)
    where: Where | None = None

    @model_validator(mode="after")
    def _is_satisfiable(self) -> Self:
        if self.exactly is not None and (self.at_least is not None or self.at_most is not None):
            refuse("performed", "exactly stands alone, without at_least and at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            refuse("performed", f"no count is at_least {self.at_least} and at_most {self.at_most}")
        others = (self.at_least, self.at_most, self.exactly, self.each_of_last)
        if self.reaches is not None and any(one is not None for one in others):
            refuse("performed", "reaches stands alone: it is true once, when the count becomes that number")
        if self.reaches is not None and not ends_now(self.within):
            refuse("performed", "a count of a span that is over reaches nothing any more")
        _fits(self.within, self.windows)
        return self

    @property
    def windows(self) -> int:
        """How many spans in a row are looked at."""
        return self.each_of_last or 1

    def bounds(self) -> tuple[int, int | None]:
        """The smallest and the largest count that is true; None without an upper limit."""
        if self.exactly is not None:
            return self.exactly, self.exactly
        if self.at_least is None and self.at_most is None:
            return self.reaches or 1, None
        return self.at_least or 0, self.at_most


class MeasureCondition(NumberComparison):
    """Compares what the events of a span amount to: how many, the sum of a property, and the like.

    ``count: EVENT`` and ``members: EVENT`` (distinct members of an account) name the event; the others name
    a property, and the event in ``of``. ``trend`` compares the span with the one before it: their ratio.
    ``reaches`` is true for the one event that brings a count or a sum from below a number to it or above.
    """

    count: EventName | None = None
    sum_: Path | None = Field(None, alias="sum")
    average: Path | None = None
    min_: Path | None = Field(None, alias="min")
    max_: Path | None = Field(None, alias="max")
    distinct: Path | None = None
    members: EventName | None = None
    of: EventName | None = None
    within: Span
    where: Where | None = None
    trend: NumberComparison | None = Field(None, description="This span divided by the one before it.")
    reaches: Number = Field(None, description="The event that is looked at brings a count or sum up to this.")
    each_of_last: int | None = Field(None, ge=2, le=MAX_WINDOWS)

    _attributes: ClassVar[dict[str, str]] = {"sum": "sum_", "min": "min_", "max": "max_"}

    def needs_operator(self) -> bool:
        """A trend has operators of its own, and reaching a number needs none."""
        return self.trend is None and self.reaches is None

    @model_validator(mode="after")
    def _says_what_of_what(self) -> Self:
        named = [name for name in AGGREGATES if self._of(name) is not None]
        if len(named) != 1:
            refuse("measure", f"exactly one of {', '.join(AGGREGATES)} is needed")
        (function,) = named
        if function in {"count", "members"} and self.of is not None:
            refuse("measure", f"{function} names the event itself: leave out `of`")
        if function not in {"count", "members"} and self.of is None:
            refuse("measure", f"say of which event: of: EVENT ({function} names a property)")
        if self.trend is not None and (self.operators() or self.each_of_last is not None or self.divided_by):
            refuse("measure", "trend has its operators inside, as trend: {lt: 0.5}, and no others beside it")
        if function in {"distinct", "members"} and (self.windows > 1 or not ends_now(self.within)):
            refuse(
                "measure", f"{function} is known for spans that last until now, and for one span at a time"
            )
        self._may_reach(function)
        _fits(self.within, self.windows)
        return self

    def _may_reach(self, function: str) -> None:
        if self.reaches is None:
            return
        if function not in {"count", "sum"}:
            why = (
                "of each value the last time is kept, and not whether the event brought a new one"
                if function in {"distinct", "members"}
                else "it does not grow by what an event brings, so that what it was before is not known"
            )
            refuse("reaches", f"{function} has no reaches: {why}. {BY_SEGMENT}")
        others = (self.trend, self.each_of_last, self.divided_by, self.if_missing)
        if self.operators() or any(one is not None for one in others):
            refuse("reaches", "reaches stands alone: it is true once, when the number is come up to")
        if not ends_now(self.within):
            refuse("reaches", f"a {function} of a span that is over reaches nothing any more")
        if self.reaches <= 0:
            refuse("reaches", "a number above 0 is reached; nothing is 0 from the start")

    def _of(self, name: str) -> Any:
        return getattr(self, self._attributes.get(name, name))

    @property
    def function(self) -> str:
        """One of :data:`AGGREGATES`."""
        return next(name for name in AGGREGATES if self._of(name) is not None)

    @property
    def event(self) -> str:
        """The event whose occurrences are looked at."""
        return self.of or self.count or self.members or ""

    @property
    def path(self) -> str | None:
        """The property that is aggregated; None where occurrences or members are counted."""
        found: str | None = None if self.function in {"count", "members"} else self._of(self.function)
        return found

    @property
    def windows(self) -> int:
        """How many spans in a row are looked at."""
        return 2 if self.trend is not None else self.each_of_last or 1


class FirstCondition(DateComparison):
    """Compares when an event happened for the first time ever; missing where it never did."""

    first: EventName
    where: Where | None = None


class LastCondition(DateComparison):
    """Compares when an event happened for the last time; missing where it never did."""

    last: EventName
    where: Where | None = None


class SustainedCondition(Model):
    """True where a condition has been true at every instant of the last ``for``.

    It may ask for traits (without dates, which change by themselves), combined by all, any and not, or be
    one ``performed`` within a sliding window.
    """

    sustained: Condition
    for_: Duration = Field(alias="for")

    @model_validator(mode="after")
    def _can_be_followed(self) -> Self:
        inner = self.sustained
        if isinstance(inner, PerformedCondition):
            if not isinstance(inner.within, int) or inner.windows > 1 or inner.reaches is not None:
                refuse("sustained", "performed can be sustained within one sliding window, such as 7d")
            _fits(inner.within + self.for_, 1)
        elif not _is_steady(inner):
            refuse(
                "sustained",
                "sustained takes traits compared without dates (with all, any, not), or one performed",
            )
        return self


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
    """Whether a message was sent to the subject within a span."""

    received: Received
    within: BoundedSpan

    @model_validator(mode="after")
    def _is_remembered(self) -> Self:
        _fits(self.within, 1)
        return self


class JourneysNamed(Model):
    """Which journeys: by name, by tag; one of them is enough."""

    journey: Identifiers | None = None
    tag: Identifiers | None = None

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if self.journey is None and self.tag is None:
            refuse("enrolled", "say in which journeys: journey, tag or both")
        return self


class EnrolledCondition(Model):
    """Whether the subject is in one of some journeys now; with ``within``: whether it entered one then."""

    enrolled: JourneysNamed
    within: BoundedSpan | None = None


class ConvertedCondition(Model):
    """Whether the subject reached the goal of one of some journeys within a span."""

    converted: JourneysNamed
    within: BoundedSpan


class SegmentCondition(Model):
    """Whether the subject is in a segment now."""

    in_segment: Identifier


class ScoreCondition(NumberComparison):
    """Compares a score of the subject; missing where it has none."""

    score: Identifier


class ExperimentCondition(Model):
    """Which variant the enrollment has: of an experiment of the journey, or of ``EXPERIMENT.FACTOR``."""

    experiment: Path
    is_: Identifiers = Field(alias="is")


class Consent(Model):
    """To what: a channel, or one topic over it."""

    channel: Channel
    topic: Identifier | None = None


class ConsentCondition(Model):
    """Whether the subject consents to messages; missing where it never said."""

    consent: Consent


class AllCondition(Model):
    """True where all are true; false where one is false; else missing."""

    all_: Conditions = Field(alias="all", min_length=1)


class AnyCondition(Model):
    """True where one is true; missing where none is true and one is missing; else false."""

    any_: Conditions = Field(alias="any", min_length=1)


class NotCondition(Model):
    """True where the condition is false, false where it is true, missing where it is missing."""

    not_: Condition = Field(alias="not")


_TAGS: Final = {
    "trait": "#trait",
    "account": "#account",
    "property": "#property",
    "performed": "#performed",
    **dict.fromkeys(AGGREGATES, "#measure"),
    "first": "#first",
    "last": "#last",
    "sustained": "#sustained",
    "received": "#received",
    "enrolled": "#enrolled",
    "converted": "#converted",
    "in_segment": "#in_segment",
    "score": "#score",
    "experiment": "#experiment",
    "consent": "#consent",
    "llm": "#llm",
    "related": "#related",
    "object": "#object",
    "all": "#all",
    "any": "#any",
    "not": "#not",
}
CONDITION_KEYS: Final = tuple(_TAGS)


def _condition_tag(value: Any) -> str | None:
    if isinstance(value, MeasureCondition):
        return "#measure"
    if names_segment(value):
        return "#account_segment"
    found = tag_of(value, CONDITION_KEYS)
    return None if found is None else _TAGS[found.removeprefix("#")]


def _is_condition(value: Any) -> Any:
    refuse_unknown_of_account(value, CONDITION_KEYS)
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
    | Annotated[AccountSegmentCondition, Tag("#account_segment")]
    | Annotated[PropertyCondition, Tag("#property")]
    | Annotated[PerformedCondition, Tag("#performed")]
    | Annotated[MeasureCondition, Tag("#measure")]
    | Annotated[FirstCondition, Tag("#first")]
    | Annotated[LastCondition, Tag("#last")]
    | Annotated[SustainedCondition, Tag("#sustained")]
    | Annotated[ReceivedCondition, Tag("#received")]
    | Annotated[EnrolledCondition, Tag("#enrolled")]
    | Annotated[ConvertedCondition, Tag("#converted")]
    | Annotated[SegmentCondition, Tag("#in_segment")]
    | Annotated[ScoreCondition, Tag("#score")]
    | Annotated[ExperimentCondition, Tag("#experiment")]
    | Annotated[ConsentCondition, Tag("#consent")]
    | Annotated[LlmCondition, Tag("#llm")]
    | Annotated[RelatedCondition, Tag("#related")]
    | Annotated[ObjectCondition, Tag("#object")]
    | Annotated[AllCondition, Tag("#all")]
    | Annotated[AnyCondition, Tag("#any")]
    | Annotated[NotCondition, Tag("#not")],
    Discriminator(_condition_tag),
    BeforeValidator(_is_condition),
]
"""One condition, told by its key."""

Conditions: TypeAlias = Annotated[tuple[Condition, ...], AsList, Field(max_length=MAX_LIST)]

SustainedCondition.model_rebuild()
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
        case SustainedCondition():
            return (condition.sustained,)
        case _:
            return ()


def _is_steady(condition: Condition) -> bool:
    """Whether the outcome can change only when a trait does, or a segment of the user's account."""
    match condition:
        case AccountSegmentCondition():
            return True
        case TraitCondition() | AccountCondition():
            compared = condition.account if isinstance(condition, AccountCondition) else condition
            dated = any(name in DATE_OPERATORS for name in compared.operators())
            return not dated and all(field.kind != "property" for field in compared.references())
        case AllCondition() | AnyCondition() | NotCondition():
            return all(map(_is_steady, children(condition)))
        case _:
            return False
