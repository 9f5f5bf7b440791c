"""Times on the wire: ISO 8601 text to integer UTC milliseconds and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

LAST_MS = 253_402_300_799_999
"""The end of the year 9999: what ISO 8601 with four digits can say."""


def parse_ms(text: object) -> int | None:
    """UTC milliseconds of an ISO 8601 text, cut, not rounded; UTC without a zone; None if unreadable."""
    if not isinstance(text, str) or not text[:4].isdigit():
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return (moment - _EPOCH) // _MILLISECOND
    except OverflowError:
        return None


def iso(at_ms: int) -> str:
    """``2026-03-01T09:30:00.250Z``: always UTC, always milliseconds. ``at_ms`` must be in 0..LAST_MS."""
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@lru_cache(maxsize=8192)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
