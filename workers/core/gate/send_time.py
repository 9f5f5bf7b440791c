"""When a message may go out: its own time of day, its window, and the quiet hours of its channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas.workspace.gate import format_time
from workers.core.engaged import best_hour
from workers.core.ids import stable_id
from workers.core.local_hours import inside_from_ms, is_inside, next_time_ms, outside_from_ms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from workers.core.facts import Moment
    from workers.core.gate.plan import GatePlan
    from workers.core.gate.verdict import SendRequest
    from workers.core.local_hours import LocalHours

_TURNS_MAX: Final = 32
_MINUTES: Final = 60


class Found(msgspec.Struct, frozen=True):
    """When it may go out (None: never), why not before, and the values that were looked at."""

    at_ms: int | None
    reason: str = ""
    values: dict[str, Any] = msgspec.field(default_factory=dict)


def next_time(
    request: SendRequest, gate: GatePlan, quiet: Sequence[LocalHours], since_ms: int, moment: Moment
) -> Found:
    """The next time at which all three let the message pass, from now on.

    ``since_ms`` is when it was first at the gate: its time of day is the first one from there on. What many
    people's messages wait for alike is spread over ``gate.spread_ms``, where the hours leave so much room.
    """
    rules, now_ms = request.rules, moment.now_ms
    if rules.at is None and not rules.window and not quiet:
        return Found(now_ms)
    zone = gate.zones().of(moment)
    values: dict[str, Any] = {"zone": zone.key}
    at_ms, reason = now_ms, ""
    if rules.at is not None:
        minute = _minute(request, moment, values)
        own_ms = next_time_ms(minute, since_ms, zone)
        if own_ms > now_ms:
            at_ms, reason = own_ms, "send_time"
    held_ms, why = _open_from(rules.window, quiet, at_ms, zone)
    if held_ms is None:
        return Found(None, "no_time", values)
    if held_ms > at_ms:
        later_ms = held_ms + spread(request, gate.spread_ms)
        fits = _open_from(rules.window, quiet, later_ms, zone)[0] == later_ms
        at_ms, reason = (later_ms if fits else held_ms), why
    return Found(at_ms, reason, values)


def _open_from(
    window: Sequence[LocalHours], quiet: Sequence[LocalHours], at_ms: int, zone: ZoneInfo
) -> tuple[int | None, str]:
    """The first time from ``at_ms`` on in the window and in no quiet hours, and what it waited for last."""
    why = ""
    for _ in range(_TURNS_MAX):
        if window and not is_inside(window, at_ms, zone):
            inside_ms = inside_from_ms(window, at_ms, zone)
            if inside_ms is None:
                return None, why
            at_ms, why = inside_ms, "window"
        if not quiet or not is_inside(quiet, at_ms, zone):
            return at_ms, why
        outside_ms = outside_from_ms(quiet, at_ms, zone)
        if outside_ms is None:
            return None, why
        at_ms, why = outside_ms, "quiet_hours"
    return None, why


def _minute(request: SendRequest, moment: Moment, values: dict[str, Any]) -> int:
    """The minute of the day of the message's own time."""
    rules = request.rules
    if isinstance(rules.at, int):
        values["send at"] = format_time(rules.at)
        return rules.at
    hour = best_hour(moment.facts.engagement())
    # Within the hour each person has a minute of their own, so that not all go out at its beginning.
    minute = rules.fallback if hour is None else hour * _MINUTES + spread(request, _MINUTES)
    values["best hour"] = hour
    values["send at"] = format_time(minute)
    return minute


def spread(request: SendRequest, most: int) -> int:
    """A number below ``most`` (0: 0) that is always the same for a person: it keeps many from being one."""
    return int(stable_id("spread", request.subject)[:12], 16) % most if most else 0
