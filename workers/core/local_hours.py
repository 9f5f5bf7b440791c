"""Hours of the day by the clock on the wall, in any zone: inside or outside, and when that is next so.

What counts is what the person's clock shows. Where a clock is set forward, hours that it skips do not happen;
where it is set back, it shows them twice, and both times count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from workers.core.zones import from_ms, to_ms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

_DAY: Final = timedelta(days=1)
_MINUTE_MS: Final = 60_000
_AHEAD_DAYS: Final = 15
"""Hours that happen at all happen within a week, and one day of that may be skipped, as in Samoa in 2011."""
_ENDS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class LocalHours:
    """From one minute of the day up to and without another; before it: over midnight.

    ``days`` are the weekdays (Monday is 0) on which the hours begin.
    """

    from_minute: int
    to_minute: int
    days: frozenset[int]

    def began(self, local: datetime) -> date | None:
        """The day on which the hours began that a clock shows; None: it shows a time outside."""
        minute, day = local.hour * 60 + local.minute, local.date()
        if self.from_minute < self.to_minute:
            inside = self.from_minute <= minute < self.to_minute
            return day if inside and day.weekday() in self.days else None
        if minute >= self.from_minute and day.weekday() in self.days:
            return day
        before = day - _DAY
        return before if minute < self.to_minute and before.weekday() in self.days else None

    def end_of(self, began: date) -> date:
        """The day on which hours end that began on one."""
        return began if self.from_minute < self.to_minute else began + _DAY


def is_inside(hours: Sequence[LocalHours], at_ms: int, zone: ZoneInfo) -> bool:
    """Whether the clock shows a time in some of the hours."""
    local = from_ms(at_ms, zone)
    return any(one.began(local) is not None for one in hours)


def outside_from_ms(hours: Sequence[LocalHours], at_ms: int, zone: ZoneInfo) -> int | None:
    """The end of the hours that ``at_ms`` is in and of those that follow at once; itself if it is in none.

    None: they do not end.
    """
    for _ in range(_ENDS_MAX):
        local = from_ms(at_ms, zone)
        ends = [
            instant
            for one in hours
            if (began := one.began(local)) is not None
            for instant in instants(one.end_of(began), one.to_minute, zone)
        ]
        if not ends and not is_inside(hours, at_ms, zone):
            return at_ms
        # Where the clock was set back over it, the end may lie behind though the clock shows a time before.
        at_ms = min((end for end in ends if end > at_ms), default=at_ms + _MINUTE_MS)
    return None


def inside_from_ms(hours: Sequence[LocalHours], at_ms: int, zone: ZoneInfo) -> int | None:
    """The first instant from ``at_ms`` on at which hours begin, or itself where it is inside. None: never."""
    if is_inside(hours, at_ms, zone):
        return at_ms
    today = from_ms(at_ms, zone).date()
    for ahead in range(-1, _AHEAD_DAYS):
        day = today + ahead * _DAY
        begins = [
            instant
            for one in hours
            if day.weekday() in one.days
            for instant in instants(day, one.from_minute, zone)
            # Hours that the clock skips as a whole do not happen.
            if instant > at_ms and is_inside(hours, instant, zone)
        ]
        if begins:
            return min(begins)
    return None


def next_time_ms(minute: int, since_ms: int, zone: ZoneInfo) -> int:
    """The first instant from ``since_ms`` on at which the clock shows a minute of the day."""
    today = from_ms(since_ms, zone).date()
    found = [
        instant
        for ahead in range(-1, 4)
        for instant in instants(today + ahead * _DAY, minute, zone)
        if instant >= since_ms
    ]
    return min(found)


def instants(day: date, minute: int, zone: ZoneInfo) -> tuple[int, ...]:
    """When the clock shows a minute of a day: twice where it is set back; if it is skipped, at the skip."""
    wall = datetime.combine(day, time(minute // 60, minute % 60))
    both = sorted({to_ms(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1)})
    shown = tuple(one for one in both if from_ms(one, zone).replace(tzinfo=None, fold=0) == wall)
    return shown or (_skip_ms(both[0], both[-1], zone),)


def _skip_ms(before_ms: int, after_ms: int, zone: ZoneInfo) -> int:
    """The instant between two at which the clock is set forward."""
    old = _offset(before_ms, zone)
    while after_ms - before_ms > 1:
        middle_ms = (before_ms + after_ms) // 2
        if _offset(middle_ms, zone) == old:
            before_ms = middle_ms
        else:
            after_ms = middle_ms
    return after_ms


def _offset(at_ms: int, zone: ZoneInfo) -> timedelta | None:
    return from_ms(at_ms, zone).utcoffset()
