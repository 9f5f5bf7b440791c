"""What became of each journey, and how large segments are, counted exactly once.

One row per journey, version, kind and outcome and partition; their sum over the partitions is the
number. They are counts of records, so a replay of the same history gives the same numbers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from schemas import wire
from workers.stream.decoding import decoded
from workers.stream.logic import Quiet
from workers.stream.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workers.insights.metrics import JourneyMetrics
    from workers.stream.batch import TP, Batch
    from workers.stream.store import PartitionStore
    from workers.stream.view import View


class Tally(msgspec.Struct, array_like=True):
    """How many subjects or messages came to one outcome, and what revenue they brought."""

    journey: str
    version: str
    kind: str
    outcome: str
    count: int = 0
    revenue: float = 0.0


TALLIES = Table("tallies", b"n", Tally)


class SegmentSize(msgspec.Struct, array_like=True):
    """How many subjects of a partition are in a segment, and how that changed by the day (UTC, ISO).

    ``days`` holds for each day how many entered, how many left, and the size at its end.
    """

    segment: str
    subject_type: str
    members: int = 0
    days: dict[str, tuple[int, int, int]] = msgspec.field(default_factory=dict)


SIZES = Table("segment_sizes", b"z", SegmentSize)

DAYS_KEPT = 400
"""Days of a segment's size that are kept: a year, and a month to compare it with."""


class InsightsLogic(Quiet):
    """See :class:`workers.stream.logic.PartitionLogic`."""

    def __init__(self, partition: int, topics: Callable[[str], str], metrics: JourneyMetrics) -> None:
        self._partition = partition
        self._metrics = metrics
        self._segments = topics("segments")
        self._readers: dict[str, Callable[[bytes], tuple[str, str, str, str, float]]] = {
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
        return ()

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Decode records; those that cannot be read are dead-lettered."""
        del now_ms
        if batch.tp.topic == self._segments:
            changes = decoded(batch, view, wire.decode_segment_change)
            return changes, [SIZES.key(_size_key(change)) for _, change in changes]
        items = decoded(batch, view, self._readers[batch.tp.topic])
        return items, [TALLIES.key(_key(counted)) for _, counted in items]

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Count."""
        del now_ms
        if tp.topic == self._segments:
            self._resize(items, view)
            return
        tallies = view.table(TALLIES)
        for _, counted in items:
            key = _key(counted)
            journey, version, kind, outcome, revenue = counted
            tally = tallies.get(key) or Tally(journey, version, kind, outcome)
            tally.count += 1
            tally.revenue += revenue
            tallies.put(key, tally)
            view.after_commit(tally)

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
            if isinstance(counted, SegmentSize):
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


def _decision(payload: bytes) -> tuple[str, str, str, str, float]:
    record = wire.decode_decision(payload)
    return record.journey, record.version, record.kind, record.outcome, 0.0


def _delivery(payload: bytes) -> tuple[str, str, str, str, float]:
    record = wire.decode_delivery(payload)
    return record.journey, record.version, f"delivery_{record.channel}", record.outcome, 0.0


def _conversion(payload: bytes) -> tuple[str, str, str, str, float]:
    record = wire.decode_conversion(payload)
    outcome = "holdout" if record.holdout else "attributed" if record.attributed else "organic"
    return record.journey, record.version, "conversion", outcome, record.revenue or 0.0
