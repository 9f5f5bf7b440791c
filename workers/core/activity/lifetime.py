"""What is known of an event for ever, in a value of at most 40 bytes: how often, since when, and a total."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from workers.core.activity.series import NUMBER_MAX, Number

if TYPE_CHECKING:
    from workers.core.activity.series import Fold


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
    return _pack(_joined(_unpack(held), Lifetime(1, at_ms, at_ms, number), fold))


def merge(mine: bytes | None, theirs: bytes | None, fold: Fold) -> bytes | None:
    """What is known of both together; None is the value without any occurrence."""
    if mine is None or theirs is None:
        return mine if theirs is None else theirs
    return _pack(_joined(_unpack(mine), _unpack(theirs), fold))


def _joined(one: Lifetime, other: Lifetime, fold: Fold) -> Lifetime:
    total = one.number
    if fold == "sum":
        grown = total + other.number
        total = grown if isinstance(grown, int) and abs(grown) <= 2**53 else float(grown)
        total = max(-NUMBER_MAX, min(NUMBER_MAX, total))
    elif fold != "count":
        total = min(total, other.number) if fold == "min" else max(total, other.number)
    first_ms, last_ms = min(one.first_ms, other.first_ms), max(one.last_ms, other.last_ms)
    return Lifetime(one.count + other.count, first_ms, last_ms, total)


def read(held: bytes | None) -> Lifetime | None:
    """What is known; None where it never happened."""
    return None if held is None else _unpack(held)
