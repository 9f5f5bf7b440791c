"""Writes records and returns when they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from workers.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from confluent_kafka import Message

    from workers.imports.rows import Sent

DELIVERY_SECONDS: Final = 60
"""How long one record is tried: over a broker's restart, and below what a person waits at a terminal."""

_BY_KEY: Final = -1
"""What librdkafka calls no partition in particular."""


class Output(Protocol):
    """Where records go."""

    def send(self, records: Sequence[Sent]) -> None:
        """Write the records, each key's in their order; they are kept when this returns.

        Raises:
            Retryable: some may not be kept.
        """
        ...


class MemoryOutput:
    """Records in a list; ``fail_after`` sends it refuses, as a broker that went away."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.records: list[Sent] = []
        self.fail_after = fail_after
        self._sends = 0

    def send(self, records: Sequence[Sent]) -> None:
        """Keep them, or refuse."""
        self._sends += 1
        if self.fail_after is not None and self._sends > self.fail_after:
            raise Retryable("the broker went away")
        self.records.extend(records)


class KafkaOutput:
    """An idempotent producer, acknowledged by all in-sync replicas. ``topic`` gives full names of topics."""

    def __init__(self, bootstrap: str, topic: Callable[[str], str], config: Mapping[str, Any]) -> None:
        self._topic = topic
        self._failed: KafkaError | None = None
        self._producer = Producer(
            {
                "client.id": "brimful-import",
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 20,
                "batch.num.messages": 50_000,
                "queue.buffering.max.messages": 1_000_000,
                "delivery.timeout.ms": DELIVERY_SECONDS * 1000,
                "allow.auto.create.topics": False,
                "log_level": 3,
                **config,
                "bootstrap.servers": bootstrap,
            }
        )

    def send(self, records: Sequence[Sent]) -> None:
        """See :class:`Output`."""
        self._failed = None
        try:
            for record in records:
                self._hand_over(record)
        except KafkaException as error:
            raise Retryable(f"Kafka does not take the records: {error}") from error
        left = self._producer.flush(DELIVERY_SECONDS + 5)
        if left or self._failed is not None:
            detail = self._failed.str() if self._failed is not None else f"{left} records wait still"
            raise Retryable(f"Kafka did not take all records: {detail}")

    def _hand_over(self, record: Sent) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic(record.topic),
                    record.value,
                    record.key,
                    partition=_BY_KEY if record.partition is None else record.partition,
                    on_delivery=self._delivered,
                )
            except BufferError:
                self._producer.poll(0.1)
                continue
            self._producer.poll(0)
            return

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed = error
