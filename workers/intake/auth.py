"""Who may send events: write keys, compared without telling by timing how much of a guess was right."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from workers.errors import Misconfigured
from workers.intake.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

_REALM = {"www-authenticate": 'Basic realm="brimful", charset="UTF-8"'}
_LONGEST_HEADER = 1024
"""Characters of an Authorization header that are looked at: a write key is far shorter."""


class WriteKeys:
    """The known write keys and the source each belongs to. Without keys every request is refused."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._salt = secrets.token_bytes(32)
        self._sources: dict[bytes, tuple[bytes, str]] = {}
        for key, source in sources.items():
            if not key or not source:
                raise Misconfigured("a write key and its source name must not be empty")
            self._sources[self._digest(key)] = (key.encode(), source)

    def source(self, key: str) -> str | None:
        """The source of a write key, or None for an unknown key.

        The look-up is by a digest salted for this process, so that nobody can steer the comparison.
        """
        found = self._sources.get(self._digest(key))
        if found is None or not hmac.compare_digest(found[0], key.encode("utf-8", "surrogatepass")):
            return None
        return found[1]

    def _digest(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=32).digest()


def basic_user(header: str | None) -> str | None:
    """The user name of an HTTP Basic header (clients put the write key there), or None without a header.

    Raises:
        Problem: 401 where there is a header that is not readable Basic.
    """
    if header is None:
        return None
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(header) > _LONGEST_HEADER:
        raise unauthorized()
    try:
        user, _, _password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise unauthorized() from None
    return user


def bearer(header: str | None) -> str | None:
    """The token of an ``Authorization: Bearer`` header, or None."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def unauthorized() -> Problem:
    """401 for a missing or unknown write key; both sound the same."""
    return Problem(
        401,
        "unauthorized",
        "unknown or missing write key: send it as the user of HTTP Basic or as writeKey in the body",
        headers=_REALM,
    )
