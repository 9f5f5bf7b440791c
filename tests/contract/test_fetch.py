"""One contract, two ways to unpack: aiokafka's own iteration and ours, over the same real topics.

Each topic is read twice from the same offset, once by a plain consumer and once by one whose fetched
records are unpacked in runs. Records and the position behind them must be the same.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import confluent_kafka
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its list of names is incomplete

from workers.stream.fetch import RunOfRecords, unpack_in_runs

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.kafka

Seen = tuple[int, int, bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]


def create(bootstrap: str, topic: str) -> TopicPartition:
    """A topic of one partition."""
    admin = AdminClient({"bootstrap.servers": bootstrap})  # its futures end with it: it must be held
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)
    return TopicPartition(topic, 0)


def producer(bootstrap: str, **options: Any) -> Producer:
    """A producer whose batches hold some twenty records."""
    return Producer({"bootstrap.servers": bootstrap, "batch.num.messages": 20, "linger.ms": 50, **options})


def produce(to: Producer, topic: str, name: str, number: int) -> None:
    """So many records with keys, values, headers, and now and then none of them."""
    for at in range(number):
        key = None if at % 7 == 0 else b"%s-%d" % (name.encode(), at)
        value = None if at % 11 == 0 else b"%s value %d " % (name.encode(), at) * 20
        to.produce(topic, key=key, value=value, headers=[("n", str(at).encode())] if at % 3 else None)
    assert to.flush(10) == 0


async def read(
    bootstrap: str, tp: TopicPartition, *, start: int, end: int, runs: bool, isolation: str
) -> tuple[list[Seen], int]:
    """What a consumer gets from ``start`` until its position is ``end``, and that position."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level=isolation,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=20_000,
    )
    consumer.assign([tp])
    await consumer.start()
    try:
        if runs:
            unpack_in_runs(consumer)
        consumer.seek(tp, start)
        seen: list[Seen] = []
        async with asyncio.timeout(10):
            while True:
                fetched = await consumer.getmany(tp, timeout_ms=100)
                seen += [
                    (record.offset, record.timestamp, record.key, record.value, tuple(record.headers))
                    for record in fetched.get(tp, [])
                ]
                if await consumer.position(tp) >= end:
                    break
        return seen, await consumer.position(tp)
    finally:
        await consumer.stop()


async def both(
    bootstrap: str, tp: TopicPartition, start: int = 0, isolation: str = "read_committed"
) -> list[Seen]:
    """What both ways give, having made sure that it is the same."""
    probe = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await probe.start()
    end = (await probe.end_offsets([tp]))[tp]
    await probe.stop()
    plain = await read(bootstrap, tp, start=start, end=end, runs=False, isolation=isolation)
    ours = await read(bootstrap, tp, start=start, end=end, runs=True, isolation=isolation)
    assert ours == plain
    return ours[0]


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd", "snappy", "gzip"])
async def test_every_compression_gives_the_same_records(
    kafka: str, topic_prefix: str, compression: str
) -> None:
    """Offsets, times, keys, values and headers, also missing ones; from the beginning and from a seek."""
    tp = create(kafka, topic_prefix + "events")
    produce(producer(kafka, **{"compression.type": compression}), tp.topic, compression, 100)
    seen = await both(kafka, tp)
    assert [offset for offset, *_ in seen] == list(range(100))
    assert (seen[7][2], seen[11][3], seen[0][4]) == (None, None, ())
    for start in (1, 13, 99):
        assert [offset for offset, *_ in await both(kafka, tp, start)] == list(range(start, 100))


def transactions(kafka: str, topic: str) -> dict[str, Callable[[], None]]:
    """Steps of two interleaved producers, by name."""
    one = producer(kafka, **{"transactional.id": topic + "-1", "compression.type": "lz4"})
    two = producer(kafka, **{"transactional.id": topic + "-2"})
    for each in (one, two):
        each.init_transactions(10)
    return {
        "begin 1": one.begin_transaction,
        "begin 2": two.begin_transaction,
        "write 1": lambda: produce(one, topic, "one", 30),
        "write 2": lambda: produce(two, topic, "two", 30),
        "commit 1": lambda: one.commit_transaction(10),
        "commit 2": lambda: two.commit_transaction(10),
        "abort 1": lambda: one.abort_transaction(10),
        "abort 2": lambda: two.abort_transaction(10),
    }


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("begin 1, write 1, commit 1, begin 1, write 1, commit 1", {"one": 54}),
        ("begin 1, write 1, abort 1", {}),
        ("begin 1, write 1, abort 1, begin 1, write 1, commit 1", {"one": 27}),
        ("begin 1, begin 2, write 1, write 2, write 1, abort 1, write 2, commit 2", {"two": 54}),
        (
            "begin 1, begin 2, write 1, write 2, commit 2, write 1, abort 1, begin 1, write 1, commit 1",
            {"one": 27, "two": 27},
        ),
        ("begin 2, write 2, abort 2, begin 1, write 1, begin 2, write 2, commit 1, abort 2", {"one": 27}),
    ],
)
async def test_transactions_give_the_same_records(
    kafka: str, topic_prefix: str, script: str, expected: dict[str, int]
) -> None:
    """Aborted ones are never seen, markers neither, however the transactions lie across each other."""
    tp = create(kafka, topic_prefix + "events")
    steps = transactions(kafka, tp.topic)
    for step in script.split(", "):
        steps[step]()
    seen = await both(kafka, tp)
    names = [value.split()[0].decode() for _, _, _, value, _ in seen if value is not None]
    assert {name: names.count(name) for name in set(names)} == expected
    for start in (1, 13, 29):
        await both(kafka, tp, start)
    await both(kafka, tp, isolation="read_uncommitted")


async def test_a_log_cleaned_in_the_middle_of_batches_gives_the_same_records(
    kafka: str, topic_prefix: str
) -> None:
    """Records deleted from the log's beginning leave a batch that is entered in its middle."""
    tp = create(kafka, topic_prefix + "events")
    produce(producer(kafka), tp.topic, "x", 60)
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.delete_records([confluent_kafka.TopicPartition(tp.topic, 0, 33)]).values():
        future.result(10)
    assert [offset for offset, *_ in await both(kafka, tp, 33)] == list(range(33, 60))


class _Log:
    """A fetched log of one batch that fails its checksum."""

    def has_next(self) -> bool:
        return True

    def next_batch(self) -> Any:
        return self

    def validate_crc(self) -> bool:
        return False


class _Fetched:
    """A ``PartitionRecords`` over it."""

    _records = _Log()
    _check_crcs = True
    _tp = TopicPartition("events", 0)
    next_fetch_offset = 7


def test_a_batch_that_fails_its_checksum_is_refused() -> None:
    """As aiokafka does: the position stays, and the batch is fetched again."""
    run = RunOfRecords(_Fetched())
    with pytest.raises(CorruptRecordException, match="checksum"):
        list(run)
    assert run.next_fetch_offset == 7
