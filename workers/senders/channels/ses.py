"""The e-mail channel over Amazon SES, API version 2.

``POST /v2/email/outbound-emails`` with the whole mail, so that headers and signature stay ours. SES gives a
mail its own ``Message-ID`` and ``Date``: a DKIM signature must leave these two out.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

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
from workers.senders.channels.email_message import BadAddress, Sender, build_email, check_address
from workers.senders.channels.mime import BadHeader
from workers.senders.http.answers import RATE_MS, RETRY_AFTER_MAX_MS, by_status, no_answer, retry_after_ms
from workers.senders.http.client import NoAnswer, Request
from workers.senders.http.sigv4 import Credentials, signed_headers

if TYPE_CHECKING:
    from workers.clock import Clock
    from workers.mail.dkim import Signer
    from workers.senders.http.client import Answer, HttpClient
    from workers.senders.limits import Limits

PATH: Final = "/v2/email/outbound-emails"
REPLACED: Final = frozenset({"Message-ID", "Date"})
"""Headers that SES writes itself."""

COST_MICROS: Final = 100
"""0.10 USD for 1,000 mails."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RATE: Final = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling"})
_PAUSED: Final = frozenset(
    {
        "AccountSuspendedException",
        "SendingPausedException",
        "MailFromDomainNotVerifiedException",
        "NotFoundException",
        "AccessDeniedException",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""What a person has to put right: account, sender's domain, configuration set, credentials."""


@dataclass(frozen=True, slots=True)
class SesSettings:
    """One account in one region. ``endpoint`` is the address of the API without a path."""

    region: str
    credentials: Credentials
    configuration_set: str | None = None
    endpoint: str | None = None
    deadline_s: float = 15.0

    @property
    def url(self) -> str:
        """Where mails are posted."""
        return (self.endpoint or f"https://email.{self.region}.amazonaws.com").rstrip("/") + PATH


class SesChannel:
    """Delivers over SES, which knows no idempotency keys: what is unknown is left alone, as over SMTP."""

    name: ClassVar[str] = "email"
    provider = "ses"
    idempotent = False
    on_unknown: OnUnknown = "at_most_once"

    def __init__(
        self,
        settings: SesSettings,
        sender: Sender,
        client: HttpClient,
        clock: Clock,
        limits: Limits,
        signer: Signer | None = None,
    ) -> None:
        self.limits = limits
        self._settings = settings
        self._sender = sender
        self._client = client
        self._clock = clock
        self._signer = signer

    async def deliver(self, message: OutgoingMessage) -> DeliveryResult:
        """Try once. ``RetryAfter`` and ``Refused`` were certainly not sent."""
        now_ms = self._clock.now_ms()
        try:
            to = check_address(message.to)
        except BadAddress as error:
            return Refused(str(error), "hard")
        if not to.isascii():
            return Refused("ses_address_not_ascii", "soft")
        try:
            mail = build_email(message, self._sender, to, _EPOCH + timedelta(milliseconds=now_ms))
        except BadHeader as error:
            return Refused(str(error), "soft")
        if self._signer is not None:
            mail = self._signer.sign(mail, now_ms // 1000)
        try:
            answer = await self._client.call(self._request(mail, to, now_ms))
        except NoAnswer as failure:
            return no_answer(failure)
        return meaning(answer, now_ms)

    def _request(self, mail: bytes, to: str, now_ms: int) -> Request:
        settings = self._settings
        document: dict[str, Any] = {
            "FromEmailAddress": self._sender.address,
            "Destination": {"ToAddresses": [to]},
            "Content": {"Raw": {"Data": base64.b64encode(mail).decode()}},
        }
        if self._sender.return_path is not None:
            document["FeedbackForwardingEmailAddress"] = self._sender.return_path
        if settings.configuration_set is not None:
            document["ConfigurationSetName"] = settings.configuration_set
        body = msgspec.json.encode(document)
        headers = signed_headers(
            "POST",
            settings.url,
            {"Content-Type": "application/json"},
            body,
            credentials=settings.credentials,
            region=settings.region,
            service="ses",
            now_ms=now_ms,
        )
        return Request("POST", settings.url, headers, body, total_s=settings.deadline_s)

    async def close(self) -> None:
        """Close the client, which is this channel's own."""
        await self._client.close()


def meaning(answer: Answer, now_ms: int) -> DeliveryResult:
    """What an answer of SES means, by its status and the name of its error."""
    if answer.status == 200:  # noqa: PLR2004 - the only yes
        document = answer.json()
        name = document.get("MessageId") if isinstance(document, dict) else None
        return Accepted(name, COST_MICROS) if isinstance(name, str) else Unknown("ses_200_without_id")
    error = error_of(answer)
    reason = f"ses_{answer.status}" + (f"_{error}" if error else "")
    if error in _RATE:
        return RetryAfter(retry_after_ms(answer.headers, now_ms, 1_000), reason, "rate")
    if error == "LimitExceededException":
        # The quota of 24 hours slides: some of it is free again each minute.
        return RetryAfter(min(RATE_MS * 10, RETRY_AFTER_MAX_MS), reason, "rate")
    if error in _PAUSED:
        return Misconfigured(reason)
    if error in ("MessageRejected", "BadRequestException"):
        return Refused(reason, "soft")
    return by_status(answer.status, answer.headers, now_ms)


def error_of(answer: Answer) -> str:
    """The name of the error, from the header or the body; empty where none is told."""
    document = answer.json()
    told = answer.headers.get("x-amzn-errortype", "")
    if not told and isinstance(document, dict):
        told = str(document.get("__type", ""))
    name = told.partition(":")[0].rpartition("#")[2]
    return name if name.isalnum() and name.isascii() else ""
