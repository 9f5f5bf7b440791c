"""How a report of a mail server finds back to its message: a signed claim in a header and in the return path.

Whoever holds a mail can read in it whose it is, as in its unsubscribe link, and can make up no other claim.
The header has everything. The return path is at hand in every bounce, also in those that return no headers,
but a local part has 64 characters at most (RFC 5321, 4.5.3.1.1): it holds message and person where the
person's id is a UUID or short.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER: Final = "X-Brimful-Message"
"""The mail's header that holds the token."""

TOKEN_CHARS_MAX: Final = 900
"""A header line has 998 bytes at most; a longer token is left out."""

_TOKEN = b"brimful/mail/1"
_PATH = b"brimful/return-path/1"
_LOCAL_CHARS_MAX = 64
_MAC_BYTES = 8
"""64 bits: a guess costs a mail each."""

_ID_BYTES = 16
_UUID, _TEXT = b"\x01", b"\x00"


@dataclass(frozen=True, slots=True)
class MailClaim:
    """One message to one person. ``journey`` and ``step`` are None where the claim had no room for them."""

    person: str
    message_id: str
    journey: str | None = None
    step: str | None = None


def make_token(key: bytes, claim: MailClaim) -> str | None:
    """The value of :data:`HEADER`; None where it would not fit into a line."""
    payload = msgspec.json.encode([claim.person, claim.message_id, claim.journey, claim.step])
    token = f"{_encode(payload)}.{_encode(_mac(key, _TOKEN, payload))}"
    return token if len(token) <= TOKEN_CHARS_MAX else None


def read_token(keys: Sequence[bytes], token: str) -> MailClaim | None:
    """What the token claims; None if none of the keys signed it."""
    first, _, second = token.strip().partition(".")
    payload, signature = _decode(first), _decode(second)
    if not payload or not any(hmac.compare_digest(signature, _mac(key, _TOKEN, payload)) for key in keys):
        return None
    return MailClaim(*msgspec.json.decode(payload, type=tuple[str, str, str | None, str | None]))


def make_return_path(key: bytes, address: str, claim: MailClaim) -> str:
    """``address`` with the claim behind a plus sign; the plain address where there is no room for it."""
    local, _, domain = address.rpartition("@")
    packed = _packed(claim)
    if packed is None:
        return address
    claimed = f"{local}+{_encode(_mac(key, _PATH, packed)[:_MAC_BYTES] + packed)}"
    return f"{claimed}@{domain}" if len(claimed) <= _LOCAL_CHARS_MAX else address


def read_return_path(keys: Sequence[bytes], address: str) -> MailClaim | None:
    """What a return path claims; None for other addresses, and where case was lost on the way."""
    _, _, text = address.strip().strip("<>").rpartition("@")[0].partition("+")
    data = _decode(text)
    mac, packed = data[:_MAC_BYTES], data[_MAC_BYTES:]
    if len(packed) <= _ID_BYTES + 1:
        return None
    if not any(hmac.compare_digest(mac, _mac(key, _PATH, packed)[:_MAC_BYTES]) for key in keys):
        return None
    kind, person = packed[_ID_BYTES : _ID_BYTES + 1], packed[_ID_BYTES + 1 :]
    name = str(uuid.UUID(bytes=person)) if kind == _UUID else person.decode()
    return MailClaim(name, packed[:_ID_BYTES].hex())


def _packed(claim: MailClaim) -> bytes | None:
    """Message and person in few bytes; None for a message id that is not one of ours."""
    try:
        message = bytes.fromhex(claim.message_id)
    except ValueError:
        return None
    if len(message) != _ID_BYTES or message.hex() != claim.message_id:
        return None
    try:
        person = uuid.UUID(claim.person)
    except ValueError:
        return message + _TEXT + claim.person.encode()
    same = str(person) == claim.person
    return message + (_UUID + person.bytes if same else _TEXT + claim.person.encode())


def _mac(key: bytes, purpose: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, len(purpose).to_bytes(2, "big") + purpose + payload, hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    """The bytes; none for what is not base64."""
    if len(text) > TOKEN_CHARS_MAX or not text.isascii():
        return b""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
