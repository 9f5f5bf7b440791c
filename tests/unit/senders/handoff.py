"""A burst of webhooks through several partitions of one worker, in virtual time, to a receiver with faults.

Each partition decides in turns, as the kernel does, and all share the limits of the connection. What is
measured is the time from a message's request to its receiver's yes.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

from tests.unit.senders.test_lanes import hook
from tests.unit.senders.test_logic import MAIL, NOW, Scripted, Senders, message
from workers.core.templates.compile import compile_templates
from workers.senders.channels.base import Accepted, DeliveryResult, OutgoingMessage, Unknown
from workers.senders.connection_base import SLOW_S
from workers.senders.http.answers import by_status
from workers.senders.limits import Limits
from workers.senders.logic import SenderLogic, SenderParts
from workers.stream.decide import take_notices
from workers.stream.view import View

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from schemas import wire

PARTITIONS = 4
TURN_MS = 50
"""From one transaction of a partition to the next, as on a busy machine."""

ANSWER_MS = 80
DEADLINE_MS = 15_000

Answer: TypeAlias = tuple[int, Mapping[str, str]]
"""Status and headers; status 0: silence until the deadline."""

Fault: TypeAlias = tuple[int, tuple[tuple[str, str], ...]]
"""The same, to be named in a table."""


class Handle(asyncio.TimerHandle):
    """Of what is to run later, unless it is cancelled."""

    def __init__(self, run: Callable[[], None]) -> None:
        super().__init__(0, run, (), asyncio.get_running_loop())
        self.run = run


class Clock:
    """Virtual time; who sleeps is woken in the order of time."""

    def __init__(self) -> None:
        self.now_ms = NOW
        self._later: list[tuple[int, int, Handle]] = []
        self._count = count()

    async def sleep(self, duration_ms: int) -> None:
        """Wait for virtual time to pass."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.later(duration_ms / 1_000, lambda: woken.set_result(None))
        await woken

    def later(self, delay_s: float, run: Callable[[], None]) -> asyncio.TimerHandle:
        """Run something when virtual time has passed, unless it is cancelled."""
        handle = Handle(run)
        heapq.heappush(self._later, (self.now_ms + round(delay_s * 1_000), next(self._count), handle))
        return handle

    async def advance(self, until_ms: int) -> None:
        """Let time pass, and what waits for it run."""
        while self._later and self._later[0][0] <= until_ms:
            self.now_ms, _, handle = heapq.heappop(self._later)
            if not handle.cancelled():
                handle.run()
                for _ in range(6):
                    await asyncio.sleep(0)
        self.now_ms = until_ms


class Receiver(Scripted):
    """Answers each call after a while, as ``answer`` says by the time.

    ``silent`` are the people some call of whom it did not answer; ``told_ms`` is how long it wanted no calls.
    """

    on_unknown = "at_least_once"

    def __init__(self, clock: Clock, answer: Callable[[int], Answer], limits: Limits) -> None:
        super().__init__([])
        self.limits = limits
        self.silent: set[str] = set()
        self.told_ms = 0
        self.most_at_once = 0
        self._now = 0
        self._told_until_ms = 0
        self._clock = clock
        self._answer = answer

    async def deliver(self, message: OutgoingMessage) -> DeliveryResult:
        """Answer."""
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            return await self._reply(message)
        finally:
            self._now -= 1

    async def _reply(self, message: OutgoingMessage) -> DeliveryResult:
        self.calls.append(message)
        status, headers = self._answer(self._clock.now_ms - NOW)
        if status == 0:
            self.silent.add(message.person)
            await self._clock.sleep(DEADLINE_MS)
            return Unknown("http_timeout")
        await self._clock.sleep(ANSWER_MS)
        if status == 200:
            return Accepted("p")
        self._tell(int(headers.get("retry-after", 0)) * 1_000)
        return by_status(status, headers, self._clock.now_ms)

    def _tell(self, wait_ms: int) -> None:
        now_ms = self._clock.now_ms
        self.told_ms += max(0, now_ms + wait_ms - max(now_ms, self._told_until_ms))
        self._told_until_ms = max(self._told_until_ms, now_ms + wait_ms)


async def burst(
    folder: Path, answer: Callable[[int], Answer], messages: int = 400, limits: Limits | None = None
) -> tuple[list[wire.Delivery], Receiver]:
    """What became of many webhooks that are asked for at once, about two hundred people."""
    clock = Clock()
    receiver = Receiver(clock, answer, limits or Limits(calls_at_once=16, slow_s=SLOW_S))
    partitions = [
        Senders(folder / str(one), Scripted([]), MAIL, hook("hook", "hook"), hook=receiver)
        for one in range(PARTITIONS)
    ]
    parts = SenderParts(
        templates=compile_templates((hook("hook", "hook"),)),
        channels={"hook": receiver},
        unsubscribe_url=lambda one: "",
        topics=lambda name: name,
        metrics=partitions[0].metrics,
        later=clock.later,
    )
    for number, partition in enumerate(partitions):
        partition.logic = SenderLogic(parts)
        mine = [one for one in range(messages) if one % PARTITIONS == number]
        asked = [message(f"m{one}", "webhook", template="hook", person=f"u{one % 200}") for one in mine]
        await partition.take(*asked)
    while sum(len(partition.deliveries()) for partition in partitions) < messages:
        await clock.advance(clock.now_ms + TURN_MS)
        for partition in partitions:
            await _turn(partition, clock.now_ms)
        assert clock.now_ms < NOW + 3_600_000, "it never ends"
    ended = [one for partition in partitions for one in partition.ended()]
    assert [one.outcome for one in ended] == ["sent"] * messages
    for partition in partitions:
        partition.store.abandon()
    return ended, receiver


async def _turn(partition: Senders, now_ms: int) -> None:
    partition.now_ms = now_ms
    await partition.fire()
    notices, partition.notices = partition.notices, []
    if notices:
        view = View(partition.store.get)
        take_notices(partition.logic, notices, view, now_ms)
        await partition.commit(view)
    for _ in range(6):
        await asyncio.sleep(0)


def percentile(values: list[int], share: float) -> int:
    """The least value that so large a share of them does not exceed."""
    return sorted(values)[max(0, -(-round(len(values) * share * 1000) // 1000) - 1)]


def at_random(seed: int, faults: Mapping[Fault, float]) -> Callable[[int], Answer]:
    """Each call fails by chance: the share of each answer."""
    chance = random.Random(seed)  # noqa: S311 - the same faults every time

    def answer(at_ms: int) -> Answer:
        del at_ms
        drawn = chance.random()
        for (status, headers), share in faults.items():
            drawn -= share
            if drawn < 0:
                return status, dict(headers)
        return 200, {}

    return answer


def while_(until_ms: int, status: int, **headers: str) -> Callable[[int], Answer]:
    """Nothing but this answer, until then; soon after the burst began."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda at_ms: (status, named) if 200 <= at_ms < until_ms else (200, {})
