"""Consumer lag, as the kernel sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from tests.unit.stream.kit import NOW, TP0, Bench, Rec
from workers.clock import FixedClock
from workers.stream.background import Task
from workers.stream.batch import Batch
from workers.stream.changelog import Progress
from workers.stream.metrics import KernelMetrics, LagCollector, StreamMetrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A running partition."""
    made = Bench(tmp_path)
    yield made
    await made.close()


def lag(bench: Bench, reading: tuple[int, int] | None) -> dict[str, float]:
    """The samples of the first topic, by metric."""
    collector = LagCollector("app", lambda: [bench.partition], lambda tp: reading if tp == TP0 else None)
    found: dict[str, Any] = {}
    for family in collector.collect():
        for sample in family.samples:
            if sample.labels.get("topic", "events") == "events":
                found[sample.name] = sample.value
    return found


async def test_what_waits_is_lag_in_records_and_age(bench: Bench) -> None:
    """The log ends at 100; 10 are applied; the oldest that waits is an hour old."""
    old_ms = int(time.time() * 1000) - 3_600_000
    bench.partition.resume({TP0: 10})
    bench.partition.submit(Batch(TP0, [Rec(10, timestamp=old_ms)], 10, 11))
    found = lag(bench, (100, 11))
    assert found["brimful_consumer_lag_records"] == 90
    assert 3_600 <= found["brimful_consumer_lag_seconds"] < 3_700
    assert found["brimful_partitions_running"] == 1


async def test_markers_at_the_end_of_the_log_are_no_lag(bench: Bench) -> None:
    """The log ends behind the last record with a transaction's marker; reading has passed it."""
    bench.partition.resume({TP0: 99})
    found = lag(bench, (100, 100))
    assert found["brimful_consumer_lag_records"] == 0
    assert found["brimful_consumer_lag_seconds"] == 0


async def test_a_consumer_that_saw_nothing_yet_tells_no_lag(bench: Bench) -> None:
    """Rather nothing than a guess: who waits for 0 would take it for the end."""
    assert lag(bench, None).keys() == {"brimful_partitions_running", "brimful_background_tasks"}


async def test_tasks_that_are_left_are_told(bench: Bench) -> None:
    """Whoever publishes sees whether a sweep still goes on."""
    assert lag(bench, None)["brimful_background_tasks"] == 0
    bench.partition.notify(Task())
    assert lag(bench, None)["brimful_background_tasks"] == 1
    bench.partition.mailbox.task_done(None)
    assert lag(bench, None)["brimful_background_tasks"] == 0


def test_a_restore_and_a_standby_show_what_remains() -> None:
    """Never below zero, and nothing once it is done."""
    registry = CollectorRegistry()
    metrics = StreamMetrics(KernelMetrics(registry), "app", FixedClock(NOW))
    labels = {"app": "app", "partition": "3"}
    metrics.restoring(Progress(3, at=40, end=100, records=40))
    assert registry.get_sample_value("brimful_restore_remaining_records", labels) == 60
    metrics.restored(3, 100, 1.5)
    assert registry.get_sample_value("brimful_restore_remaining_records", labels) == 0
    assert registry.get_sample_value("brimful_restore_records_total", {"app": "app"}) == 100
    metrics.following(Progress(3, at=101, end=100, records=1))
    assert registry.get_sample_value("brimful_standby_lag_records", labels) == 0
