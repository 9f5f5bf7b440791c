"""Signed tokens for links and feeds: who holds one may do exactly one thing for one person.

A token is ``base64url(payload).base64url(hmac_sha256(key, purpose, payload))``. The payload is a JSON
array, so no two sets of fields have the same bytes; the purpose is signed too, so a feed token never
unsubscribes anybody.
The payload is readable by its holder: it holds the person's id and nothing else about them.

Readers take one key or several, so that a key can be rolled: the first signs, all are good.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNSUBSCRIBE = b"brimful/unsubscribe/1"
_FEED = b"brimful/feed/1"
_LINK = b"brimful/link/1"
_OPEN = b"brimful/open/1"
_PREFERENCES = b"brimful/preferences/1"
_CALLBACK = b"brimful/callback/1"
_CONSOLE = b"brimful/console/1"
_LONGEST = 4096
"""Characters of a token that are looked at."""

Keys: TypeAlias = "bytes | Sequence[bytes]"
"""The key that signs, or several that were or will be used to."""

KEY_BYTES_LEAST = 32
"""A shorter key than the digest would weaken it (RFC 2104, section 3)."""


@dataclass(frozen=True, slots=True)
class UnsubscribeClaim:
    """Whom to unsubscribe, and which message made them ask. ``journey`` is None where none is known."""

    person: str
    message_id: str
    journey: str | None


@dataclass(frozen=True, slots=True)
class MessageClaim:
    """One message to one person, as its links, its pixel and its provider's callbacks name it."""

    person: str
    message_id: str
    journey: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class LinkClaim:
    """Where a link of a message leads. ``index`` counts the message's links from 0.

    ``sent_ms`` is when the link was made; from ``expires_ms`` on it counts no more.
    """

    message: MessageClaim
    index: int
    url: str
    sent_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class OpenClaim:
    """The pixel of a message; see :class:`LinkClaim`."""

    message: MessageClaim
    sent_ms: int
    expires_ms: int


def make_link_token(key: bytes, claim: LinkClaim) -> str:
    """A token for ``/l/{token}``."""
    said = [*_flat(claim.message), claim.index, claim.url, claim.sent_ms, claim.expires_ms]
    return _sign(key, _LINK, msgspec.json.encode(said))


def read_link_token(keys: Keys, token: str) -> LinkClaim | None:
    """What the token says, expired or not; None if it is not ours."""
    payload = _verify(keys, _LINK, token)
    if payload is None:
        return None
    person, message_id, journey, step, index, url, sent_ms, expires_ms = msgspec.json.decode(
        payload, type=tuple[str, str, str | None, str | None, int, str, int, int]
    )
    return LinkClaim(MessageClaim(person, message_id, journey, step), index, url, sent_ms, expires_ms)


def make_open_token(key: bytes, claim: OpenClaim) -> str:
    """A token for ``/o/{token}.gif``."""
    said = [*_flat(claim.message), claim.sent_ms, claim.expires_ms]
    return _sign(key, _OPEN, msgspec.json.encode(said))


def read_open_token(keys: Keys, token: str) -> OpenClaim | None:
    """What the token says, expired or not; None if it is not ours."""
    payload = _verify(keys, _OPEN, token)
    if payload is None:
        return None
    person, message_id, journey, step, sent_ms, expires_ms = msgspec.json.decode(
        payload, type=tuple[str, str, str | None, str | None, int, int]
    )
    return OpenClaim(MessageClaim(person, message_id, journey, step), sent_ms, expires_ms)


def make_preferences_token(key: bytes, person: str) -> str:
    """A token for ``/p/{token}``. It does not expire, as that to unsubscribe does not."""
    return _sign(key, _PREFERENCES, msgspec.json.encode([person]))


def read_preferences_token(keys: Keys, token: str) -> str | None:
    """The person whose preferences the token opens, or None if it is not ours."""
    payload = _verify(keys, _PREFERENCES, token)
    return None if payload is None else msgspec.json.decode(payload, type=tuple[str])[0]


def make_callback_token(key: bytes, claim: MessageClaim) -> str:
    """A token that a provider hands back with what became of a message, in the callback's address."""
    return _sign(key, _CALLBACK, msgspec.json.encode(_flat(claim)))


def read_callback_token(keys: Keys, token: str) -> MessageClaim | None:
    """The message that a provider's callback is about, or None if the token is not ours."""
    payload = _verify(keys, _CALLBACK, token)
    if payload is None:
        return None
    return MessageClaim(*msgspec.json.decode(payload, type=tuple[str, str, str | None, str | None]))


def _flat(claim: MessageClaim) -> list[str | None]:
    return [claim.person, claim.message_id, claim.journey, claim.step]


def make_unsubscribe_token(key: bytes, person: str, message_id: str, journey: str | None = None) -> str:
    """A token for ``/u/{token}``. It does not expire: a person may unsubscribe by a message of any age."""
    return _sign(key, _UNSUBSCRIBE, msgspec.json.encode([person, message_id, journey]))


def read_unsubscribe_token(keys: Keys, token: str) -> UnsubscribeClaim | None:
    """What the token says, or None if it is not ours. Takes the same time for every wrong signature."""
    payload = _verify(keys, _UNSUBSCRIBE, token)
    if payload is None:
        return None
    person, message_id, journey = msgspec.json.decode(payload, type=tuple[str, str, str | None])
    return UnsubscribeClaim(person, message_id, journey)


def make_feed_token(key: bytes, person: str, expires_ms: int) -> str:
    """A token with which ``person`` may read their in-app feed until ``expires_ms`` (excluded)."""
    return _sign(key, _FEED, msgspec.json.encode([person, expires_ms]))


def read_feed_token(keys: Keys, token: str, now_ms: int) -> tuple[str, int] | None:
    """Person and expiry of a feed token, or None if it is not ours or expired."""
    payload = _verify(keys, _FEED, token)
    if payload is None:
        return None
    person, expires_ms = msgspec.json.decode(payload, type=tuple[str, int])
    return (person, expires_ms) if now_ms < expires_ms else None


def make_console_token(key: bytes, name: str, digits: str, expires_ms: int) -> str:
    """A cookie for the console: whose API key, told by the beginning of its digest, until ``expires_ms``."""
    return _sign(key, _CONSOLE, msgspec.json.encode([name, digits, expires_ms]))


def read_console_token(keys: Keys, token: str, now_ms: int) -> tuple[str, str] | None:
    """Name and digits of a console's cookie, or None if it is not ours or expired."""
    payload = _verify(keys, _CONSOLE, token)
    if payload is None:
        return None
    name, digits, expires_ms = msgspec.json.decode(payload, type=tuple[str, str, int])
    return (name, digits) if now_ms < expires_ms else None


def check_key(key: bytes, name: str) -> None:
    """Refuse a signing key that is too short to protect anything."""
    if len(key) < KEY_BYTES_LEAST:
        raise Misconfigured(f"{name} must be at least {KEY_BYTES_LEAST} bytes long, not {len(key)}")


def _sign(key: bytes, purpose: bytes, payload: bytes) -> str:
    check_key(key, "the token signing key")
    return f"{_encode(payload)}.{_encode(_signature(key, purpose, payload))}"


def _verify(keys: Keys, purpose: bytes, token: str) -> bytes | None:
    if len(token) > _LONGEST or not token.isascii():
        return None
    first, _, second = token.partition(".")
    try:
        payload, signature = _decode(first), _decode(second)
    except (binascii.Error, ValueError):
        return None
    good = False
    for key in (keys,) if isinstance(keys, bytes) else keys:
        # Every key is compared: the time taken does not tell which one was near.
        good |= hmac.compare_digest(signature, _signature(key, purpose, payload))
    return payload if good else None


def _signature(key: bytes, purpose: bytes, payload: bytes) -> bytes:
    # The length of the purpose is signed, so purpose and payload cannot be cut differently.
    return hmac.digest(key, len(purpose).to_bytes(2, "big") + purpose + payload, hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
