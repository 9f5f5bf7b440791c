"""How far an import came, kept in the compacted topic ``imports``: any machine goes on where another stopped.

Records are written first and the checkpoint after they are acknowledged. A run that is killed between the two
sends those rows again, with the ids that they had, and the engine drops them. A Kafka transaction would spare
that, at a price: while one is open, and for its time-out after its owner was killed, everybody who reads
committed records waits behind it on all partitions of ``product-events``, live events included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from schemas import wire
from workers.errors import Misconfigured, Retryable
from workers.imports.rows import Sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.imports.output import Output

TOPIC: Final = "imports"
READ_SECONDS: Final = 15.0


class Checkpoints(Protocol):
    """Keeps the newest checkpoint of each import."""

    def load(self, name: str) -> wire.ImportCheckpoint | None:
        """The newest checkpoint of an import; None where it never ran."""
        ...

    def save(self, checkpoint: wire.ImportCheckpoint) -> None:
        """Keep a checkpoint; it is kept when this returns."""
        ...


class MemoryCheckpoints:
    """Checkpoints that live as long as this object."""

    def __init__(self) -> None:
        self.saved: list[wire.ImportCheckpoint] = []

    def load(self, name: str) -> wire.ImportCheckpoint | None:
        """The last one saved."""
        return next((one for one in reversed(self.saved) if one.name == name), None)

    def save(self, checkpoint: wire.ImportCheckpoint) -> None:
        """Append it."""
        self.saved.append(checkpoint)


class KafkaCheckpoints:
    """Checkpoints in the topic; ``topic`` is its full name, ``output`` writes them."""

    def __init__(self, bootstrap: str, topic: str, output: Output, config: Mapping[str, Any]) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._output = output
        self._config = dict(config)

    def load(self, name: str) -> wire.ImportCheckpoint | None:
        """See :class:`Checkpoints`; reads the topic, which holds some records per import.

        Raises:
            Misconfigured: the topic is not there, or the newest record is none of ours.
            Retryable: Kafka does not answer.
        """
        consumer = Consumer(
            {
                **self._config,
                "bootstrap.servers": self._bootstrap,
                "group.id": "brimful-import",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "allow.auto.create.topics": False,
                "log_level": 3,
            }
        )
        try:
            newest = self._newest(consumer, name.encode())
        finally:
            consumer.close()
        if newest is None:
            return None
        try:
            return wire.decode_import_checkpoint(newest)
        except msgspec.DecodeError as error:
            raise Misconfigured(
                f"the checkpoint of import {name!r} in topic {self._topic} is not readable: {error}"
            ) from error

    def save(self, checkpoint: wire.ImportCheckpoint) -> None:
        """See :class:`Checkpoints`."""
        self._output.send([Sent(TOPIC, checkpoint.name.encode(), wire.encode(checkpoint))])

    def _newest(self, consumer: Consumer, key: bytes) -> bytes | None:
        try:
            found = consumer.list_topics(self._topic, timeout=READ_SECONDS).topics[self._topic]
        except KafkaException as away:
            raise Retryable(f"Kafka at {self._bootstrap} does not answer: {away.args[0].str()}") from away
        if found.error is not None:
            told = "run `brimful topics apply` first"
            raise Misconfigured(f"topic {self._topic}: {found.error.str()}: {told}")
        consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
        newest: bytes | None = None
        while True:
            message = consumer.poll(READ_SECONDS)
            if message is None:
                raise Retryable(f"Kafka at {self._bootstrap} did not answer within {READ_SECONDS:.0f} s")
            error = message.error()
            if error is None:
                newest = message.value() if message.key() == key else newest
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - it has no other name
                return newest
            else:
                raise Retryable(f"topic {self._topic} cannot be read: {error.str()}")
