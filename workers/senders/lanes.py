"""Whose turn it is: one lane per connection, so that no provider waits for another.

A message waits in the state, as a row; a lane has the ids of those whose turn has come, in memory, and is
built again from the rows by whoever takes the partition over. Of one person only the oldest message on a
connection is in the lane: the next comes in when that one ended, which keeps them in order.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from workers.senders.limits import (
    ASIDE_MAX,
    CLOSED,
    Breaker,
    Bucket,
    Limits,
    Receivers,
    after_result,
    ask_breaker,
    ask_domain,
    ask_warm_up,
    take_token,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from workers.senders.channels.base import DeliveryResult, OutgoingMessage
    from workers.senders.ledger import Pending

WAIT_MIN_MS = 200
"""Least time between two looks at a lane that must wait: each look is a transaction."""


class Gate:
    """One connection's limits in this process, shared by its partitions, which run on one loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.slots = asyncio.Semaphore(limits.calls_at_once)
        self.aside = 0
        self.breaker: Breaker = CLOSED
        self._bucket: Bucket | None = None
        self._receivers = Receivers()

    def wait_ms(self, now_ms: int) -> int:
        """How long until a call may begin; 0: now. Changes nothing."""
        warming_ms = ask_warm_up(self._receivers, self.limits.pace, now_ms)[1]
        return max(self._asked(now_ms)[2], warming_ms)

    def receiver_wait_ms(self, domain: str, now_ms: int) -> int:
        """How long until a call for a recipient's domain may begin; 0: now. Changes nothing."""
        return ask_domain(self._receivers, self.limits.pace, domain, now_ms)[1]

    def admit(self, now_ms: int, domain: str = "", calls: int = 1) -> None:
        """Take what a message takes: tokens for its calls, and the place of the probe.

        Only where none is waited for.
        """
        self.breaker, self._bucket, _ = self._asked(now_ms, calls)
        self._receivers, _ = ask_warm_up(self._receivers, self.limits.pace, now_ms)
        self._receivers, _ = ask_domain(self._receivers, self.limits.pace, domain, now_ms)

    def _asked(self, now_ms: int, calls: int = 1) -> tuple[Breaker, Bucket | None, int]:
        breaker, wait_ms = ask_breaker(self.breaker, now_ms)
        if wait_ms > 0:
            return self.breaker, self._bucket, wait_ms
        return breaker, *take_token(self._bucket, self.limits, now_ms, calls)

    def step_aside(self) -> bool:
        """Whether a slow call may give up its place to another, which it does by this; see :class:`Place`."""
        if self.aside >= ASIDE_MAX * self.limits.calls_at_once:
            return False
        self.aside += 1
        self.slots.release()
        return True

    def learn(self, result: DeliveryResult, now_ms: int) -> bool:
        """Take in what a call brought back; whether the breaker opened by it."""
        before = self.breaker
        self.breaker = after_result(before, result, now_ms)
        return self.breaker.open_until_ms is not None and self.breaker.open_until_ms != before.open_until_ms


class Place:
    """The place of one call among those of its connection; a call that is slow gives it to another one."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._is_aside = False

    async def __aenter__(self) -> Self:
        await self._gate.slots.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._is_aside:
            self._gate.aside -= 1
        else:
            self._gate.slots.release()

    def step_aside(self) -> bool:
        """Give it up; False where too many have done so."""
        self._is_aside = self._gate.step_aside()
        return self._is_aside


@dataclass(slots=True)
class Lane:
    """One connection in one partition.

    ``ready`` are ids of messages whose turn has come, in order, and ``under_way`` those that are being
    delivered: both as committed, so that a transaction that is dropped leaves no trace in them. ``chosen``
    are those whose call was decided, with the time of the transaction, until it commits or another begins.
    """

    connection: str
    channel: str
    gate: Gate
    ready: dict[str, None] = field(default_factory=dict)
    under_way: set[str] = field(default_factory=set)
    chosen: dict[str, int] = field(default_factory=dict)
    slow: set[str] = field(default_factory=set)
    """Those under way that have no answer for so long that they keep nobody from beginning."""

    domains: dict[str, str] = field(default_factory=dict)
    """Recipients' domains of those in ``ready`` that wait for them, so that a look reads no rows."""

    def has_slot(self, now_ms: int) -> bool:
        """Whether another call may begin here."""
        if self.chosen and next(iter(self.chosen.values())) != now_ms:
            self.chosen = {name: at_ms for name, at_ms in self.chosen.items() if at_ms == now_ms}
        counted = len(self.under_way) - len(self.slow) + len(self.chosen)
        return counted < self.gate.limits.calls_at_once

    @property
    def has_room(self) -> bool:
        """Whether more messages may be taken in for it."""
        return len(self.ready) < self.gate.limits.waiting_max

    def started(self, message_id: str) -> None:
        """A call is committed."""
        self.chosen.pop(message_id, None)
        self.left(message_id)
        self.under_way.add(message_id)

    def ended(self, message_id: str) -> bool:
        """A call ended; whether it was one of this lane."""
        if message_id not in self.under_way:
            return False
        self.under_way.discard(message_id)
        self.slow.discard(message_id)
        return True

    def left(self, message_id: str) -> None:
        """A message waits here no more."""
        self.ready.pop(message_id, None)
        self.domains.pop(message_id, None)


@dataclass(frozen=True, slots=True)
class Call:
    """An effect: deliver this message over a connection; its intent is committed."""

    connection: str
    outgoing: OutgoingMessage


@dataclass(frozen=True, slots=True)
class Ready:
    """An effect: the turn of this message has come, as soon as its lane allows."""

    connection: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Gone:
    """An effect: this message ended or was erased, and waits no more."""

    connection: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A lane to look at, and a message whose turn has come in this transaction; None: nobody new."""

    connection: str
    message_id: str | None = None


def by_lane(lanes: Mapping[str, Lane], turns: Iterable[Turn]) -> list[tuple[Lane, list[str]]]:
    """The lanes to look at, each once and in the order of turns, with whose turn has come there.

    Turns of a connection that has no lane any more are passed over.
    """
    fresh: dict[str, list[str]] = {}
    for turn in turns:
        ids = fresh.setdefault(turn.connection, [])
        ids += [turn.message_id] if turn.message_id is not None else []
    return [(lanes[connection], ids) for connection, ids in fresh.items() if connection in lanes]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A notice: what became of a call. ``bug`` True: it failed in our own code."""

    message_id: str
    result: DeliveryResult
    bug: bool = False


@dataclass(frozen=True, slots=True)
class Begin:
    """A notice: let those who wait for their turn begin. The partition was taken over, or a call is slow."""


def first_in_line(rows: Mapping[str, Pending], waiting: Iterable[Sequence[str]]) -> Iterator[Pending]:
    """Of each person's messages on each connection the oldest, where it waits for its turn."""
    for messages in waiting:
        seen: set[str] = set()
        for row in (rows[one] for one in messages if one in rows):
            if row.connection not in seen and row.queued:
                yield row
            seen.add(row.connection)
