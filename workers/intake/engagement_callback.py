"""The provider ``engagement``: any system of your own tells what became of messages, signed.

The signature is that of Standard Webhooks, version 1: HMAC-SHA256 of ``id.timestamp.body`` in base64. One
request tells one thing::

    {"type": "bounced", "person": "u1", "message_id": "...", "channel": "email", "at": "2026-03-01T09:50:00Z"}
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime  # noqa: TC003  msgspec reads it at run time
from typing import TYPE_CHECKING, Final

import msgspec

from schemas import wire
from schemas.fields import Channel, EngagementType, Text  # noqa: TC001  msgspec reads them at run time
from workers.errors import Misconfigured
from workers.intake.callbacks import Read, Told, json_body
from workers.intake.problems import Problem
from workers.intake.tokens import MessageClaim

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.intake.callbacks import Callback

TOLERANCE_S: Final = 300
"""How far the time of a signature may be off, either way; the specification leaves it open, its libraries
take five minutes."""

SECRET_MIN_BYTES: Final = 24
"""The specification's least; its secrets are ``whsec_`` and base64."""

_LONGEST: Final = 4_096


class Happened(msgspec.Struct):
    """The body of a request."""

    type: EngagementType
    person: Text
    message_id: Text
    channel: Channel
    at: datetime
    journey: str | None = None
    step: str | None = None
    url: str | None = None


def read_secret(text: str) -> bytes:
    """The bytes of a secret as it is configured.

    Raises:
        Misconfigured: it is no ``whsec_`` secret, or too short; it is not repeated in the message.
    """
    try:
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith("whsec_") or len(secret) < SECRET_MIN_BYTES:
        raise Misconfigured(
            f"a callback secret is whsec_ and the base64 of at least {SECRET_MIN_BYTES} random bytes"
        )
    return secret


def sign(secret: bytes, message_id: str, at_s: int, body: bytes) -> str:
    """The header ``webhook-signature`` of a request."""
    mac = hmac.digest(secret, f"{message_id}.{at_s}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac).decode()}"


class EngagementCallback:
    """See :class:`workers.intake.callbacks.Provider`. ``secrets``: several while they are rolled."""

    name = "engagement"

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._secrets = tuple(secrets)

    def verify(self, callback: Callback) -> None:
        """By the three headers ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``."""
        one = callback.headers.get("webhook-id", "")
        at = callback.headers.get("webhook-timestamp", "")
        given = callback.headers.get("webhook-signature", "")
        if not (one and given and at.isascii() and at.isdigit() and len(at) <= len("253402300799")):
            raise Problem(401, "unsigned", "webhook-id, webhook-timestamp or webhook-signature is missing")
        if len(one) + len(given) > _LONGEST:
            raise Problem(403, "bad_signature", "the signature's headers are too long")
        good = False
        for secret in self._secrets:
            expected = sign(secret, one, int(at), callback.body).encode()
            for signature in given.split(" "):
                # Every pair is compared: the time taken does not tell which was near.
                good |= hmac.compare_digest(expected, signature.encode("utf-8", "surrogatepass"))
        if not good:
            raise Problem(403, "bad_signature", "the signature fits none of the secrets")
        if abs(callback.now_ms // 1000 - int(at)) > TOLERANCE_S:
            raise Problem(403, "stale_signature", f"the signature's time is more than {TOLERANCE_S} s off")

    def read(self, callback: Callback) -> Read:
        """One thing that happened; its id is that of the request."""
        said = json_body(callback, Happened)
        message = MessageClaim(said.person, said.message_id, said.journey, said.step)
        key = callback.headers.get("webhook-id", "")
        return Read([Told(key, said.type, message, said.channel, wire.to_ms(said.at), said.url)])
