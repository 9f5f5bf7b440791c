"""Exact sliding windows: when something happened, kept in a few bytes per subject.

A window is an immutable ``bytes`` value, so that it lives in a state row without a codec of its own:

====================  ===========  ==================================================================
part                  bytes        meaning
====================  ===========  ==================================================================
base_ms               8, signed    every offset below is added to it
folded                2            number of folded buckets *m*
buckets               m x 12       ``(offset of the bucket's start, 8; count, 4)``, ascending
occurrences           n x 4 or 8   offset of each single occurrence, ascending
====================  ===========  ==================================================================

Single occurrences make the count right at every instant, to the millisecond, with no event needed to
move the window. Beyond :data:`EXACT_OCCURRENCES` the oldest are folded into buckets of
``granularity_ms(retention_ms)``; a bucket counts while its *start* is inside the window, so only a
count above :data:`EXACT_OCCURRENCES` can be off, and then by less than what one bucket holds. Whether
a count reaches N is therefore exact for every N up to :data:`EXACT_OCCURRENCES`.

Offsets take 4 bytes while the retention allows it (offsets of 2**32 ms are 49.7 days) and 8 bytes
beyond. Intervals are half-open at the old end: an occurrence at ``now - within`` has left the window.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort_right
from dataclasses import dataclass
from struct import Struct

EXACT_OCCURRENCES = 128
"""Occurrences that a window keeps singly at least; thresholds up to this number are exact."""

_FOLD_AT = EXACT_OCCURRENCES + 64
"""Folding happens in steps of 64 so that its cost is spread over as many occurrences."""

BUCKETS_PER_RETENTION = 168
"""Granularity beyond the exact occurrences: 21 days fold into buckets of 3 hours, a week into 1 hour."""

_NARROW_RETENTION_MS = 45 * 86_400_000
"""Longest retention whose offsets fit 32 bits (49.7 days) with room for late and early occurrences."""

_HEADER = Struct("<qH")
_BUCKET = Struct("<qI")
_NARROW = Struct("<I")
_WIDE = Struct("<Q")
_HEADER_BYTES = _HEADER.size
_BUCKET_BYTES = _BUCKET.size
_MAX_NARROW = 2**32 - 1

_unpack_header = _HEADER.unpack_from
_pack_narrow = _NARROW.pack
_unpack_narrow = _NARROW.unpack_from


@dataclass(frozen=True, slots=True)
class Occurrences:
    """A window taken apart: folded buckets ``(start_ms, count)`` and single occurrences, both ascending."""

    buckets: tuple[tuple[int, int], ...]
    singles: tuple[int, ...]


def granularity_ms(retention_ms: int) -> int:
    """Length of a folded bucket for a window that keeps ``retention_ms`` (at least one second)."""
    return max(1_000, retention_ms // BUCKETS_PER_RETENTION)


def add(window: bytes | None, at_ms: int, now_ms: int, retention_ms: int) -> bytes:
    """The window with one more occurrence at ``at_ms``, without what has left the retention at ``now_ms``.

    ``None`` is the empty window. An occurrence that is itself older than the retention leaves the
    window as it is apart from the pruning; callers who count late events check that beforehand.
    """
    floor_ms = now_ms - retention_ms
    if at_ms <= floor_ms:
        return window if window is not None else _HEADER.pack(at_ms, 0)
    if window is None:
        first = _pack_narrow(0) if retention_ms <= _NARROW_RETENTION_MS else _WIDE.pack(0)
        return _HEADER.pack(at_ms, 0) + first
    if retention_ms <= _NARROW_RETENTION_MS:
        # The everyday case, kept free of unpacking: in order, nothing to prune, room for one more.
        base_ms, folded = _unpack_header(window)
        size = len(window)
        if not folded and _HEADER_BYTES < size < _HEADER_BYTES + 4 * _FOLD_AT:
            offset = at_ms - base_ms
            if (
                _unpack_narrow(window, size - 4)[0] <= offset <= _MAX_NARROW
                and base_ms + _unpack_narrow(window, _HEADER_BYTES)[0] > floor_ms
            ):
                return window + _pack_narrow(offset)
    return _add_anywhere(window, at_ms, floor_ms, retention_ms)


def count(window: bytes | None, now_ms: int, within_ms: int, retention_ms: int) -> int:
    """How many occurrences lie in ``(now_ms - within_ms, now_ms]``; ``within_ms`` is at most the retention."""
    if window is None:
        return 0
    base_ms, folded = _unpack_header(window)
    singles = memoryview(window)[_HEADER_BYTES + folded * _BUCKET_BYTES :].cast(
        "I" if retention_ms <= _NARROW_RETENTION_MS else "Q",
    )
    after = now_ms - within_ms - base_ms
    total = bisect_right(singles, now_ms - base_ms) - bisect_right(singles, after)
    for index in range(folded):
        start, held = _BUCKET.unpack_from(window, _HEADER_BYTES + index * _BUCKET_BYTES)
        if after < start <= now_ms - base_ms:
            total += held
    return total


def decode(window: bytes, retention_ms: int) -> Occurrences:
    """The occurrences of a window as absolute times."""
    base_ms, folded = _unpack_header(window)
    buckets = tuple(
        (base_ms + start, held)
        for start, held in _BUCKET.iter_unpack(window[_HEADER_BYTES : _HEADER_BYTES + folded * _BUCKET_BYTES])
    )
    code = _NARROW if retention_ms <= _NARROW_RETENTION_MS else _WIDE
    singles = tuple(
        base_ms + offset for (offset,) in code.iter_unpack(window[_HEADER_BYTES + folded * _BUCKET_BYTES :])
    )
    return Occurrences(buckets, singles)


def encode(occurrences: Occurrences, retention_ms: int) -> bytes:
    """The inverse of :func:`decode`."""
    starts = [start for start, _ in occurrences.buckets[:1]] + list(occurrences.singles[:1])
    base_ms = min(starts, default=0)
    code = _NARROW if retention_ms <= _NARROW_RETENTION_MS else _WIDE
    return b"".join(
        (
            _HEADER.pack(base_ms, len(occurrences.buckets)),
            *(_BUCKET.pack(start - base_ms, held) for start, held in occurrences.buckets),
            *(code.pack(at_ms - base_ms) for at_ms in occurrences.singles),
        ),
    )


def merge(one: bytes, other: bytes, now_ms: int, retention_ms: int) -> bytes:
    """The window that holds the occurrences of both, pruned at ``now_ms``."""
    left, right = decode(one, retention_ms), decode(other, retention_ms)
    held: dict[int, int] = {}
    for start, number in left.buckets + right.buckets:
        held[start] = held.get(start, 0) + number
    singles = sorted(left.singles + right.singles)
    return _settle(held, singles, now_ms - retention_ms, retention_ms)


def _add_anywhere(window: bytes, at_ms: int, floor_ms: int, retention_ms: int) -> bytes:
    occurrences = decode(window, retention_ms)
    singles = list(occurrences.singles)
    held = dict(occurrences.buckets)
    if held and (not singles or at_ms < singles[0]):
        start = at_ms - at_ms % granularity_ms(retention_ms)
        held[start] = held.get(start, 0) + 1
    else:
        insort_right(singles, at_ms)
    return _settle(held, singles, floor_ms, retention_ms)


def _settle(held: dict[int, int], singles: list[int], floor_ms: int, retention_ms: int) -> bytes:
    """Prune, fold the oldest where there are too many, and encode."""
    singles = singles[bisect_left(singles, floor_ms + 1) :]
    if len(singles) > _FOLD_AT:
        width_ms = granularity_ms(retention_ms)
        for at_ms in singles[:-EXACT_OCCURRENCES]:
            start = at_ms - at_ms % width_ms
            held[start] = held.get(start, 0) + 1
        singles = singles[-EXACT_OCCURRENCES:]
    buckets = tuple((start, number) for start, number in sorted(held.items()) if start > floor_ms)
    return encode(Occurrences(buckets, tuple(singles)), retention_ms)
