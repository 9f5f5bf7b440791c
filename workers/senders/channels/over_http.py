"""What channels over HTTP have in common: a connection of the file, one shared client, and how a try ends."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from workers.senders.channels.base import (
    DeliveryResult,
    OnUnknown,
    OutgoingMessage,
    RetryAfter,
    Stopped,
    Unknown,
)
from workers.senders.connection_base import BaseConnection
from workers.senders.http.answers import RETRY_MS, no_answer
from workers.senders.http.client import NoAnswer

if TYPE_CHECKING:
    from workers.clock import Clock
    from workers.senders.http.client import Answer, HttpClient, Request

C = TypeVar("C", bound=BaseConnection)
"""The connection of a provider, with its secrets."""


class HttpChannel(Generic[C]):
    """One connection to one provider over the client that all connections share.

    See :class:`workers.senders.channels.base.Channel`. A subclass tries once in :meth:`_attempt`.
    """

    name: ClassVar[str] = "webhook"
    provider: ClassVar[str]
    idempotent: ClassVar[bool]
    on_unknown: ClassVar[OnUnknown]

    def __init__(self, connection: C, client: HttpClient, clock: Clock) -> None:
        self.limits = connection.limits
        self._connection = connection
        self._client = client
        self._clock = clock

    async def deliver(self, message: OutgoingMessage) -> DeliveryResult:
        """Try once. Raises only for bugs and cancellation."""
        try:
            return await self._attempt(message)
        except Stopped as stopped:
            return stopped.result

    @abstractmethod
    async def _attempt(self, message: OutgoingMessage) -> DeliveryResult:
        """Try once; may raise :class:`Stopped`."""

    async def close(self) -> None:
        """The client is closed by who made it."""


async def call(client: HttpClient, request: Request, *, sends: bool = True) -> Answer:
    """The answer, of whatever status. ``sends`` False: a login, after which nothing can have been sent.

    Raises:
        Stopped: none came.
    """
    try:
        return await client.call(request)
    except NoAnswer as failure:
        result = no_answer(failure)
        if not sends and isinstance(result, Unknown):
            result = RetryAfter(RETRY_MS, result.reason, "provider")
        raise Stopped(result) from None
