"""Signed tokens for links and feeds: who holds one may do exactly one thing for one person.

A token is ``base64url(payload).base64url(hmac_sha256(key, purpose, payload))``. The payload is a JSON
array, so no two sets of fields have the same bytes; the purpose is signed too, so a feed token never
unsubscribes anybody.
The payload is readable by its holder: it holds the person's id and nothing else about them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

import msgspec

from workers.errors import Misconfigured

_UNSUBSCRIBE = b"brimful/unsubscribe/1"
_FEED = b"brimful/feed/1"
_LONGEST = 4096
"""Characters of a token that are looked at."""

KEY_BYTES_LEAST = 32
"""A shorter key than the digest would weaken it (RFC 2104, section 3)."""


@dataclass(frozen=True, slots=True)
class UnsubscribeClaim:
    """Whom to unsubscribe, and which message made them ask. ``journey`` is None where none is known."""

    person: str
    message_id: str
    journey: str | None


def make_unsubscribe_token(key: bytes, person: str, message_id: str, journey: str | None = None) -> str:
    """A token for ``/u/{token}``. It does not expire: a person may unsubscribe by a message of any age."""
    return _sign(key, _UNSUBSCRIBE, msgspec.json.encode([person, message_id, journey]))


def read_unsubscribe_token(key: bytes, token: str) -> UnsubscribeClaim | None:
    """What the token says, or None if it is not ours. Takes the same time for every wrong signature."""
    payload = _verify(key, _UNSUBSCRIBE, token)
    if payload is None:
        return None
    person, message_id, journey = msgspec.json.decode(payload, type=tuple[str, str, str | None])
    return UnsubscribeClaim(person, message_id, journey)


def make_feed_token(key: bytes, person: str, expires_ms: int) -> str:
    """A token with which ``person`` may read their in-app feed until ``expires_ms`` (excluded)."""
    return _sign(key, _FEED, msgspec.json.encode([person, expires_ms]))


def read_feed_token(key: bytes, token: str, now_ms: int) -> tuple[str, int] | None:
    """Person and expiry of a feed token, or None if it is not ours or expired."""
    payload = _verify(key, _FEED, token)
    if payload is None:
        return None
    person, expires_ms = msgspec.json.decode(payload, type=tuple[str, int])
    return (person, expires_ms) if now_ms < expires_ms else None


def check_key(key: bytes, name: str) -> None:
    """Refuse a signing key that is too short to protect anything."""
    if len(key) < KEY_BYTES_LEAST:
        raise Misconfigured(f"{name} must be at least {KEY_BYTES_LEAST} bytes long, not {len(key)}")


def _sign(key: bytes, purpose: bytes, payload: bytes) -> str:
    check_key(key, "the token signing key")
    return f"{_encode(payload)}.{_encode(_signature(key, purpose, payload))}"


def _verify(key: bytes, purpose: bytes, token: str) -> bytes | None:
    if len(token) > _LONGEST or not token.isascii():
        return None
    first, _, second = token.partition(".")
    try:
        payload, signature = _decode(first), _decode(second)
    except (binascii.Error, ValueError):
        return None
    good = hmac.compare_digest(signature, _signature(key, purpose, payload))
    return payload if good else None


def _signature(key: bytes, purpose: bytes, payload: bytes) -> bytes:
    # The length of the purpose is signed, so purpose and payload cannot be cut differently.
    return hmac.digest(key, len(purpose).to_bytes(2, "big") + purpose + payload, hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
