"""The kernel's metrics: stable names, base units, and labels without personal data."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prometheus_client import CollectorRegistry

    from workers.clock import Clock
    from workers.stream.batch import TP, Batch
    from workers.stream.changelog import Progress
    from workers.stream.partition import Partition
    from workers.stream.store import Timer
    from workers.stream.view import View

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_LATENESS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30, 300, 3600)
_RESTORE_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
_RECORDS = (1, 10, 100, 500, 1_000, 2_500, 5_000, 10_000)


class KernelMetrics:
    """The metric families, made once per process and shared by its applications."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"brimful_{name}", what, ("app", *labels), registry=registry)

        def histogram(name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"brimful_{name}", what, ("app",), buckets=buckets, registry=registry)

        def gauge(name: str, what: str) -> Gauge:
            return Gauge(f"brimful_{name}", what, ("app", "partition"), registry=registry)

        self.records = counter("records_processed", "Source records whose effect is committed.", "topic")
        self.transactions = counter("transactions", "Committed transactions.")
        self.transaction_s = histogram(
            "transaction_seconds", "From taking a batch to its acknowledgement.", _SECONDS
        )
        self.transaction_records = histogram(
            "transaction_records", "Source records in one transaction.", _RECORDS
        )
        self.rows = counter("state_rows_written", "State rows changed, as changelog records.")
        self.dead = counter("dead_letters", "Records put aside, by reason.", "topic", "reason")
        self.fired = counter("timers_fired", "Timers that fired.")
        self.put_off = counter("timers_put_off", "Timers set again because deciding them raised.")
        self.lateness_s = histogram(
            "timer_lateness_seconds", "From a timer's due time to its transaction.", _LATENESS
        )
        self.refused = counter(
            "batches_refused",
            "Batches that did not begin where the last one ended, and were read again.",
            "topic",
        )
        self.expired = counter(
            "records_expired", "Records deleted by retention before they were read.", "topic"
        )
        self.restarts = counter(
            "partition_restarts", "Partitions begun again from what is committed, by error.", "error"
        )
        self.restored = counter("restore_records", "Changelog records applied by restores.")
        self.restore_s = histogram(
            "restore_seconds", "From an assignment to a restored partition.", _RESTORE_SECONDS
        )
        self.restore_remaining = gauge("restore_remaining_records", "Changelog records still to be applied.")
        self.standby_lag = gauge("standby_lag_records", "How far a warm copy is behind its changelog.")


class StreamMetrics:
    """The kernel's metrics of one application."""

    def __init__(self, kernel: KernelMetrics, app_id: str, clock: Clock) -> None:
        self._kernel = kernel
        self._app = app_id
        self._clock = clock
        self._transactions = kernel.transactions.labels(app_id)
        self._transaction_s = kernel.transaction_s.labels(app_id)
        self._transaction_records = kernel.transaction_records.labels(app_id)
        self._rows = kernel.rows.labels(app_id)
        self._fired = kernel.fired.labels(app_id)
        self._lateness_s = kernel.lateness_s.labels(app_id)

    def turn(
        self,
        batches: Sequence[Batch],
        timers: Sequence[Timer],
        changes: Mapping[bytes, bytes | None],
        view: View,
        took_s: float,
    ) -> None:
        """Count one committed transaction."""
        self._transactions.inc()
        self._transaction_s.observe(took_s)
        self._transaction_records.observe(sum(len(batch.records) for batch in batches))
        self._rows.inc(len(changes))
        for batch in batches:
            self._kernel.records.labels(self._app, batch.tp.topic).inc(len(batch.records))
        for letter in view.dead:
            self._kernel.dead.labels(self._app, letter.tp.topic, letter.reason).inc()
        if timers:
            now_ms = self._clock.now_ms()
            self._fired.inc(len(timers))
            for timer in timers:
                self._lateness_s.observe(max(0, now_ms - timer.due_ms) / 1000)

    def put_off(self, number: int) -> None:
        """Count timers that were set again because deciding them raised."""
        if number:
            self._kernel.put_off.labels(self._app).inc(number)

    def refused(self, tp: TP) -> None:
        """Count a batch that was refused."""
        self._kernel.refused.labels(self._app, tp.topic).inc()

    def expired(self, tp: TP, records: int) -> None:
        """Count records that retention deleted before they were read."""
        self._kernel.expired.labels(self._app, tp.topic).inc(records)

    def begun_again(self, _partition: int, error: str) -> None:
        """Count a partition that began again after a failure."""
        self._kernel.restarts.labels(self._app, error).inc()

    def restoring(self, progress: Progress) -> None:
        """Show how much of a restore remains."""
        remaining = max(0, progress.end - progress.at)
        self._kernel.restore_remaining.labels(self._app, str(progress.partition)).set(remaining)

    def restored(self, partition: int, records: int, took_s: float) -> None:
        """Count a finished restore."""
        self._kernel.restored.labels(self._app).inc(records)
        self._kernel.restore_s.labels(self._app).observe(took_s)
        self._kernel.restore_remaining.labels(self._app, str(partition)).set(0)

    def following(self, progress: Progress) -> None:
        """Show how far a standby is behind."""
        self._kernel.standby_lag.labels(self._app, str(progress.partition)).set(
            max(0, progress.end - progress.at)
        )


class LagCollector:
    """Consumer lag in records and in seconds, and tasks that wait, computed when it is asked for.

    Args:
        app_id: the application.
        partitions: gives the partitions that are owned.
        reading: gives for a source partition where its log ends and where reading stands, as the consumer
            last saw them, or None while it saw neither.

    A partition of which that is None has no sample: its lag is not known, which is not 0. The lag in
    seconds is the age of the oldest record not yet applied, 0 where there is none.
    """

    def __init__(
        self,
        app_id: str,
        partitions: Callable[[], Iterable[Partition]],
        reading: Callable[[TP], tuple[int, int] | None],
    ) -> None:
        self._app = app_id
        self._partitions = partitions
        self._reading = reading

    def describe(self) -> list[Any]:
        """Nothing in advance: partitions come and go."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One sample per source partition."""
        labels = ("app", "topic", "partition")
        records = GaugeMetricFamily("brimful_consumer_lag_records", "Records not yet applied.", labels=labels)
        seconds = GaugeMetricFamily(
            "brimful_consumer_lag_seconds", "Age of the oldest record not yet applied.", labels=labels
        )
        running = GaugeMetricFamily(
            "brimful_partitions_running", "Partitions restored and running.", labels=("app",)
        )
        tasks = GaugeMetricFamily(
            "brimful_background_tasks", "Tasks in the background not done yet.", labels=("app", "partition")
        )
        now_s = time.time()
        count = 0
        for partition in list(self._partitions()):
            count += partition.running
            tasks.add_metric((self._app, str(partition.number)), partition.mailbox.tasks_wait)
            for tp, applied in list(partition.applied.items()):
                reading = self._reading(tp)
                if reading is None:
                    continue
                lag = _lag(tp, applied, partition, *reading)
                oldest_ms = partition.mailbox.oldest_ms(tp.topic) or partition.applied_ms.get(tp)
                age_s = 0.0 if not lag or oldest_ms is None else max(0.0, now_s - oldest_ms / 1000)
                values = (self._app, tp.topic, str(tp.partition))
                records.add_metric(values, lag)
                seconds.add_metric(values, age_s)
        running.add_metric((self._app,), count)
        return (records, seconds, running, tasks)


def _lag(tp: TP, applied: int, partition: Partition, end: int, position: int) -> int:
    # What lies between the applied offset and the position while nothing waits is no record: markers.
    done = position if partition.mailbox.expected.get(tp) == applied else applied
    return max(0, end - max(done, applied))
