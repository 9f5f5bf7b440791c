"""The e-mail channel over SMTP."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from workers.senders.channels.base import Accepted, DeliveryResult, OnUnknown, OutgoingMessage, Refused
from workers.senders.channels.email_message import (
    BadAddress,
    Sender,
    build_email,
    check_address,
    envelope_from,
)
from workers.senders.channels.mime import BadHeader
from workers.senders.channels.smtp_answers import Phase, lost
from workers.senders.channels.smtp_pool import Connection, NotDelivered, SmtpPool, SmtpSettings
from workers.senders.limits import Limits

if TYPE_CHECKING:
    from workers.clock import Clock
    from workers.mail.dkim import Signer

SMTP_LIMITS = Limits(calls_at_once=64, waiting_max=256)
"""The topic keeps what the mail server does not take as fast: it is the only one that mails wait for."""

_QUEUED = re.compile(r"queued as ([A-Za-z0-9._-]{1,64})", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EmailChannel:
    """Delivers :class:`RenderedEmail` contents over a pool of SMTP connections.

    SMTP knows no idempotency keys, so an unknown outcome is left alone: a mail too few is a smaller harm
    than the same mail twice. The Message-ID is made of the message's id all the same, so that receivers
    and a person who looks into it can tell a repeat.
    """

    name: ClassVar[str] = "email"
    provider = "smtp"
    idempotent = False
    on_unknown: OnUnknown = "at_most_once"

    def __init__(
        self,
        settings: SmtpSettings,
        sender: Sender,
        clock: Clock,
        limits: Limits = SMTP_LIMITS,
        signer: Signer | None = None,
    ) -> None:
        self.limits = limits
        self._settings = settings
        self._sender = sender
        self._clock = clock
        self._signer = signer
        self._pool = SmtpPool(settings)

    async def deliver(self, message: OutgoingMessage) -> DeliveryResult:
        """Try once. Certain results are certain: ``RetryAfter`` and ``Refused`` were not sent."""
        try:
            to = check_address(message.to)
        except BadAddress as error:
            return Refused(str(error), "hard")
        now_ms = self._clock.now_ms()
        try:
            mail = build_email(message, self._sender, to, _EPOCH + timedelta(milliseconds=now_ms))
        except BadHeader as error:
            return Refused(str(error), "soft")
        if self._signer is not None:
            mail = self._signer.sign(mail, now_ms // 1000)
        envelope = _Envelope(envelope_from(message, self._sender), to, mail)
        attempt = _Attempt()
        try:
            async with asyncio.timeout(self._settings.deadline_ms / 1000):
                return await self._converse(attempt, envelope)
        except TimeoutError:
            return lost(attempt.phase, "timeout")

    async def _converse(self, attempt: _Attempt, envelope: _Envelope) -> DeliveryResult:
        """Send, with a second try on a new connection where the first was found closed before the mail."""
        for fresh in (False, True):
            try:
                await self._send(attempt, envelope, fresh=fresh)
            except NotDelivered as failure:
                if not failure.stale or fresh:
                    return failure.result
            else:
                break
        return Accepted(attempt.provider_message_id, self._settings.cost_micros)

    async def _send(self, attempt: _Attempt, envelope: _Envelope, *, fresh: bool) -> None:
        async with self._pool.connection(fresh=fresh) as connection:
            attempt.connection = connection
            if not connection.fit:
                await connection.open()
            answer = await connection.send(envelope.sender, envelope.to, envelope.mail)
            attempt.provider_message_id = _queue_id(answer)

    async def close(self) -> None:
        """Close the connections; those in use close when their mail is done."""
        await self._pool.close()


def _queue_id(answer: str) -> str | None:
    """The name that most servers give a mail they took (``queued as 4F2A1``); None where it is not told."""
    found = _QUEUED.search(answer)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class _Envelope:
    """A mail, and the addresses that the mail server is told."""

    sender: str
    to: str
    mail: bytes


class _Attempt:
    """How far one delivery has come, to be read after it was cut off."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.provider_message_id: str | None = None

    @property
    def phase(self) -> Phase:
        return self.connection.phase if self.connection is not None else "connect"
