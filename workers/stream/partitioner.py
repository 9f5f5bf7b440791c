"""Which partition a key belongs to: murmur2, as in Java clients and librdkafka's ``murmur2_random``."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
_WORDS = Struct("<I")


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 of ``data`` with Kafka's seed, as an unsigned number."""
    size = len(data)
    value = _SEED ^ size
    whole = size & ~3
    for (word,) in _WORDS.iter_unpack(data[:whole]):
        word = (word * _M) & _MASK  # noqa: PLW2901 - the algorithm mixes each word in place
        word ^= word >> 24  # noqa: PLW2901
        value = ((value * _M) & _MASK) ^ ((word * _M) & _MASK)
    if size > whole:
        value ^= int.from_bytes(data[whole:], "little")
        value = (value * _M) & _MASK
    value ^= value >> 13
    value = (value * _M) & _MASK
    return value ^ (value >> 15)


@lru_cache(maxsize=131_072)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of ``key`` in a topic of ``partitions`` partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
