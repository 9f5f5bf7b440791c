"""Where the time comes from: the only readers of the wall clock besides the telemetry.

The core takes ``now_ms`` as an argument. The shell asks a :class:`Clock`: the system's in production,
a scaled one when a recorded history is replayed faster than it happened, a manual one in tests.
"""

from __future__ import annotations

import time
from typing import Protocol

from workers.errors import Misconfigured


class Clock(Protocol):
    """Gives the time in integer UTC milliseconds."""

    def now_ms(self) -> int:
        """The present time of this clock."""
        ...

    def seconds_until(self, at_ms: int) -> float:
        """Real seconds until this clock reads ``at_ms``; negative when it is past."""
        ...


class SystemClock:
    """The wall clock of the machine."""

    def now_ms(self) -> int:
        """The present UTC time."""
        return time.time_ns() // 1_000_000

    def seconds_until(self, at_ms: int) -> float:
        """Real seconds until ``at_ms``."""
        return (at_ms - self.now_ms()) / 1000


class ScaledClock:
    """Time that runs ``speed`` times as fast as the wall clock.

    It reads ``start_ms`` when the wall clock reads ``wall_start_ms``. Processes that share the three
    numbers share the time.
    """

    def __init__(self, start_ms: int, wall_start_ms: int, speed: float) -> None:
        if speed <= 0:
            raise Misconfigured(f"a clock's speed must be above 0, not {speed}")
        self.start_ms = start_ms
        self.wall_start_ms = wall_start_ms
        self.speed = speed

    def now_ms(self) -> int:
        """The present time of the scaled clock."""
        return self.start_ms + int((time.time_ns() / 1e6 - self.wall_start_ms) * self.speed)

    def seconds_until(self, at_ms: int) -> float:
        """Real seconds until the scaled clock reads ``at_ms``."""
        return (at_ms - self.now_ms()) / self.speed / 1000


class FixedClock:
    """A clock that stands still until it is told otherwise: for tests and simulations."""

    def __init__(self, now_ms: int) -> None:
        self.time_ms = now_ms

    def now_ms(self) -> int:
        """The time it was last set to."""
        return self.time_ms

    def seconds_until(self, at_ms: int) -> float:
        """Seconds to go, as if the clock ran; 0 or less when due."""
        return (at_ms - self.time_ms) / 1000


def parse_clock(text: str) -> Clock:
    """The clock that a setting names.

    ``system``; ``scaled:START_MS:WALL_START_MS:SPEED``; ``fixed:NOW_MS``.
    """
    kind, _, rest = text.partition(":")
    try:
        if kind == "system" and not rest:
            return SystemClock()
        if kind == "scaled":
            start, wall, speed = rest.split(":")
            return ScaledClock(int(start), int(wall), float(speed))
        if kind == "fixed":
            return FixedClock(int(rest))
    except ValueError as error:
        raise Misconfigured(f"clock {text!r} is not readable: {error}") from error
    raise Misconfigured(
        f"clock {text!r} is none of system, scaled:START_MS:WALL_START_MS:SPEED, fixed:NOW_MS"
    )
