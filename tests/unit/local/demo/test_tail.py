"""Following topics of a real broker, and producing to one."""

from __future__ import annotations

import json
import queue
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from workers.errors import Misconfigured
from workers.local.demo.publish import KafkaPublisher
from workers.local.demo.tail import Tailer

pytestmark = pytest.mark.kafka

SOON_S = 30.0  # a bound for a broken test, not an expectation
Seen = tuple[str, dict[str, Any]]


def make(bootstrap: str, *topics: str) -> AdminClient:
    """Creates the topics, with two partitions each."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(topic, 2, 1) for topic in topics]).values():
        future.result(SOON_S)
    return admin


def produce(bootstrap: str, topic: str, *values: bytes | None) -> None:
    """Writes the values; returns when they are acknowledged."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce(topic, value, b"key")
    assert producer.flush(SOON_S) == 0


def test_only_what_is_committed_after_the_start_is_handed_over(kafka: str, topic_prefix: str) -> None:
    """Neither the last run's records nor those of an aborted transaction; and no group is left behind."""
    admin = make(kafka, topic_prefix + "decisions", topic_prefix + "deliveries")
    produce(kafka, topic_prefix + "decisions", b'{"n": "old"}')
    seen: queue.Queue[Seen] = queue.Queue()
    tailer = Tailer(kafka, ["decisions", "deliveries"], lambda *record: seen.put(record), prefix=topic_prefix)
    with tailer:
        writer = Producer({"bootstrap.servers": kafka, "transactional.id": topic_prefix + "writer"})
        writer.init_transactions(SOON_S)
        writer.begin_transaction()
        writer.produce(topic_prefix + "decisions", b'{"n": "aborted"}', b"key")
        writer.flush(SOON_S)
        writer.abort_transaction(SOON_S)
        produce(kafka, topic_prefix + "decisions", b"not JSON", b"[1]", None, b'{"n": "new"}')
        assert seen.get(timeout=SOON_S) == ("decisions", {"n": "new"})
        produce(kafka, topic_prefix + "deliveries", b'{"n": "other"}')
        assert seen.get(timeout=SOON_S) == ("deliveries", {"n": "other"})
    assert seen.empty()
    assert tailer.unreadable == 2
    groups = admin.list_consumer_groups(request_timeout=SOON_S).result(SOON_S).valid
    assert not any(group.group_id.startswith("brimful-tailer") for group in groups)


def test_a_missing_topic_is_named_with_the_command_that_creates_it(kafka: str, topic_prefix: str) -> None:
    """A demo that shows nothing for ever helps nobody."""
    tailer = Tailer(kafka, ["decisions"], lambda *_: None, prefix=topic_prefix)
    with pytest.raises(Misconfigured, match=f"{topic_prefix}decisions do not exist.*brimful topics apply"):
        tailer.start()
    tailer.stop()


def test_what_the_callback_raises_comes_out_at_the_stop(kafka: str, topic_prefix: str) -> None:
    """A view that broke is an error, not an empty screen."""
    make(kafka, topic_prefix + "decisions")
    called: queue.Queue[None] = queue.Queue()

    def broken(_topic: str, _record: dict[str, Any]) -> None:
        called.put(None)
        raise ZeroDivisionError

    tailer = Tailer(kafka, ["decisions"], broken, prefix=topic_prefix)
    tailer.start()
    produce(kafka, topic_prefix + "decisions", b"{}")
    called.get(timeout=SOON_S)
    with pytest.raises(ZeroDivisionError):
        tailer.stop()
    tailer.stop()


async def test_messages_straight_to_kafka_are_acknowledged_keyed_by_user_and_in_order(
    kafka: str, topic_prefix: str
) -> None:
    """When the call returns the records are there, one user's in one partition."""
    topic = topic_prefix + "product-events"
    make(kafka, topic)
    messages = [{"messageId": str(number), "userId": f"u{number % 5}"} for number in range(50)]
    publisher = KafkaPublisher(kafka, topic)
    await publisher(messages)
    await publisher.close()
    reader = Consumer({"bootstrap.servers": kafka, "group.id": "unused"})
    reader.assign([TopicPartition(topic, number, 0) for number in range(2)])
    by_user: dict[str, list[tuple[int, int]]] = {}
    for _ in messages:
        record = reader.poll(SOON_S)
        assert record is not None
        value = json.loads(record.value() or b"")
        assert record.key() == value["userId"].encode()
        by_user.setdefault(value["userId"], []).append((record.partition() or 0, int(value["messageId"])))
    reader.close()
    for placed in by_user.values():
        assert len({partition for partition, _ in placed}) == 1
        assert placed == sorted(placed)
