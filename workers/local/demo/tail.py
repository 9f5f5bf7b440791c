"""Follows topics from now on and hands each committed record to a callback, in a thread of its own."""

from __future__ import annotations

import json
import threading
import uuid
from typing import TYPE_CHECKING, Any, Self

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

log = structlog.get_logger(__name__)

FETCH = 500  # records handed over at a time
FETCH_S = 0.2  # longest wait for them: how soon a stop is noticed
META_S = 10.0  # longest wait for the cluster's description


class Tailer:
    """Reads the committed records of ``topics`` from where they end at ``start``; joins and commits nothing.

    ``on_record(topic, record)`` gets the topic's name without ``prefix``, in the tailer's thread. Records
    that are not JSON objects are counted in ``unreadable`` and passed over; tombstones are passed over.
    An exception of the callback or a fatal Kafka error ends the thread; ``stop`` then raises it.
    """

    def __init__(
        self,
        bootstrap: str,
        topics: Sequence[str],
        on_record: Callable[[str, dict[str, Any]], None],
        *,
        prefix: str = "",
        config: dict[str, Any] | None = None,
    ) -> None:
        """``config`` is added to librdkafka's, for security settings."""
        self._topics = {prefix + topic: topic for topic in topics}
        self._on_record = on_record
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="brimful-tailer", daemon=True)
        self._problem: Exception | None = None
        self.unreadable = 0
        self._settings = {
            "bootstrap.servers": bootstrap,
            "group.id": f"brimful-tailer-{uuid.uuid4().hex}",  # demanded by librdkafka, joined by nobody
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "latest",
            **(config or {}),
        }
        self._consumer: Consumer | None = None

    def start(self) -> None:
        """Returns when the reading positions are fixed: every record committed later is handed over.

        Raises ``Misconfigured`` when a topic does not exist, ``KafkaException`` when no broker answers.
        """
        consumer = Consumer(self._settings)
        try:
            consumer.assign(self._ends(consumer))
        except BaseException:
            consumer.close()
            raise
        self._consumer = consumer
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes the consumer; raises what had ended the thread before."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise problem

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _ends(self, consumer: Consumer) -> list[TopicPartition]:
        """Every partition of the topics at its present end."""
        known = consumer.list_topics(timeout=META_S).topics
        missing = sorted(topic for topic in self._topics if topic not in known)
        if missing:
            raise Misconfigured(
                f"topics {', '.join(missing)} do not exist; create them with `brimful topics apply`"
            )
        ends = []
        for topic in self._topics:
            for number in known[topic].partitions:
                end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=META_S)[1]
                ends.append(TopicPartition(topic, number, end))
        return ends

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._poll()
        except Exception as error:  # noqa: BLE001 - kept for stop(), which raises it in the caller's thread
            log.warning("tailer.ended", error=repr(error))
            self._problem = error

    def _poll(self) -> None:
        consumer = self._consumer
        if consumer is None:
            return
        for message in consumer.consume(FETCH, FETCH_S):
            error = message.error()
            if error is not None:
                if error.fatal():
                    raise KafkaException(error)
                log.info("tailer.trouble", error=error.name())
                continue
            value = message.value()
            if value is None:
                continue
            record = _decoded(value)
            if record is None:
                self.unreadable += 1
            else:
                self._on_record(self._topics[message.topic() or ""], record)


def _decoded(value: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(value)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
