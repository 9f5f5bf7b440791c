"""Instants by the clock and calendar of a zone: the next 09:00, the next Monday."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from workers.core.zones import day_start_ms, from_ms, to_ms

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date
    from zoneinfo import ZoneInfo

_DAY: Final = timedelta(days=1)
_SEARCHED_DAYS: Final = 16
"""Two weeks and what a zone may skip: some weekday comes within them."""


def next_local_ms(
    from_at_ms: int, at: time | None, weekdays: Collection[int] | None, zone: ZoneInfo
) -> int | None:
    """The first instant from ``from_at_ms`` on at which the zone's clock shows ``at``, on a weekday asked.

    Weekdays are 0 for Monday to 6, of the local day; None: any. ``at`` None: at any time of such a day, so
    now, or when the next one begins. A time that the clock skips comes as much later (02:30 is 03:30 then);
    one that comes twice counts the first time. None: only where dates end, in the year 9999.
    """
    try:
        here = from_ms(from_at_ms, zone)
        if at is None and (weekdays is None or here.weekday() in weekdays):
            return from_at_ms
        for ahead in range(_SEARCHED_DAYS):
            found = _instant_ms(here.date() + ahead * _DAY, at, zone)
            # Of the instant, not of the day that was looked for: a zone may have skipped that one.
            if found >= from_at_ms and (weekdays is None or from_ms(found, zone).weekday() in weekdays):
                return found
    except OverflowError:
        return None
    return None


def _instant_ms(day: date, at: time | None, zone: ZoneInfo) -> int:
    return day_start_ms(day, zone) if at is None else to_ms(datetime.combine(day, at, zone))
