"""Push to browsers: Web Push (RFC 8030), encrypted (RFC 8291), signed by VAPID (RFC 8292)."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from workers.errors import Misconfigured as MisconfiguredError
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    News,
    Refused,
    RetryAfter,
)
from workers.senders.http.answers import by_status, no_answer
from workers.senders.http.client import HttpClient, NoAnswer, NotCalled, Request

if TYPE_CHECKING:
    from workers.clock import Clock
    from workers.core.templates.mobile import RenderedPush
    from workers.senders.channels.base import OutgoingMessage
    from workers.senders.mobile_connections import WebPushSettings

PLAIN_MAX_BYTES: Final = 3_993
"""What encrypts to 4,096 bytes, the most that a push service has to take (RFC 8291, 4; RFC 8030, 7.2)."""

TTL_DEFAULT_S: Final = 28 * 86_400
TOKEN_S: Final = 12 * 3_600
"""Life of a VAPID token; a day is the most (RFC 8292, 2). A new one is made when half of it is over."""

TOKENS_MAX: Final = 100
_GONE: Final = frozenset({404, 410})
_TOO_LARGE: Final = 413
_LOGIN: Final = frozenset({401, 403})
_NO_SUBSCRIPTION: Final = Refused("web_push_subscription", "hard", news=News(dead=True))


class Keys(msgspec.Struct, frozen=True):
    """Of a subscription: its public key and secret, in base64url."""

    p256dh: str
    auth: str


class Subscription(msgspec.Struct, frozen=True):
    """What ``PushSubscription.toJSON()`` gives in a browser."""

    endpoint: str
    keys: Keys


_READ: Final = msgspec.json.Decoder(Subscription)


class WebPush:
    """Sends to one subscription at a time. Push services have no idempotency key.

    Subscriptions are of many services: what one of them answers says nothing of the others.
    """

    def __init__(
        self, settings: WebPushSettings, deadline_s: float, client: HttpClient, clock: Clock
    ) -> None:
        self._contact = settings.contact
        self._key: Any = _private_key(settings.private_key.get_secret_value())
        self._public = _encoded(_point(self._key.public_key()))
        self._deadline_s = deadline_s
        self._client = client
        self._clock = clock
        self._tokens: dict[str, tuple[str, int]] = {}

    async def deliver(self, message: OutgoingMessage, content: RenderedPush, token: str) -> DeliveryResult:
        """Try once."""
        plain = msgspec.json.encode(document_of(message.id, content))
        if len(plain) > PLAIN_MAX_BYTES:
            return Refused("web_push_too_large", "soft")
        try:
            subscription = _READ.decode(token)
            body = encrypt(plain, subscription)
        except (msgspec.DecodeError, ValueError):
            return _NO_SUBSCRIPTION
        now_ms = self._clock.now_ms()
        ttl_s = TTL_DEFAULT_S if content.ttl_ms is None else content.ttl_ms // 1000
        headers = {
            "TTL": str(ttl_s),
            "Urgency": content.priority,
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "Authorization": self._vapid(subscription.endpoint, now_ms),
        }
        if content.collapse_key is not None:
            headers["Topic"] = content.collapse_key
        request = Request("POST", subscription.endpoint, headers, body, 0, self._deadline_s)
        try:
            answer = await self._client.call(request)
        except NotCalled:
            return _NO_SUBSCRIPTION  # an address inside the network, or none: no push service is there
        except NoAnswer as failure:
            return _of_this_one(no_answer(failure))
        return self._read(answer.status, answer.headers, now_ms)

    def _read(self, status: int, headers: Any, now_ms: int) -> DeliveryResult:
        if 200 <= status < 300:  # noqa: PLR2004 - RFC 9110
            return Accepted(headers.get("location"))
        if status in _GONE:
            return Refused(f"http_{status}", "hard", news=News(dead=True))
        if status == _TOO_LARGE:
            return Refused("web_push_too_large", "soft")
        if status in _LOGIN:
            return Misconfigured("web_push_vapid", "message")
        return _of_this_one(by_status(status, headers, now_ms))

    def _vapid(self, endpoint: str, now_ms: int) -> str:
        """The header for the service of an endpoint; its signed token is used again for hours."""
        parts = urlsplit(endpoint)
        origin = f"{parts.scheme}://{parts.netloc}"
        held, until_ms = self._tokens.get(origin, ("", 0))
        if until_ms <= now_ms:
            if len(self._tokens) >= TOKENS_MAX:
                self._tokens.clear()
            claims = {"aud": origin, "exp": now_ms // 1000 + TOKEN_S, "sub": self._contact}
            held = _jwt().encode(claims, self._key, algorithm="ES256")
            self._tokens[origin] = (held, now_ms + TOKEN_S * 500)
        return f"vapid t={held},k={self._public}"


def document_of(name: str, content: RenderedPush) -> dict[str, Any]:
    """What the page's service worker reads; what is absent is left out."""
    values = {
        "id": name,
        "title": content.title,
        "body": content.body,
        "url": content.url,
        "image": content.image,
        "tag": content.collapse_key,
        "data": dict(content.data) or None,
    }
    return {key: value for key, value in values.items() if value is not None}


def encrypt(plain: bytes, subscription: Subscription) -> bytes:
    """The body for a subscription, with a key pair of this message alone; ValueError for bad keys."""
    try:
        import http_ece  # noqa: PLC0415 - an extra that only push needs
    except ImportError:
        raise MisconfiguredError("push needs `pip install brimful[push]`") from None
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - comes with the extra

    try:
        body: bytes = http_ece.encrypt(
            plain,
            private_key=ec.generate_private_key(ec.SECP256R1()),
            dh=_decoded(subscription.keys.p256dh),
            auth_secret=_decoded(subscription.keys.auth),
            version="aes128gcm",
        )
    except http_ece.ECEException as error:
        raise ValueError("the keys of the subscription are none") from error
    return body


def _of_this_one(result: DeliveryResult) -> DeliveryResult:
    about: Literal["message"] = "message"
    return replace(result, about=about) if isinstance(result, RetryAfter | Misconfigured) else result


def _jwt() -> Any:
    try:
        import jwt  # noqa: PLC0415 - an extra that only push needs
    except ImportError:
        raise MisconfiguredError("push needs `pip install brimful[push]`") from None
    return jwt


def _private_key(text: str) -> Any:
    """The key in PEM, or its 32 bytes in base64url as other Web Push tools write it."""
    _jwt()
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - comes with the extra
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        if "-----BEGIN" in text:
            key = load_pem_private_key(text.encode(), None)
        else:
            key = ec.derive_private_key(int.from_bytes(_decoded(text.strip()), "big"), ec.SECP256R1())
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise MisconfiguredError("push.web.private_key is no P-256 key in PEM or base64url")
    return key


def _point(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    point: bytes = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return point


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
