"""The events that every system of a benchmark reads: one topic, the same bytes for all.

About 400 bytes each, as an SDK sends them, over 20 days that end at ``end_ms``. A seed makes them repeatable,
so the number of users that must reach the threshold is known without asking any of the systems.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from tests.bench.model import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNTED = "api_called"
"""The event that systems count per user; the other three in a hundred events are ``RARE``."""

RARE = "plan_limit_reached"
RARE_SHARE = 0.03

USERS_PER_ACCOUNT = 20
SPAN_MS = 20 * 86_400_000
"""Shorter than the 21 days that are counted, so every event is inside its user's newest window."""

LATE_SHARE = 0.01
LATE_MOST_MS = 3_600_000 - 1
"""A late event stays within the hour of grace that windowing systems are given."""

THRESHOLD = 25
"""A system emits a record for a user when their count reaches this."""

QUIET: dict[str, str | int] = {"log_level": 3}
"""Keeps librdkafka from writing notices between the lines of a report; errors still show."""

_DELIVERY_TIMEOUT_S = 120.0
_BLOCK = 10_000

_TEMPLATE = (
    b'{"type":"track","event":"%s","userId":"%s","messageId":"%032x","timestamp":"%s",'
    b'"context":{"groupId":"%s","ip":"203.0.113.%d","library":{"name":"analytics-python","version":"2.4.0"}},'
    b'"properties":{"endpoint":"/v2/reports/%05d","method":"GET","duration_ms":%d,'
    b'"limit_type":"api_calls","current_plan":"starter","usage_percentage":%d}}'
)


@dataclass(frozen=True, slots=True)
class Load:
    """What a topic is filled with. ``end_ms`` is the event time that the last events approach."""

    users: int
    events: int
    partitions: int
    end_ms: int
    seed: int = 20_260_314
    names: tuple[str, ...] = (COUNTED,)
    """What the counted events are called, in turn."""

    @property
    def accounts(self) -> int:
        """Each user belongs to one account, twenty users to each."""
        return -(-self.users // USERS_PER_ACCOUNT)


@dataclass(frozen=True, slots=True)
class Generated:
    """One event. ``counted`` says whether it is one of those that systems count."""

    user: int
    key: bytes
    value: bytes
    at_ms: int
    counted: bool


def generate(load: Load) -> Iterator[Generated]:
    """The events of ``load`` in the order in which they are produced; the same for the same ``load``."""
    rng = random.Random(load.seed)  # noqa: S311 - repeatable load, not a secret
    start_ms = load.end_ms - SPAN_MS
    names = [name.encode() for name in load.names]
    for index in range(load.events):
        at_ms = start_ms + SPAN_MS * index // load.events
        if rng.random() < LATE_SHARE:
            at_ms -= int(rng.random() * LATE_MOST_MS)
        user = int(rng.random() * load.users)
        counted = rng.random() >= RARE_SHARE
        key = b"user-%07d" % user
        bits = rng.getrandbits(128)
        value = _TEMPLATE % (
            names[index % len(names)] if counted else RARE.encode(),
            key,
            bits,
            _iso(at_ms),
            b"acct-%06d" % (user // USERS_PER_ACCOUNT),
            bits & 0xFF,
            bits >> 8 & 0xFFFF,
            bits >> 24 & 0x3FF,
            bits >> 40 & 0x3F,
        )
        yield Generated(user, key, value, at_ms, counted)


def preload(bootstrap: str, topic: str, load: Load, say: Callable[[str], None]) -> frozenset[bytes]:
    """Create ``topic``, fill it, and return the keys of the users that reach ``THRESHOLD`` counted events.

    Records are placed by murmur2 of their key, as Java producers place them, carry their event time as
    timestamp, and are compressed with lz4.

    Raises:
        KafkaException: the topic exists or cannot be made.
        BenchError: not every record was acknowledged.
    """
    create_topic(bootstrap, topic, load.partitions)
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 50,
            "batch.num.messages": 50_000,
            "batch.size": 900_000,
            "queue.buffering.max.messages": 500_000,
            "enable.idempotence": True,
            **QUIET,
        },
    )
    counts = [0] * load.users
    size = 0
    for index, event in enumerate(generate(load)):
        while True:
            try:
                # produce_batch() takes no timestamps, and event time is what windows are made of.
                producer.produce(topic, event.value, event.key, timestamp=event.at_ms)
            except BufferError:
                producer.poll(0.1)
            else:
                break
        if event.counted:
            counts[event.user] += 1
        size += len(event.value)
        if index % _BLOCK == 0:
            producer.poll(0)
    if producer.flush(_DELIVERY_TIMEOUT_S):
        raise BenchError(f"{topic}: not every record was acknowledged in {_DELIVERY_TIMEOUT_S:.0f} s")
    say(f"  {load.events:,} events of {size // max(1, load.events)} bytes, {load.users:,} users, in {topic}")
    return frozenset(b"user-%07d" % user for user, count in enumerate(counts) if count >= THRESHOLD)


def create_topic(bootstrap: str, topic: str, partitions: int) -> None:
    """Make an empty topic that keeps its records however old their event time is.

    Raises:
        KafkaException: it exists, or the cluster refuses.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})
    config = {"retention.ms": "-1", "segment.bytes": str(256 << 20)}
    admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(30)


def keys_of(bootstrap: str, topic: str) -> frozenset[bytes]:
    """The keys of all committed records of ``topic``."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{topic}-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            **QUIET,
        },
    )
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        keys: set[bytes] = set()
        open_partitions = set(partitions)
        while open_partitions:
            for message in consumer.consume(10_000, timeout=1.0):
                error = message.error()
                if error is None:
                    keys.add(message.key() or b"")
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:
                    raise KafkaException(error)
        return frozenset(keys)
    finally:
        consumer.close()


def delete_topics(bootstrap: str, mark: str) -> int:
    """Delete the topics that have ``mark`` in their name, and say how many; one already gone is no error.

    Inside the name, because systems put words of their own before and after the name of an application.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})
    names = [name for name in admin.list_topics(timeout=30).topics if mark in name]
    if not names:
        return 0
    deleted = 0
    for future in admin.delete_topics(names).values():
        try:
            future.result(30)
        except KafkaException as error:
            if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                raise
        else:
            deleted += 1
    return deleted


def _iso(at_ms: int) -> bytes:
    seconds, millis = divmod(at_ms, 1000)
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    return b"%sT%02d:%02d:%02d.%03dZ" % (_date(days), hours, minutes, rest, millis)


_dates: dict[int, bytes] = {}


def _date(days: int) -> bytes:
    text = _dates.get(days)
    if text is None:
        text = _dates[days] = datetime.fromtimestamp(days * 86_400, UTC).date().isoformat().encode()
    return text
