"""What an application puts into the kernel: an object per partition that decides, without I/O meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.stream.background import Done
    from workers.stream.batch import TP, Batch
    from workers.stream.store import PartitionStore, Timer
    from workers.stream.view import View


class PartitionLogic(Protocol):
    """The decisions of one application for one partition.

    The kernel calls ``prepare``, reads the named rows ahead, then calls ``apply`` for the batches, and
    ``notices`` and ``fire`` for what became due, all on one :class:`View` that commits as a whole.
    """

    @property
    def busy(self) -> bool:
        """Whether effects are under way whose results are worth waiting for before letting go."""
        ...

    def has_room(self, topic: str) -> bool:
        """Whether more records of a topic may be taken in; False while too many effects wait for theirs."""
        ...

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Decode a batch: its items, and the storage keys worth reading ahead.

        Records that cannot be decoded are dead-lettered on ``view``. Raises nothing else.
        """
        ...

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Decide the items of one topic, in order. Of one that raises, the kernel makes a dead letter."""
        ...

    def timer_keys(self, timers: Sequence[Timer]) -> Sequence[bytes]:
        """The storage keys worth reading ahead for timers that are due."""
        ...

    def fire(self, timers: Sequence[Timer], view: View, now_ms: int) -> None:
        """Decide timers that are due, in order of their due time. The kernel has removed them already."""
        ...

    def put_off(self, timer: Timer) -> None:
        """Take note that deciding a timer raised; it is set again. Raises nothing."""
        ...

    def notices(self, notices: Sequence[Any], view: View, now_ms: int) -> None:
        """Decide what effects brought back (see ``act``)."""
        ...

    def work(self, task: Any, most: int, view: View, now_ms: int) -> Done:
        """Do a slice of a task: look at no more than ``most`` rows."""
        ...

    def finish(self, view: View, now_ms: int) -> None:
        """Add what sums up a transaction, once all else is decided. Raises nothing."""
        ...

    def opened(self, store: PartitionStore) -> Sequence[Any]:
        """Notices and tasks to begin with, when the partition is acquired: what was left undone."""
        ...

    async def act(self, effects: Sequence[Any], notify: Notify) -> None:
        """Start effects whose intent is committed, and ``notify`` of what became of each. Returns at once."""
        ...

    async def close(self) -> None:
        """Stop effects that still run; those not notified of are found by the next ``opened``."""
        ...


class NoTasks:
    """What a logic that never asks for a task does of one."""

    def work(self, task: Any, most: int, view: View, now_ms: int) -> Done:
        """Nobody asked for it."""
        del most, view, now_ms
        raise AssertionError(f"this logic has no tasks, and is to do {task}")


class Quiet(NoTasks):
    """The parts of :class:`PartitionLogic` that a logic without timers and effects does not need."""

    busy = False

    def has_room(self, topic: str) -> bool:
        """Always."""
        del topic
        return True

    def timer_keys(self, timers: Sequence[Timer]) -> Sequence[bytes]:
        """It sets no timers."""
        assert not timers, "this logic sets no timers"
        return ()

    def fire(self, timers: Sequence[Timer], view: View, now_ms: int) -> None:
        """It sets no timers."""

    def put_off(self, timer: Timer) -> None:
        """The kernel's log and count are enough."""

    def notices(self, notices: Sequence[Any], view: View, now_ms: int) -> None:
        """It starts no effects."""

    def finish(self, view: View, now_ms: int) -> None:
        """Nothing is to be summed up."""

    def opened(self, store: PartitionStore) -> Sequence[Any]:
        """Nothing is left undone."""
        del store
        return ()

    async def act(self, effects: Sequence[Any], notify: Notify) -> None:
        """It starts no effects."""

    async def close(self) -> None:
        """Nothing to stop."""


class Notify(Protocol):
    """Hands the partition a notice, which is decided soon, or a task for the background."""

    def __call__(self, notice: Any) -> None:
        """Queue ``notice``."""
        ...


def record_of(item: Any) -> Any:
    """The source record of an item: items are records, or tuples that begin with one, or have ``.record``."""
    if isinstance(item, tuple):
        return item[0]
    return getattr(item, "record", item)
