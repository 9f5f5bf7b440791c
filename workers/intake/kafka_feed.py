"""Feeds tailed from the compacted ``feeds`` topic into a local RocksDB: memory does not grow with people.

A thread reads all partitions from their beginning, read-committed, into an empty database; the copy is a
cache and is made anew at each start. It is ready when it has met the end of every partition once.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from struct import Struct
from typing import TYPE_CHECKING, Any, cast

import msgspec
import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from rocksdict import Options, Rdict, WriteBatch, WriteOptions

from workers.errors import BrimfulError
from workers.intake.feed import EMPTY, Feed, Watch, Watchers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from workers.intake.metrics import GatewayMetrics

log = structlog.get_logger(__name__)

_CURSOR = Struct(">q")
_MOST_RECORDS = 1_000
_WAIT_S = 0.05
"""Longest wait for more records before what came is shown: part of the time from event to feed."""
_RETRY_S = 1.0
_WRITE_BUFFER_BYTES = 8 * 1024 * 1024


class _FeedRow(msgspec.Struct):
    items: list[dict[str, Any]]


_decode = msgspec.json.Decoder(_FeedRow).decode


class _CopyError(BrimfulError):
    """The local copy cannot be written, for example for lack of space."""


class KafkaFeed:
    """Create, :meth:`start` in the event loop, read, :meth:`close`.

    Args:
        bootstrap: the brokers.
        topic: the feeds topic; until it exists, the feed is not ready.
        path: a folder of its own; what is in it is deleted at start and at close.
        metrics: counts the records read.
        config: librdkafka settings that win over ours.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        topic: str,
        path: Path,
        metrics: GatewayMetrics,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._config = {
            "client.id": "brimful-gateway-feed",
            "group.id": "brimful-gateway-feed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": 16 * 1024,
            "fetch.wait.max.ms": 50,
            **(config or {}),
            "bootstrap.servers": bootstrap,
        }
        self._topic = topic
        self._path = path
        self._metrics = metrics
        self._watchers = Watchers()
        self._behind: set[int] | None = None
        self._next: dict[int, int] = {}
        self._stopping = threading.Event()
        self._db: Rdict | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read, in a thread; never waits and never fails because the brokers are away."""
        shutil.rmtree(self._path, ignore_errors=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._db = Rdict(str(self._path), _options())
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="gateway-feed", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Stop reading and delete the local copy. May be called twice."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join)
        database, self._db = self._db, None
        if database is not None:
            database.close()
            shutil.rmtree(self._path, ignore_errors=True)

    def ready(self) -> bool:
        """See :class:`workers.intake.feed.FeedReader`; False again when the reading thread died."""
        alive = self._thread is not None and self._thread.is_alive()
        return alive and self._behind is not None and not self._behind

    def read(self, person: str) -> Feed:
        """See :class:`workers.intake.feed.FeedReader`."""
        row = None if self._db is None else self._db.get(person.encode())
        if row is None:
            return EMPTY
        return Feed(str(_CURSOR.unpack_from(row)[0]), tuple(_decode(row[_CURSOR.size :]).items))

    def watch(self, person: str) -> AbstractContextManager[Watch]:
        """See :class:`workers.intake.feed.FeedReader`."""
        return self._watchers.watch(person)

    def watching(self, person: str) -> int:
        """See :class:`workers.intake.feed.FeedReader`."""
        return self._watchers.count(person)

    def wake_all(self) -> None:
        """See :class:`workers.intake.feed.FeedReader`."""
        self._watchers.wake_all()

    # -- the thread

    def _run(self) -> None:
        """Read until stopped; after an error go on with a new consumer where the last one was."""
        while not self._stopping.is_set():
            consumer = Consumer(self._config)
            try:
                self._tail(consumer)
            except (KafkaException, _CopyError) as error:
                self._behind = None
                log.warning("gateway.feed_interrupted", error=str(error))
                self._stopping.wait(_RETRY_S)
            finally:
                consumer.close()

    def _tail(self, consumer: Consumer) -> None:
        partitions = self._partitions(consumer)
        if not partitions:
            return
        self._behind = set(partitions)
        starts = [(number, self._next.get(number, OFFSET_BEGINNING)) for number in partitions]
        consumer.assign([TopicPartition(self._topic, number, offset) for number, offset in starts])
        while not self._stopping.is_set():
            messages = consumer.consume(_MOST_RECORDS, _WAIT_S)
            if messages:
                self._apply(messages)

    def _partitions(self, consumer: Consumer) -> list[int]:
        """The topic's partitions; empty when stopped before it exists."""
        while not self._stopping.is_set():
            topic = consumer.list_topics(self._topic, timeout=5.0).topics[self._topic]
            if topic.error is None and topic.partitions:
                return sorted(topic.partitions)
            log.warning("gateway.feed_topic_missing", topic=self._topic)
            self._stopping.wait(_RETRY_S)
        return []

    def _apply(self, messages: list[Message]) -> None:
        batch = WriteBatch(raw_mode=True)
        people: set[str] = set()
        ends: set[int] = set()
        read: dict[int, int] = {}
        for message in messages:
            error = message.error()
            if error is None:
                partition, offset = _place(message)
                read[partition] = offset + 1
                person = self._put(batch, message)
                if person is not None:
                    people.add(person)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's public name for it
                ends.add(_place(message)[0])
            else:
                raise KafkaException(error)
        if self._db is None:
            return
        try:
            self._db.write(batch, _write_options())
        except Exception as error:
            raise _CopyError(f"cannot write the copy of the feeds: {error}") from error
        self._next |= read
        if self._behind:
            self._behind = self._behind - ends
        waiting = self._watchers.watched(people)
        if waiting and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._watchers.wake, waiting)

    def _put(self, batch: WriteBatch, message: Message) -> str | None:
        """Stage one record; the person it is about, or None for a record that cannot be used."""
        key, value = message.key() or b"", message.value()
        partition, offset = _place(message)
        try:
            person = key.decode()
            if value is None:
                batch.delete(key)
            else:
                _decode(value)
                batch.put(key, _CURSOR.pack(offset) + value)
        except (ValueError, msgspec.MsgspecError):
            self._metrics.feed_records.labels("unreadable").inc()
            log.warning("gateway.feed_record_unreadable", partition=partition, offset=offset)
            return None
        self._metrics.feed_records.labels("applied").inc()
        return person


def _place(message: Message) -> tuple[int, int]:
    """Partition and offset; a consumed message always has both."""
    return cast("tuple[int, int]", (message.partition(), message.offset()))


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_keep_log_file_num(1)
    return options


def _write_options() -> WriteOptions:
    options = WriteOptions()
    # The copy is made anew at each start. The stubs call it a method; in the library it is an attribute.
    options.disable_wal = True  # type: ignore[method-assign, assignment]
    return options
