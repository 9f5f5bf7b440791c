"""What holds for all messages of a workspace: caps, quiet hours, exclusive tags, what is exempt."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from schemas.fields import Channel
from schemas.workspace.base import (
    DAY_MS,
    AsList,
    Duration,
    Identifier,
    Identifiers,
    Model,
    described,
    format_duration,
    parse_duration_ms,
    refuse,
)

MINUTE_MS: Final = 60_000
HOLD_MAX_MS: Final = 6 * DAY_MS
"""Six days: what was sent is remembered for a week, so that a message that comes again is known."""

SPREAD_MAX_MS: Final = 4 * 60 * MINUTE_MS

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
BEST_HOUR: Final = "best_hour"
CAP_PERIODS: Final = ("today", "this_week", "this_month")
"""Periods of the calendar that a cap may have; a week begins on Monday."""

OnCap: TypeAlias = Literal["skip", "defer", "drop", "exit"]
"""What becomes of a message that may not go out: see docs/messages.md."""

Exemption: TypeAlias = Literal["consent", "caps", "quiet_hours", "exclusive"]

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def _parse_time(value: Any) -> int:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        refuse("time", f'a time of day is written in quotes as "08:00" or "22:30"; not {described(value)}')
    return int(found[1]) * 60 + int(found[2])


def format_time(minute: int) -> str:
    """The minute of a day as files write it."""
    return f"{minute // 60:02}:{minute % 60:02}"


def _parse_days(value: Any) -> tuple[str, ...]:
    """Days in the order of the week, each once; ``mon-fri`` and ``fri-mon`` are ranges."""
    found: set[str] = set()
    for name in (
        (value,) if isinstance(value, str) else value if isinstance(value, (list, tuple)) else (value,)
    ):
        first, _, last = name.partition("-") if isinstance(name, str) else ("", "", "")
        if first not in WEEKDAYS or (last or first) not in WEEKDAYS:
            refuse(
                "days", f"days are {', '.join(WEEKDAYS)}, or a range such as mon-fri; not {described(name)}"
            )
        start = WEEKDAYS.index(first)
        count = (WEEKDAYS.index(last or first) - start) % len(WEEKDAYS) + 1
        found |= {WEEKDAYS[(start + step) % len(WEEKDAYS)] for step in range(count)}
    if not found:
        refuse("days", "at least one day is expected, such as mon-fri")
    return tuple(day for day in WEEKDAYS if day in found)


def _parse_period(value: Any) -> int | str:
    if isinstance(value, str) and value in CAP_PERIODS:
        return value
    if not isinstance(value, str) or not value[:1].isdigit():
        refuse(
            "period",
            f"a cap counts within a duration such as 7d, or {', '.join(CAP_PERIODS)}; not {described(value)}",
        )
    return parse_duration_ms(value)


def _channels(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


LocalTime: TypeAlias = Annotated[
    int,
    BeforeValidator(_parse_time),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_TIME.pattern}$", "examples": ["08:00", "22:30"]}),
]
"""Written ``"08:00"``; held as the minute of the day."""

Weekdays: TypeAlias = Annotated[
    tuple[str, ...],
    BeforeValidator(_parse_days),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
            "examples": ["mon-fri", ["sat", "sun"]],
        }
    ),
]

Period: TypeAlias = Annotated[
    int | str,
    BeforeValidator(_parse_period),
    PlainSerializer(
        lambda value: format_duration(value) if isinstance(value, int) else value, return_type=str
    ),
    WithJsonSchema({"type": "string", "examples": ["7d", *CAP_PERIODS]}),
]

Channels: TypeAlias = Annotated[
    tuple[Channel, ...], BeforeValidator(_channels), Field(min_length=1, max_length=5)
]


class Hours(Model):
    """Hours of the day in the person's zone, from the first up to and without the second.

    ``to`` before ``from`` goes over midnight; ``days`` are those on which the hours begin.
    """

    from_: LocalTime = Field(alias="from")
    to: LocalTime
    days: Weekdays = WEEKDAYS

    @model_validator(mode="after")
    def _is_a_stretch(self) -> Self:
        if self.from_ == self.to:
            refuse("hours", "from and to are the same: hours that have a length are expected")
        return self


def _hours_list(value: Any) -> Any:
    """One stretch of hours is a list of one."""
    return (
        (value,) if isinstance(value, (dict, Hours)) else tuple(value) if isinstance(value, list) else value
    )


HoursList: TypeAlias = Annotated[
    tuple[Hours, ...], BeforeValidator(_hours_list), Field(min_length=1, max_length=14)
]
"""One stretch of hours, or several."""


class QuietHours(Hours):
    """No message goes out over these channels; it is held until the hours are over."""

    channel: Channels = Field(("email", "sms", "push"), description="In-app waits quietly by itself.")


class Cap(Model):
    """At most so many messages within a time, of those that all of ``channel``, ``tag``, ``journey`` name."""

    max: int = Field(ge=1, le=500)
    within: Period
    of: Literal["person", "account"] = Field(
        "person", description="account: all messages to all members of the account together."
    )
    channel: Channels | None = None
    tag: Identifiers | None = None
    journey: Identifiers | None = None
    on_cap: OnCap = "skip"


class Exclusive(Model):
    """Journeys with this tag compete for a person: one at a time, and its messages keep the others away."""

    tag: Identifier
    within: Duration = Field(
        7 * DAY_MS, description="How long a message of one journey keeps those of the others away."
    )
    collect: Duration | None = Field(
        None, description="Wait so long for messages of other journeys; the highest priority wins."
    )
    on_loss: OnCap = "skip"
    one_journey: bool = Field(
        default=False, description="Who is in one journey of the tag does not enter another."
    )


class Transactional(Model):
    """Messages that are no marketing, told by their journey's tags, and what does not apply to them."""

    tags: Identifiers = ("transactional",)
    exempt_from: Annotated[tuple[Exemption, ...], BeforeValidator(_channels), Field(max_length=4)] = ("caps",)


def _spread(value: Any) -> int:
    duration_ms = parse_duration_ms(value)
    if duration_ms > SPREAD_MAX_MS:
        refuse("spread", f"messages are spread over {format_duration(SPREAD_MAX_MS)} at most; not {value}")
    return duration_ms


def _hold(value: Any) -> int:
    duration_ms = parse_duration_ms(value)
    if duration_ms > HOLD_MAX_MS:
        refuse("max_hold", f"a message is held for {format_duration(HOLD_MAX_MS)} at most; not {value}")
    return duration_ms


_AS_DURATION = PlainSerializer(format_duration, return_type=str)
_DURATION_SCHEMA = WithJsonSchema({"type": "string", "examples": ["30m", "3d"]})

Spread: TypeAlias = Annotated[int, BeforeValidator(_spread), _AS_DURATION, _DURATION_SCHEMA]
MaxHold: TypeAlias = Annotated[int, BeforeValidator(_hold), _AS_DURATION, _DURATION_SCHEMA]


class MessageSettings(Model):
    """The section ``messages`` of ``workspace.yaml``: what every message passes on its way out."""

    transactional: Transactional | None = None
    caps: Annotated[tuple[Cap, ...], AsList, Field(max_length=20)] = ()
    quiet_hours: Annotated[tuple[QuietHours, ...], BeforeValidator(_hours_list), Field(max_length=14)] = ()
    spread: Spread = Field(
        30 * MINUTE_MS, description="What was held until the same moment goes out spread over this time."
    )
    max_hold: MaxHold = Field(3 * DAY_MS, description="What could not go out for so long is skipped.")
    exclusive: Annotated[tuple[Exclusive, ...], AsList, Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _leaves_time_to_send(self) -> Self:
        for channel in {name for hours in self.quiet_hours for name in hours.channel}:
            if _covers_the_week([hours for hours in self.quiet_hours if channel in hours.channel]):
                refuse("quiet_hours", f"quiet hours that never end: no {channel} message could ever go out")
        tags = [one.tag for one in self.exclusive]
        if len(tags) != len(set(tags)):
            refuse("exclusive", "a tag is made exclusive once")
        return self


def _covers_the_week(windows: list[QuietHours]) -> bool:
    day, week = 24 * 60, 7 * 24 * 60
    free = set(range(week))
    for hours in windows:
        length = (hours.to - hours.from_) % day
        for name in hours.days:
            start = WEEKDAYS.index(name) * day + hours.from_
            free -= {(start + minute) % week for minute in range(length)}
    return not free
