"""Time zones, days and dates of a subject, without reading anything while conditions are evaluated.

All zone tables are read once, when a workspace that needs them is compiled. A subject's zone is its trait
``timezone``, else that of its account, else the workspace's; a name that is no zone counts as none.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, available_timezones

from schemas.workspace.values import is_plain_date

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.facts import Moment

TIMEZONE: Final = "timezone"
"""The trait with the name of a zone, as IANA writes it: ``Europe/Oslo``."""

SECONDS_BELOW: Final = 100_000_000_000
"""A number below it is Unix time in seconds (until the year 5138), one from there on in milliseconds
(from 1973): no moment that a product knows of can be meant both ways."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_MS: Final = timedelta(milliseconds=1)


@cache
def zone_table() -> Mapping[str, ZoneInfo]:
    """Every zone by its name."""
    return {name: ZoneInfo(name) for name in sorted(available_timezones())}


def to_ms(moment: datetime) -> int:
    """Integer UTC milliseconds of a moment that has a zone, cut (not rounded)."""
    return (moment - _EPOCH) // _MS


def from_ms(at_ms: int, zone: ZoneInfo) -> datetime:
    """The moment in a zone. Raises OverflowError outside the years 1 to 9999."""
    return (_EPOCH + at_ms * _MS).astimezone(zone)


def day_start_ms(day: date, zone: tzinfo) -> int:
    """When a day begins in a zone: at its first midnight; where the clock skips midnight, at the skip."""
    return to_ms(datetime.combine(day, time(), zone))


def local_day(now_ms: int, zone: ZoneInfo) -> date:
    """The day that has begun and not ended; where a clock is set back over midnight, the later one."""
    day = from_ms(now_ms, zone).date()
    return day + _DAY if day_start_ms(day + _DAY, zone) <= now_ms else day


def date_in_ms(value: Any, zone: tzinfo) -> int | None:
    """What a trait or property holds as a date, days beginning in ``zone``; None where it holds none."""
    if isinstance(value, str):
        return _text_ms(value, zone)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return None
    return int(value * 1000) if abs(value) < SECONDS_BELOW else int(value)


class Zones:
    """Zones and dates of subjects, for one workspace.

    Raises:
        ValueError: when the workspace's own zone is unknown.
    """

    def __init__(self, default: str) -> None:
        self._table = zone_table()
        if default not in self._table:
            raise ValueError(f"{default!r} is no time zone: write it as IANA does, such as Europe/Oslo")
        self._default = self._table[default]

    def of(self, moment: Moment) -> ZoneInfo:
        """The subject's zone."""
        return (
            self._named(moment.facts.traits.get(TIMEZONE))
            or self._named(moment.facts.account_traits.get(TIMEZONE))
            or self._default
        )

    def named(self, zone: str, moment: Moment) -> ZoneInfo:
        """A zone by its name, or by whose it is: ``user`` (:meth:`of`), ``account``, ``workspace``."""
        if zone == "user":
            return self.of(moment)
        if zone == "account":
            return self._named(moment.facts.account_traits.get(TIMEZONE)) or self._default
        return self._default if zone == "workspace" else self._table[zone]

    def date_ms(self, value: Any, moment: Moment, zone: ZoneInfo | None = None) -> int | None:
        """What a trait holds as a date, days beginning in ``zone`` or else in the subject's.

        None where it holds none.
        """
        if zone is None and isinstance(value, str):
            zone = self.of(moment)
        return date_in_ms(value, zone or UTC)

    def _named(self, name: Any) -> ZoneInfo | None:
        return self._table.get(name) if isinstance(name, str) else None


def _text_ms(text: str, zone: tzinfo) -> int | None:
    try:
        if is_plain_date(text):
            return day_start_ms(date.fromisoformat(text), zone)
        parsed = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return to_ms(parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC))
