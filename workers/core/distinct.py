"""Distinct values, each with the last time it occurred, as an immutable ``bytes`` value.

At most :data:`VALUES_MAX` values are kept, those that occurred last. A window that ends now is therefore
exact while it holds no more of them than that, and counts :data:`VALUES_MAX` where there are more. A value is
known by 64 bits of its hash. At most 13 bytes a value: 13 KiB.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import accumulate
from typing import Any, Final

import msgspec
from xxhash import xxh3_64_digest

from workers.core.series import gaps

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
    values = [] if held is None else _decode(held)
    known = next((index for index, (_, one) in enumerate(values) if one == digest), None)
    if known is not None:
        at_ms = max(at_ms, values.pop(known)[0])
    insort(values, (at_ms, digest))
    if retention_ms is not None and values[0][0] <= now_ms - retention_ms:
        values = values[bisect_left(values, (now_ms - retention_ms + 1, b"")) :]
    values = values[-VALUES_MAX:]
    return _pack((gaps([one[0] for one in values]), b"".join(one[1] for one in values)))


def count(held: bytes | None, lo_ms: int, hi_ms: int) -> int:
    """How many values occurred last in ``[lo_ms, hi_ms)``."""
    return sum(lo_ms <= at_ms < hi_ms for at_ms in times(held))


def times(held: bytes | None) -> list[int]:
    """When each value occurred last, in order of time."""
    return [] if held is None else list(accumulate(_unpack(held)[0]))


def _decode(held: bytes) -> list[tuple[int, bytes]]:
    gaps_ms, digests = _unpack(held)
    starts = range(0, len(digests), _HASH_BYTES)
    return [
        (at_ms, digests[start : start + _HASH_BYTES])
        for at_ms, start in zip(accumulate(gaps_ms), starts, strict=True)
    ]
