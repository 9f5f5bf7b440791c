"""Product events read once, from a topic or a file, for commands that look at a stream and end.

A topic is read committed, from its start or a time to where it ends when reading begins, without joining a
consumer group: nothing that workers do changes by it.
"""

from __future__ import annotations

import gzip
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its list of names is incomplete
    AdminClient,
    OffsetSpec,
)

from schemas import wire
from workers.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from confluent_kafka import Message

    from schemas.wire import ProductEvent

FETCH_RECORDS: Final = 2_000
FETCH_SECONDS: Final = 0.5
FIRST_ANSWER_SECONDS: Final = 10.0
"""How long the brokers may take for their first answer: a person waits, who may have mistyped the address."""

TIMEOUT_SECONDS: Final = 30.0
"""How long the brokers may say nothing before reading gives up."""

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Longest line of a file: far above any record, far below what a file without line ends would take."""


@dataclass(frozen=True, slots=True)
class Found:
    """One record: its partition and offset, or -1 and the number of its line, from 1; and its key, if any.

    ``timestamp_ms`` is when it was written; 0 in a file.
    """

    partition: int
    offset: int
    value: bytes
    key: bytes | None = None
    timestamp_ms: int = 0

    @property
    def place(self) -> str:
        """Where it lies, for people."""
        return (
            f"partition {self.partition} offset {self.offset}"
            if self.partition >= 0
            else f"line {self.offset}"
        )


@dataclass(slots=True)
class Events:
    """The events among records: iterate once. What is none is counted by its reason, with its first place."""

    records: Iterable[Found]
    read: int = 0
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[Found, ProductEvent]]:
        for record in self.records:
            self.read += 1
            try:
                event = wire.decode_product_event(record.value)
            except (msgspec.DecodeError, AttributeError) as error:
                invalid = isinstance(error, msgspec.ValidationError)
                self._refuse(record, str(error) if invalid else "not readable as JSON")
                continue
            problem = wire.problem(event)
            if problem is not None:
                self._refuse(record, problem)
                continue
            yield record, event

    def _refuse(self, record: Found, reason: str) -> None:
        count, place = self.refused.get(reason, (0, record.place))
        self.refused[reason] = (count + 1, place)


def read_file(path: Path, progress: Callable[[int, int], None]) -> Iterator[Found]:
    """The lines of an NDJSON file, also a gzipped one (``.gz``); empty lines are skipped.

    ``progress`` is told how many bytes are read, of how many.

    Raises:
        Misconfigured: the file cannot be read, or has a line longer than :data:`MAX_LINE_BYTES`.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as plain:
            lines: Any = gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain
            number = 0
            while line := lines.readline(MAX_LINE_BYTES):
                number += 1
                if len(line) == MAX_LINE_BYTES:
                    raise Misconfigured(
                        f"{path}, line {number}: longer than {MAX_LINE_BYTES} bytes; one JSON event a line "
                        f"is expected"
                    )
                if number % FETCH_RECORDS == 0:
                    progress(plain.tell(), size)
                line = line.strip()
                if line:
                    yield Found(-1, number, line)
            progress(size, size)
    except (OSError, EOFError, zlib.error) as error:
        raise Misconfigured(f"{path}: {error}") from error


def read_topic(
    options: Mapping[str, Any],
    topic: str,
    since_ms: int | None,
    progress: Callable[[int, int], None],
    *,
    deletions: bool = False,
) -> Iterator[Found]:
    """The committed records of a topic that are there now, written at ``since_ms`` or later (None: all).

    Partitions come mixed, each in its order. ``options`` are librdkafka's: bootstrap servers and security.
    ``progress`` is told how many records are read, of how many. With ``deletions``, records without a value
    come too, as empty ones.

    Raises:
        Misconfigured: there is no such topic.
        Retryable: no broker answers.
    """
    consumer = Consumer(
        {
            **options,
            "group.id": "brimful-plan",  # librdkafka wants one; nothing joins it or commits to it
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "log_level": 2,  # what fails is told once, by an exception, and not by each attempt
        }
    )
    try:
        starts, ends = _bounds(consumer, options, topic, since_ms)
        reading = _Reading(starts, ends, deletions=deletions)
        consumer.assign([TopicPartition(topic, number, starts[number]) for number in sorted(reading.left)])
        yield from _until_the_ends(consumer, topic, reading, progress)
    except KafkaException as error:
        raise Retryable(
            f"cannot read {topic} at {options['bootstrap.servers']}: {error.args[0].str()}"
        ) from error
    finally:
        consumer.close()


def _bounds(
    consumer: Consumer, options: Mapping[str, Any], topic: str, since_ms: int | None
) -> tuple[dict[int, int], dict[int, int]]:
    """First offset to read, and the offset where to stop, of every partition."""
    known = consumer.list_topics(topic, timeout=FIRST_ANSWER_SECONDS).topics[topic]
    if known.error is not None or not known.partitions:
        raise Misconfigured(f"there is no topic {topic}; `brimful topics apply` creates the declared ones")
    admin = AdminClient(dict(options))
    partitions = [TopicPartition(topic, number) for number in known.partitions]
    latest, earliest = OffsetSpec.latest(), OffsetSpec.earliest()  # type: ignore[no-untyped-call]
    ends = _offsets(admin, partitions, latest)
    if since_ms is None:
        return _offsets(admin, partitions, earliest), ends
    wanted = [TopicPartition(topic, number, since_ms) for number in known.partitions]
    starts = consumer.offsets_for_times(wanted, timeout=TIMEOUT_SECONDS)
    # A negative offset: nothing is that new.
    return {one.partition: one.offset if one.offset >= 0 else ends[one.partition] for one in starts}, ends


def _offsets(admin: AdminClient, partitions: list[TopicPartition], spec: OffsetSpec) -> dict[int, int]:
    """Offsets as readers of committed records see them: an open transaction is beyond the end."""
    futures = admin.list_offsets(
        dict.fromkeys(partitions, spec),
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=TIMEOUT_SECONDS,
    )
    return {partition.partition: future.result().offset for partition, future in futures.items()}


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
            elif error.fatal() or (not error.retriable() and error.code() > 0):
                raise KafkaException(error)
            return None
        end, value = self._ends[number], message.value()
        self._reached[number] = min(offset + 1, end)
        if offset >= end - 1:
            self._end(number)
        if offset >= end or (value is None and not self._deletions):
            return None
        return Found(number, offset, value or b"", message.key(), max(message.timestamp()[1], 0))

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
