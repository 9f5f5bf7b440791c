"""Mail headers and bodies as bytes. Pure.

The standard library builds the same in some 2 ms a mail, most of it in its header parser; a sender that makes
thousands a second cannot pay that. What is needed here is little, and the tests hold it against the standard
library's parser.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, Literal

from workers.core.templates.values import has_control

_LINE_CHARS: Final = 76
_WORD_BYTES: Final = 45
"""Bytes of an encoded word, so that it has 75 characters at most with its frame (RFC 2047, 2)."""

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_BASE64_SHARE: Final = 6
"""Beyond one byte in six outside ASCII, base64 is shorter than quoted-printable."""


class BadHeader(ValueError):
    """A value that cannot stand in a header. The message is a reason code and never the value."""


def header(name: str, value: str) -> str:
    """``name: value`` for a value that is encoded already; folded lines start with a space.

    Raises :class:`BadHeader` for a control character: no value can begin another header.
    """
    if has_control(value.replace("\r\n ", "")):
        raise BadHeader("control_character_in_header")
    return f"{name}: {value}"


def unstructured(text: str) -> str:
    """A text as the value of a header, folded; encoded where it is not ASCII or looks encoded."""
    if has_control(text):
        raise BadHeader("control_character_in_header")
    if not text.isascii() or "=?" in text:
        return _encoded_words(text)
    if len(text) <= _LINE_CHARS - len("Subject: "):
        return text
    return _folded(text)


def _folded(text: str) -> str:
    """ASCII text, broken before spaces where a line gets long. A break never leaves an empty line."""
    lines: list[str] = []
    line = ""
    for piece in re.findall(r" *[^ ]+| +$", text):
        if line.strip() and len(line) + len(piece) > _LINE_CHARS and piece.startswith(" ") and piece.strip():
            lines.append(line)
            line = ""
        line += piece
    return "\r\n".join([*lines, line])


def _encoded_words(text: str) -> str:
    words: list[str] = []
    chunk = b""
    for char in text:
        encoded = char.encode("utf-8", "replace")
        if len(chunk) + len(encoded) > _WORD_BYTES:
            words.append(_word(chunk))
            chunk = b""
        chunk += encoded
    words.append(_word(chunk))
    return "\r\n ".join(words)


def _word(chunk: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(chunk).decode()}?="


def mailbox(name: str, address: str) -> str:
    """``name <address>``, the name quoted or encoded as needed; the bare address without a name."""
    if not name:
        return address
    if has_control(name):
        raise BadHeader("control_character_in_header")
    if not name.isascii() or "=?" in name:
        return f"{_encoded_words(name)}\r\n <{address}>"
    if not _ATOMS.fullmatch(name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{address}>'
    return f"{name} <{address}>"


def text_part(subtype: Literal["plain", "html"], text: str) -> bytes:
    """A part of a multipart mail with its headers, in 7-bit lines of 76 characters at most.

    It ends in a line break of its own, which belongs to the boundary that follows.
    """
    data = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    if len(data) - len(data.translate(None, _HIGH)) > len(data) // _BASE64_SHARE:
        encoding, body = "base64", base64.encodebytes(data.replace(b"\n", b"\r\n"))
    else:
        encoding, body = "quoted-printable", binascii.b2a_qp(data, istext=True)
    kind = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return kind.encode() + body.replace(b"\n", b"\r\n") + b"\r\n"


_HIGH: Final = bytes(range(128, 256))
