"""What became of each journey and at its steps, and how large segments are, counted exactly once.

One row per journey, version, kind and outcome and partition, and one per step and reason; their sum over the
partitions is the number. They are counts of records, so a replay of the same history gives the same numbers.
Who stands where is not counted here but taken over as the engine says it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from schemas import wire
from workers.insights.steps import StepTallies, of_decision, of_delivery
from workers.stream.decoding import decoded
from workers.stream.logic import Quiet
from workers.tallies import (
    SIZES,
    STANDING,
    STEPS,
    TALLIES,
    SegmentSize,
    Standing,
    Tally,
    add_hour,
    sample_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workers.insights.metrics import JourneyMetrics
    from workers.insights.steps import AtStep
    from workers.stream.batch import TP, Batch
    from workers.stream.store import PartitionStore
    from workers.stream.view import View

    Counted = tuple[tuple[str, str, str, str, float], int, AtStep | None]
    """What a record counts for, when that was, and what it says of a step."""

DAYS_KEPT = 400
"""Days of a segment's size that are kept: a year, and a month to compare it with."""


class InsightsLogic(Quiet):
    """See :class:`workers.stream.logic.PartitionLogic`."""

    def __init__(self, partition: int, topics: Callable[[str], str], metrics: JourneyMetrics) -> None:
        self._partition = partition
        self._metrics = metrics
        self._segments = topics("segments")
        self._identity = topics("identity")
        self._counts = topics("step-counts")
        self._steps = StepTallies()
        self._readers: dict[str, Callable[[bytes], Counted]] = {
            topics("decisions"): _decision,
            topics("deliveries"): _delivery,
            topics("conversions"): _conversion,
        }

    def opened(self, store: PartitionStore) -> Sequence[Any]:
        """Show what was counted before."""
        for _, stored in store.scan(TALLIES.prefix):
            self._metrics.show(self._partition, TALLIES.decode(stored))
        for _, stored in store.scan(SIZES.prefix):
            self._metrics.show_size(self._partition, SIZES.decode(stored))
        for key, stored in store.scan(STANDING.prefix):
            self._metrics.show_standing(self._partition, key[1:], STANDING.decode(stored))
        self._steps.opened(store)
        return ()

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Decode records; those that cannot be read are dead-lettered."""
        del now_ms
        if batch.tp.topic == self._segments:
            changes = decoded(batch, view, wire.decode_segment_change)
            return changes, [SIZES.key(_size_key(change)) for _, change in changes]
        if batch.tp.topic == self._counts:
            told = decoded(batch, view, wire.decode_step_count)
            return told, [STANDING.key(record.key or b"") for record, _ in told]
        if batch.tp.topic == self._identity:
            return decoded(batch, view, wire.decode_identity), ()
        items = decoded(batch, view, self._readers[batch.tp.topic])
        keys = [TALLIES.key(_key(counted)) for _, (counted, _, _) in items]
        keys += [STEPS.key(at_step.key) for _, (_, _, at_step) in items if at_step is not None]
        return items, keys

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Count."""
        del now_ms
        if tp.topic == self._segments:
            self._resize(items, view)
            return
        if tp.topic == self._counts:
            self._take_over(items, view)
            return
        if tp.topic == self._identity:
            for _, record in items:
                if isinstance(record, wire.PersonErased):
                    gone = {sample_of("user", one) for one in (record.subject, *record.ids)}
                    self._steps.forget(gone, view)
            return
        tallies = view.table(TALLIES)
        for _, (counted, at_ms, at_step) in items:
            key = _key(counted)
            journey, version, kind, outcome, revenue = counted
            tally = tallies.get(key) or Tally(journey, version, kind, outcome)
            tally.count += 1
            tally.revenue += revenue
            add_hour(tally.hours, at_ms)
            tallies.put(key, tally)
            view.after_commit(tally)
            if at_step is not None:
                self._steps.add(at_step, view)

    def _take_over(self, items: Sequence[Any], view: View) -> None:
        """The newest number of a step; where nobody stands any more there is no row."""
        table = view.table(STANDING)
        for record, told in items:
            key = record.key or b""
            standing = Standing(
                told.subject_type, told.journey, told.version, told.step, told.number, told.at_ms
            )
            if told.number:
                table.put(key, standing)
            else:
                table.delete(key)
            view.after_commit((key, standing))

    def _resize(self, items: Sequence[Any], view: View) -> None:
        sizes = view.table(SIZES)
        for _, change in items:
            key = _size_key(change)
            size = sizes.get(key) or SegmentSize(change.segment, change.subject_type)
            step = 1 if change.change == "entered" else -1
            size.members += step
            day = datetime.fromtimestamp(change.at_ms / 1000, UTC).date().isoformat()
            entered, left, _ = size.days.get(day, (0, 0, 0))
            size.days[day] = (entered + (step > 0), left + (step < 0), size.members)
            if len(size.days) > DAYS_KEPT:
                del size.days[min(size.days)]
            sizes.put(key, size)
            view.after_commit(size)

    async def act(self, effects: Sequence[Any], notify: Any) -> None:
        """Show the committed counts."""
        del notify
        for counted in {id(counted): counted for counted in effects}.values():
            if isinstance(counted, tuple):
                self._metrics.show_standing(self._partition, *counted)
            elif isinstance(counted, SegmentSize):
                self._metrics.show_size(self._partition, counted)
            else:
                self._metrics.show(self._partition, counted)

    async def close(self) -> None:
        """Show no counts of a partition that is no longer ours."""
        self._metrics.drop(self._partition)


def _key(counted: tuple[str, str, str, str, float]) -> bytes:
    return "\0".join(counted[:4]).encode()


def _size_key(change: wire.SegmentChange) -> bytes:
    return f"{change.subject_type}\0{change.segment}".encode()


def _decision(payload: bytes) -> Counted:
    record = wire.decode_decision(payload)
    counted = (record.journey, record.version, record.kind, record.outcome, 0.0)
    return counted, record.at_ms, of_decision(record)


def _delivery(payload: bytes) -> Counted:
    record = wire.decode_delivery(payload)
    counted = (record.journey, record.version, f"delivery_{record.channel}", record.outcome, 0.0)
    return counted, record.at_ms, of_delivery(record)


def _conversion(payload: bytes) -> Counted:
    record = wire.decode_conversion(payload)
    outcome = "holdout" if record.holdout else "attributed" if record.attributed else "organic"
    counted = (record.journey, record.version, "conversion", outcome, record.revenue or 0.0)
    return counted, record.converted_at_ms, None
