"""A compacted topic followed into memory or onto disk: read from its beginning, and then what is added.

One thread reads all partitions, read-committed. No group is joined and nothing is committed to one: what was
read is a copy, which is made anew at each start.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, cast

import msgspec
import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from workers.errors import BrimfulError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from confluent_kafka import Message

log = structlog.get_logger(__name__)

_RETRY_S = 1.0


class TopicTail:
    """Create, :meth:`start`, :meth:`close`. ``take`` gets the records in the thread, some at a time.

    After an error of the brokers, or one that ``take`` raises, it goes on with a new consumer behind the
    records that were taken, so that some come twice where ``take`` failed half-way.

    Args:
        name: what the thread, the group that librdkafka wants and the log call it.
        bootstrap: the brokers.
        topic: until it exists, the tail is not ready.
        take: what is done with records; ``BrimfulError`` and ``MsgspecError`` interrupt the tail.
        most_records: at most so many are taken at once.
        wait_s: the longest wait for more records before what came is taken.
        config: librdkafka settings that win over ours.
    """

    def __init__(
        self,
        name: str,
        bootstrap: str,
        topic: str,
        take: Callable[[Sequence[Message]], None],
        *,
        most_records: int,
        wait_s: float,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._name = name
        self._topic = topic
        self._take = take
        self._most_records = most_records
        self._wait_s = wait_s
        self._config = {
            "client.id": f"brimful-{name}",
            "group.id": f"brimful-{name}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "log_level": 3,
            **(config or {}),
            "bootstrap.servers": bootstrap,
        }
        self._behind: set[int] | None = None
        self._next: dict[int, int] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read; never waits and never fails because the brokers are away."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Read no more. May be called twice."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def ready(self) -> bool:
        """Whether everything that was there at the start has been taken, and reading goes on."""
        alive = self._thread is not None and self._thread.is_alive()
        return alive and self._behind is not None and not self._behind

    # -- the thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            consumer = Consumer(self._config)
            try:
                self._follow(consumer)
            except (KafkaException, BrimfulError, msgspec.MsgspecError) as error:
                self._behind = None
                log.warning("tail.interrupted", tail=self._name, error=str(error))
                self._stopping.wait(_RETRY_S)
            finally:
                consumer.close()

    def _follow(self, consumer: Consumer) -> None:
        partitions = self._partitions(consumer)
        if not partitions:
            return
        self._behind = set(partitions)
        starts = [(number, self._next.get(number, OFFSET_BEGINNING)) for number in partitions]
        consumer.assign([TopicPartition(self._topic, number, offset) for number, offset in starts])
        while not self._stopping.is_set():
            self._consumed(consumer.consume(self._most_records, self._wait_s))

    def _partitions(self, consumer: Consumer) -> list[int]:
        """The topic's partitions; empty when stopped before it exists."""
        while not self._stopping.is_set():
            topic = consumer.list_topics(self._topic, timeout=5.0).topics[self._topic]
            if topic.error is None and topic.partitions:
                return sorted(topic.partitions)
            log.warning("tail.topic_missing", tail=self._name, topic=self._topic)
            self._stopping.wait(_RETRY_S)
        return []

    def _consumed(self, messages: Sequence[Message]) -> None:
        records: list[Message] = []
        ends: set[int] = set()
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's public name for it
                ends.add(place(message)[0])
            else:
                raise KafkaException(error)
        if records:
            self._take(records)
        for message in records:
            partition, offset = place(message)
            self._next[partition] = offset + 1
        if self._behind:
            self._behind = self._behind - ends


def place(message: Message) -> tuple[int, int]:
    """Partition and offset; a consumed message always has both."""
    return cast("tuple[int, int]", (message.partition(), message.offset()))
