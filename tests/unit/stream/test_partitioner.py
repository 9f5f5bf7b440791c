"""Keys and their partitions."""

from __future__ import annotations

from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from workers.stream.partitioner import murmur2, partition_of


@given(st.binary(max_size=70))
def test_the_hash_is_kafkas(key: bytes) -> None:
    """The same 32 bits as aiokafka's, which follows the Java client."""
    assert murmur2(key) == reference(key) & 0xFFFFFFFF


def test_a_key_stays_where_it_was() -> None:
    """Values of the Java client's own test: a release that moves keys loses their state."""
    known = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"": 275646681,
    }
    assert {key: murmur2(key) for key in known} == {key: value & 0xFFFFFFFF for key, value in known.items()}


@given(st.binary(max_size=40), st.integers(1, 1_000))
def test_every_key_has_a_partition(key: bytes, partitions: int) -> None:
    """The positive hash, modulo the number of partitions."""
    assert partition_of(key, partitions) == (reference(key) & 0x7FFFFFFF) % partitions
