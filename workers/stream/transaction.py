"""One batch, one Kafka transaction: the numbered steps, and what a crash between any two of them costs.

For each batch of a partition (records of its topics, due timers, notices) the worker goes through

1. **READ**: fetch the rows that the batch touches.
2. **DECIDE**: run the core on them, in memory.
3. **BEGIN**: open a transaction on the partition's own producer.
4. **PRODUCE**: hand over every changed row (changelog), every output, every dead letter and, last of
   the changelog records, the marker "applied up to offset N of topic T".
5. **FLUSH**: wait until the brokers have them all.
6. **COMMIT**: commit the transaction.
7. **WRITE**: apply the same changes to RocksDB in one WriteBatch, with the changelog position.
8. **ACK**: move the applied positions, start effects, let the group's offsets follow.

==============  ==========================================================================================
crash after     what it costs
==============  ==========================================================================================
1, 2            nothing was written: the batch is read and decided again
3, 4, 5         an open transaction remains. The next owner's ``init_transactions`` aborts it; readers are
                read-committed and never saw it; the batch is decided again
6               the log has the batch, the disk has not: the restore reads the missing changelog records,
                finds the marker among them, and the batch is not decided again
7               log and disk have the batch; only the group's offsets lag, and nobody trusts them
8               effects that were started are not known to have happened: their intent is a committed
                row, and its owner decides by the channel's declared policy (see ``workers.senders``)
==============  ==========================================================================================

A failure that is not a crash is treated like one: whatever goes wrong from step 3 to 7, the memory of
the partition is dropped and it begins again from what is committed. So each source record counts once,
and each output is visible once, whatever happens.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer

from workers.errors import Fenced, Retryable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workers.stream.view import Output

TRANSACTION_TIMEOUT_MS = 30_000
"""How long an owner that vanished may hold up readers before the broker aborts its transaction. A new
owner fences it at once, so this matters only while nobody owns the partition."""

_BLOCKING_S = 20.0
"""Longest wait for the broker inside one step; less than the transaction's own time-out."""

_FENCED = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001 - librdkafka's own code has no other name
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
    }
)


class Step(enum.IntEnum):
    """The numbered steps of a batch (see the module's docstring)."""

    READ = 1
    DECIDE = 2
    BEGIN = 3
    PRODUCE = 4
    FLUSH = 5
    COMMIT = 6
    WRITE = 7
    ACK = 8


class PartitionProducer:
    """The transactional producer of one partition.

    Its id is per application and partition, so that an older owner is fenced. Every method may
    block and is meant for a thread. :class:`Fenced` and :class:`Retryable` are the only errors raised;
    after either, the producer is of no use any more.
    """

    def __init__(self, bootstrap: str, app_id: str, partition: int, options: Mapping[str, Any]) -> None:
        self.transactional_id = f"{app_id}-{partition}"
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "transactional.id": self.transactional_id,
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 5,
                "batch.num.messages": 50_000,
                "batch.size": 1_000_000,
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 524_288,
                "delivery.report.only.error": False,
                "enable.metrics.push": False,
                "log_level": 3,
                **options,
            },
        )
        self._marker_offset = -1

    def fence(self) -> None:
        """Become the one owner: end the former owner's open transaction and refuse its next one."""
        self._try(lambda: self._producer.init_transactions(_BLOCKING_S))

    def begin(self) -> None:
        """Step 3."""
        self._try(self._producer.begin_transaction)

    def produce(
        self,
        changelog: str,
        partition: int,
        changes: Iterable[tuple[bytes, bytes | None]],
        marker: tuple[bytes, bytes],
        outputs: Iterable[Output],
    ) -> None:
        """Step 4: changes first, then outputs, then the marker, whose offset :meth:`flush` returns."""
        self._marker_offset = -1
        rows = [{"key": key, "value": value} for key, value in changes]
        self._try(lambda: self._hand_over(changelog, rows, partition))
        by_target: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for output in outputs:
            target = (output.topic, -1 if output.partition is None else output.partition)
            by_target.setdefault(target, []).append({"key": output.key, "value": output.value})
        for (topic, to), messages in by_target.items():
            self._try(lambda topic=topic, to=to, messages=messages: self._hand_over(topic, messages, to))
        self._try(
            lambda: self._producer.produce(
                changelog, key=marker[0], value=marker[1], partition=partition, on_delivery=self._delivered
            )
        )

    def flush(self) -> int:
        """Step 5: the changelog offset of the marker, once the brokers have every record."""
        remaining = self._try(lambda: self._producer.flush(_BLOCKING_S))
        if remaining or self._marker_offset < 0:
            raise Retryable(
                f"{self.transactional_id}: {remaining} records were not acknowledged "
                f"within {_BLOCKING_S:.0f} s"
            )
        return self._marker_offset

    def commit(self) -> None:
        """Step 6."""
        self._try(lambda: self._producer.commit_transaction(_BLOCKING_S))

    def close(self) -> None:
        """Give up the producer; an open transaction is left to be aborted by the next owner or by time."""
        self._producer.purge()
        del self._producer

    def _hand_over(self, topic: str, messages: list[dict[str, Any]], partition: int) -> None:
        while messages:
            queued = self._producer.produce_batch(topic, messages, partition)
            if queued == len(messages):
                return
            messages = [message for message in messages if "_error" in message]
            first = messages[0]["_error"]
            if first.code() != KafkaError._QUEUE_FULL:  # noqa: SLF001
                raise KafkaException(first)
            for message in messages:
                del message["_error"]
            self._producer.poll(0.05)

    def _delivered(self, error: KafkaError | None, message: Any) -> None:
        if error is None:
            self._marker_offset = message.offset()

    def _try(self, call: Any) -> Any:
        try:
            return call()
        except KafkaException as exception:
            raise self._failure(exception) from exception
        except SystemError as exception:
            # A delivery report that comes while the client already holds an error makes Python complain of
            # the report; the error itself is the cause.
            if not isinstance(exception.__cause__, KafkaException):
                raise
            raise self._failure(exception.__cause__) from exception
        except BufferError as exception:
            raise Retryable(f"{self.transactional_id}: {exception}") from exception

    def _failure(self, exception: KafkaException) -> Fenced | Retryable:
        error: KafkaError = exception.args[0]
        fenced = error.code() in _FENCED or (error.fatal() and "fenced" in str(error).lower())
        return (Fenced if fenced else Retryable)(f"{self.transactional_id}: {error}")
