"""A partition without Kafka: records, batches, a small logic, and a producer that only remembers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import CollectorRegistry

from workers.clock import FixedClock
from workers.errors import Refused, Retryable
from workers.stream.batch import TP, Batch
from workers.stream.decide import do_task, take_notices
from workers.stream.logic import Quiet
from workers.stream.mailbox import Mailbox
from workers.stream.metrics import KernelMetrics, StreamMetrics
from workers.stream.partition import KernelConfig, KernelParts, Partition
from workers.stream.store import PartitionStore
from workers.stream.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from workers.stream.logic import PartitionLogic
    from workers.stream.store import Timer
    from workers.stream.transaction import Step
    from workers.stream.view import Output, View

NOW = 1_773_480_000_000
SOURCE = "events"
TP0 = TP(SOURCE, 0)


@dataclass
class Rec:
    """A record as the kernel reads it."""

    offset: int
    value: bytes | None = b"ok"
    key: bytes | None = b"k"
    timestamp: int = NOW
    headers: Sequence[tuple[str, bytes]] = ()


def batch(start: int, *values: bytes, tp: TP = TP0, key: bytes = b"k") -> Batch:
    """Records with these values from offset ``start`` on."""
    records = [Rec(start + at, value, key) for at, value in enumerate(values)]
    return Batch(tp, records, start, start + len(records))


class Count(msgspec.Struct, array_like=True):
    """How often, and a filling."""

    number: int = 0
    filling: str = ""


COUNTS = Table("counts", b"c", Count)


class CountLogic(Quiet):
    """Counts records by key and echoes each; some values misbehave.

    ``unreadable`` is dead-lettered by ``prepare``; ``bad`` raises ``Refused``, ``deep`` a decoding error
    and ``bug`` a ``KeyError``, all after they changed their row; ``big`` makes the row too large, ``bigout``
    the output. ``timer:DUE`` sets a timer.
    """

    def __init__(self, output: str = "echo") -> None:
        self.output = output
        self.fired: list[tuple[bytes, int]] = []
        self.closed = 0

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """All but the unreadable."""
        items = []
        for record in batch.records:
            if record.value == b"unreadable":
                view.dead_letter(batch.tp, record, "unreadable", "it says so")
            else:
                items.append(record)
        return items, [COUNTS.key(record.key) for record in items]

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Count, echo, misbehave."""
        rows = view.table(COUNTS)
        for record in items:
            row = rows.get(record.key) or Count()
            row.number += 1
            rows.put(record.key, row)
            view.send(self.output, record.key, record.value)
            self._misbehave(record, row, view)

    def _misbehave(self, record: Any, row: Count, view: View) -> None:
        match record.value:
            case b"bad":
                raise Refused("invalid", "a bad one")
            case b"bug":
                raise KeyError("a bug")
            case b"deep":
                msgspec.json.decode(b"1e999")
            case b"big":
                row.filling = "x" * 1_000_000
            case b"bigout":
                view.send(self.output, record.key, b"x" * 1_000_000)
            case _ if record.value.startswith(b"timer:"):
                view.set_timer(record.key.ljust(16), int(record.value[6:]), record.key)

    def timer_keys(self, timers: Sequence[Timer]) -> Sequence[bytes]:
        """The rows that timers touch."""
        return [COUNTS.key(timer.payload) for timer in timers]

    def fire(self, timers: Sequence[Timer], view: View, now_ms: int) -> None:
        """Remember that they fired, and echo."""
        for timer in timers:
            self.fired.append((timer.payload, timer.due_ms))
            view.send(self.output, timer.payload, b"fired")

    async def close(self) -> None:
        """Count the closes."""
        self.closed += 1


class Waiting:
    """The notices and tasks of one logic, decided as the kernel does: a slice of a task in a transaction."""

    def __init__(self, rows: int = 50) -> None:
        self._rows = rows
        self._box = Mailbox((), 0)

    def __bool__(self) -> bool:
        return bool(self._box.waiting or self._box.task)

    def begin(self, notices: Iterable[Any]) -> None:
        """What a new logic begins with."""
        self._box.begin(notices)

    def more(self, effects: Iterable[Any]) -> None:
        """What a transaction that is committed asked for."""
        for effect in effects:
            self._box.notify(effect)

    def turn(self, logic: PartitionLogic, view: View, now_ms: int) -> None:
        """What one transaction takes of it; commit ``view``, then tell :meth:`more` of its effects."""
        _, notices = self._box.take(0)
        if notices:
            take_notices(logic, notices, view, now_ms)
        if self._box.task is not None:
            self._box.task_done(do_task(logic, self._box.task, self._rows, view, now_ms).rest)


@dataclass
class FakeProducer:
    """Commits into lists; ``fail_at`` names a step that does not work."""

    committed: list[Output] = field(default_factory=list)
    changes: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    transactions: int = 0
    fail_at: str = ""
    closed: bool = False
    offset: int = 0
    _open: tuple[list[Any], list[Any]] = ([], [])

    def begin(self) -> None:
        """Open."""
        self._fail("begin")

    def produce(
        self, changelog: str, partition: int, changes: Any, marker: tuple[bytes, bytes], outputs: Any
    ) -> None:
        """Hold until the commit."""
        self._open = (list(changes), list(outputs))
        self._fail("produce")

    def flush(self) -> int:
        """The marker's offset."""
        self._fail("flush")
        self.offset += len(self._open[0]) + 1
        return self.offset - 1

    def commit(self) -> None:
        """Make it visible."""
        self._fail("commit")
        self.transactions += 1
        self.changes += self._open[0]
        self.committed += self._open[1]

    def close(self) -> None:
        """Give up."""
        self.closed = True

    def _fail(self, step: str) -> None:
        if self.fail_at == step:
            raise Retryable(f"{step} did not work")


class Bench:
    """One running partition on a real store and a fake producer."""

    def __init__(
        self, path: Path, *, share: float = 0.5, on_step: Callable[[Step, int], None] | None = None
    ) -> None:
        self.clock = FixedClock(NOW)
        self.registry = CollectorRegistry()
        self.logic = CountLogic()
        self.executor = ThreadPoolExecutor(1)
        config = KernelConfig(
            "app",
            "nowhere:1",
            path,
            (SOURCE, "second"),
            "app-changelog",
            linger_ms=0,
            dead_letter_share=share,
            effects_s=0.0,
        )
        parts = KernelParts(
            clock=self.clock,
            metrics=StreamMetrics(KernelMetrics(self.registry), "app", self.clock),
            executor=self.executor,
            block_cache=None,
            new_logic=lambda number: self.logic,
            on_step=on_step or (lambda step, number: None),
        )
        self.producer = FakeProducer()
        self.partition = Partition(0, config, parts, 1024 * 1024)
        self.partition._store = PartitionStore(self.partition.path, cache_bytes=1024 * 1024)
        self.partition._producer = self.producer  # type: ignore[assignment]  # the fake has what is used
        self.partition.resume({TP0: 0, TP("second", 0): 0})

    @property
    def store(self) -> PartitionStore:
        """The partition's store."""
        return self.partition.store

    async def turn(self, *batches: Batch) -> None:
        """One transaction of these batches."""
        for one in batches:
            assert self.partition.submit(one)
        await self.partition._turn(5_000)

    def count(self, key: bytes = b"k") -> int:
        """The committed count of a key, read from the store."""
        stored = self.store.get(COUNTS.key(key))
        return 0 if stored is None else COUNTS.decode(stored).number

    def outputs(self, topic: str) -> list[bytes | None]:
        """The committed values of a topic, in order."""
        return [output.value for output in self.producer.committed if output.topic == topic]

    def dead(self) -> list[tuple[int, str]]:
        """Offset and reason of the dead letters, in order."""
        letters = [msgspec.json.decode(value or b"") for value in self.outputs("dead-letters")]
        return [(letter["offset"], letter["reason"]) for letter in letters]

    async def close(self) -> None:
        """Close all."""
        await self.partition.close()
        self.executor.shutdown()
