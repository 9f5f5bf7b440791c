"""What waits for a partition's next transaction: batches, bounded and without holes, notices, and tasks."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from workers.stream.background import Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from workers.stream.batch import TP, Batch


class Mailbox:
    """What waits for one partition.

    ``expected`` is, for each source partition, the offset at which the next batch has to begin. A batch
    that begins elsewhere is refused, so that nothing is skipped or repeated whatever the transport did.
    """

    def __init__(self, order: Sequence[str], room_records: int) -> None:
        self._order = tuple(order)
        self._room_records = room_records
        self._batches: dict[str, deque[Batch]] = {topic: deque() for topic in order}
        self._records: dict[str, int] = dict.fromkeys(order, 0)
        self._notices: deque[Any] = deque()
        self._tasks: deque[Task] = deque()
        self.expected: dict[TP, int] = {}

    def reset(self, positions: Mapping[TP, int]) -> None:
        """Forget the batches that wait; reading begins at ``positions``."""
        for topic in self._order:
            self._batches[topic].clear()
            self._records[topic] = 0
        self.expected = dict(positions)

    def put(self, batch: Batch) -> bool:
        """Queue a batch; False where it does not begin at the expected offset."""
        if self.expected.get(batch.tp) != batch.start:
            return False
        self.expected[batch.tp] = batch.end
        self._batches[batch.tp.topic].append(batch)
        self._records[batch.tp.topic] += len(batch.records)
        return True

    def begin(self, notices: Iterable[Any]) -> None:
        """Queue what a new logic begins with; the tasks of the one before are forgotten."""
        self._tasks.clear()
        for notice in notices:
            self.notify(notice)

    def notify(self, notice: Any) -> None:
        """Queue a notice or a task; a task that waits already is not queued again."""
        if not isinstance(notice, Task):
            self._notices.append(notice)
        elif notice not in self._tasks:
            self._tasks.append(notice)

    @property
    def task(self) -> Task | None:
        """The task whose turn it is."""
        return self._tasks[0] if self._tasks else None

    @property
    def tasks_wait(self) -> int:
        """How many tasks are not done yet."""
        return len(self._tasks)

    def task_done(self, rest: Task | None) -> None:
        """A slice of :attr:`task` is committed; what remains of it waits behind the others."""
        self._tasks.popleft()
        if rest is not None:
            self._tasks.append(rest)

    def has_room(self, topic: str) -> bool:
        """Whether another batch of ``topic`` should be fetched."""
        return self._records[topic] < self._room_records

    def oldest_ms(self, topic: str) -> int | None:
        """Kafka's timestamp of the first record of ``topic`` that waits, or None where none does."""
        waiting = self._batches[topic]
        return int(waiting[0].records[0].timestamp) if waiting else None

    @property
    def notices_wait(self) -> bool:
        """Whether notices wait."""
        return bool(self._notices)

    @property
    def waiting(self) -> int:
        """Records and notices that wait."""
        return sum(self._records.values()) + len(self._notices)

    def take(self, most: int) -> tuple[list[Batch], list[Any]]:
        """All notices, and batches of together at most ``most`` records, in the order of the topics."""
        notices = list(self._notices)
        self._notices.clear()
        taken: list[Batch] = []
        for topic in self._order:
            waiting = self._batches[topic]
            while waiting and most > 0:
                first, *rest = waiting.popleft().split(most)
                waiting.extendleft(reversed(rest))
                taken.append(first)
                most -= len(first.records)
                self._records[topic] -= len(first.records)
        return taken, notices
