"""Segments for the benchmark of definitions: as many as asked for, of all kinds in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

EVENT_NAMES = tuple(f"feature_used_{number}" for number in range(5))
"""The events that definitions ask for, and that the load has in equal shares."""


def segments(count: int) -> list[dict[str, Any]]:
    """``count`` segments; number k asks for event k modulo five, with numbers of its own."""
    return [_segment(number) for number in range(count)]


def _segment(number: int) -> dict[str, Any]:
    event = EVENT_NAMES[number % len(EVENT_NAMES)]
    kind, turn = _KINDS[number // len(EVENT_NAMES) % len(_KINDS)], number // len(EVENT_NAMES)
    name = f"definition_{number}"
    if kind is _members:
        return {"segment": name, "subject": "account", "require": [kind(event, turn)]}
    return {"segment": name, "require": [kind(event, turn)]}


def _counted(event: str, turn: int) -> dict[str, Any]:
    return {"performed": event, "at_least": 2 + turn % 20, "within": "21d"}


def _filtered(event: str, turn: int) -> dict[str, Any]:
    where = {"duration_ms": {"gte": 100 * (turn % 10)}}
    return {"performed": event, "at_least": 3, "within": "14d", "where": where}


def _summed(event: str, turn: int) -> dict[str, Any]:
    return {"sum": "duration_ms", "of": event, "within": "30d", "gte": 500 * (1 + turn)}


def _different(event: str, turn: int) -> dict[str, Any]:
    return {"distinct": "endpoint", "of": event, "within": "30d", "gte": 3 + turn % 10}


def _members(event: str, turn: int) -> dict[str, Any]:
    return {"members": event, "within": "14d", "gte": 3 + turn % 10}


def _rising(event: str, turn: int) -> dict[str, Any]:
    return {"count": event, "within": "7d", "trend": {"gte": 2 + turn % 3}}


_KINDS: tuple[Callable[[str, int], dict[str, Any]], ...] = (
    _counted,
    _filtered,
    _summed,
    _different,
    _members,
    _rising,
)
