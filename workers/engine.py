"""The engine of one partition: signals and scheduler on one state; an event acts on timers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec.structs import replace

from schemas import wire
from workers.core.decisions import put_off_decision
from workers.errors import Misconfigured
from workers.identity import erasing, merging
from workers.scheduler.agent import Scheduler
from workers.scheduler.realigning import Aligning, Realigning
from workers.signals.account_traits import AccountTraitSignals
from workers.signals.accounts import AccountSignals
from workers.signals.batches import Batches, Running, is_batch
from workers.signals.engagement import Engagements
from workers.signals.intake import Carried
from workers.signals.member_scores import learn_score
from workers.signals.object_sweep import Mending, ObjectSweep
from workers.signals.objects import ObjectSignals, tells
from workers.signals.sweep import Sweep, Sweeping
from workers.signals.users import UserSignals
from workers.slot_books import SlotBooks, Tidying, fill
from workers.state import TABLES
from workers.step_counts import Counting, StepCounts
from workers.stream.batch import TP
from workers.stream.logic import Quiet
from workers.timers import decode_payload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.core.journeys.progress import Enrollment
    from workers.scheduler.agent import Asked
    from workers.shell import EngineParts
    from workers.stream.background import Done
    from workers.stream.batch import Batch
    from workers.stream.logic import Notify
    from workers.stream.store import PartitionStore, Timer
    from workers.stream.view import View
    from workers.timers import TimerPayload


class Handler(Protocol):
    """Decides the records of one topic."""

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """See ``workers.stream.logic.PartitionLogic``."""
        ...

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """See ``workers.stream.logic.PartitionLogic``."""
        ...


class Asks:
    """The scheduler topic, each record with whom it is for: the scheduler, the signals, or who is who."""

    def __init__(
        self,
        partition: int,
        parts: EngineParts,
        scheduler: Scheduler,
        users: UserSignals,
        objects: ObjectSignals,
        batches: Batches,
    ) -> None:
        self._parts = parts
        self._batches = batches
        self._scheduler = scheduler
        self._users = users
        self._objects = objects
        self._events = TP(parts.topics("product-events"), partition)
        self.prepare = scheduler.prepare

    def apply(  # noqa: C901, PLR0912  one per kind
        self, tp: TP, items: Sequence[Asked], view: View, now_ms: int
    ) -> None:
        """Decide each record, in order: what follows a merge finds the person merged."""
        for item in items:
            match item.asked:
                case wire.Eligible():  # most of them: first, though the last case would take it
                    self._scheduler.apply(tp, (item,), view, now_ms)
                case wire.MergeRequest():
                    merging.give(item.asked, view, self._parts, now_ms, self._users.position)
                case wire.Merged():
                    merging.take(item.asked, view, self._parts, now_ms, self._users.position)
                case wire.Released():
                    merging.release(item.asked, view, self._parts)
                case wire.Forwarded():
                    self._count(item.asked, view, now_ms)
                case wire.Erase():
                    erasing.erase(item.asked, view, self._parts, now_ms)
                case wire.MemberMoved():
                    erasing.move(item.asked, view, self._parts, now_ms)
                case wire.Backfilled():
                    fill(item.asked, view, self._parts, now_ms)
                case wire.ObjectsChanged():
                    self._objects.take(item.asked, view, now_ms)
                case wire.EnrollSegment():
                    self._batches.ask(item.asked, view, now_ms)
                case wire.ExitBatch():
                    self._batches.ask_exits(item.asked, view, now_ms)
                case wire.MemberScore():
                    learn_score(item.asked, view, self._parts, now_ms)
                case _:
                    self._scheduler.apply(tp, (item,), view, now_ms)

    def _count(self, forwarded: wire.Forwarded, view: View, now_ms: int) -> None:
        """Count an event of another id as the person's own; its account and its time stay what they were."""
        value = forwarded.event.encode()
        event = replace(wire.decode_product_event(value), user_id=forwarded.subject)
        taken = (Carried(value), event, forwarded.subject.encode(), forwarded.event_at_ms)
        self._users.apply(self._events, (taken,), view, now_ms)


class EngineLogic(Quiet):
    """See :class:`workers.stream.logic.PartitionLogic`; each topic has its handler."""

    def __init__(self, partition: int, parts: EngineParts) -> None:
        topics = parts.topics
        self._parts = parts
        self._store: PartitionStore | None = None
        self._scheduler = Scheduler(parts)
        self._sweep = Sweep(parts)
        self._realigning = Realigning(parts)
        self._objects = ObjectSignals(partition, parts)
        self._object_sweep = ObjectSweep(parts, self._objects)
        self._books = SlotBooks(parts)
        self._batches = Batches(parts)
        self._counts = StepCounts(partition, parts.topics("step-counts"))
        self._put_off: list[Timer] = []
        self._users = users = UserSignals(partition, parts)
        self._handlers: dict[str, Handler] = {
            topics("scheduler"): Asks(partition, parts, self._scheduler, users, self._objects, self._batches),
            topics("account-events"): AccountSignals(parts),
            topics("account-traits"): AccountTraitSignals(partition, parts),
            topics("engagement"): Engagements(partition, parts, users),
            topics("objects"): self._objects,
            topics("product-events"): users,
        }

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Decode with the topic's handler."""
        return self._handlers[batch.tp.topic].prepare(batch, view, now_ms)

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Decide with the topic's handler."""
        self._handlers[tp.topic].apply(tp, items, view, now_ms)

    def timer_keys(self, timers: Sequence[Timer]) -> Sequence[bytes]:
        """The rows that due timers will touch."""
        return self._scheduler.timer_keys([timer for timer in timers if _is_a_subjects(timer)])

    def fire(self, timers: Sequence[Timer], view: View, now_ms: int) -> None:
        """Timers are the scheduler's, but for those that lift marks, tell of objects, run batches."""
        for timer in timers:
            if erasing.lifts(timer):
                erasing.lift(timer, view)
            elif not tells(timer) and is_batch(timer):
                self._batches.fire(timer, view, now_ms)
        self._objects.fire(filter(tells, timers), view, now_ms)
        self._scheduler.fire([timer for timer in timers if _is_a_subjects(timer)], view, now_ms)

    def put_off(self, timer: Timer) -> None:
        """Count the step at which somebody stays because deciding the timer raised; a decision will tell."""
        place = self._place(timer)
        at = ("unknown", "") if place is None else (place[1].journey, place[1].step)
        self._parts.metrics.problems.count(*at, "handler_error")
        self._put_off.append(timer)

    def finish(self, view: View, now_ms: int) -> None:
        """Tell how many stand at the steps where that is another number now, and who was put off."""
        self._counts.tell(view, now_ms)
        put_off, self._put_off = self._put_off, []
        for timer in put_off:
            place = self._place(timer)
            if place is not None:
                payload, held = place
                told = put_off_decision(payload.subject_type, payload.subject, held, timer.due_ms, now_ms)
                key = payload.subject.encode()
                view.send(self._parts.topics("decisions"), key, wire.encode(told.decision))

    def _place(self, timer: Timer) -> tuple[TimerPayload, Enrollment] | None:
        """Whom a timer is for, and where they stand; None where its rows do not tell."""
        if self._store is None:
            return None
        try:
            if not _is_a_subjects(timer):
                return None
            payload = decode_payload(timer.payload)
            table = TABLES[payload.subject_type].progress
            row = self._store.get(table.key(payload.subject.encode()))
            held = table.decode(row).enrollment(payload.enrollment) if row is not None else None
        except (msgspec.DecodeError, Misconfigured):
            # A row that cannot be read is what raised: the log has it.
            return None
        return None if held is None else (payload, held)

    def opened(self, store: PartitionStore) -> Sequence[Any]:
        """What a new workspace leaves to do."""
        self._store = self._objects.store = store
        self._users.position = store.positions().get(self._parts.topics("product-events"), 0)
        return [
            *self._counts.opened(store),
            *self._books.opened(store),
            *self._realigning.opened(store),
            *self._object_sweep.opened(store),
            *self._sweep.opened(store),
            *self._batches.opened(store),
        ]

    def notices(self, notices: Sequence[Any], view: View, now_ms: int) -> None:
        """Do what has to come before anything else is decided."""
        if any(isinstance(one, Counting) for one in notices):
            # First, because it counts what was committed before this transaction.
            self._counts.begin(view)
        self._books.take(notices, view, now_ms)
        self._batches.take(notices, view, now_ms)

    def work(self, task: Any, most: int, view: View, now_ms: int) -> Done:
        """Each task has one who does it."""
        match task:
            case Sweeping():
                done = self._sweep.work(task, most, view, now_ms)
                if done.rest is None:
                    self._batches.begin_existing(view, now_ms)
                return done
            case Aligning():
                return self._realigning.work(task, most, view, now_ms)
            case Mending():
                return self._object_sweep.work(task, most, view, now_ms)
            case Tidying():
                return self._books.work(task, most, view, now_ms)
            case Running():
                return self._batches.work(task, most, view, now_ms)
        raise AssertionError(f"nobody does {task}")

    async def act(self, effects: Sequence[Any], notify: Notify) -> None:
        """Queue the tasks that were asked for."""
        for task in effects:
            notify(task)


def _is_a_subjects(timer: Timer) -> bool:
    """Whether a timer is a subject's, and thus the scheduler's."""
    return not erasing.lifts(timer) and not tells(timer) and not is_batch(timer)
