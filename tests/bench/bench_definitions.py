"""What definitions cost: 1, 10 and 100 segments over the same events of a million users.

Every event has one of :data:`EVENT_NAMES`, and definition k asks for name k modulo their number, so that with
100 of them each event concerns 20. The kinds come in turn (:func:`tests.bench.peers.definitions.segments`):
counts with and without a filter, sums, distinct values, members of an account, trends.

``definitions_N`` is the rate; ``_cpu`` what an event costs; ``_user`` what is kept of a user on average, over
all rows with their keys; ``_row`` how large a user's row of windows is, and ``_accounts_row`` an account's.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from tests.bench import usage
from tests.bench.load import Load, create_topic, delete_topics, preload
from tests.bench.model import BenchError, Context, Figure, Job
from tests.bench.peers.definitions import EVENT_NAMES
from tests.bench.systems.brimful import Brimful
from workers.state import ACCOUNTS, PERSONAL, USERS
from workers.stream.store import PartitionStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.model import Result

SIZES = (1, 10, 100)
USERS_COUNT = 1_000_000
USERS_QUICK = 10_000
EVENTS = 800_000
"""With 100 definitions an event takes some 270 us of CPU: all three take about four minutes on 2 cores."""

EVENTS_QUICK = 20_000
PARTITIONS = 8
SECONDS_MAX = 360.0
"""Who is not through by then is told with what it read; its rows hold less history than the others'."""


class WithDefinitions(Brimful):
    """The engine with so many segments and no journeys."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.name = f"brimful_{count}"

    def command(self, job: Job) -> Sequence[str]:
        """As in the engine benchmark, but for the workspace."""
        return [*super().command(job), "--definitions", str(self.count)]


def run(context: Context) -> list[Figure]:
    """One topic, read by an engine with each number of definitions."""
    load = Load(
        users=USERS_QUICK if context.quick else USERS_COUNT,
        events=EVENTS_QUICK if context.quick else EVENTS,
        partitions=PARTITIONS,
        end_ms=int(time.time() * 1000),
        names=EVENT_NAMES,
    )
    topic = f"{context.topic_prefix}-definitions"
    preload(context.bootstrap, topic, load, context.say)
    figures = [figure for count in SIZES for figure in _measure(context, load, topic, count)]
    delete_topics(context.bootstrap, topic)
    cpu = [figure.value for figure in figures if figure.bench.endswith("_cpu")]
    if len(cpu) == len(SIZES):
        grown = ", ".join(f"{SIZES[at]} cost {cpu[at] / cpu[0]:.1f} times one" for at in range(1, len(SIZES)))
        context.say(f"  {grown}")
    return figures


def _measure(context: Context, load: Load, topic: str, count: int) -> list[Figure]:
    system = WithDefinitions(count)
    name = f"{context.topic_prefix}-definitions-{count}"
    folder = context.work_dir / name
    folder.mkdir(parents=True)
    job = Job(
        name=name,
        bootstrap=context.bootstrap,
        topic=topic,
        partitions=load.partitions,
        events=load.events,
        users=load.users,
        output_topic=f"{name}-reached",
        threshold=1,
        window_days=21,
        state_dir=folder / "state",
        log=folder / "log.txt",
        seconds=SECONDS_MAX,
    )
    create_topic(job.bootstrap, job.output_topic, job.partitions)
    result = system.start(job)
    if not result.processed:
        raise BenchError(f"{count} definitions: nothing was read within {SECONDS_MAX:.0f} s")
    if not result.complete:
        told = f"{result.processed:,} of {load.events:,} events within {SECONDS_MAX:.0f} s"
        context.say(f"  {count} definitions: {told}; its rows hold less than the others'")
    figures = _figures(count, result, job.state_dir)
    delete_topics(job.bootstrap, name)
    shutil.rmtree(folder, ignore_errors=True)
    context.say(f"  {count} definitions: {_sentence(figures)}")
    return figures


def _sentence(figures: Sequence[Figure]) -> str:
    whole = figures[0].bench
    named = [figure.bench.removeprefix(whole).lstrip("_").replace("_", " ") for figure in figures]
    return ", ".join(
        f"{name} {figure.value:,.0f} {figure.unit}".strip()
        for name, figure in zip(named, figures, strict=True)
    )


def _figures(count: int, result: Result, state_dir: Path) -> list[Figure]:
    bench, system = f"definitions_{count}", "brimful"
    figures = [Figure(bench, system, round(result.per_s, 1), "events/s")]
    if result.cpu_s is not None:
        each_us = round(result.cpu_s / result.processed * 1e6, 1)
        figures.append(Figure(f"{bench}_cpu", system, each_us, "us/event"))
    users, _ = _rows(state_dir, USERS.activity.prefix)
    kept = sum(_rows(state_dir, table.prefix, keys=True)[1] for table in PERSONAL)
    if users:
        figures.append(Figure(f"{bench}_user", system, round(kept / users, 1), "bytes/user"))
    for name, prefix in (("row", USERS.activity.prefix), ("accounts_row", ACCOUNTS.activity.prefix)):
        rows, size = _rows(state_dir, prefix)
        if rows:
            figures.append(Figure(f"{bench}_{name}", system, round(size / rows, 1), "bytes"))
    figures.append(Figure(f"{bench}_disk", system, usage.disk_bytes(state_dir), "bytes"))
    return figures


def _rows(state_dir: Path, prefix: bytes, *, keys: bool = False) -> tuple[int, int]:
    """How many rows all partitions hold under a prefix, and their bytes; ``keys``: with their keys."""
    rows = size = 0
    for folder in sorted({path.parent for path in state_dir.rglob("CURRENT")}):
        store = PartitionStore(folder)
        for key, row in store.scan(prefix):
            rows += 1
            size += len(row) + (len(key) if keys else 0)
        store.close()
    return rows, size
