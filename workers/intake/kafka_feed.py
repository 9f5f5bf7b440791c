"""Feeds tailed from the compacted ``feeds`` topic into a local RocksDB: memory does not grow with people.

A thread reads all partitions from their beginning, read-committed, into an empty database; the copy is a
cache and is made anew at each start. It is ready when it has met the end of every partition once.
"""

from __future__ import annotations

import asyncio
import shutil
from struct import Struct
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from rocksdict import Options, Rdict, WriteBatch, WriteOptions

from workers.errors import BrimfulError
from workers.intake.feed import EMPTY, Feed, Watch, Watchers
from workers.tail import TopicTail, place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from confluent_kafka import Message

    from workers.intake.metrics import GatewayMetrics

log = structlog.get_logger(__name__)

_CURSOR = Struct(">q")
_MOST_RECORDS = 1_000
_WAIT_S = 0.05
"""Longest wait for more records before what came is shown: part of the time from event to feed."""
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
        self._tail = TopicTail(
            "gateway-feed",
            bootstrap,
            topic,
            self._take,
            most_records=_MOST_RECORDS,
            wait_s=_WAIT_S,
            config={"queued.max.messages.kbytes": 16 * 1024, "fetch.wait.max.ms": 50, **(config or {})},
        )
        self._path = path
        self._metrics = metrics
        self._watchers = Watchers()
        self._db: Rdict | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to read, in a thread; never waits and never fails because the brokers are away."""
        shutil.rmtree(self._path, ignore_errors=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._db = Rdict(str(self._path), _options())
        self._loop = asyncio.get_running_loop()
        self._tail.start()

    async def close(self) -> None:
        """Stop reading and delete the local copy. May be called twice."""
        await self._tail.close()
        database, self._db = self._db, None
        if database is not None:
            database.close()
            shutil.rmtree(self._path, ignore_errors=True)

    def ready(self) -> bool:
        """See :class:`workers.intake.feed.FeedReader`; False again when the reading thread died."""
        return self._tail.ready()

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

    def _take(self, records: Sequence[Message]) -> None:
        batch = WriteBatch(raw_mode=True)
        people = {person for record in records if (person := self._put(batch, record)) is not None}
        if self._db is None:
            return
        try:
            self._db.write(batch, _write_options())
        except Exception as error:
            raise _CopyError(f"cannot write the copy of the feeds: {error}") from error
        waiting = self._watchers.watched(people)
        if waiting and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._watchers.wake, waiting)

    def _put(self, batch: WriteBatch, message: Message) -> str | None:
        """Stage one record; the person it is about, or None for a record that cannot be used."""
        key, value = message.key() or b"", message.value()
        partition, offset = place(message)
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
