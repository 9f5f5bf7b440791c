"""Stripe's signature scheme, version 1: HMAC-SHA256 of ``t.body``, with a time that must be near. Pure.

The header is ``t=SECONDS,v1=HEX,v1=HEX,...``: one ``v1`` for each secret while Stripe rolls them.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from workers.intake.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLERANCE_S: Final = 300
"""How far a signature's time may be off, either way: Stripe's own libraries take five minutes."""

_LONGEST = 4_096
"""Characters of the header that are looked at; ten signatures have less than a thousand."""


def verify(header: str | None, body: bytes, secrets: Sequence[bytes], now_ms: int) -> None:
    """Return where ``body`` was signed by one of ``secrets`` and is fresh.

    Raises:
        Problem: 400, which says whether the header, the signature or the time is at fault.
    """
    at, signatures = _read(header)
    payload = at.encode() + b"." + body
    good = False
    for secret in secrets:
        expected = hmac.digest(secret, payload, hashlib.sha256).hex().encode()
        for signature in signatures:
            # Every pair is compared: the time taken does not tell which secret or signature was near.
            good |= hmac.compare_digest(expected, signature)
    if not good:
        raise Problem(400, "bad_signature", "the signature fits none of the webhook's secrets")
    if abs(now_ms // 1000 - int(at)) > TOLERANCE_S:
        raise Problem(400, "stale_signature", f"the signature's time is more than {TOLERANCE_S} s off")


def _read(header: str | None) -> tuple[str, list[bytes]]:
    if header is None or len(header) > _LONGEST:
        raise Problem(400, "bad_signature", "the Stripe-Signature header is missing or too long")
    at, signatures = "", []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t":
            at = value
        elif name == "v1":
            signatures.append(value.encode("utf-8", "surrogatepass"))
    if not (at.isascii() and at.isdigit() and len(at) <= len("253402300799")) or not signatures:
        raise Problem(400, "bad_signature", "Stripe-Signature must hold a time t and a signature v1")
    return at, signatures
