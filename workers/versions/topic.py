"""The topic ``workspace`` as a client: read to its end, followed, and written in one transaction."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)

from schemas import wire
from workers.errors import Misconfigured, Retryable
from workers.versions.published import Published, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workers.settings import Settings

TOPIC: Final = "workspace"
READ_SECONDS: Final = 15.0
WRITE_SECONDS: Final = 30.0


class WorkspaceReader:
    """Reads the topic; ``published`` is what it said up to where it was read. Methods block: use a thread."""

    def __init__(self, settings: Settings) -> None:
        self.published = Published()
        self.problems: list[str] = []
        self._seen = 0
        self._settings = settings
        self._topic = settings.topic(TOPIC)
        self._consumer: Consumer | None = None

    def catch_up(self) -> Published:
        """Read to the end. Records that are not readable are told in ``problems``, and passed over.

        Raises:
            Misconfigured: there is no such topic.
            Retryable: Kafka does not answer.
        """
        consumer = self._consumer or self._open()
        deadline_s = time.monotonic() + READ_SECONDS
        while not self._read(consumer, 1.0):
            if time.monotonic() > deadline_s:
                raise Retryable(f"Kafka at {self._settings.kafka} did not answer within {READ_SECONDS:.0f} s")
        return self.published

    def wait(self, seconds: float) -> bool:
        """Wait for new records; whether some came. They are taken up to the end."""
        assert self._consumer is not None, "catch up first"
        before = self._seen
        self._read(self._consumer, seconds)
        while self._seen != before and not self._read(self._consumer, 1.0):
            pass
        return self._seen != before

    def close(self) -> None:
        """Let go."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _open(self) -> Consumer:
        settings = self._settings
        consumer = Consumer(
            {
                **settings.librdkafka(),
                "bootstrap.servers": settings.kafka,
                "group.id": "brimful-workspace",  # librdkafka wants one; nothing joins it
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": False,
                "log_level": 3,
            }
        )
        try:
            found = consumer.list_topics(self._topic, timeout=READ_SECONDS).topics[self._topic]
        except KafkaException as away:
            consumer.close()
            raise Retryable(f"Kafka at {settings.kafka} does not answer: {away.args[0].str()}") from away
        if found.error is not None:
            consumer.close()
            told = f"topic {self._topic}: {found.error.str()}: run `brimful topics apply` first"
            raise Misconfigured(told)
        consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
        self._consumer, self._seen = consumer, 0
        return consumer

    def _read(self, consumer: Consumer, seconds: float) -> bool:
        """Take what one poll brings; whether the end was reached."""
        message = consumer.poll(seconds)
        if message is None:
            return False
        error = message.error()
        if error is not None:
            # Brokers that are away are told as errors too; the client goes on trying by itself.
            return bool(error.code() == KafkaError._PARTITION_EOF)  # noqa: SLF001 - it has no other name
        self._seen += 1
        try:
            self.published.take(message.key() or b"", message.value())
        except Misconfigured as problem:
            self.problems.append(str(problem))
        return False


def read(settings: Settings) -> Published:
    """What the topic says now.

    Raises:
        Misconfigured: there is no such topic, or a record in it is not readable.
        Retryable: Kafka does not answer.
    """
    reader = WorkspaceReader(settings)
    try:
        published = reader.catch_up()
    finally:
        reader.close()
    if reader.problems:
        raise Misconfigured(reader.problems[0])
    return published


class WorkspaceWriter:
    """Writes to the topic in one transaction. While one is open nobody else of this name can commit.

    Open it before you read what you base your decision on: of two people who publish at once one is refused.
    """

    def __init__(self, settings: Settings, workspace: str) -> None:
        self._topic = settings.topic(TOPIC)
        self._producer = Producer(
            {
                **_options(settings),
                "transactional.id": f"{settings.topic('brimful-publish')}-{workspace}",
            }
        )
        self._try(lambda: self._producer.init_transactions(WRITE_SECONDS))

    def write(self, records: Iterable[wire.WorkspaceRecord], forget: Iterable[bytes] = ()) -> None:
        """Write the records in their order, and forget keys; all or nothing.

        Raises:
            Misconfigured: somebody else writes about this workspace at this moment.
            Retryable: Kafka does not take them.
        """
        self._try(self._producer.begin_transaction)
        for record in records:
            key, value = key_of(record), wire.encode(record)
            self._try(lambda key=key, value=value: self._produce(key, value))
        for key in forget:
            self._try(lambda key=key: self._produce(key, None))
        self._try(lambda: self._producer.commit_transaction(WRITE_SECONDS))

    def _produce(self, key: bytes, value: bytes | None) -> None:
        self._producer.produce(self._topic, value, key, partition=0)

    def _try(self, call: Any) -> None:
        try:
            call()
        except KafkaException as failed:
            error = failed.args[0]
            if error.code() in {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH}:  # noqa: SLF001
                told = "somebody else publishes this workspace at this moment: look at `brimful versions`"
                raise Misconfigured(told) from failed
            raise Retryable(f"Kafka does not take the records: {error.str()}") from failed


def _options(settings: Settings) -> Mapping[str, Any]:
    return {
        **settings.librdkafka(),
        "bootstrap.servers": settings.kafka,
        "client.id": "brimful-publish",
        "acks": "all",
        "compression.type": "lz4",
        "allow.auto.create.topics": False,
        "log_level": 3,
    }
