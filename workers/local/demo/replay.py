"""Sends a history as it happened, only faster: each event when the shared clock reaches its time.

The history's own times are moved so that its start is the clock's start. The worker runs on the same clock
(three numbers, see :class:`workers.clock.ScaledClock`), so a wait of one day takes a day of the history.

Messages carry ``timestamp`` and no ``sentAt``: with ``sentAt`` a gateway corrects the time by how long the
request took, and at a speed-up of 28,000 a request of 50 ms would move an event by 23 minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from workers.local.demo.mapping import DemoEvent, Message

if TYPE_CHECKING:
    from workers.clock import Clock
    from workers.local.demo.history import History

Publish = Callable[[list[Message]], Awaitable[None]]
Pause = Callable[[float], Awaitable[None]]

BATCH_MAX = 100  # events; far under the 500 KB of a Segment batch: the largest event has 400 bytes
STEP_S = 0.1  # longest pause: progress moves and a stop is noticed at least ten times a second
REPLAY_S = 150.0  # a whole replay, by default: long enough to read, short enough to wait for


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay is.

    ``at_ms`` is the simulated time, ``behind_ms`` how far the oldest unsent event is behind it
    (0 when nothing is due).
    """

    sent: int
    total: int
    at_ms: int
    percent: float
    behind_ms: int
    done: bool


def speed_for(history: History, seconds: float = REPLAY_S) -> float:
    """The speed-up at which all of ``history`` passes in ``seconds`` of real time."""
    return (history.end_ms - history.start_ms) / (seconds * 1000)


def stamped(event: DemoEvent, shift_ms: int) -> Message:
    """The message with its ``timestamp``: the history's time moved by ``shift_ms``, ISO 8601 in UTC."""
    moment = datetime.fromtimestamp((event.at_ms + shift_ms) / 1000, UTC)
    return {**event.message, "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")}


class Replay:
    """One run of a history against a clock. ``run`` may be awaited once."""

    def __init__(
        self,
        history: History,
        events: Sequence[DemoEvent],
        *,
        clock: Clock,
        start_ms: int,
        publish: Publish,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """``start_ms`` is the clock's start; the history's start falls on it."""
        self._events = events
        self._clock = clock
        self._publish = publish
        self._on_progress = on_progress
        self._start_ms = start_ms
        self._span_ms = history.end_ms - history.start_ms
        self._shift_ms = start_ms - history.start_ms
        self._sent = 0

    async def run(self, stop: asyncio.Event, pause: Pause | None = None) -> Progress:
        """Sends until the last event is sent or ``stop`` is set; returns the last progress.

        Events that are due are sent in order, at most 100 at a time; a ``publish`` that takes long makes the
        replay late, and it catches up. What ``publish`` raises ends the replay. ``pause`` waits
        the given seconds; by default it also ends when ``stop`` is set.
        """
        wait = pause or (lambda seconds: _wait(stop, seconds))
        while not stop.is_set() and self._sent < len(self._events):
            due = self._due(self._clock.now_ms())
            if due:
                await self._publish([stamped(event, self._shift_ms) for event in due])
                self._sent += len(due)
            self._on_progress(self.progress())
            if len(due) < BATCH_MAX and self._sent < len(self._events):
                await wait(self._seconds_to_next())
        last = self.progress()
        self._on_progress(last)
        return last

    def progress(self) -> Progress:
        """How far it is now."""
        now_ms = self._clock.now_ms()
        done = self._sent == len(self._events)
        next_ms = now_ms if done else self._events[self._sent].at_ms + self._shift_ms
        share = min(1.0, max(0.0, (now_ms - self._start_ms) / self._span_ms))
        percent = 100.0 if done else share * 100
        return Progress(self._sent, len(self._events), now_ms, percent, max(0, now_ms - next_ms), done)

    def _due(self, now_ms: int) -> Sequence[DemoEvent]:
        end = self._sent
        last = min(len(self._events), self._sent + BATCH_MAX)
        while end < last and self._events[end].at_ms + self._shift_ms <= now_ms:
            end += 1
        return self._events[self._sent : end]

    def _seconds_to_next(self) -> float:
        next_ms = self._events[self._sent].at_ms + self._shift_ms
        return min(STEP_S, max(0.0, self._clock.seconds_until(next_ms)))


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Waits ``seconds``, less when ``stop`` is set meanwhile."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
