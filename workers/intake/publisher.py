"""What the gateway needs of Kafka: publish some records, and know whether they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from workers.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Sequence

Headers = tuple[tuple[str, bytes], ...]


class Record(NamedTuple):
    """One record to write. ``key`` decides the partition, as murmur2 does it in Java clients."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers = ()


class KafkaUnavailable(Retryable):
    """Not all records are known to be kept: Kafka is down, too slow, or the buffer is full.

    Some of them may be kept all the same; whoever publishes them again relies on de-duplication by id.
    Operator action: look at the brokers; the gateway refuses with 503 and recovers by itself.
    """

    def __init__(self, detail: str, retry_after_s: float) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type[KafkaUnavailable], tuple[str, float]]:
        return (KafkaUnavailable, (self.detail, self.retry_after_s))


class Publisher(Protocol):
    """Writes records to Kafka, or pretends to in tests."""

    async def publish(self, records: Sequence[Record]) -> None:
        """Return once every record is acknowledged by all in-sync replicas, in bounded time.

        Records of one call with the same topic and key keep their order. No records: returns at once.

        Raises:
            KafkaUnavailable: not all of them are acknowledged.
        """
        ...

    def healthy(self) -> bool:
        """Whether a publish would be tried now, as far as is known without trying."""
        ...


class InMemoryPublisher:
    """Keeps what is published in a list; ``fail_with`` makes it refuse, ``refused`` counts that."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.fail_with: KafkaUnavailable | None = None
        self.refused = 0

    async def publish(self, records: Sequence[Record]) -> None:
        """Keep the records, or raise what ``fail_with`` holds and keep none."""
        if not records:
            return
        if self.fail_with is not None:
            self.refused += 1
            raise KafkaUnavailable(self.fail_with.detail, self.fail_with.retry_after_s)
        self.records.extend(records)

    def healthy(self) -> bool:
        """True unless told to fail."""
        return self.fail_with is None

    def of(self, topic: str) -> list[Record]:
        """What was published to one topic, in order."""
        return [record for record in self.records if record.topic == topic]
