"""What one transaction of a partition takes in, and what it comes to: steps 1 and 2, without any waiting.

The running partition and the simulated one share this, so that a simulation decides as a worker does.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from workers.stream import deadletters
from workers.stream.decide import apply_items, do_task, fire_timers, take_notices
from workers.stream.store import position_change
from workers.stream.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from workers.stream.background import Done, Task
    from workers.stream.batch import TP, Batch
    from workers.stream.logic import PartitionLogic
    from workers.stream.store import DecodedRows, RowCache, Timer
    from workers.stream.view import Output


class Rows(Protocol):
    """What a turn needs of a partition's store."""

    cache: RowCache
    decoded: DecodedRows

    def get(self, key: bytes) -> bytes | None:
        """One row by storage key."""
        ...


class Turn:
    """Batches, notices and due timers that are decided together, on one view of ``store``.

    Call :meth:`prepare`, read what it asks for, hand it to :meth:`fill`, then :meth:`decide`, :meth:`work`
    where a task waits, and :meth:`finish`; after the commit, :meth:`keep`.
    """

    def __init__(
        self,
        logic: PartitionLogic,
        store: Rows,
        batches: Sequence[Batch],
        notices: Sequence[Any],
        timers: Sequence[Timer],
        now_ms: int,
    ) -> None:
        self.batches = batches
        self.timers = timers
        self.view = View(store.get, store.decoded.take)
        self._notices = notices
        self._logic = logic
        self._store = store
        self._now_ms = now_ms
        self._items: list[Sequence[Any]] = []
        self._found: dict[bytes, bytes | None] = {}

    @property
    def positions(self) -> dict[TP, int]:
        """For each topic that was read the offset up to which it is applied by this."""
        return {batch.tp: batch.end for batch in self.batches}

    def prepare(self) -> list[bytes]:
        """Decode what came in; the storage keys that are worth reading from disk at once."""
        wanted: set[bytes] = set()
        for batch in self.batches:
            items, keys = self._logic.prepare(batch, self.view, self._now_ms)
            self._items.append(items)
            wanted.update(keys)
        wanted.update(self._logic.timer_keys(self.timers))
        self._found, missing = self._store.cache.split(self._store.decoded.absent(wanted))
        return missing

    def fill(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Take the rows that :meth:`prepare` asked for."""
        self._found.update(rows)
        self.view.fill(self._found)

    def decide(self) -> int:
        """Notices, then timers, then records: what was due before a record acts before it.

        Returns how many timers had to be put off because deciding them raised.
        """
        put_off = 0
        if self._notices:
            take_notices(self._logic, self._notices, self.view, self._now_ms)
        if self.timers:
            put_off = fire_timers(self._logic, self.timers, self.view, self._now_ms)
        for batch, items in zip(self.batches, self._items, strict=True):
            apply_items(self._logic, batch.tp, items, self.view, self._now_ms)
        return put_off

    def work(self, task: Task, most: int) -> Done:
        """After :meth:`decide`: a slice of a task, of at most ``most`` rows."""
        return do_task(self._logic, task, most, self.view, self._now_ms)

    def finish(self) -> None:
        """After all decisions: what sums them up."""
        self._logic.finish(self.view, self._now_ms)

    def seen_and_dead(self) -> Iterable[tuple[str, int, int]]:
        """For each topic how many records it brought, and how many of these are dead letters."""
        seen: Counter[str] = Counter()
        for batch in self.batches:
            seen[batch.tp.topic] += len(batch.records)
        dead = Counter(letter.tp.topic for letter in self.view.dead)
        return [(topic, records, dead[topic]) for topic, records in seen.items()]

    def changes(self) -> dict[bytes, bytes | None]:
        """All changed rows by storage key, with the markers of what is applied."""
        changes = self.view.changes()
        changes.update(position_change(tp.topic, end) for tp, end in self.positions.items())
        return changes

    def outputs(self, dead_letters: str, app_id: str) -> list[Output]:
        """All records to produce; ``dead_letters`` is the topic of those put aside."""
        return self.view.outputs + deadletters.outputs(self.view.dead, dead_letters, app_id, self._now_ms)

    def keep(self) -> None:
        """After the commit: the decoded rows are the newest, and the view is not needed any more."""
        for prefix, rows in self.view.loaded():
            self._store.decoded.keep(prefix, rows)
        self.view.close()
