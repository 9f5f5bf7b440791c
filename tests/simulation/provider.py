"""A mail provider that is slow, refuses, hangs, and loses its answers; it tells what it really accepted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    OnUnknown,
    OutgoingMessage,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from workers.simulate.loop import VirtualLoop

DEADLINE_MS = 30_000
"""The channel's own deadline: a call that takes longer has an unknown outcome."""

BEHAVIOURS = {
    "fine": 60,
    "slow": 12,
    "refused": 4,
    "throttled": 6,
    "unavailable": 6,
    "hangs": 4,
    "accepted_and_hangs": 4,
    "answer_lost": 4,
    "misconfigured": 1,
    "bug": 1,
}
"""What a call may meet while there are faults, and how often of 102."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The provider accepted a message for good."""

    message_id: str
    person: str
    at_ms: int


class Provider:
    """The provider's side: what it accepted, whatever became of the answer."""

    def __init__(self, loop: VirtualLoop, random: Random, *, remembers_ids: bool) -> None:
        self.taken: list[Taken] = []
        self.calls = 0
        self.faulty = True
        self._loop = loop
        self._random = random
        self._ids: set[str] | None = set() if remembers_ids else None

    def behaviour(self) -> str:
        """How the next call goes."""
        self.calls += 1
        if not self.faulty:
            return "fine"
        return self._random.choices(list(BEHAVIOURS), list(BEHAVIOURS.values()))[0]

    def latency_ms(self) -> int:
        """How long a usual answer takes."""
        return self._random.randrange(5, 400)

    def accept_after(self, delay_ms: int, message: OutgoingMessage) -> None:
        """The request is on its way: it is accepted whether or not the caller lives to hear of it."""
        self._loop.at(self._loop.now_ms + delay_ms, lambda: self._accept(message))

    def _accept(self, message: OutgoingMessage) -> None:
        if self._ids is not None:
            if message.id in self._ids:
                return
            self._ids.add(message.id)
        self.taken.append(Taken(message.id, message.person, self._loop.now_ms))


class FaultyChannel:
    """The channel ``email`` towards the provider. ``on_call`` is told of each call before it leaves."""

    name: ClassVar[str] = "email"
    idempotent: ClassVar[bool] = False
    on_unknown: ClassVar[OnUnknown] = "at_most_once"
    provider: ClassVar[str] = "smtp"
    limits: ClassVar[Limits] = Limits()

    def __init__(self, provider: Provider) -> None:
        self.on_call: Callable[[], None] = _nothing
        self._provider = provider

    async def deliver(self, message: OutgoingMessage) -> DeliveryResult:
        """Try once."""
        provider = self._provider
        behaviour, latency_ms = provider.behaviour(), provider.latency_ms()
        self.on_call()
        match behaviour:
            case "fine" | "slow":
                latency_ms *= 1 if behaviour == "fine" else 60
                provider.accept_after(latency_ms // 2, message)
                await asyncio.sleep(latency_ms / 1000)
                return Accepted(f"p-{message.id[:8]}", 100)
            case "hangs" | "accepted_and_hangs":
                if behaviour == "accepted_and_hangs":
                    provider.accept_after(latency_ms, message)
                await asyncio.sleep(DEADLINE_MS / 1000)
                return Unknown("timeout")
            case "answer_lost":
                provider.accept_after(latency_ms // 2, message)
                await asyncio.sleep(latency_ms / 1000)
                return Unknown("connection_lost")
        await asyncio.sleep(latency_ms / 1000)
        return _declined(behaviour)

    async def close(self) -> None:
        """Nothing is held open."""


class HookChannel(FaultyChannel):
    """The same over ``webhook``: another system takes calls as the provider takes messages."""

    name: ClassVar[str] = "webhook"
    provider: ClassVar[str] = "webhook"


class PatientChannel(FaultyChannel):
    """The same towards a provider that sends each message id once: what is unknown is tried again."""

    idempotent: ClassVar[bool] = True
    on_unknown: ClassVar[OnUnknown] = "at_least_once"


def _nothing() -> None:
    """Nobody wants to know of calls."""


def _declined(behaviour: str) -> DeliveryResult:
    """Answers that say for certain that nothing was sent."""
    match behaviour:
        case "refused":
            return Refused("mailbox_unknown", "hard")
        case "throttled":
            return RetryAfter(5_000, "http_429")
        case "unavailable":
            return RetryAfter(0, "http_503")
        case "misconfigured":
            return Misconfigured("http_401")
    raise RuntimeError("a bug in the adapter")
