"""Series: when something happened, with a number each, for windows that lie anywhere and for sums.

A series is an immutable ``bytes`` value (msgpack, gaps instead of times) of three parts, the oldest first:

========================  =====================================  =======================================
part                      at most                                exact
========================  =====================================  =======================================
days (UTC)                as many as the retention has           but for the day that a bound lies in
quarters of an hour       :data:`QUARTERS_MAX`                   for every bound at a quarter of an hour
single occurrences        :data:`EXACT_OCCURRENCES` + 64         to the millisecond
========================  =====================================  =======================================

Days and months begin at a quarter of an hour (UTC) in every zone of today, so a count of a calendar period
is exact in all zones as long as it reaches back no further than the quarters. A bucket lies in ``[lo, hi)``
where its start does: a window that ends now never counts too much, and too little only beyond the newest
:data:`EXACT_OCCURRENCES`, by less than what the bucket around its beginning holds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, pairwise, repeat
from math import fsum
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    Entry: TypeAlias = tuple[int, int, "Number"]

Number: TypeAlias = int | float
Fold: TypeAlias = Literal["count", "sum", "min", "max"]
"""What becomes of the numbers of occurrences that share a bucket; ``count`` keeps none."""

EXACT_OCCURRENCES: Final = 128
"""Newest occurrences that are always kept singly."""

_FOLD_AT: Final = EXACT_OCCURRENCES + 64
QUARTER_MS: Final = 900_000
"""All zones have been at a multiple of it from UTC since 1972."""

QUARTERS_MAX: Final = 1_536
"""Quarters of an hour in which something happened: 16 days without a pause, 48 days of eight hours."""

_PER_DAY: Final = 96
NUMBER_MAX: Final = 1e200
"""Larger numbers are taken for none: their sums could not be kept."""

_INT_MAX: Final = 2**53

_time, _many, _number = itemgetter(0), itemgetter(1), itemgetter(2)

SHARED: Final = 256
"""Values taken apart that are remembered: definitions that look at one subject after an event share them."""


@dataclass(slots=True)
class _Series:
    """Taken apart. ``buckets`` are (start, count, number) in quarters since 1970, ``days`` of them days."""

    days: int = 0
    buckets: list[tuple[int, int, Number]] = field(default_factory=list)
    singles: list[tuple[int, Number]] = field(default_factory=list)


def number_of(value: Any) -> Number | None:
    """What a property counts for in a sum; None where it is no number that can be kept."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not -NUMBER_MAX <= value <= NUMBER_MAX:
        return None
    return value if isinstance(value, float) or -_INT_MAX <= value <= _INT_MAX else float(value)


def add(held: bytes | None, at_ms: int, number: Number, now_ms: int, retention_ms: int, fold: Fold) -> bytes:
    """The series with one more occurrence, without what has left the retention; None is the empty series.

    An occurrence that is itself older than the retention changes nothing.
    """
    floor_ms = now_ms - retention_ms
    if held is not None and at_ms > floor_ms:
        quick = _appended(held, at_ms, number, floor_ms, fold)
        if quick is not None:
            return quick
    series = _decode(held)
    if at_ms > floor_ms:
        _insert(series, at_ms, number, fold)
    return _encode(_trimmed(series, floor_ms, fold), fold)


def merge(
    mine: bytes | None, theirs: bytes | None, now_ms: int, retention_ms: int, fold: Fold
) -> bytes | None:
    """The series of what both hold; None is the empty series. Days that either folded are days of both."""
    if mine is None or theirs is None:
        return mine if theirs is None else theirs
    one, two = _decode(mine), _decode(theirs)
    until = max(_days_end(one), _days_end(two))
    for series in (one, two):
        while series.days < len(series.buckets) and series.buckets[series.days][0] < until:
            _coarsen(series, fold)
    buckets = {start: (start, many, number) for start, many, number in one.buckets}
    for start, many, number in two.buckets:
        known = buckets.get(start)
        buckets[start] = (start, many, number) if known is None else _merged(known, many, number, fold)
    both = _Series(0, sorted(buckets.values()), sorted(one.singles + two.singles))
    both.days = bisect_left(both.buckets, until, key=_start)
    if both.buckets:
        # What is older than one side's last bucket is older than the newest that this side keeps singly.
        last_ms = both.buckets[-1][0] * QUARTER_MS
        late = bisect_left(both.singles, last_ms, key=_at)
        for at_ms, number in both.singles[:late]:
            _bucket(both, at_ms, number, fold)
        both.singles = both.singles[late:]
    return _encode(_trimmed(both, now_ms - retention_ms, fold), fold)


def _trimmed(series: _Series, floor_ms: int, fold: Fold) -> _Series:
    """Fold what is too much to keep singly, or by the quarter, and drop what has left the retention."""
    if len(series.singles) > _FOLD_AT:
        for one_ms, one in series.singles[:-EXACT_OCCURRENCES]:
            _bucket(series, one_ms, one, fold)
        series.singles = series.singles[-EXACT_OCCURRENCES:]
    while len(series.buckets) - series.days > QUARTERS_MAX:
        _coarsen(series, fold)
    if series.singles and series.singles[0][0] <= floor_ms:
        series.singles = [single for single in series.singles if single[0] > floor_ms]
    kept = [bucket for bucket in series.buckets if bucket[0] * QUARTER_MS > floor_ms]
    series.days = max(0, series.days - (len(series.buckets) - len(kept)))
    series.buckets = kept
    return series


def count(held: bytes | None, lo_ms: int, hi_ms: int) -> int:
    """How many occurrences lie in ``[lo_ms, hi_ms)``."""
    return sum(map(_many, _within(held, lo_ms, hi_ms)))


def totals(held: bytes | None, lo_ms: int, hi_ms: int) -> tuple[int, float]:
    """How many occurrences lie in ``[lo_ms, hi_ms)``, and the sum of their numbers."""
    inside = _within(held, lo_ms, hi_ms)
    return sum(map(_many, inside)), fsum(map(_number, inside))


def numbers(held: bytes | None, lo_ms: int, hi_ms: int) -> list[Number]:
    """The numbers in ``[lo_ms, hi_ms)``, those of a bucket already folded."""
    return [number for _, _, number in _within(held, lo_ms, hi_ms)]


def entries(held: bytes | None) -> tuple[Entry, ...]:
    """Every bucket and every occurrence as (time, count, number), in order of time."""
    return () if held is None else _entries(held)


def times(held: bytes | None) -> tuple[int, ...]:
    """When each bucket begins, and when each occurrence was, in order of time."""
    return () if held is None else _times(held)


def _within(held: bytes | None, lo_ms: int, hi_ms: int) -> tuple[Entry, ...]:
    found = entries(held)
    return found[bisect_left(found, (lo_ms,)) : bisect_left(found, (hi_ms,))]


@lru_cache(maxsize=SHARED)
def _entries(held: bytes) -> tuple[Entry, ...]:
    known = _unpack(held)
    singles = zip(accumulate(known.times), repeat(1), known.numbers or repeat(0), strict=False)
    if known.folded == _NOTHING:
        return tuple(singles)
    buckets = ((start * QUARTER_MS, many, number) for start, many, number in _decode(held).buckets)
    return (*buckets, *singles)


@lru_cache(maxsize=SHARED)
def _times(held: bytes) -> tuple[int, ...]:
    return tuple(map(_time, _entries(held)))


def _insert(series: _Series, at_ms: int, number: Number, fold: Fold) -> None:
    singles = series.singles
    if not singles or at_ms >= singles[-1][0]:
        singles.append((at_ms, number))
    elif series.buckets and at_ms < singles[0][0]:
        # What is older than all single ones goes where those before it went: the newest stay exact.
        _bucket(series, at_ms, number, fold)
    else:
        insort(singles, (at_ms, number))


def _bucket(series: _Series, at_ms: int, number: Number, fold: Fold) -> None:
    """Put an occurrence into its quarter, or into its day where days are kept that late."""
    start, buckets = at_ms // QUARTER_MS, series.buckets
    is_day = series.days > 0 and start < buckets[series.days - 1][0] + _PER_DAY
    if is_day:
        start -= start % _PER_DAY
    index = bisect_left(buckets, start, key=_start)
    if index < len(buckets) and buckets[index][0] == start:
        buckets[index] = _merged(buckets[index], 1, number, fold)
    else:
        buckets.insert(index, (start, 1, number))
        series.days += is_day


def _coarsen(series: _Series, fold: Fold) -> None:
    """Make one day of the oldest day that is still in quarters."""
    first = series.buckets[series.days][0]
    day = first - first % _PER_DAY
    until = bisect_right(series.buckets, day + _PER_DAY - 1, key=_start)
    folded = (day, *series.buckets[series.days][1:])
    for _, many, number in series.buckets[series.days + 1 : until]:
        folded = _merged(folded, many, number, fold)
    series.buckets[series.days : until] = [folded]
    series.days += 1


def _days_end(series: _Series) -> int:
    """Where quarters begin, in quarters; 0 where there are no days."""
    return series.buckets[series.days - 1][0] + _PER_DAY if series.days else 0


def _at(single: tuple[int, Number]) -> int:
    return single[0]


def _start(bucket: tuple[int, int, Number]) -> int:
    return bucket[0]


def _merged(bucket: tuple[int, int, Number], many: int, number: Number, fold: Fold) -> Entry:
    start, held, before = bucket
    if fold == "sum":
        total = before + number
        return start, held + many, total if -_INT_MAX <= total <= _INT_MAX else float(total)
    if fold == "count":
        return start, held + many, 0
    return start, held + many, min(before, number) if fold == "min" else max(before, number)


class _Held(msgspec.Struct, array_like=True, gc=False):
    """As it is stored: ``folded`` is a packed :data:`_Folded`, read only when it must be.

    ``oldest`` is the start of the first bucket. ``times`` are gaps; ``numbers`` is empty where none are kept.
    """

    oldest: int
    folded: msgspec.Raw
    times: list[int]
    numbers: list[Number]


_Folded: TypeAlias = tuple[int, list[int], list[int], list[Number]]
"""Days among the buckets, gaps between their starts, counts, numbers."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Held).decode
_unpack_folded = msgspec.msgpack.Decoder(_Folded).decode
_NOTHING: Final = msgspec.Raw(_pack(None))


def _appended(held: bytes, at_ms: int, number: Number, floor_ms: int, fold: Fold) -> bytes | None:
    """The everyday case without taking apart what is folded: room for one more, the newest, nothing to prune.

    None where it is another case.
    """
    known = _unpack(held)
    times = known.times
    if not times or len(times) >= _FOLD_AT or times[0] <= floor_ms:
        return None
    if known.folded != _NOTHING and known.oldest * QUARTER_MS <= floor_ms:
        return None
    gap = at_ms - sum(times)
    if gap < 0:
        return None
    times.append(gap)
    if fold != "count":
        known.numbers.append(number)
    return _pack(known)


def _encode(series: _Series, fold: Fold) -> bytes:
    times, single = zip(*series.singles, strict=True) if series.singles else ((), ())
    plain = fold == "count"
    folded = _NOTHING
    if series.buckets:
        starts, counts, numbers_of = zip(*series.buckets, strict=True)
        packed: tuple[Any, ...] = (series.days, gaps(starts), counts, () if plain else numbers_of)
        folded = msgspec.Raw(_pack(packed))
    oldest = series.buckets[0][0] if series.buckets else 0
    return _pack(_Held(oldest, folded, gaps(times), [] if plain else list(single)))


def _decode(held: bytes | None) -> _Series:
    if held is None:
        return _Series()
    known = _unpack(held)
    times, single = known.times, known.numbers
    singles = list(zip(accumulate(times), single or [0] * len(times), strict=True))
    if known.folded == _NOTHING:
        return _Series(singles=singles)
    days, starts, counts, folded = _unpack_folded(known.folded)
    buckets = list(zip(accumulate(starts), counts, folded or [0] * len(counts), strict=True))
    return _Series(days, buckets, singles)


def gaps(ascending: Sequence[int]) -> list[int]:
    """The first, and how far each lies behind the one before it; ``accumulate`` reads it back."""
    return [*ascending[:1], *(after - before for before, after in pairwise(ascending))]
