"""Push notifications: one message to each of a person's devices, and one result of all.

What became of each device is kept between attempts by its mark, so that no device has a message twice.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from workers.core.devices import mark_of, read_address
from workers.core.templates.mobile import RenderedPush
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    News,
    OutgoingMessage,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.channels.fcm import Fcm
from workers.senders.channels.over_http import HttpChannel
from workers.senders.channels.web_push import WebPush
from workers.senders.ledger import SENT_MARK
from workers.senders.mobile_connections import PushConnection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.clock import Clock
    from workers.core.devices import DeviceType
    from workers.senders.http.client import HttpClient

NO_SERVICE: Final = Refused("push_no_service", "soft")
"""The settings have no service for this kind of device."""


class Service(Protocol):
    """A push service: one call for one device. ``news.dead`` says that the device is no more."""

    async def deliver(self, message: OutgoingMessage, content: RenderedPush, token: str) -> DeliveryResult:
        """Try once."""
        ...


class Push(HttpChannel[PushConnection]):
    """Sends to all devices at once. Push services take no idempotency key: what is lost is left alone.

    A device that has the message counts: the message is sent. Where none has it, the worst that can be put
    right decides: what passes is tried again, for the devices that are left.
    """

    name: ClassVar[str] = "push"
    provider = "push"
    idempotent = False
    on_unknown = "at_most_once"

    def __init__(self, connection: PushConnection, client: HttpClient, clock: Clock) -> None:
        super().__init__(connection, client, clock)
        self._services: dict[DeviceType, Service] = {}
        if connection.fcm is not None:
            fcm = Fcm(connection.fcm, connection.deadline_s, client, clock)
            self._services |= {"android": fcm, "ios": fcm}
        if connection.web is not None:
            self._services["web"] = WebPush(connection.web, connection.deadline_s, client, clock)

    async def _attempt(self, message: OutgoingMessage) -> DeliveryResult:
        # Each device that is not done with once.
        content = message.content
        assert isinstance(content, RenderedPush), "a push renders a push template"
        left = [
            (kind, token) for kind, token in read_address(message.to) if mark_of(token) not in message.done
        ]
        results = await asyncio.gather(*(self._one(message, content, kind, token) for kind, token in left))
        return merged(
            [(mark_of(token), result) for (_, token), result in zip(left, results, strict=True)],
            sent_before=SENT_MARK in message.done,
        )

    async def _one(
        self, message: OutgoingMessage, content: RenderedPush, kind: DeviceType, token: str
    ) -> DeliveryResult:
        service = self._services.get(kind)
        return NO_SERVICE if service is None else await service.deliver(message, content, token)


def merged(results: Sequence[tuple[str, DeliveryResult]], *, sent_before: bool = False) -> DeliveryResult:
    """One result of all devices'. Devices that may have the message are done with, as those that never will.

    While some are to be tried again, the message is. ``sent_before``: a device had it in an attempt before.
    """
    by_kind: dict[type, list[DeliveryResult]] = {}
    for _, result in results:
        by_kind.setdefault(type(result), []).append(result)
    accepted = [one for one in by_kind.get(Accepted, ()) if isinstance(one, Accepted)]
    again = [one for one in by_kind.get(RetryAfter, ()) if isinstance(one, RetryAfter)]
    waiting = [one for one in by_kind.get(Misconfigured, ()) if isinstance(one, Misconfigured)]
    has_it = bool(accepted) or sent_before
    done = tuple(mark for mark, one in results if isinstance(one, Accepted | Refused | Unknown))
    if has_it:
        done = (*done, SENT_MARK)
    gone = tuple(mark for mark, one in results if one.news.dead)
    news = News(done=done, gone=gone)
    if again:
        slowest = max(again, key=lambda one: (one.about == "rate", one.delay_ms))
        return RetryAfter(slowest.delay_ms, slowest.reason, slowest.about, news=news)
    if has_it:
        name = next((one.provider_message_id for one in accepted), None)
        return Accepted(name, sum(one.cost_micros for one in accepted), news=news)
    if waiting:
        return Misconfigured(waiting[0].reason, waiting[0].about, news=news)
    unknown = [one for one in by_kind.get(Unknown, ()) if isinstance(one, Unknown)]
    if unknown:
        return Unknown(unknown[0].reason, news=news)
    refused = [one for one in by_kind.get(Refused, ()) if isinstance(one, Refused)]
    if refused:
        return Refused(refused[0].reason, refused[0].bounce, news=news)
    return Refused("push_no_device", "soft", news=news)
