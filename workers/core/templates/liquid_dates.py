"""Dates as Liquid writes them: what it reads as one, and the signs of Ruby's ``strftime``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from workers.core.templates.values import MAX_TEXT_CHARS, Unrenderable, fail_type, limit_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_BELOW: Final = 100_000_000_000
"""Numbers below this are seconds since 1970 (as Customer.io and Braze have them), others milliseconds."""

_LONGEST: Final = 40
_SIGN = re.compile(r"%(?P<flags>[-^_0#]*)(?P<width>[0-9]{0,2})(?P<sign>[A-Za-z%])")
_DIGITS = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,6})?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def instant(value: object, now_ms: int | None) -> datetime:
    """A time: ISO 8601 (UTC where it names no zone), seconds or milliseconds since 1970, ``now``, ``today``.

    Raises:
        Unrenderable: it is none of these, or outside the calendar.
    """
    if isinstance(value, str):
        value = value.strip()
        if value in ("now", "today"):
            if now_ms is None:
                raise Unrenderable("missing_variable", "message.at", "the time of the message is not known")
            return _EPOCH + timedelta(milliseconds=now_ms)
        if _DIGITS.fullmatch(value):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        fail_type("a date is an ISO 8601 text, or seconds or milliseconds since 1970", value)
    try:
        if isinstance(value, str):
            parsed = _parsed(value)
            return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        return _EPOCH + timedelta(seconds=value if abs(value) < _SECONDS_BELOW else value / 1_000)
    except (ValueError, OverflowError) as error:
        detail = "a date is neither an ISO 8601 text nor seconds or milliseconds since 1970"
        raise Unrenderable("wrong_type", None, detail) from error


def _parsed(text: str) -> datetime:
    if len(text) > _LONGEST:
        raise ValueError("too long for a date")
    for name in (" UTC", " GMT"):
        text = f"{text.removesuffix(name)}+00:00" if text.endswith(name) else text
    before, sign, after = text.rpartition(" +")
    return datetime.fromisoformat(f"{before}+{after}" if sign else text)


def is_day(value: object) -> bool:
    """Whether ``value`` is a day without a time, which is the same day in every zone."""
    return isinstance(value, str) and bool(_DAY.fullmatch(value.strip()))


def in_zone(at: datetime, zone: object) -> datetime:
    """The same moment by another clock: a zone's name, or minutes from UTC.

    Raises:
        Unrenderable: there is no such zone.
    """
    try:
        if isinstance(zone, str):
            return at.astimezone(ZoneInfo(zone))
        if isinstance(zone, int) and not isinstance(zone, bool):
            shift = timedelta(minutes=zone)
            return (at.astimezone(UTC) + shift).replace(tzinfo=UTC)
    except (ValueError, OSError, KeyError, OverflowError) as error:
        raise Unrenderable("wrong_type", None, "a zone is a name such as Europe/Oslo") from error
    return fail_type("a zone is a name such as Europe/Oslo", zone)


_NUMBERS: Final[Mapping[str, tuple[Callable[[datetime], int], int, str]]] = {
    "Y": (lambda at: at.year, 4, "0"),
    "C": (lambda at: at.year // 100, 2, "0"),
    "y": (lambda at: at.year % 100, 2, "0"),
    "m": (lambda at: at.month, 2, "0"),
    "d": (lambda at: at.day, 2, "0"),
    "e": (lambda at: at.day, 2, " "),
    "j": (lambda at: at.timetuple().tm_yday, 3, "0"),
    "H": (lambda at: at.hour, 2, "0"),
    "k": (lambda at: at.hour, 2, " "),
    "I": (lambda at: (at.hour - 1) % 12 + 1, 2, "0"),
    "l": (lambda at: (at.hour - 1) % 12 + 1, 2, " "),
    "M": (lambda at: at.minute, 2, "0"),
    "S": (lambda at: at.second, 2, "0"),
    "L": (lambda at: at.microsecond // 1_000, 3, "0"),
    "N": (lambda at: at.microsecond * 1_000, 9, "0"),
    "s": (lambda at: (at - _EPOCH) // timedelta(seconds=1), 1, "0"),
    "u": (lambda at: at.isoweekday(), 1, "0"),
    "w": (lambda at: at.isoweekday() % 7, 1, "0"),
    "V": (lambda at: at.isocalendar().week, 2, "0"),
    "G": (lambda at: at.isocalendar().year, 4, "0"),
}
"""Sign -> number, its digits, and what fills them up."""

_WORDS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "B": lambda at: MONTHS[at.month - 1],
    "b": lambda at: MONTHS[at.month - 1][:3],
    "h": lambda at: MONTHS[at.month - 1][:3],
    "A": lambda at: DAYS[at.weekday()],
    "a": lambda at: DAYS[at.weekday()][:3],
    "p": lambda at: "AM" if at.hour < 12 else "PM",  # noqa: PLR2004 - noon
    "P": lambda at: "am" if at.hour < 12 else "pm",  # noqa: PLR2004 - noon
    "Z": lambda at: at.tzname() or "UTC",
    "z": lambda at: at.isoformat()[-6:].replace(":", "") if at.tzinfo else "+0000",
    "%": lambda _: "%",
    "n": lambda _: "\n",
    "t": lambda _: "\t",
}
_LONG: Final[Mapping[str, str]] = {
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "x": "%m/%d/%y",
    "c": "%a %b %e %H:%M:%S %Y",
    "v": "%e-%^b-%Y",
}
"""Signs that stand for several."""


def strftime(at: datetime, style: str) -> str:
    """``at`` in a style of Ruby's: its signs, with ``-`` (no filling), ``^`` (capitals), ``_`` and ``0``.

    Raises:
        Unrenderable: the style has a sign that is not known.
    """
    if len(style) > MAX_TEXT_CHARS // 100:
        limit_text(None)
    return limit_text(_SIGN.sub(lambda found: _written(at, found), spelled(style)))


def spelled(style: str) -> str:
    """The style with the signs written out that stand for several."""
    return re.sub(r"%([DFRrTXxcv])", lambda found: _LONG[found[1]], style)


def _written(at: datetime, found: re.Match[str]) -> str:
    flags, sign = found["flags"], found["sign"]
    if sign in _WORDS:
        word = _WORDS[sign](at)
        return word.upper() if "^" in flags else word.swapcase() if "#" in flags else word
    if sign not in _NUMBERS:
        raise Unrenderable("wrong_type", None, f"{found[0]} is no sign of a date")
    read, digits, fill = _NUMBERS[sign]
    if "-" in flags:
        return str(read(at))
    fill = " " if "_" in flags else "0" if "0" in flags else fill
    return str(read(at)).rjust(int(found["width"] or digits), fill)
