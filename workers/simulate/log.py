"""Kafka in memory, as far as the kernel sees it: topics, transactions, fencing, read-committed readers.

As in Kafka, a record that was produced has its offset at once, readers do not come past the first record of a
transaction that is open, aborted records are skipped, and the end of a transaction takes an offset itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workers.errors import Fenced
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from workers.stream.view import Output


@dataclass(slots=True)
class Transaction:
    """One transaction: ``state`` is open, committed or aborted; ``touched`` are the places it wrote to."""

    state: str = "open"
    touched: dict[tuple[str, int], None] = field(default_factory=dict)


@dataclass(slots=True)
class Record:
    """One record. ``order`` counts all records of the log; ``timestamp`` is the log's time (ms)."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    order: int
    transaction: Transaction | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    compacted: bool = False


class MemoryLog:
    """All topics, made when they are first named, each with ``partitions`` partitions.

    ``now_ms`` gives the time that records are stamped with; ``written`` is told of each partition that has
    more to be read.
    """

    def __init__(self, partitions: int, now_ms: Callable[[], int]) -> None:
        self.partitions = partitions
        self.written: Callable[[str, int], None] = lambda _topic, _partition: None
        self._now_ms = now_ms
        self._slots: dict[tuple[str, int], list[Record | None]] = {}
        self._order = 0
        self._owners: dict[str, Producer] = {}

    def append(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None
    ) -> Record:
        """Produce outside any transaction, as a producer of the application's users does."""
        record = self._put(topic, key, value, partition, None)
        self.written(record.topic, record.partition)
        return record

    def read(self, topic: str, partition: int, start: int, most: int) -> list[Record]:
        """At most ``most`` committed records from offset ``start`` on, up to the first open transaction."""
        found: list[Record] = []
        slots = self._slots.get((topic, partition), ())
        for at in range(start, len(slots)):
            record = slots[at]
            if record is None or record.compacted:
                continue
            if record.transaction is not None and record.transaction.state != "committed":
                if record.transaction.state == "open":
                    break
                continue
            found.append(record)
            if len(found) == most:
                break
        return found

    def has_more(self, topic: str, partition: int, start: int) -> bool:
        """Whether a committed record waits at or after ``start``."""
        return bool(self.read(topic, partition, start, 1))

    def committed(self, topic: str) -> list[Record]:
        """All records of a topic that were ever committed, in the order in which they were produced.

        Those that readers do not get any more, because they were compacted away, are among them.
        """
        found = [
            record
            for number in range(self.partitions)
            for record in self._slots.get((topic, number), ())
            if record is not None and (record.transaction is None or record.transaction.state == "committed")
        ]
        return sorted(found, key=lambda record: record.order)

    def topics(self) -> list[str]:
        """The topics that have records."""
        return sorted({topic for topic, _ in self._slots})

    def compact(self, topic: str) -> None:
        """Forget committed values that a newer one of the same key replaces; deletions stay."""
        for (name, _), slots in self._slots.items():
            if name != topic:
                continue
            newest: dict[bytes | None, int] = {}
            for record in slots:
                if record is not None and record.transaction is not None:
                    if record.transaction.state == "open":
                        break
                    if record.transaction.state == "committed":
                        newest[record.key] = record.offset
            for record in slots:
                if record is not None and newest.get(record.key, record.offset) > record.offset:
                    record.compacted = True

    # -- transactions

    def take_over(self, owner: Producer) -> None:
        """Fence the former owner of a transactional id and abort its open transaction."""
        former = self._owners.get(owner.transactional_id)
        self._owners[owner.transactional_id] = owner
        if former is not None and former.open is not None:
            self._end(former.open, "aborted")

    def check_owner(self, owner: Producer) -> None:
        """Raises :class:`Fenced` where another producer has taken the id."""
        if self._owners.get(owner.transactional_id) is not owner:
            raise Fenced(f"{owner.transactional_id}: another producer has taken this id")

    def put_open(
        self,
        transaction: Transaction,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
    ) -> Record:
        """Produce as a part of an open transaction."""
        record = self._put(topic, key, value, partition, transaction)
        transaction.touched[record.topic, record.partition] = None
        return record

    def commit(self, transaction: Transaction) -> None:
        """Make it visible."""
        self._end(transaction, "committed")

    def _end(self, transaction: Transaction, state: str) -> None:
        transaction.state = state
        for place in transaction.touched:
            self._slots[place].append(None)
        for topic, partition in transaction.touched:
            self.written(topic, partition)

    def _put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        transaction: Transaction | None,
    ) -> Record:
        if partition is None:
            partition = partition_of(key or b"", self.partitions)
        slots = self._slots.setdefault((topic, partition), [])
        self._order += 1
        record = Record(topic, partition, len(slots), self._now_ms(), key, value, self._order, transaction)
        slots.append(record)
        return record


class Producer:
    """A partition's transactional producer: see :class:`workers.stream.transaction.PartitionProducer`."""

    def __init__(self, log: MemoryLog, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        self.open: Transaction | None = None
        self._log = log
        self._marker_offset = -1

    def fence(self) -> None:
        """Become the one owner: end the former owner's open transaction and refuse its next one."""
        self._log.take_over(self)

    def begin(self) -> None:
        """Step 3."""
        self._log.check_owner(self)
        self.open = Transaction()

    def produce(
        self,
        changelog: str,
        partition: int,
        changes: Iterable[tuple[bytes, bytes | None]],
        marker: tuple[bytes, bytes],
        outputs: Iterable[Output],
    ) -> None:
        """Step 4: changes first, then outputs, then the marker, whose offset :meth:`flush` returns."""
        self._log.check_owner(self)
        assert self.open is not None, "begin comes first"
        put = self._log.put_open
        for key, value in changes:
            put(self.open, changelog, key, value, partition)
        for output in outputs:
            put(self.open, output.topic, output.key, output.value, output.partition)
        self._marker_offset = put(self.open, changelog, *marker, partition).offset

    def flush(self) -> int:
        """Step 5: the changelog offset of the marker."""
        return self._marker_offset

    def commit(self) -> None:
        """Step 6."""
        self._log.check_owner(self)
        assert self.open is not None, "begin comes first"
        transaction, self.open = self.open, None
        self._log.commit(transaction)
