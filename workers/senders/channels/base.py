"""What every channel promises: a rendered message goes in, and one of five results comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from workers.core.render import RenderedContent

OnUnknown: TypeAlias = Literal["at_most_once", "at_least_once"]
"""What to do when it cannot be known whether a message was sent: leave it, or send it again."""

Bounce: TypeAlias = Literal["hard", "soft"]
"""``hard``: the address is no good, now and later. ``soft``: this message was refused; another may pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A message ready to leave. ``id`` is its idempotency key: the same at every attempt.

    ``to`` is the channel's address of the person and personal data: it is never logged, nor part of a
    result. ``unsubscribe_url`` and ``tags`` are used by the channels that have a place for them.
    """

    id: str
    channel: str
    person: str
    content: RenderedContent
    to: str | None = field(default=None, repr=False)
    journey: str = ""
    step: str = ""
    tags: tuple[str, ...] = ()
    unsubscribe_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message. ``provider_message_id`` is the name it gave to it, if any."""

    provider_message_id: str | None
    cost_micros: int = 0
    """Price in millionths of the account's currency."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Certainly not sent; the same message may pass after ``delay_ms``. The caller adds jitter and counts."""

    delay_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Certainly not sent, and the same message never will be."""

    reason: str
    bounce: Bounce


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Certainly not sent, and no message of this channel will be until a person changes the configuration.

    Operator action: ``reason`` says what the provider rejected. The message itself is fine; keep it.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Whether the message was sent cannot be known; the channel's ``on_unknown`` says what follows."""

    reason: str


DeliveryResult: TypeAlias = Accepted | RetryAfter | Refused | Misconfigured | Unknown
"""Closed: match over it with ``assert_never``. A ``reason`` is a short code without personal data."""


class Channel(Protocol):
    """One way out. Safe for concurrent calls of :meth:`deliver`."""

    name: ClassVar[str]
    """As in ``messages.<name>``."""

    idempotent: ClassVar[bool]
    """Whether the provider takes the message's id and sends the same id once only."""

    on_unknown: ClassVar[OnUnknown]

    async def deliver(self, message: OutgoingMessage) -> DeliveryResult:
        """Try once, within the channel's deadline. Raises only for bugs and cancellation.

        After a cancellation it cannot be known whether the message was sent: treat it as :class:`Unknown`.
        """
        ...

    async def close(self) -> None:
        """Let go of all connections. Idempotent; no delivery is begun afterwards."""
        ...
