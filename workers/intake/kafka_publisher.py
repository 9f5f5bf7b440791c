"""The publisher on librdkafka: idempotent, acknowledged by all in-sync replicas, bounded in memory and time.

librdkafka batches the records of all requests in work; one thread serves its callbacks and wakes each
request once, when its last record is acknowledged. While the brokers are known to be down, requests are
refused at once instead of each waiting for the time-out, and the thread keeps asking whether they are back.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from workers.intake.publisher import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workers.intake.publisher import Record

log = structlog.get_logger(__name__)

DELIVERY_TIMEOUT_MS = 10_000
"""How long a record is tried. Below the 15 s that the Segment clients wait for an answer."""

LINGER_MS = 5
"""How long records wait for company, so that requests in work at the same time share a batch."""

BUFFER_BYTES = 64 * 1024 * 1024
"""Most bytes of keys and values handed over and not acknowledged yet; above it requests are refused."""

BUFFER_RECORDS = 200_000
"""Most records handed over and not acknowledged yet: each costs librdkafka memory beside its own bytes."""

_RETRY_FULL_S = 1.0
_RETRY_DOWN_S = 5.0
_PROBE_S = 1.0
_GRACE_S = 5.0
"""Librdkafka reports each record within the delivery time-out; a little more, and its thread must be dead."""


class KafkaPublisher:
    """Create, :meth:`start`, publish from one event loop, :meth:`close`.

    Args:
        bootstrap: the brokers, ``host:port,host:port``.
        probe_topic: a topic that must exist for the publisher to be healthy.
        config: librdkafka settings that win over ours (security, tests).
        buffer_bytes: most bytes in flight.
        buffer_records: most records in flight.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        probe_topic: str,
        config: Mapping[str, Any] | None = None,
        buffer_bytes: int = BUFFER_BYTES,
        buffer_records: int = BUFFER_RECORDS,
    ) -> None:
        self._config: dict[str, Any] = {
            "client.id": "brimful-gateway",
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": LINGER_MS,
            "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
            "socket.keepalive.enable": True,
            "reconnect.backoff.max.ms": 1000,
            **(config or {}),
            "bootstrap.servers": bootstrap,
            # Ours are the bounds: they refuse a request whole, librdkafka's would refuse it in the middle.
            "queue.buffering.max.messages": 0,
            "queue.buffering.max.kbytes": 2**31 - 1,
        }
        self._probe_topic = probe_topic
        self._buffer_bytes = buffer_bytes
        self._buffer_records = buffer_records
        self._wait_s = int(self._config["delivery.timeout.ms"]) / 1000 + _GRACE_S
        self._lock = threading.Lock()
        self._bytes = self._records = 0
        self._down = "not connected yet"
        self._broken = False
        self._stopping = threading.Event()
        self._producer: Producer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Connect in the background; never waits and never fails because the brokers are away."""
        self._producer = self._new_producer()
        self._thread = threading.Thread(target=self._serve, name="gateway-publisher", daemon=True)
        self._thread.start()

    async def close(self, deadline_s: float = DELIVERY_TIMEOUT_MS / 1000) -> None:
        """Deliver what was handed over, at most ``deadline_s`` seconds, and stop. May be called twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        await asyncio.to_thread(thread.join, _PROBE_S * 3)
        producer, self._producer = self._producer, None
        left = await asyncio.to_thread(producer.flush, deadline_s) if producer is not None else 0
        if left:
            log.warning("gateway.publisher_left_records", records=left)

    def healthy(self) -> bool:
        """Whether the brokers answered last time and the thread that serves them lives."""
        return not self._down and self._thread is not None and self._thread.is_alive()

    async def publish(self, records: Sequence[Record]) -> None:
        """See :class:`workers.intake.publisher.Publisher`; refuses all records or hands over all of them."""
        if not records:
            return
        producer = self._producer
        if producer is None or self._down:
            raise KafkaUnavailable(f"Kafka is not available: {self._down or 'not started'}", _RETRY_DOWN_S)
        size = sum(len(record.key) + len(record.value) for record in records)
        self._admit(len(records), size)
        pending = _Pending(self, len(records), size)
        for done, record in enumerate(records):
            try:
                producer.produce(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    headers=list(record.headers),
                    on_delivery=pending.delivered,
                )
            except (BufferError, KafkaException) as error:
                pending.refused(len(records) - done, str(error))
                break
        await self._acknowledged(pending)

    async def _acknowledged(self, pending: _Pending) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                problem = await pending.future
        except TimeoutError:
            raise KafkaUnavailable("Kafka did not answer in time", _RETRY_DOWN_S) from None
        if problem is not None:
            raise KafkaUnavailable(problem, _RETRY_DOWN_S)

    def _admit(self, records: int, size: int) -> None:
        with self._lock:
            over = self._records + records > self._buffer_records or self._bytes + size > self._buffer_bytes
            # A request larger than the whole buffer still passes when it is alone, or it could never pass.
            if over and self._records:
                raise KafkaUnavailable("the buffer to Kafka is full", _RETRY_FULL_S)
            self._records += records
            self._bytes += size

    def release(self, records: int, size: int) -> None:
        """Give back the buffer that a finished request held. Called from the publisher's thread."""
        with self._lock:
            self._records -= records
            self._bytes -= size

    def failed(self, error: KafkaError) -> None:
        """A record was not delivered. A time-out means that the brokers are away."""
        if error.code() in (KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError._TRANSPORT):  # noqa: SLF001
            if not self._down:
                log.warning("gateway.kafka_unavailable", error=error.name())
            self._down = error.name()

    # -- the thread

    def _serve(self) -> None:
        """Serve callbacks until stopped; find out when the brokers are back; replace a broken producer."""
        while not self._stopping.is_set():
            producer = self._producer
            if producer is None:
                return
            producer.poll(0.1)
            if self._broken:
                self._replace(producer)
            elif self._down:
                self._probe(producer)

    def _probe(self, producer: Producer) -> None:
        try:
            found = producer.list_topics(self._probe_topic, timeout=_PROBE_S).topics[self._probe_topic]
        except KafkaException as error:
            self._down = error.args[0].name()
            return
        if found.error is None:
            self._down = ""
            log.info("gateway.kafka_available")
        else:
            self._down = f"topic {self._probe_topic}: {found.error.name()}"
            self._stopping.wait(_PROBE_S)

    def _replace(self, producer: Producer) -> None:
        """A producer with a fatal error sends nothing any more: fail what it holds, begin a new one."""
        producer.purge()
        producer.flush(_PROBE_S)
        self._producer = self._new_producer()
        self._broken = False

    def _new_producer(self) -> Producer:
        return Producer({**self._config, "error_cb": self._on_error})

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._broken = True
            self._down = error.name()
            log.error("gateway.producer_broken", error=error.name())
        elif error.code() == KafkaError._ALL_BROKERS_DOWN and not self._down:  # noqa: SLF001
            self._down = error.name()
            log.warning("gateway.kafka_unavailable", error=error.name())


class _Pending:
    """The records of one request that are not acknowledged yet. Counted down in the publisher's thread."""

    def __init__(self, publisher: KafkaPublisher, records: int, size: int) -> None:
        self._publisher = publisher
        self._loop = asyncio.get_running_loop()
        self._records = self._left = records
        self._size = size
        self._problem: str | None = None
        self._lock = threading.Lock()
        self.future: asyncio.Future[str | None] = self._loop.create_future()

    def delivered(self, error: KafkaError | None, _message: Message) -> None:
        """Librdkafka's callback: one record is acknowledged, or given up."""
        if error is not None:
            self._publisher.failed(error)
        self._count(1, None if error is None else f"Kafka did not take the records: {error.name()}")

    def refused(self, records: int, detail: str) -> None:
        """That many records could not even be handed over. Called from the event loop."""
        self._count(records, f"Kafka did not take the records: {detail}")

    def _count(self, records: int, problem: str | None) -> None:
        with self._lock:
            self._left -= records
            self._problem = self._problem or problem
            finished = self._left == 0
        if finished:
            self._publisher.release(self._records, self._size)
            try:
                self._loop.call_soon_threadsafe(self._finish)
            except RuntimeError:
                if not self._loop.is_closed():  # once it is closed nobody waits for the answer
                    raise

    def _finish(self) -> None:
        if not self.future.done():
            self.future.set_result(self._problem)
