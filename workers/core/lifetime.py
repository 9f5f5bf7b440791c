"""What is known of an event for ever, in a value of at most 40 bytes: how often, since when, and a total."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from workers.core.series import NUMBER_MAX, Number

if TYPE_CHECKING:
    from workers.core.series import Fold


class Lifetime(msgspec.Struct, array_like=True, frozen=True):
    """``number`` is the sum, the smallest or the largest of all; 0 where occurrences are only counted."""

    count: int
    first_ms: int
    last_ms: int
    number: Number


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Lifetime).decode


def add(held: bytes | None, at_ms: int, number: Number, fold: Fold) -> bytes:
    """The value with one more occurrence, however late it is; None is the one without any.

    A sum stays within what a number can hold: at its limit it grows no more.
    """
    if held is None:
        return _pack(Lifetime(1, at_ms, at_ms, number))
    known = _unpack(held)
    total = known.number
    if fold == "sum":
        grown = total + number
        total = grown if isinstance(grown, int) and abs(grown) <= 2**53 else float(grown)
        total = max(-NUMBER_MAX, min(NUMBER_MAX, total))
    elif fold != "count":
        total = min(total, number) if fold == "min" else max(total, number)
    first_ms, last_ms = min(known.first_ms, at_ms), max(known.last_ms, at_ms)
    return _pack(Lifetime(known.count + 1, first_ms, last_ms, total))


def read(held: bytes | None) -> Lifetime | None:
    """What is known; None where it never happened."""
    return None if held is None else _unpack(held)
