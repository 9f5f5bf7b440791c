"""What a text message takes on the air: its encoding and its number of segments. Pure.

A text of the GSM 7-bit default alphabet (3GPP TS 23.038, 6.2.1) fits 160 septets in one segment, or 153 in
each of several, which carry a header; characters of its extension table take two. Any other character makes
the whole text UCS-2: 70 units of 16 bits, or 67 each. Nothing that takes two is divided between segments.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, TypeAlias

Encoding: TypeAlias = Literal["gsm7", "ucs2"]

GSM7: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION: Final = frozenset("\f^{}\\[~]|€")

_ONE: Final[dict[Encoding, int]] = {"gsm7": 160, "ucs2": 70}
_EACH: Final[dict[Encoding, int]] = {"gsm7": 153, "ucs2": 67}

_ASTRAL: Final = 0x10000
_CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


class TextSize(NamedTuple):
    """``units`` are septets, or units of 16 bits; ``segments`` is what carriers count and charge."""

    encoding: Encoding
    units: int
    segments: int


def size_of(text: str) -> TextSize:
    """What a text takes. An empty text takes one segment."""
    encoding: Encoding = "ucs2" if foreign(text) else "gsm7"
    widths = [_width(character, encoding) for character in text]
    units = sum(widths)
    if units <= _ONE[encoding]:
        return TextSize(encoding, units, 1)
    segments, left = 1, _EACH[encoding]
    for width in widths:
        if width > left:
            segments, left = segments + 1, _EACH[encoding]
        left -= width
    return TextSize(encoding, units, segments)


def foreign(text: str) -> str:
    """The characters, each once in order, that make a text UCS-2; empty where there are none."""
    return "".join(dict.fromkeys(one for one in text if one not in GSM7 and one not in GSM7_EXTENSION))


def without_code(source: str) -> str:
    """What a template says itself: its text without expressions, statements and comments."""
    return _CODE.sub("", source)


def _width(character: str, encoding: Encoding) -> int:
    if encoding == "gsm7":
        return 2 if character in GSM7_EXTENSION else 1
    return 2 if ord(character) >= _ASTRAL else 1
