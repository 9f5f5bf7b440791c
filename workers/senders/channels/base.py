"""What every channel promises: a rendered message goes in, and one of five results comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from workers.core.templates.render import RenderedContent
    from workers.senders.limits import Limits

OnUnknown: TypeAlias = Literal["at_most_once", "at_least_once"]
"""What to do when it cannot be known whether a message was sent: leave it, or send it again."""

Bounce: TypeAlias = Literal["hard", "soft"]
"""``hard``: the address is no good, now and later. ``soft``: this message was refused; another may pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A message ready to leave. ``id`` is its idempotency key: the same at every attempt.

    ``to`` is the channel's address of the person and personal data: it is never logged, nor part of a
    result. ``unsubscribe_url`` and ``tags`` are used by the channels that have a place for them. ``attempt``
    counts from 1; from 2 on an earlier attempt may have been taken without our knowing.
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
    account: str | None = None
    attempt: int = 1
    region: str | None = None
    """Where the person is (ISO 3166), as far as their traits say."""

    done: tuple[str, ...] = ()
    """Of a message that goes to several devices, those that are done with: see :class:`News`."""


@dataclass(frozen=True, slots=True)
class News:
    """What a provider's answer tells beside what became of the message. Empty where it tells nothing.

    ``opted_out``: the person has taken their consent to the channel back. ``dead``: the address is no good,
    now and later. ``number`` is the telephone number, as E.164, that the message went to: personal data.
    ``done`` are marks of the devices that have the message, or never will; ``gone`` of those that exist no
    more.
    """

    opted_out: bool = False
    dead: bool = False
    number: str | None = field(default=None, repr=False)
    done: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


NO_NEWS: Final = News()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What all results have."""

    news: News = NO_NEWS


@dataclass(frozen=True, slots=True)
class Accepted(Result):
    """The provider took the message. ``provider_message_id`` is the name it gave to it, if any."""

    provider_message_id: str | None
    cost_micros: int = 0
    """Price in millionths of the account's currency."""


@dataclass(frozen=True, slots=True)
class RetryAfter(Result):
    """Certainly not sent; the same message may pass after ``delay_ms``. The caller adds jitter and counts.

    ``about`` says what the refusal is of: this ``message`` alone; the ``provider``, which fails; or the
    ``rate``: the provider told to send nothing for so long.
    """

    delay_ms: int
    reason: str
    about: Literal["message", "provider", "rate"] = "message"


@dataclass(frozen=True, slots=True)
class Refused(Result):
    """Certainly not sent, and the same message never will be."""

    reason: str
    bounce: Bounce


@dataclass(frozen=True, slots=True)
class Misconfigured(Result):
    """Certainly not sent, and not to be sent until a person changes the configuration.

    Operator action: ``reason`` says what the provider rejected. The message itself is fine; keep it.
    ``about`` says what waits for it: every message of the ``provider``, or ``message`` and others like it.
    """

    reason: str
    about: Literal["message", "provider"] = "provider"


@dataclass(frozen=True, slots=True)
class Unknown(Result):
    """Whether the message was sent cannot be known; the channel's ``on_unknown`` says what follows."""

    reason: str


DeliveryResult: TypeAlias = Accepted | RetryAfter | Refused | Misconfigured | Unknown
"""Closed: match over it with ``assert_never``. A ``reason`` is a short code without personal data."""


class Stopped(Exception):
    """Ends a delivery from within, with its result."""

    def __init__(self, result: DeliveryResult) -> None:
        super().__init__()
        self.result = result

    def __reduce__(self) -> tuple[type[Stopped], tuple[DeliveryResult]]:
        return (Stopped, (self.result,))


class Channel(Protocol):
    """One way out: one connection to one provider. Safe for concurrent calls of :meth:`deliver`."""

    name: ClassVar[str]
    """As in ``messages.<name>``."""

    @property
    def provider(self) -> str:
        """Who delivers, as deliveries and metrics name it."""
        ...

    @property
    def limits(self) -> Limits:
        """What the connection bears."""
        ...

    @property
    def idempotent(self) -> bool:
        """Whether the provider takes the message's id and sends the same id once only."""
        ...

    @property
    def on_unknown(self) -> OnUnknown:
        """What to do about a message of which nobody knows whether it was sent."""
        ...

    async def deliver(self, message: OutgoingMessage) -> DeliveryResult:
        """Try once, within the channel's deadline. Raises only for bugs and cancellation.

        After a cancellation it cannot be known whether the message was sent: treat it as :class:`Unknown`.
        """
        ...

    async def close(self) -> None:
        """Let go of all connections. Idempotent; no delivery is begun afterwards."""
        ...
