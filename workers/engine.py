"""The engine of one partition: signals and scheduler on one state; an event acts on timers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from workers.scheduler.agent import Scheduler
from workers.signals.account_traits import AccountTraitSignals
from workers.signals.accounts import AccountSignals
from workers.signals.engagement import Engagements
from workers.signals.sweep import Sweep
from workers.signals.users import UserSignals
from workers.stream.logic import Quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.shell import EngineParts
    from workers.stream.batch import TP, Batch
    from workers.stream.logic import Notify
    from workers.stream.store import PartitionStore, Timer
    from workers.stream.view import View


class Handler(Protocol):
    """Decides the records of one topic."""

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """See ``workers.stream.logic.PartitionLogic``."""
        ...

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """See ``workers.stream.logic.PartitionLogic``."""
        ...


class EngineLogic(Quiet):
    """See :class:`workers.stream.logic.PartitionLogic`; each topic has its handler."""

    def __init__(self, partition: int, parts: EngineParts) -> None:
        topics = parts.topics
        self._scheduler = Scheduler(parts)
        self._sweep = Sweep(parts)
        self._handlers: dict[str, Handler] = {
            topics("scheduler"): self._scheduler,
            topics("account-events"): AccountSignals(parts),
            topics("account-traits"): AccountTraitSignals(partition, parts),
            topics("engagement"): Engagements(),
            topics("product-events"): UserSignals(partition, parts),
        }

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Decode with the topic's handler."""
        return self._handlers[batch.tp.topic].prepare(batch, view, now_ms)

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Decide with the topic's handler."""
        self._handlers[tp.topic].apply(tp, items, view, now_ms)

    def timer_keys(self, timers: Sequence[Timer]) -> Sequence[bytes]:
        """The rows that due timers will touch."""
        return self._scheduler.timer_keys(timers)

    def fire(self, timers: Sequence[Timer], view: View, now_ms: int) -> None:
        """Timers are the scheduler's."""
        self._scheduler.fire(timers, view, now_ms)

    def opened(self, store: PartitionStore) -> Sequence[Any]:
        """What a new workspace leaves to do."""
        return self._sweep.opened(store)

    def notices(self, notices: Sequence[Any], view: View, now_ms: int) -> None:
        """Do a part of it."""
        self._sweep.take(notices, view, now_ms)

    async def act(self, effects: Sequence[Any], notify: Notify) -> None:
        """Go on with it."""
        for chunk in effects:
            notify(chunk)
