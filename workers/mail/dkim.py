"""DKIM signatures (RFC 6376): rsa-sha256, relaxed/relaxed. Pure but for reading the key.

dkimpy signs in 10 ms a mail, in Python and while everything else waits; OpenSSL takes 0.3 ms. So the
signature is made here, and the tests let dkimpy verify it.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIGNED: Final = (
    "From",
    "To",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Feedback-ID",
)
"""RFC 6376, 5.4.1; RFC 8058 wants both of the unsubscribe headers; mailbox providers want Feedback-ID."""

ONCE: Final = frozenset({"From", "To", "Reply-To", "Subject", "Date", "List-Unsubscribe"})
"""Signed once more than they stand there: who adds another one breaks the signature (RFC 6376, 8.15)."""

KEY_BITS_MIN: Final = 1024
"""RFC 8301: verifiers take no shorter keys. 2048 is what they recommend."""

_LABELS = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_SPACES = re.compile(rb"[ \t]+")
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_LINE_CHARS = 70


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one domain with one key. ``omit`` are headers that are left out of the signature."""

    domain: str
    selector: str
    key: RSAPrivateKey = field(repr=False)
    omit: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in ("domain", "selector"):
            if not _LABELS.fullmatch(getattr(self, name)):
                raise Misconfigured(f"the DKIM {name} {getattr(self, name)!r} is not a DNS name")
        if self.key.key_size < KEY_BITS_MIN:
            raise Misconfigured(
                f"the DKIM key has {self.key.key_size} bits; verifiers want {KEY_BITS_MIN} or more: "
                "make one of 2048"
            )

    @property
    def record_name(self) -> str:
        """Where DNS holds the public key."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """What DNS shall hold there."""
        return f"v=DKIM1; k=rsa; p={base64.b64encode(public_key(self.key)).decode()}"

    def sign(self, mail: bytes, at_s: int) -> bytes:
        """``mail`` with its signature in front; ``at_s`` is the time of signing in seconds."""
        head, _, body = mail.partition(b"\r\n\r\n")
        fields = _fields(head)
        names = [name for name in SIGNED if name not in self.omit]
        chosen = [name for name in names if name.lower().encode() in fields]
        listed = [*chosen, *(name for name in names if name in ONCE)]
        tags = (
            f"v=1; a=rsa-sha256; c=relaxed/relaxed; d={self.domain}; s={self.selector};\r\n t={at_s};"
            f" bh={base64.b64encode(sha256(relaxed_body(body)).digest()).decode()};\r\n"
            f" h={_folded(listed)};\r\n b="
        ).encode()
        signed = b"".join(fields[name.lower().encode()] + b"\r\n" for name in chosen)
        signed += b"dkim-signature:" + _relaxed_value(tags)
        signature = base64.b64encode(self.key.sign(signed, PKCS1v15(), SHA256()))
        lines = [signature[at : at + _LINE_CHARS] for at in range(0, len(signature), _LINE_CHARS)]
        return b"DKIM-Signature: " + tags + b"\r\n ".join(lines) + b"\r\n" + mail


def read_signer(path: Path, selector: str, domain: str, omit: frozenset[str] = frozenset()) -> Signer:
    """The signer with the private key of a PEM file.

    Raises:
        Misconfigured: there is no such file, or no RSA key without a password in it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"BRIMFUL_DKIM_KEY_FILE {path} is not readable: {error.strerror}") from error
    try:
        key: object = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise Misconfigured(
            f"BRIMFUL_DKIM_KEY_FILE {path} holds no RSA key in PEM without a password: "
            "openssl genrsa -out FILE 2048 makes one"
        )
    return Signer(domain, selector, key, omit)


def public_key(key: RSAPrivateKey) -> bytes:
    """The public half in DER, as DNS records hold it."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def relaxed_body(body: bytes) -> bytes:
    """A body in the relaxed form (RFC 6376, 3.4.4)."""
    # All lines at once: one by one they cost a mail as much time as its headers.
    relaxed = _SPACES.sub(b" ", body).replace(b" \r\n", b"\r\n").removesuffix(b" ")
    while relaxed.endswith(b"\r\n"):
        relaxed = relaxed[:-2]
    return relaxed + b"\r\n" if relaxed else b""


def _fields(head: bytes) -> dict[bytes, bytes]:
    """Headers in the relaxed form by lower-case name; of several, the last one, which is signed first."""
    found: dict[bytes, bytes] = {}
    for line in _FOLD.sub(b"", head).split(b"\r\n"):
        name, _, value = line.partition(b":")
        lower = name.strip().lower()
        found[lower] = lower + b":" + _relaxed_value(value)
    return found


def _relaxed_value(value: bytes) -> bytes:
    return _SPACES.sub(b" ", _FOLD.sub(b"", value)).strip(b" ")


def _folded(names: Sequence[str]) -> str:
    """Header names with colons, in lines that mail servers do not break."""
    lines, line = [], ""
    for name in names:
        piece = f"{name.lower()}:"
        if len(line) + len(piece) > _LINE_CHARS:
            lines.append(line)
            line = ""
        line += piece
    return "\r\n ".join([*lines, line])[:-1]
