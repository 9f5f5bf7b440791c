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

import sys
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EXACT_OCCURRENCES = 128
"""Occurrences that a window keeps singly at least; thresholds up to this number are exact."""

_FOLD_AT = EXACT_OCCURRENCES + 64
"""Folding happens in steps of 64 so that its cost is spread over as many occurrences."""

BUCKETS_PER_RETENTION = 168
"""Granularity beyond the exact occurrences: 21 days fold into buckets of 3 hours, a week into 1 hour."""

_NARROW_RETENTION_MS = 45 * 86_400_000
"""Longest retention whose offsets fit 32 bits (49.7 days) with room for late and early occurrences."""

_HEADER = Struct("<qH")
_START = Struct("<qHI")
_BUCKET = Struct("<qI")
_NARROW = Struct("<I")
_NARROW_CODE, _WIDE_CODE = "I", "Q"
_HEADER_BYTES = _HEADER.size
_BUCKET_BYTES = _BUCKET.size
_MAX_NARROW = 2**32 - 1

assert sys.byteorder == "little", "windows are stored little-endian, as all platforms that we run on are"
assert array("I").itemsize == _NARROW.size, "a C unsigned int has four bytes here"

_FULL_BYTES = _FOLD_AT * _NARROW.size
_unpack_header = _HEADER.unpack_from
_unpack_start = _START.unpack_from
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

    ``None`` is the empty window. An occurrence that is itself older than the retention changes nothing;
    callers who count late events check that beforehand.
    """
    floor_ms = now_ms - retention_ms
    if window is not None and retention_ms <= _NARROW_RETENTION_MS:
        # The everyday case, kept free of unpacking: in order, nothing to prune, room for one more.
        size = len(window)
        if size > _HEADER_BYTES:
            # The oldest, bucket or single, has the first four bytes after the header: both are little-endian.
            base_ms, folded, oldest = _unpack_start(window)
            singles_at = _HEADER_BYTES + folded * _BUCKET_BYTES
            offset = at_ms - base_ms
            if (
                base_ms + oldest > floor_ms
                and singles_at < size < singles_at + _FULL_BYTES
                and _unpack_narrow(window, size - 4)[0] <= offset <= _MAX_NARROW
            ):
                return window + _pack_narrow(offset)
    return add_all(window, (at_ms,), now_ms, retention_ms)


def add_all(window: bytes | None, times_ms: Sequence[int], now_ms: int, retention_ms: int) -> bytes:
    """As :func:`add`, for several occurrences in any order: one pass over the window for all of them."""
    floor_ms = now_ms - retention_ms
    code = _NARROW_CODE if retention_ms <= _NARROW_RETENTION_MS else _WIDE_CODE
    fresh = sorted(times_ms)
    if fresh and fresh[0] <= floor_ms:
        fresh = fresh[bisect_right(fresh, floor_ms) :]
    if window is None:
        base_ms = fresh[0] if fresh else floor_ms
        return _settle(base_ms, [], [at_ms - base_ms for at_ms in fresh], floor_ms, retention_ms)
    if not fresh:
        return window
    base_ms, folded = _unpack_header(window)
    singles_at = _HEADER_BYTES + folded * _BUCKET_BYTES
    held = array(code, window[singles_at:])
    if held and fresh[-1] - base_ms <= _MAX_NARROW:
        first = fresh[0] - base_ms
        # A first bucket may begin before its occurrences by its width, and be outside at once.
        may_begin = min(held[0], first) - granularity_ms(retention_ms)
        oldest = _BUCKET.unpack_from(window, _HEADER_BYTES)[0] if folded else may_begin
        if first >= (held[0] if folded else 0) and base_ms + oldest > floor_ms:
            # The everyday case: nothing to prune, and the buckets need not be taken apart.
            return _add_singles(window, singles_at, held, [at_ms - base_ms for at_ms in fresh], retention_ms)
    buckets = list(_BUCKET.iter_unpack(window[_HEADER_BYTES:singles_at])) if folded else []
    singles = held.tolist()
    if fresh[0] < base_ms or fresh[-1] - base_ms > _MAX_NARROW:
        # Offsets are not negative and fit: begin at the oldest that is not to be pruned.
        shift = base_ms - max(min(fresh[0], base_ms), floor_ms + 1)
        base_ms -= shift
        buckets = [(start + shift, held) for start, held in buckets if start + shift >= 0]
        singles = [offset + shift for offset in singles if offset + shift >= 0]
    offsets = [at_ms - base_ms for at_ms in fresh]
    if buckets and singles and offsets[0] < singles[0]:
        late = bisect_left(offsets, singles[0])
        buckets = _fold(buckets, offsets[:late], base_ms, retention_ms)
        offsets = offsets[late:]
    if singles and offsets and offsets[0] < singles[-1]:
        singles = sorted(singles + offsets)
    else:
        singles += offsets
    return _settle(base_ms, buckets, singles, floor_ms, retention_ms)


def count(window: bytes | None, now_ms: int, within_ms: int, retention_ms: int) -> int:
    """How many occurrences lie in ``(now_ms - within_ms, now_ms]``; ``within_ms`` <= the retention."""
    return 0 if window is None else Inside(window, now_ms, within_ms, retention_ms).count


class Inside:
    """What lies in ``(now_ms - within_ms, now_ms]`` of a window, and how that goes on by time alone.

    ``count`` is how many occurrences; ``ahead_ms`` when the first of those is that are dated after ``now_ms``
    (None: none is).
    """

    __slots__ = ("_base_ms", "_first", "_packed", "_singles", "_within_ms", "ahead_ms", "count")

    def __init__(self, window: bytes, now_ms: int, within_ms: int, retention_ms: int) -> None:
        """``within_ms`` <= ``retention_ms``, which is what the window is kept for."""
        base_ms, folded = _unpack_header(window)
        singles_at = _HEADER_BYTES + folded * _BUCKET_BYTES
        singles = memoryview(window)[singles_at:].cast(
            "I" if retention_ms <= _NARROW_RETENTION_MS else "Q",
        )
        after, until = now_ms - within_ms - base_ms, now_ms - base_ms
        self._base_ms: int = base_ms
        self._within_ms = within_ms
        self._singles = singles
        self._first = first = bisect_right(singles, after)
        last = bisect_right(singles, until)
        self._packed: memoryview | None = None
        self.count = last - first
        self.ahead_ms = base_ms + singles[last] if last < len(singles) else None
        if folded:
            self._fold_in(window, folded, after, until)

    def _fold_in(self, window: bytes, folded: int, after: int, until: int) -> None:
        def start_of(index: int) -> int:
            start: int = _BUCKET.unpack_from(window, _HEADER_BYTES + index * _BUCKET_BYTES)[0]
            return start

        first = bisect_right(range(folded), after, key=start_of)
        last = bisect_right(range(folded), until, key=start_of)
        packed = memoryview(window)[_HEADER_BYTES : _HEADER_BYTES + folded * _BUCKET_BYTES]
        # Three words a bucket, the count last: summed in C, as a row may hold 168 of them.
        self.count += sum(array(_NARROW_CODE, packed.tobytes())[2::3][first:last])
        self._packed = packed[first * _BUCKET_BYTES : last * _BUCKET_BYTES]
        if last < folded:
            self.ahead_ms = self._base_ms + start_of(last)

    def left_ms(self, number: int) -> int:
        """When so many, the oldest, have left; ``number`` is from 1 to ``count``."""
        for start, many in _BUCKET.iter_unpack(self._packed) if self._packed else ():
            number -= many
            if number <= 0:
                return self._base_ms + int(start) + self._within_ms
        return self._base_ms + int(self._singles[self._first + number - 1]) + self._within_ms


def refit(window: bytes, from_ms: int, to_ms: int, now_ms: int) -> bytes:
    """A window that kept ``from_ms`` as one that keeps ``to_ms``, which is not longer.

    Buckets stay as coarse as they were.
    """
    floor_ms = now_ms - to_ms
    held = decode(window, from_ms)
    buckets = [(start_ms, many) for start_ms, many in held.buckets if start_ms > floor_ms]
    singles = [at_ms for at_ms in held.singles if at_ms > floor_ms]
    base_ms = min((start_ms for start_ms, _ in buckets), default=singles[0] if singles else floor_ms)
    base_ms = min(base_ms, *singles[:1], base_ms)
    offsets = [at_ms - base_ms for at_ms in singles]
    return _settle(
        base_ms, [(start_ms - base_ms, many) for start_ms, many in buckets], offsets, floor_ms, to_ms
    )


def decode(window: bytes, retention_ms: int) -> Occurrences:
    """The occurrences of a window as absolute times."""
    base_ms, folded = _unpack_header(window)
    singles_at = _HEADER_BYTES + folded * _BUCKET_BYTES
    code = _NARROW_CODE if retention_ms <= _NARROW_RETENTION_MS else _WIDE_CODE
    buckets = _BUCKET.iter_unpack(window[_HEADER_BYTES:singles_at])
    return Occurrences(
        tuple((base_ms + start, held) for start, held in buckets),
        tuple(base_ms + offset for offset in array(code, window[singles_at:])),
    )


def _add_singles(
    window: bytes, singles_at: int, held: array[int], offsets: list[int], retention_ms: int
) -> bytes:
    """The window with more occurrences, none older than those in buckets; ``held`` are its single ones."""
    in_order = offsets[0] >= held[-1]
    if in_order and len(held) + len(offsets) <= _FOLD_AT:
        return window + array(held.typecode, offsets).tobytes()
    singles = held.tolist() + offsets
    if not in_order:
        singles.sort()
    buckets = window[_HEADER_BYTES:singles_at]
    base_ms = _unpack_header(window)[0]
    if len(singles) > _FOLD_AT:
        buckets = _fold_onto(buckets, singles[:-EXACT_OCCURRENCES], base_ms, retention_ms)
        singles = singles[-EXACT_OCCURRENCES:]
    header = _HEADER.pack(base_ms, len(buckets) // _BUCKET_BYTES)
    return header + buckets + array(held.typecode, singles).tobytes()


def _fold_onto(packed: bytes, offsets: list[int], base_ms: int, retention_ms: int) -> bytes:
    """Packed buckets with later occurrences: they belong into the last bucket or behind it."""
    width_ms = granularity_ms(retention_ms)
    more: dict[int, int] = {}
    for offset in offsets:
        start = max(0, offset - (base_ms + offset) % width_ms)
        more[start] = more.get(start, 0) + 1
    if packed:
        start, many = _BUCKET.unpack_from(packed, len(packed) - _BUCKET_BYTES)
        if start in more:
            more[start] += many
            packed = packed[:-_BUCKET_BYTES]
    return packed + b"".join([_BUCKET.pack(*bucket) for bucket in more.items()])


def _fold(
    buckets: list[tuple[int, int]], offsets: list[int], base_ms: int, retention_ms: int
) -> list[tuple[int, int]]:
    """The buckets with more occurrences; one begins at a multiple of the granularity, or at the base.

    So do those that began at a former base: else ever later arrivals would leave a bucket each.
    """
    width_ms = granularity_ms(retention_ms)
    held: dict[int, int] = {}
    for offset, many in (*buckets, *((offset, 1) for offset in offsets)):
        start = max(0, offset - (base_ms + offset) % width_ms)
        held[start] = held.get(start, 0) + many
    return sorted(held.items())


def _settle(
    base_ms: int, buckets: list[tuple[int, int]], singles: list[int], floor_ms: int, retention_ms: int
) -> bytes:
    """Prune, fold the oldest where there are too many, and encode. Offsets are relative to ``base_ms``."""
    floor = floor_ms - base_ms
    if len(singles) > _FOLD_AT:
        buckets = _fold(buckets, singles[:-EXACT_OCCURRENCES], base_ms, retention_ms)
        singles = singles[-EXACT_OCCURRENCES:]
    if singles and singles[0] <= floor:
        singles = singles[bisect_right(singles, floor) :]
    if buckets and buckets[0][0] <= floor:
        buckets = [bucket for bucket in buckets if bucket[0] > floor]
    code = _NARROW_CODE if retention_ms <= _NARROW_RETENTION_MS else _WIDE_CODE
    if code == _NARROW_CODE and singles and singles[-1] > _MAX_NARROW:
        # Only a clock that was days ahead dates anything so: kept at the last moment that can be written.
        singles = [min(offset, _MAX_NARROW) for offset in singles]
    packed = b"".join([_BUCKET.pack(*bucket) for bucket in buckets])
    return _HEADER.pack(base_ms, len(buckets)) + packed + array(code, singles).tobytes()
