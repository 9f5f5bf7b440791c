"""Reads topics to their end, read committed, for commands that look at what is there and go.

No consumer group is joined and no offset committed: nothing that workers do changes by it. Where a topic
ends is looked up when reading begins, as readers of committed records see it: an open transaction is beyond.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its list of names is incomplete
    AdminClient,
    OffsetSpec,
)

from workers.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from confluent_kafka import Message

Answer = TypeVar("Answer")

FETCH_RECORDS: Final = 2_000
FETCH_SECONDS: Final = 0.1
"""How long a fetch waits for more: a small partition is read within this, and a large one never waits."""

FIRST_ANSWER_SECONDS: Final = 10.0
"""How long the brokers may take for their first answer: a person waits, who may have mistyped the address."""

TIMEOUT_SECONDS: Final = 30.0
"""How long the brokers may say nothing before reading gives up."""

AGAIN_SECONDS: Final = 0.2
"""How long to wait until the brokers are asked again."""

_PASSING: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
    }
)
"""What Kafka's protocol calls retriable of what partitions answer: https://kafka.apache.org/protocol#protocol_error_codes.

librdkafka's own flag ``retriable()`` is set for errors of transactions only.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """One record: its partition and offset, or -1 and the number of its line, from 1; and its key, if any.

    ``timestamp_ms`` is when it was written; 0 in a file. ``deleted``: the record has no value.
    """

    partition: int
    offset: int
    value: bytes
    key: bytes | None = None
    timestamp_ms: int = 0
    deleted: bool = False

    @property
    def place(self) -> str:
        """Where it lies, for people."""
        return (
            f"partition {self.partition} offset {self.offset}"
            if self.partition >= 0
            else f"line {self.offset}"
        )


def read_topic(
    options: Mapping[str, Any],
    topic: str,
    since_ms: int | None,
    progress: Callable[[int, int], None],
    *,
    deletions: bool = False,
    only: Collection[int] | None = None,
    starts: Mapping[int, int] | None = None,
) -> Iterator[Found]:
    """The committed records of a topic that are there now, written at ``since_ms`` or later (None: all).

    Partitions come mixed, each in its order; ``only`` names those to read (None: all). With ``starts`` each
    is read from its offset there on. ``options`` are librdkafka's: bootstrap servers and security.
    ``progress`` is told how many records are read, of how many. With ``deletions``, records without a value
    come too, as empty ones.

    Raises:
        Misconfigured: there is no such topic.
        Retryable: no broker answers.
    """
    consumer = Consumer(
        {
            **options,
            "group.id": "brimful-reader",  # librdkafka wants one; nothing joins it or commits to it
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "log_level": 2,  # what fails is told once, by an exception, and not by each attempt
        }
    )
    try:
        begins, ends = _bounds(consumer, options, topic, since_ms)
        begins = {number: at for number, at in begins.items() if only is None or number in only}
        if starts is not None:
            begins = {number: starts[number] for number in begins if number in starts}
        reading = _Reading(begins, {number: ends[number] for number in begins}, deletions=deletions)
        consumer.assign([TopicPartition(topic, number, begins[number]) for number in sorted(reading.left)])
        yield from _until_the_ends(consumer, topic, reading, progress)
    except KafkaException as error:
        raise Retryable(
            f"cannot read {topic} at {options['bootstrap.servers']}: {error.args[0].str()}"
        ) from error
    finally:
        consumer.close()


def ends_of(options: Mapping[str, Any], topic: str) -> dict[int, int]:
    """The offset after the last committed record of each partition of a topic.

    Raises:
        Misconfigured: there is no such topic.
        Retryable: no broker answers.
    """
    return _edges(options, topic, OffsetSpec.latest())  # type: ignore[no-untyped-call]


def begins_of(options: Mapping[str, Any], topic: str) -> dict[int, int]:
    """The offset of the first record that each partition of a topic still has; raises as :func:`ends_of`."""
    return _edges(options, topic, OffsetSpec.earliest())  # type: ignore[no-untyped-call]


def _edges(options: Mapping[str, Any], topic: str, spec: OffsetSpec) -> dict[int, int]:
    admin = AdminClient({**options, "log_level": 2})
    try:
        numbers = _numbers(admin, options, topic)
        return _offsets(admin, [TopicPartition(topic, number) for number in numbers], spec)
    except KafkaException as error:
        raise Retryable(
            f"cannot read {topic} at {options['bootstrap.servers']}: {error.args[0].str()}"
        ) from error


def _numbers(client: Any, options: Mapping[str, Any], topic: str) -> list[int]:
    """The partitions of a topic, as a consumer or an admin client tells them."""
    known = client.list_topics(topic, timeout=FIRST_ANSWER_SECONDS).topics[topic]
    if known.error is not None or not known.partitions:
        raise Misconfigured(
            f"there is no topic {topic!r} on {options['bootstrap.servers']}; `brimful topics apply` creates "
            f"the declared ones"
        )
    return sorted(known.partitions)


def _bounds(
    consumer: Consumer, options: Mapping[str, Any], topic: str, since_ms: int | None
) -> tuple[dict[int, int], dict[int, int]]:
    """First offset to read, and the offset where to stop, of every partition."""
    numbers = _numbers(consumer, options, topic)
    admin = AdminClient({**options, "log_level": 2})
    partitions = [TopicPartition(topic, number) for number in numbers]
    latest, earliest = OffsetSpec.latest(), OffsetSpec.earliest()  # type: ignore[no-untyped-call]
    ends = _offsets(admin, partitions, latest)
    if since_ms is None:
        return _offsets(admin, partitions, earliest), ends
    wanted = [TopicPartition(topic, number, since_ms) for number in numbers]
    starts = asked(lambda: consumer.offsets_for_times(wanted, timeout=TIMEOUT_SECONDS))
    # A negative offset: nothing is that new.
    return {one.partition: one.offset if one.offset >= 0 else ends[one.partition] for one in starts}, ends


def _offsets(admin: AdminClient, partitions: list[TopicPartition], spec: OffsetSpec) -> dict[int, int]:
    """Offsets as readers of committed records see them: an open transaction is beyond the end."""

    def ask() -> dict[int, int]:
        futures = admin.list_offsets(
            dict.fromkeys(partitions, spec),
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=TIMEOUT_SECONDS,
        )
        return {partition.partition: future.result().offset for partition, future in futures.items()}

    return asked(ask)


def asked(ask: Callable[[], Answer]) -> Answer:
    """What the brokers answer, asked again for ``TIMEOUT_SECONDS`` while a partition has no leader yet.

    Partitions change their leader, and have none for a moment after they were created.

    Raises:
        KafkaException: another error, or it did not pass.
    """
    deadline_s = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() > deadline_s:
                raise
            time.sleep(AGAIN_SECONDS)


class _Reading:
    """How far a topic is read, by partition; a partition is left until it has reached its end."""

    def __init__(self, starts: Mapping[int, int], ends: Mapping[int, int], *, deletions: bool) -> None:
        self._starts, self._ends = starts, ends
        self._deletions = deletions
        self._reached = dict(starts)
        self.total = sum(ends[number] - starts[number] for number in ends)
        self.left = {number for number in ends if starts[number] < ends[number]}
        self.done: set[int] = set()
        """Partitions that reached their end and are still assigned."""

    def take(self, message: Message) -> Found | None:
        """The record of a message; None where it is beyond the end, or no record."""
        number, offset, error = message.partition() or 0, message.offset() or 0, message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  the client's name for it
                self._end(number)
            elif error.fatal() or (error.code() > 0 and error.code() not in _PASSING):
                raise KafkaException(error)
            return None
        end, value = self._ends[number], message.value()
        self._reached[number] = min(offset + 1, end)
        if offset >= end - 1:
            self._end(number)
        if offset >= end or (value is None and not self._deletions):
            return None
        return Found(
            number, offset, value or b"", message.key(), max(message.timestamp()[1], 0), value is None
        )

    def read(self) -> int:
        """How many of the records are read."""
        return sum(self._reached[number] - self._starts[number] for number in self._ends)

    def _end(self, number: int) -> None:
        if number in self.left:
            self.left.discard(number)
            self.done.add(number)
            self._reached[number] = self._ends[number]


def _until_the_ends(
    consumer: Consumer, topic: str, reading: _Reading, progress: Callable[[int, int], None]
) -> Iterator[Found]:
    heard_s = time.monotonic()
    while reading.left:
        messages = consumer.consume(FETCH_RECORDS, FETCH_SECONDS)
        if messages:
            heard_s = time.monotonic()
        elif time.monotonic() - heard_s > TIMEOUT_SECONDS:
            raise Retryable(f"no broker has sent anything of {topic} for {TIMEOUT_SECONDS:.0f} s")
        for message in messages:
            found = reading.take(message)
            if found is not None:
                yield found
        if reading.done:
            consumer.incremental_unassign([TopicPartition(topic, number) for number in reading.done])
            reading.done.clear()
        progress(reading.read(), reading.total)
