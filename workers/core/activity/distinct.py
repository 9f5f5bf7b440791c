"""Distinct values, each with the last time it occurred, as an immutable ``bytes`` value.

At most :data:`VALUES_MAX` values are kept, those that occurred last. A window that ends now is therefore
exact while it holds no more of them than that, and counts :data:`VALUES_MAX` where there are more. A value is
known by 64 bits of its hash. At most 13 bytes a value: 13 KiB.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

import msgspec
from xxhash import xxh3_64_digest

from workers.core.activity.series import SHARED, gaps

VALUES_MAX: Final = 1_024
_HASH_BYTES: Final = 8

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(tuple[list[int], bytes]).decode


def digest_of(value: Any) -> bytes | None:
    """What tells values apart: ``1`` is ``1.0``, not ``true`` and not "1". None: nothing to tell apart."""
    if isinstance(value, str):
        return xxh3_64_digest(b"s" + value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bool):
        return xxh3_64_digest(b"b" + str(value).encode())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return xxh3_64_digest(b"n" + repr(value).encode()) if isinstance(value, (int, float)) else None


def add(held: bytes | None, at_ms: int, digest: bytes, now_ms: int, retention_ms: int | None) -> bytes:
    """The values with one that occurred at ``at_ms``, without those that have left the retention.

    ``retention_ms`` None keeps values for ever. ``held`` None is the empty set.
    """
    times_ms, digests = ([], b"") if held is None else _decode(held)
    known = _index(digests, digest)
    if known is not None:
        at_ms = max(at_ms, times_ms.pop(known))
        digests = _spliced(digests, known, known + 1, b"")
    index = bisect_right(times_ms, at_ms)
    times_ms.insert(index, at_ms)
    digests = _spliced(digests, index, index, digest)
    gone = max(0, len(times_ms) - VALUES_MAX)
    if retention_ms is not None:
        gone = max(gone, bisect_right(times_ms, now_ms - retention_ms))
    return _pack((gaps(times_ms[gone:]), digests[gone * _HASH_BYTES :]))


def merge(mine: bytes | None, theirs: bytes | None, now_ms: int, retention_ms: int | None) -> bytes | None:
    """The values of both, each with the last time that it occurred to either."""
    if mine is None or theirs is None:
        return mine if theirs is None else theirs
    times_ms, digests = _decode(theirs)
    for number, at_ms in enumerate(times_ms):
        digest = digests[number * _HASH_BYTES : (number + 1) * _HASH_BYTES]
        mine = add(mine, at_ms, digest, now_ms, retention_ms)
    return mine


def count(held: bytes | None, lo_ms: int, hi_ms: int) -> int:
    """How many values occurred last in ``[lo_ms, hi_ms)``."""
    found = times(held)
    return max(0, bisect_left(found, hi_ms) - bisect_left(found, lo_ms))


def times(held: bytes | None) -> tuple[int, ...]:
    """When each value occurred last, in order of time."""
    return () if held is None else _times(held)


@lru_cache(maxsize=SHARED)
def _times(held: bytes) -> tuple[int, ...]:
    return tuple(_decode(held)[0])


def _decode(held: bytes) -> tuple[list[int], bytes]:
    gaps_ms, digests = _unpack(held)
    return list(accumulate(gaps_ms)), digests


def _index(digests: bytes, digest: bytes) -> int | None:
    """Which of the digests it is; None where it is none of them."""
    found = digests.find(digest)
    while found >= 0:
        if found % _HASH_BYTES == 0:
            return found // _HASH_BYTES
        found = digests.find(digest, found + 1)
    return None


def _spliced(digests: bytes, start: int, end: int, instead: bytes) -> bytes:
    return digests[: start * _HASH_BYTES] + instead + digests[end * _HASH_BYTES :]
