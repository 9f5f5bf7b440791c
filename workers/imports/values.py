"""Values of columns as values of traits: text, numbers, booleans, dates in ISO 8601. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.workspace.imports import TraitColumn

INTEGER_LIMIT: Final = 2**63
"""Whole numbers from here on do not fit the state's 64 bits."""

ID_MAX_CHARS: Final = 255
"""Longest id of a user or an account, as at the gateway."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_INTEGER = re.compile(r"[+-]?\d{1,30}")
_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadValueError(ValueError):
    """A value that is not of its column's type; the message never holds the value."""


def is_empty(value: Any) -> bool:
    """Whether a source says nothing: NULL, or text of blanks."""
    return value is None or (isinstance(value, str) and not value.strip())


def id_text(value: Any) -> str:
    """An id as text, without the blanks around it.

    Raises:
        BadValueError: it is empty, too long, or neither text, a whole number nor a UUID.
    """
    if is_empty(value):
        raise BadValueError("is empty")
    if isinstance(value, str):
        text = value.strip()
    elif isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool)):
        text = str(value)
    elif isinstance(value, Decimal) and value == value.to_integral_value():
        text = str(int(value))
    else:
        raise BadValueError("is no id: text, a whole number or a UUID is expected")
    if len(text) > ID_MAX_CHARS:
        raise BadValueError(f"has more than {ID_MAX_CHARS} characters")
    return text


def convert(value: Any, spec: TraitColumn) -> Any:
    """A value that is not empty, as JSON knows it.

    Raises:
        BadValueError: it is not of the declared type.
    """
    return _CONVERTERS[spec.type](value, spec)


def moment_ms(value: Any, spec: TraitColumn) -> int:
    """UTC milliseconds, cut, of a date (its midnight in the column's zone) or a datetime.

    Raises:
        BadValueError: it is neither.
    """
    moment = _moment(value, spec)
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def iso_of_ms(at_ms: int) -> str:
    """The text of a moment: ``2026-03-01T09:30:00.250Z``."""
    return _iso(_EPOCH + timedelta(milliseconds=at_ms))


def _auto(value: Any, spec: TraitColumn) -> Any:
    del spec
    return _plain(value)


def _plain(value: Any) -> Any:  # noqa: PLR0911  one return per kind of value
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return _bounded(value)
    if isinstance(value, float | Decimal):
        return _finite(value)
    if isinstance(value, datetime):
        return _iso(value if value.tzinfo is not None else value.replace(tzinfo=UTC))
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, dict):
        return {str(name): None if item is None else _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [None if item is None else _plain(item) for item in value]
    raise BadValueError(f"is of the type {type(value).__name__}, which no trait can hold")


def _string(value: Any, spec: TraitColumn) -> str:
    del spec
    plain = _plain(value)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, dict | list):
        raise BadValueError("is no text")
    return str(plain)


def _number(value: Any, spec: TraitColumn) -> float | int:
    del spec
    if isinstance(value, str):
        text = value.strip()
        if _INTEGER.fullmatch(text):
            return _bounded(int(text))
        if not _NUMBER.fullmatch(text):
            raise BadValueError("is no number such as 1200.50")
        return _finite(float(text))
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise BadValueError("is no number")
    return _bounded(value) if isinstance(value, int) else _finite(value)


def _integer(value: Any, spec: TraitColumn) -> int:
    number = _number(value, spec)
    if isinstance(number, float):
        if not number.is_integer() or abs(number) >= 2**53:
            raise BadValueError("is no whole number")
        return int(number)
    return number


def _boolean(value: Any, spec: TraitColumn) -> bool:
    del spec
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise BadValueError("is neither true nor false (nor yes, no, t, f, y, n, on, off, 1, 0)")


def _date(value: Any, spec: TraitColumn) -> str:
    if isinstance(value, datetime):
        return (value.astimezone(spec.tz()) if value.tzinfo is not None else value).date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return _parsed(value, spec).date().isoformat()


def _datetime(value: Any, spec: TraitColumn) -> str:
    return _iso(_moment(value, spec))


def _moment(value: Any, spec: TraitColumn) -> datetime:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime.combine(value, time())
    else:
        moment = _parsed(value, spec)
    try:
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=spec.tz())
        return moment.astimezone(UTC)
    except OverflowError:
        raise BadValueError("lies outside the years 1 to 9999") from None


def _parsed(value: Any, spec: TraitColumn) -> datetime:
    form = spec.format
    expected = f"a moment of the format {form}" if form else "a date or time in ISO 8601, or needs a format"
    if not isinstance(value, str):
        raise BadValueError(f"is not {expected}")
    text = value.strip()
    try:
        if form:
            return datetime.strptime(text, form)  # noqa: DTZ007  the zone is the column's
        if not text[:4].isdigit() or "-" not in text:
            # fromisoformat also takes 20260301 and week dates, which are more often numbers and codes.
            raise BadValueError(f"is not {expected}")
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadValueError(f"is not {expected}") from None


def _iso(moment: datetime) -> str:
    """UTC with milliseconds, always: of texts of one form the order is that of the moments."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bounded(value: int) -> int:
    if not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        raise BadValueError("is a whole number beyond 64 bits: import it as a string")
    return value


def _finite(value: float | Decimal) -> float | int:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise BadValueError("is not a finite number")
        if value == value.to_integral_value():
            return _bounded(int(value))
        return float(value)
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124  NaN differs from itself
        raise BadValueError("is not a finite number")
    return value


_CONVERTERS: Final[dict[str, Callable[[Any, TraitColumn], Any]]] = {
    "auto": _auto,
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
}
