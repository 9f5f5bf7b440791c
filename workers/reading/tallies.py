"""Follows the changelog of the insights into memory: what is counted of journeys and steps, as committed.

The topic is compacted and small: a row per journey, version and outcome, and per step and reason, of each
partition. So every gateway with a console reads all of it at its start and then what changes. No group is
joined.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from workers.errors import BrimfulError
from workers.tallies import STANDING, STEPS, TALLIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Message

    from workers.settings import Settings
    from workers.stream.tables import Table
    from workers.tallies import Standing, StepTally, Tally

log = structlog.get_logger(__name__)

CHANGELOG: Final = "brimful-insights-changelog"
_TABLES: Final = (TALLIES, STEPS, STANDING)
_MOST_RECORDS = 2_000
_WAIT_S = 0.5
_RETRY_S = 2.0

Row = TypeVar("Row")


class TallyRows:
    """The newest rows of all partitions. One thread takes them in, others may read meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[bytes, dict[tuple[int, bytes], Any]] = {table.prefix: {} for table in _TABLES}

    def take(self, partition: int, key: bytes, value: bytes | None) -> None:
        """One record of the changelog; those of other tables are passed over.

        Raises:
            Misconfigured: newer insights wrote it.
            DecodeError: it is no row.
        """
        table = next((one for one in _TABLES if key[:1] == one.prefix), None)
        if table is None:
            return
        row = table.decode(value) if value else None
        with self._lock:
            if row is None:
                self._rows[table.prefix].pop((partition, key), None)
            else:
                self._rows[table.prefix][partition, key] = row

    def tallies(self) -> list[Tally]:
        """What became of journeys, by partition."""
        return self._all(TALLIES)

    def steps(self) -> list[StepTally]:
        """What came out at steps, by partition."""
        return self._all(STEPS)

    def standing(self) -> list[Standing]:
        """Who stands where, by partition of the engine."""
        return self._all(STANDING)

    def _all(self, table: Table[Row]) -> list[Row]:
        with self._lock:
            return list(self._rows[table.prefix].values())


class TallyFollower:
    """Reads the topic in a thread of its own, from its beginning, until it is closed."""

    def __init__(self, settings: Settings) -> None:
        self.rows = TallyRows()
        self._topic = settings.topic(CHANGELOG)
        self._config = {
            **settings.librdkafka(),
            "bootstrap.servers": settings.kafka,
            "group.id": "brimful-console",  # librdkafka wants one; nothing joins it or commits to it
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "log_level": 3,
        }
        self._behind: set[int] | None = None
        self._next: dict[int, int] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read; never waits and never fails because the brokers are away."""
        self._thread = threading.Thread(target=self._run, name="console-tallies", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Read no more. May be called twice."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def ready(self) -> bool:
        """Whether everything that was there at the start has been read, and reading goes on."""
        alive = self._thread is not None and self._thread.is_alive()
        return alive and self._behind is not None and not self._behind

    def _run(self) -> None:
        while not self._stopping.is_set():
            consumer = Consumer(self._config)
            try:
                self._tail(consumer)
            except (KafkaException, BrimfulError, msgspec.MsgspecError) as error:
                self._behind = None
                log.warning("console.tallies_interrupted", error=str(error))
                self._stopping.wait(_RETRY_S)
            finally:
                consumer.close()

    def _tail(self, consumer: Consumer) -> None:
        known = consumer.list_topics(self._topic, timeout=5.0).topics[self._topic]
        if known.error is not None:
            raise KafkaException(known.error)
        self._behind = set(known.partitions)
        consumer.assign(
            [
                TopicPartition(self._topic, number, self._next.get(number, OFFSET_BEGINNING))
                for number in sorted(known.partitions)
            ]
        )
        while not self._stopping.is_set():
            self._take(consumer.consume(_MOST_RECORDS, _WAIT_S))

    def _take(self, messages: Sequence[Message]) -> None:
        ends: set[int] = set()
        for message in messages:
            error, number = message.error(), message.partition() or 0
            if error is None:
                self.rows.take(number, message.key() or b"", message.value())
                self._next[number] = (message.offset() or 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's public name for it
                ends.add(number)
            elif error.fatal():
                raise KafkaException(error)
        if ends and self._behind:
            self._behind = self._behind - ends
