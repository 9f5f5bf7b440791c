"""Signed webhooks to any receiver, as Standard Webhooks describes them (standardwebhooks.com)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from standardwebhooks.webhooks import Webhook

from workers.core.templates.webhooks import RenderedWebhook
from workers.errors import Misconfigured as MisconfiguredError
from workers.senders.channels.base import Accepted, DeliveryResult, OutgoingMessage, Refused
from workers.senders.channels.over_http import HttpChannel, call
from workers.senders.connections import StandardConnection
from workers.senders.http.answers import by_status
from workers.senders.http.client import Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workers.clock import Clock
    from workers.senders.http.client import HttpClient

_GONE = 410


def signed_headers(message_id: str, body: bytes, secrets: Sequence[str], now_ms: int) -> dict[str, str]:
    """The three headers of a signed webhook; one signature for each secret, so that secrets can be rotated.

    ``webhook-id`` is the message's id at every attempt: a receiver drops those that it has had.
    """
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    signatures = [Webhook(secret).sign(message_id, at, body.decode()) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now_ms // 1000),
        "webhook-signature": " ".join(signatures),
    }


def document_of(message: OutgoingMessage) -> RenderedWebhook:
    """The rendered webhook of a message; anything else would be a bug of ours."""
    assert isinstance(message.content, RenderedWebhook), "a webhook renders a webhook template"
    return message.content


class StandardWebhook(HttpChannel[StandardConnection]):
    """Calls one receiver. It can tell a repeat by ``webhook-id``, so what is unknown is called again."""

    provider = "webhook"
    idempotent = True
    on_unknown = "at_least_once"

    def __init__(self, connection: StandardConnection, client: HttpClient, clock: Clock) -> None:
        super().__init__(connection, client, clock)
        self._secrets = [one.get_secret_value() for one in connection.secrets]
        try:
            signed_headers("check", b"{}", self._secrets, 0)
        except Exception:  # noqa: BLE001 - whatever the library raises, the secret is not usable
            raise MisconfiguredError("a webhook's secret is whsec_ and base64") from None

    async def _attempt(self, message: OutgoingMessage) -> DeliveryResult:
        content = document_of(message)
        now_ms = self._clock.now_ms()
        body = msgspec.json.encode(content.document)
        headers: Mapping[str, str] = {
            **{name: value.get_secret_value() for name, value in self._connection.headers.items()},
            **content.headers,
            "Content-Type": "application/json",
            **signed_headers(message.id, body, self._secrets, now_ms),
        }
        request = Request(
            "POST",
            self._connection.url.get_secret_value(),
            headers,
            body,
            self._connection.redirects,
            self._connection.deadline_s,
        )
        answer = await call(self._client, request)
        if 200 <= answer.status < 300:  # noqa: PLR2004 - RFC 9110
            return Accepted(None)
        if answer.status == _GONE:
            # Standard Webhooks: the receiver wants no more of these.
            return Refused("http_410", "hard")
        return by_status(answer.status, answer.headers, now_ms)
