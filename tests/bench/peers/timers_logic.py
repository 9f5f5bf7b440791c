"""What the timers benchmark decides: records set timers; a timer changes a row and writes a record."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

import msgspec

from workers.stream.logic import Quiet
from workers.stream.tables import Table
from workers.stream.transaction import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.clock import Clock
    from workers.stream.batch import TP, Batch
    from workers.stream.store import Timer
    from workers.stream.view import View

DUE = Struct(">q")
"""The value of a source record: when its timer is due, in milliseconds. Its key is the timer's id."""


class Row(msgspec.Struct, array_like=True):
    """What a timer acts on."""

    due_ms: int
    fired: int
    fired_ms: int
    step: str


TABLE = Table("enrollments", b"e", Row)


class Recorder:
    """Counts what is committed, seen from the step at which a transaction is."""

    def __init__(self, clock: Clock, partitions: int) -> None:
        self._clock = clock
        self._setting = [0] * partitions
        self._firing: list[list[int]] = [[] for _ in range(partitions)]
        self._set = [0] * partitions
        self._late_ms: list[list[int]] = [[] for _ in range(partitions)]
        self.twice = 0
        self.last_ms = 0

    def began(self, partition: int) -> None:
        """Forget what a transaction that failed had begun."""
        self._setting[partition], self._firing[partition] = 0, []

    def setting(self, partition: int, timers: int) -> None:
        """The transaction under way sets so many timers."""
        self._setting[partition] += timers

    def firing(self, partition: int, due_ms: list[int]) -> None:
        """The transaction under way fires these timers."""
        self._firing[partition] = due_ms

    def on_step(self, step: Step, partition: int) -> None:
        """Take what is committed to be done, with the lateness that it has now."""
        if step is not Step.COMMIT:
            return
        now_ms = self._clock.now_ms()
        firing = self._firing[partition]
        self._set[partition] += self._setting[partition]
        self._late_ms[partition].extend(now_ms - due_ms for due_ms in firing)
        if firing:
            self.last_ms = max(self.last_ms, now_ms)
        self.began(partition)

    @property
    def set(self) -> int:
        """Timers that are set."""
        return sum(self._set)

    @property
    def fired(self) -> int:
        """Timers that have fired."""
        return sum(map(len, self._late_ms))

    def late_ms(self) -> list[int]:
        """From due to committed, ascending, of all timers."""
        return sorted(late for each in self._late_ms for late in each)


class TimersLogic(Quiet):
    """One partition of it."""

    def __init__(self, number: int, recorder: Recorder, output: str) -> None:
        self._number = number
        self._recorder = recorder
        self._output = output
        recorder.began(number)

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Every record is usable; its row is new."""
        self._recorder.setting(self._number, len(batch.records))
        return batch.records, ()

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Set the timer and make its row."""
        rows = view.table(TABLE)
        for record in items:
            due_ms: int = DUE.unpack(record.value)[0]
            rows.put(record.key, Row(due_ms, 0, 0, "wait"))
            view.set_timer(record.key, due_ms, record.key)

    def timer_keys(self, timers: Sequence[Timer]) -> Sequence[bytes]:
        """The rows that the timers act on."""
        return [TABLE.key(timer.payload) for timer in timers]

    def fire(self, timers: Sequence[Timer], view: View, now_ms: int) -> None:
        """Change the row, write a record."""
        rows = view.table(TABLE)
        for timer in timers:
            row = rows.get(timer.payload)
            if row is None or row.fired or row.due_ms != timer.due_ms:
                self._recorder.twice += 1
                continue
            row.fired += 1
            row.fired_ms = now_ms
            row.step = "sent"
            rows.put(timer.payload, row)
            view.send(self._output, timer.payload, TABLE.encode(row))
        self._recorder.firing(self._number, [timer.due_ms for timer in timers])
