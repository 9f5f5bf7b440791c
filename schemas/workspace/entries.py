"""Entries as files write them: what makes a subject a candidate for a journey, and what it has to be like.

Several triggers may stand in ``on``; each makes a candidate by itself. What holds for all of them,
``require``, ``exclude``, ``again`` and ``key``, is looked at when the trigger comes, and at the enrolment.
"""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003  pydantic reads the module's names at run time
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from schemas.workspace.base import (
    MAX_LIST,
    AsList,
    Duration,
    EventName,
    Identifier,
    Model,
    Path,
    described,
    refuse,
    tag_of,
)
from schemas.workspace.comparisons import Where  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.conditions import MAX_COUNT, Conditions
from schemas.workspace.objects import OnObject
from schemas.workspace.spans import Span, ends_now
from schemas.workspace.values import Scalar, TimeZone

MAX_TRIGGERS: Final = 10
"""Triggers of one entry."""

MAX_RATE: Final = 10_000
"""Most subjects that a batch may look at in a second on one partition."""

DEFAULT_RATE: Final = 100

CRON_FIELDS: Final = ("minute", "hour", "day of month", "month", "day of week")

_PROPERTIES: Final = "properties."
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class OnEvent(Model):
    """A product event of the subject; in an account's journey, of any member."""

    event: EventName
    where: Where | None = None


class OnReaching(Model):
    """The one event that makes a count reach a number, as the condition of that name."""

    performed: EventName
    reaches: int = Field(ge=1, le=MAX_COUNT)
    within: Span
    where: Where | None = None

    @model_validator(mode="after")
    def _ends_now(self) -> Self:
        if not ends_now(self.within):
            refuse("reaches", "a count of a span that is over reaches nothing any more")
        return self


class OnSegment(Model):
    """The subject came into a segment, or left it.

    ``existing``: those who are in the segment when the journey is published enter too, at ``rate`` a second
    and partition. Without it nobody enters because a definition was written or changed.
    """

    segment: Identifier
    change: Literal["entered", "left"] = "entered"
    existing: bool = False
    rate: int = Field(DEFAULT_RATE, ge=1, le=MAX_RATE)

    @model_validator(mode="after")
    def _who_exists(self) -> Self:
        if self.existing and self.change == "left":
            refuse("existing", "existing is for who is in the segment: leave it out with change: left")
        return self


class OnScore(Model):
    """A threshold of a score was reached (``up``), or left (``down``)."""

    score: Identifier
    threshold: Identifier
    direction: Literal["up", "down"] = "up"


def _cron(text: str) -> str:
    """The expression; refuses one that cron would not take, or that never comes."""
    parts = text.split()
    if len(parts) != len(CRON_FIELDS):
        refuse("schedule", f"a schedule has five fields, {', '.join(CRON_FIELDS)}; not {text[:80]!r}")
    for index, part in enumerate(parts):
        alone = " ".join(part if at == index else "*" for at in range(len(CRON_FIELDS)))
        try:
            CronSim(alone, _EPOCH)
        except CronSimError:
            refuse("schedule", f"field {index + 1} ({CRON_FIELDS[index]}) of the schedule is wrong: {part!r}")
    try:
        next(CronSim(text, _EPOCH))
    except (CronSimError, StopIteration):
        refuse("schedule", f"no day is ever like this: {text!r}")
    return text


class OnSchedule(Model):
    """A time of day, of the week or the month: everybody, or who is in a segment then, is looked at.

    ``schedule`` is a cron expression of five fields, in ``timezone`` (without it: the workspace's). Each
    partition looks at ``rate`` subjects a second. A run that could not begin within five minutes, because no
    worker was up, is made up for once, or skipped.
    """

    schedule: Annotated[str, AfterValidator(_cron)]
    timezone: TimeZone | None = None
    segment: Identifier | None = None
    rate: int = Field(DEFAULT_RATE, ge=1, le=MAX_RATE)
    missed: Literal["once", "skip"] = "once"


class OnRequest(Model):
    """A request, by ``brimful enroll`` or ``POST /v1/journeys/NAME/enroll``."""

    api: Literal[True]


def _form(value: Any) -> str:
    return "#many" if isinstance(value, (list, tuple)) else "#one"


OneOrMoreValues: TypeAlias = Annotated[
    Annotated[Scalar, Tag("#one")]
    | Annotated[tuple[Scalar, ...], AsList, Field(min_length=1, max_length=MAX_LIST), Tag("#many")],
    Discriminator(_form),
]
"""One value, or a list of them."""


class OnChange(Model):
    """A trait of the subject has another value, from or to one of some values where that is said."""

    changed: Path
    from_: OneOrMoreValues | None = Field(None, alias="from")
    to: OneOrMoreValues | None = None

    def before(self) -> tuple[Any, ...] | None:
        """The values of which one must have been there before; None: any, or none."""
        return self.from_ if self.from_ is None or isinstance(self.from_, tuple) else (self.from_,)

    def after(self) -> tuple[Any, ...] | None:
        """The values of which one must be there now; None: any, or none."""
        return self.to if self.to is None or isinstance(self.to, tuple) else (self.to,)


TRIGGER_KEYS: Final = ("event", "performed", "segment", "score", "schedule", "object", "api", "changed")


def _trigger_tag(value: Any) -> str | None:
    # A schedule may name a segment, and of an object an attribute has changed.
    first = ("schedule", "object")
    return tag_of(value, (*first, *(key for key in TRIGGER_KEYS if key not in first)))


def _is_trigger(value: Any) -> Any:
    if _trigger_tag(value) is None:
        refuse("trigger", f"on is one of {', '.join(TRIGGER_KEYS)}; this is {described(value)}")
    return value


Trigger: TypeAlias = Annotated[
    Annotated[OnEvent, Tag("#event")]
    | Annotated[OnReaching, Tag("#performed")]
    | Annotated[OnSegment, Tag("#segment")]
    | Annotated[OnScore, Tag("#score")]
    | Annotated[OnSchedule, Tag("#schedule")]
    | Annotated[OnObject, Tag("#object")]
    | Annotated[OnRequest, Tag("#api")]
    | Annotated[OnChange, Tag("#changed")],
    Discriminator(_trigger_tag),
    BeforeValidator(_is_trigger),
]
"""One trigger, told by its key."""


class ReEntry(Model):
    """A subject may enter again this long after it last entered."""

    after: Duration


def _again(value: Any) -> Any:
    if not isinstance(value, (dict, ReEntry)) and value not in ("never", "always"):
        refuse("again", f"again is never, always, or {{after: 30d}}; not {described(value)}")
    return value


def _again_tag(value: Any) -> str:
    return "#after" if isinstance(value, (dict, ReEntry)) else "#word"


def property_path(field: str, path: str) -> str:
    """The path inside an event's properties of ``properties.NAME``; refuses another field."""
    if not path.startswith(_PROPERTIES):
        refuse(field, f"{field} is a property of the event: properties.NAME; not {path!r}")
    return path.removeprefix(_PROPERTIES)


class Entry(Model):
    """Who enters: on a trigger, if all of ``require`` and none of ``exclude`` is true.

    With ``key`` a subject may be in the journey several times at once, once for each value of that property
    of the trigger, and ``again`` is about one value.
    """

    on: Annotated[
        Annotated[Trigger, Tag("#one")]
        | Annotated[tuple[Trigger, ...], AsList, Field(min_length=1, max_length=MAX_TRIGGERS), Tag("#many")],
        Discriminator(_form),
    ]
    require: Conditions = ()
    exclude: Conditions = ()
    again: Annotated[
        Annotated[Literal["never", "always"], Tag("#word")] | Annotated[ReEntry, Tag("#after")],
        Discriminator(_again_tag),
        BeforeValidator(_again),
    ] = Field("never", description="Whether who once entered may enter again; never while still inside.")
    key: Path | None = Field(None, description="One enrollment for each value: properties.NAME.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.key is not None:
            property_path("key", self.key)
            odd = [one for one in self.triggers() if not isinstance(one, OnEvent | OnReaching | OnRequest)]
            if odd:
                refuse("key", "a key is a property of an event or a request: other triggers have none")
        triggers = self.triggers()
        if any(one in triggers[:index] for index, one in enumerate(triggers)):
            refuse("on", "the same trigger stands here twice")
        return self

    def triggers(self) -> tuple[Trigger, ...]:
        """What makes a candidate, one trigger or several."""
        return self.on if isinstance(self.on, tuple) else (self.on,)

    def again_after_ms(self) -> int | None:
        """Milliseconds from one entry to the next that is allowed; None where none is."""
        if isinstance(self.again, ReEntry):
            return self.again.after
        return 0 if self.again == "always" else None

    def key_path(self) -> str | None:
        """The path of the key inside the trigger's properties; None where there is one enrollment at most."""
        return None if self.key is None else property_path("key", self.key)

    def events(self) -> tuple[str, ...]:
        """The product events that make a candidate, each once."""
        named = (one.event if isinstance(one, OnEvent) else one.performed for one in self.event_triggers())
        return tuple(dict.fromkeys(named))

    def event_triggers(self) -> tuple[OnEvent | OnReaching, ...]:
        """The triggers that are product events."""
        return tuple(one for one in self.triggers() if isinstance(one, OnEvent | OnReaching))

    def object_triggers(self) -> tuple[OnObject, ...]:
        """The triggers that are changes of objects."""
        return tuple(one for one in self.triggers() if isinstance(one, OnObject))

    def located_triggers(self) -> Iterator[tuple[tuple[str | int, ...], Trigger]]:
        """Each trigger with its place in the entry."""
        if isinstance(self.on, tuple):
            yield from ((("on", index), one) for index, one in enumerate(self.on))
        else:
            yield ("on",), self.on
