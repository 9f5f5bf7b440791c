"""What a step can wait for: a time, a date, a local time of day, a condition, an event."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
    model_validator,
)

from schemas.workspace.base import (
    Duration,
    EventName,
    Model,
    Path,
    described,
    format_duration,
    parse_duration_ms,
    refuse,
)
from schemas.workspace.comparisons import Where  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.values import DateOperand, FieldRef, TimeZone

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Days of the week, as files write them; the index is that of ``date.weekday()``."""

MAX_AWAITED: Final = 10
"""Events that one step can wait for."""

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def _local_time(value: Any) -> str:
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        refuse("time", f'a time of day is written in quotes, as "09:00" or "17:30"; not {described(value)}')
    return value


def _signed(value: Any) -> int:
    text = value if isinstance(value, str) else ""
    if not text.startswith("-"):
        return parse_duration_ms(text.removeprefix("+") if text else value)
    return -parse_duration_ms(text[1:])


def _format_signed(duration_ms: int) -> str:
    return f"{'-' if duration_ms < 0 else ''}{format_duration(abs(duration_ms))}"


def _days(value: Any) -> Any:
    days = (value,) if isinstance(value, str) else value
    if not isinstance(days, (list, tuple)) or not days or any(day not in WEEKDAYS for day in days):
        refuse("weekday", f"days of the week are a list of {', '.join(WEEKDAYS)}; not {described(value)}")
    return tuple(day for day in WEEKDAYS if day in days)


LocalTime: TypeAlias = Annotated[
    str, BeforeValidator(_local_time), WithJsonSchema({"type": "string", "pattern": f"^{_TIME.pattern}$"})
]
"""A time of day on the clock of a zone: ``"09:00"``."""

Offset: TypeAlias = Annotated[
    int,
    BeforeValidator(_signed),
    PlainSerializer(_format_signed, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": "^[+-]?([1-9][0-9]{0,8})([smhdw])$", "examples": ["-7d", "1h"]}
    ),
]
"""A duration that may go back: ``-7d``; held in milliseconds."""

Weekdays: TypeAlias = Annotated[
    tuple[str, ...],
    BeforeValidator(_days),
    WithJsonSchema(
        {"type": "array", "items": {"enum": list(WEEKDAYS)}, "minItems": 1, "examples": [["mon", "tue"]]}
    ),
]
"""Days of the week on the calendar of a zone, in their order."""

Zone: TypeAlias = Annotated[
    Literal["user", "account", "workspace"] | TimeZone, Field(union_mode="left_to_right")
]
"""Whose clock: the person's (else the account's, else the workspace's), the account's (else the
workspace's), the workspace's; or the name of a zone."""


class WaitTime(Model):
    """Until when: a time from now or a date; then on to a time of day, on days of the week, where given."""

    for_: Duration | None = Field(None, alias="for", description="From now on, at least this long.")
    until: DateOperand = Field(None, description="A date, or the field with one.")
    offset: Offset | None = Field(None, description="How long before (-7d) or after the date.")
    at: LocalTime | None = Field(None, description="The first time from then on that the clock shows this.")
    on: Weekdays | None = Field(None, description="Only on these days of the week.")
    zone: Zone = Field("user", description="Whose clock and calendar.")
    if_missing: Literal["go_on", "exit"] | None = Field(
        None, description="Where the field holds no date: go on at once, or end the journey."
    )
    if_past: Literal["go_on", "exit"] | None = Field(
        None, description="Where the date is over already: go on at once (the default), or end the journey."
    )

    @model_validator(mode="after")
    def _says_until_when(self) -> Self:
        if self.for_ is not None and self.until is not None:
            refuse("wait", "a wait is `for` a time or `until` a date, not both; offset moves a date")
        if all(one is None for one in (self.for_, self.until, self.at, self.on)):
            refuse("wait", "a wait says until when: one of for, until, at, on")
        if self.until is None and (self.offset is not None or self.if_past is not None):
            refuse("wait", "offset and if_past are about the date of `until`")
        of_field = isinstance(self.until, FieldRef)
        if of_field and self.if_missing is None:
            refuse("wait", "say what happens where there is no such date: if_missing: go_on, or exit")
        if not of_field and self.if_missing is not None:
            refuse("wait", "if_missing is about a field that `until` names: {trait: NAME}")
        return self


def _wait_tag(value: Any) -> str:
    return "#time" if isinstance(value, (dict, WaitTime)) else "#duration"


Wait: TypeAlias = Annotated[
    Annotated[Duration, Tag("#duration")] | Annotated[WaitTime, Tag("#time")], Discriminator(_wait_tag)
]
"""``1d``, or a mapping with more."""


def _names_some(match: dict[str, str]) -> dict[str, str]:
    if not match:
        refuse("match", "match names at least one property: {order_id: order_id}")
    return match


Match: TypeAlias = Annotated[
    dict[Path, Path],
    Field(
        max_length=5,
        description="Properties of this event, each with the one of the trigger that it must equal.",
    ),
    AfterValidator(_names_some),
]
"""``{order_id: order_id}``: the awaited event's property, and the trigger's that it must equal."""


class Heard(Model):
    """An event to listen for; in an account's journey, of any member.

    ``match``: each property of this event must be there and equal that property of the event that began the
    journey.
    """

    event: EventName
    where: Where | None = None
    match: Match | None = None
