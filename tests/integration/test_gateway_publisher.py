"""The publisher's contract, on the fake and on Kafka, and what only Kafka can do."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from workers.intake.kafka_publisher import KafkaPublisher
from workers.intake.publisher import InMemoryPublisher, KafkaUnavailable, Record
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from workers.intake.publisher import Headers

PARTITIONS = 4


def make_topic(bootstrap: str, topic: str) -> None:
    """A topic with four partitions."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()


def read_all(bootstrap: str, topic: str) -> list[tuple[int, Record]]:
    """Partition and record of all that the topic holds, in the order of each partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    found: list[tuple[int, Record]] = []
    ends = 0
    while ends < PARTITIONS:
        for message in consumer.consume(1000, 1.0):
            if message.error():
                ends += 1
                continue
            headers = cast("Headers", tuple(message.headers() or ()))
            record = Record(topic, message.key() or b"", message.value() or b"", headers)
            found.append((message.partition() or 0, record))
    consumer.close()
    return found


@asynccontextmanager
async def started(bootstrap: str, topic: str, **options: object) -> AsyncIterator[KafkaPublisher]:
    """A Kafka publisher that found its brokers."""
    publisher = KafkaPublisher(bootstrap, probe_topic=topic, **options)  # type: ignore[arg-type]
    publisher.start()
    try:
        while not publisher.healthy():  # noqa: ASYNC110 - it connects in a thread of its own
            await asyncio.sleep(0.01)
        yield publisher
    finally:
        await publisher.close()


Setup = tuple[InMemoryPublisher | KafkaPublisher, str, "Callable[[], list[Record]]"]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
async def setup(request: pytest.FixtureRequest, topic_prefix: str) -> AsyncIterator[Setup]:
    """A publisher of each kind, a topic, and a way to read what it holds."""
    topic = f"{topic_prefix}events"
    if request.param == "memory":
        memory = InMemoryPublisher()
        yield memory, topic, lambda: memory.of(topic)
        return
    bootstrap = request.getfixturevalue("kafka")
    make_topic(bootstrap, topic)
    async with started(bootstrap, topic) as publisher:
        yield publisher, topic, lambda: [record for _partition, record in read_all(bootstrap, topic)]


async def test_what_was_published_is_there(setup: Setup) -> None:
    """Key, value and headers arrive as given, records of one key in their order."""
    publisher, topic, read = setup
    sent = [
        Record(
            topic, b"user-%d" % (number % 3), b"%d" % number, (("source", b"web"), ("received_at_ms", b"1"))
        )
        for number in range(100)
    ]
    await publisher.publish(sent)
    found = read()
    assert sorted(found) == sorted(sent)
    for key in {record.key for record in sent}:
        assert [one for one in found if one.key == key] == [one for one in sent if one.key == key]


async def test_many_requests_publish_at_once(setup: Setup) -> None:
    """Each hears when its own records are kept."""
    publisher, topic, read = setup
    requests = [[Record(topic, b"k", b"%d" % number)] for number in range(200)]
    await asyncio.gather(*(publisher.publish(request) for request in requests))
    assert sorted(int(record.value) for record in read()) == list(range(200))


async def test_publishing_nothing_is_fine(setup: Setup) -> None:
    """An empty batch needs no Kafka."""
    publisher, _topic, read = setup
    await publisher.publish([])
    assert read() == []


async def test_a_working_publisher_is_healthy(setup: Setup) -> None:
    """Readiness shows it."""
    assert setup[0].healthy()


@pytest.mark.kafka
async def test_keys_go_where_java_clients_put_them(kafka: str, topic_prefix: str) -> None:
    """The engine is co-partitioned by murmur2; another placement would split a person's state."""
    topic = f"{topic_prefix}events"
    make_topic(kafka, topic)
    async with started(kafka, topic) as publisher:
        await publisher.publish([Record(topic, f"ключ-{number}".encode(), b"x") for number in range(50)])
    for partition, record in read_all(kafka, topic):
        assert partition == partition_of(record.key, PARTITIONS)


@pytest.mark.kafka
async def test_a_full_buffer_refuses_whole_requests(kafka: str, topic_prefix: str) -> None:
    """Nothing of a refused request is sent; what was taken before arrives."""
    topic = f"{topic_prefix}events"
    make_topic(kafka, topic)
    async with started(kafka, topic, buffer_records=10) as publisher:
        first = asyncio.create_task(publisher.publish([Record(topic, b"k", b"first")] * 8))
        await asyncio.sleep(0)
        with pytest.raises(KafkaUnavailable, match="buffer"):
            await publisher.publish([Record(topic, b"k", b"second")] * 3)
        await first
        await publisher.publish([Record(topic, b"k", b"large request, alone")] * 20)
    values = [record.value for _partition, record in read_all(kafka, topic)]
    assert values.count(b"first") == 8
    assert b"second" not in values
    assert values.count(b"large request, alone") == 20


@pytest.mark.kafka
async def test_what_kafka_does_not_take_is_refused_in_bounded_time(kafka: str, topic_prefix: str) -> None:
    """A missing topic stands for all that keeps records from being acknowledged; it recovers by itself."""
    topic = f"{topic_prefix}events"
    make_topic(kafka, topic)
    async with started(kafka, topic, config={"delivery.timeout.ms": 1000}) as publisher:
        with pytest.raises(KafkaUnavailable):
            await publisher.publish([Record(f"{topic_prefix}missing", b"k", b"v"), Record(topic, b"k", b"v")])
        while not publisher.healthy():  # noqa: ASYNC110 - it asks the brokers in a thread of its own
            await asyncio.sleep(0.01)
        await publisher.publish([Record(topic, b"k", b"after")])
    assert b"after" in [record.value for _partition, record in read_all(kafka, topic)]


async def test_without_brokers_a_request_is_refused_at_once(unused_port: int) -> None:
    """Not after the time-out of each: it is known that nobody answers."""
    publisher = KafkaPublisher(f"127.0.0.1:{unused_port}", probe_topic="events")
    publisher.start()
    try:
        assert not publisher.healthy()
        with pytest.raises(KafkaUnavailable, match="not available") as refusal:
            await publisher.publish([Record("events", b"k", b"v")])
        assert refusal.value.retry_after_s > 0
    finally:
        await publisher.close(0.1)


async def test_closing_delivers_what_was_handed_over_and_may_be_repeated() -> None:
    """A publisher that never started, or was closed before, closes without an error."""
    publisher = KafkaPublisher("127.0.0.1:1", probe_topic="events")
    await publisher.close()
    await publisher.close()
    with pytest.raises(KafkaUnavailable):
        await publisher.publish([Record("events", b"k", b"v")])


@pytest.fixture
def unused_port(unused_tcp_port: int) -> int:
    """A loopback port on which nobody listens."""
    return unused_tcp_port
