"""The propensity's ways to and from ``product-events``, on a real broker."""

from __future__ import annotations

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.unit.propensity.kit import START_MS, message
from workers.errors import Misconfigured
from workers.propensity.scoring import send
from workers.propensity.sources import read_topic
from workers.settings import Settings
from workers.stream.partitioner import partition_of

PARTITIONS = 4


@pytest.mark.kafka
def test_all_that_is_committed_is_read_and_nothing_else(kafka: str, topic_prefix: str) -> None:
    """All partitions up to their ends, transaction markers included; what was aborted is not there."""
    settings = Settings(kafka=kafka)
    topic = f"{topic_prefix}product-events"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()
    events = [message("login", START_MS + number, "a", f"user-{number}") for number in range(40)]
    assert send(events[:20], settings, topic) == 20
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions()
    for chosen, finish in (
        (events[20:30], producer.commit_transaction),
        (events[30:], producer.abort_transaction),
    ):
        producer.begin_transaction()
        for number, event in enumerate([*chosen, "nonsense"]):
            producer.produce(topic, msgspec.json.encode(event), partition=number % PARTITIONS)
        producer.flush()
        finish()
    read = list(read_topic(settings, topic))
    assert {event.message_id for event in read} == {event["messageId"] for event in events[:30]}
    assert len(read) == 30


@pytest.mark.kafka
def test_a_score_lies_where_its_users_events_do(kafka: str, topic_prefix: str) -> None:
    """Keyed by user, partitioned as Kafka's own clients do: else the engine would have to send it on."""
    topic = f"{topic_prefix}product-events"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()
    send(
        [message("x", START_MS, "a", f"user-{number}") for number in range(20)], Settings(kafka=kafka), topic
    )
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": topic})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    found: dict[bytes, int | None] = {}
    while len(found) < 20:
        found |= {one.key() or b"": one.partition() for one in consumer.consume(20, 1.0) if not one.error()}
    consumer.close()
    assert found == {key: partition_of(key, PARTITIONS) for key in found}
    assert len(set(found.values())) == PARTITIONS


@pytest.mark.kafka
def test_a_topic_that_is_not_there_is_named(kafka: str, topic_prefix: str) -> None:
    """With the cluster that was asked."""
    with pytest.raises(Misconfigured, match=f"there is no topic '{topic_prefix}nothing' on {kafka}"):
        list(read_topic(Settings(kafka=kafka), f"{topic_prefix}nothing"))
