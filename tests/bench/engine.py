"""The engine benchmark: every system over the same topic, one after another, side by side in one table."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tests.bench.systems
from tests.bench.load import (
    THRESHOLD,
    Load,
    create_topic,
    delete_topics,
    keys_of,
    preload,
)
from tests.bench.model import BenchError, Context, Figure, Job, Result, System

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SUBJECT = "brimful"
"""The system whose figures the others are divided by, and which comes first."""

WINDOW_DAYS = 21
PARTITIONS = 8
EVENTS = 3_000_000
EVENTS_QUICK = 200_000
BENCH_OF_USERS = {50_000: "engine", 1_000_000: "engine_1m"}
"""Names of the sizes that are compared over time; another number of users is named after itself."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one system came to: the runs that worked, or the reason why there are none."""

    system: System
    results: tuple[Result, ...]
    problem: str | None = None
    outputs: str = ""
    failed: bool = False
    """It could run here and did not get through; unlike one that is not available."""

    @property
    def typical(self) -> Result | None:
        """The run with the median rate, the slower of two in the middle."""
        if not self.results:
            return None
        rate = statistics.median_low(result.per_s for result in self.results)
        return next(result for result in self.results if result.per_s == rate)


def discover(wanted: Sequence[str]) -> list[System]:
    """The systems found in ``tests/bench/systems``, ours first; only those named, when any are.

    Raises:
        BenchError: a wanted system does not exist.
    """
    found: dict[str, System] = {}
    for module in pkgutil.iter_modules(tests.bench.systems.__path__):
        system = getattr(importlib.import_module(f"tests.bench.systems.{module.name}"), "SYSTEM", None)
        if system is not None:
            found[system.name] = system
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise BenchError(f"no system called {', '.join(unknown)}; there are {', '.join(sorted(found))}")
    chosen = [found[name] for name in found if not wanted or name in wanted]
    return sorted(chosen, key=lambda system: (system.name != SUBJECT, system.name))


def bench_name(users: int) -> str:
    """The name under which figures of this many users are recorded."""
    return BENCH_OF_USERS.get(users, f"engine_{users}_users")


def measure(context: Context, systems: Sequence[System], users: int, events: int) -> list[Outcome]:
    """Fill one topic and let every system read it, ``context.runs`` times in turn.

    A system that fails does not stop the others; its outcome says why.
    """
    load = Load(users=users, events=events, partitions=PARTITIONS, end_ms=int(time.time() * 1000))
    topic = f"{context.topic_prefix}-events-{users}"
    reached = preload(context.bootstrap, topic, load, context.say)
    missing = {system.name: system.unavailable() for system in systems}
    results: dict[str, list[Result]] = {system.name: [] for system in systems}
    problems = {name: reason for name, reason in missing.items() if reason is not None}
    outputs: dict[str, str] = {}
    for run in range(context.runs):
        for system in systems:
            if system.name in problems:
                continue
            job = _job(context, system, load, topic, run)
            try:
                result = _run(context, system, job)
            except BenchError as failure:
                problems[system.name] = str(failure)
                context.say(f"  {failure}")
                continue
            results[system.name].append(result)
            outputs[system.name] = _check(job, result, reached) if system.emits else "see tests/faults"
            _clear(job)
    delete_topics(context.bootstrap, topic)
    return [
        Outcome(
            system=system,
            results=tuple(results[system.name]),
            problem=problems.get(system.name),
            outputs=outputs.get(system.name, ""),
            failed=system.name in problems and missing[system.name] is None,
        )
        for system in systems
    ]


def figures(users: int, outcomes: Iterable[Outcome]) -> list[Figure]:
    """The rows for ``.bench/latest.jsonl``: all rates first, ours at the top, then what they cost."""
    bench = bench_name(users)
    done = [(outcome.system.name, result) for outcome in outcomes if (result := outcome.typical) is not None]
    rows = [Figure(bench, name, round(result.per_s, 1), "events/s") for name, result in done]
    for name, result in done:
        rows.append(Figure(f"{bench}_steady", name, round(result.steady_per_s, 1), "events/s"))
        if result.peak_rss_bytes is not None:
            rows.append(Figure(f"{bench}_peak_rss", name, result.peak_rss_bytes, "bytes"))
        rows.append(Figure(f"{bench}_disk", name, result.disk_bytes, "bytes"))
        if result.cpu_s is not None:
            per_million = round(result.cpu_s / result.processed * 1e6, 3)
            rows.append(Figure(f"{bench}_cpu", name, per_million, "s/million events"))
    return rows


def _job(context: Context, system: System, load: Load, topic: str, run: int) -> Job:
    name = f"{context.topic_prefix}-{load.users}-{system.name}-{run}".replace("_", "-")
    folder = context.work_dir / name
    folder.mkdir(parents=True)
    return Job(
        name=name,
        bootstrap=context.bootstrap,
        topic=topic,
        partitions=load.partitions,
        events=load.events,
        users=load.users,
        output_topic=f"{name}-reached",
        threshold=THRESHOLD,
        window_days=WINDOW_DAYS,
        state_dir=folder / "state",
        log=folder / "log.txt",
        seconds=context.seconds,
    )


def _run(context: Context, system: System, job: Job) -> Result:
    create_topic(job.bootstrap, job.output_topic, job.partitions)
    result = system.start(job)
    took = f"{result.processed:,} events in {result.elapsed_s:.1f} s"
    context.say(f"  {system.name}: {result.per_s:,.0f} events/s ({took})")
    return result


def _check(job: Job, result: Result, expected: frozenset[bytes]) -> str:
    """How many of the users that must be emitted were; only known of a system that got through the topic."""
    if not result.complete:
        return "not checked"
    if not expected:
        return "none due"
    found = keys_of(job.bootstrap, job.output_topic)
    wrong = len(found ^ expected)
    return f"{len(found & expected):,} of {len(expected):,} right" + (f", {wrong:,} differ" if wrong else "")


def _clear(job: Job) -> None:
    """Free what the run took; the log stays."""
    delete_topics(job.bootstrap, job.name)
    shutil.rmtree(job.state_dir, ignore_errors=True)
