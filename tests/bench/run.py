"""``python -m tests.bench.run``: measure Brimful beside its peers, then every other benchmark there is.

Figures are printed and written to ``.bench/latest.jsonl``.
While the machine does other work they mean little.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tests.bench import engine, report
from tests.bench.load import delete_topics
from tests.bench.model import BenchError, Context, Figure
from workers.errors import Misconfigured
from workers.local.kafka import LocalKafka, open_kafka

if TYPE_CHECKING:
    from collections.abc import Sequence

ENGINE = "engine"
WORK = Path(".bench/work")
BROKER_CACHE = Path(".bench/kafka-cache")
SECONDS = 30.0
SECONDS_QUICK = 10.0
BUSY_LOAD = 1.0
"""A load average above which something besides a broker that has just started is running."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. 0 when everything was measured or had a reason to be skipped, 1 when something failed."""
    options = _options().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    try:
        with open_kafka(WORK / "kafka", os.environ, cache_dir=BROKER_CACHE, kinds=("jvm", "docker")) as kafka:
            return _measure(options, kafka)
    except (BenchError, Misconfigured) as error:
        _say(f"bench: {error}")
        return 1
    finally:
        shutil.rmtree(WORK / "kafka", ignore_errors=True)


def _terminated(_signal: int, _frame: object) -> NoReturn:
    """Leave by an exception, so that what was started is stopped."""
    sys.exit(128 + signal.SIGTERM)


def _measure(options: argparse.Namespace, kafka: LocalKafka) -> int:
    quick = bool(options.quick)
    context = Context(
        bootstrap=kafka.bootstrap,
        work_dir=WORK.resolve(),
        topic_prefix=f"bench-{time.time_ns() // 1_000_000:x}",
        quick=quick,
        seconds=options.seconds or (SECONDS_QUICK if quick else SECONDS),
        runs=options.runs,
        say=_say,
    )
    _say(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, Kafka ({kafka.kind}) beside the workers"
    )
    if (load := os.getloadavg()[0]) > BUSY_LOAD:
        _say(f"warning: this machine is doing other work (load {load:.1f}); rates will come out too low")
    if quick:
        _say("--quick: too short to warm up; use these figures to see that everything runs")
    others = [name for name in _others() if not options.benches or name in options.benches]
    failed = False
    report.begin()
    try:
        if not options.benches or ENGINE in options.benches:
            failed |= _engine(options, context)
        for name in others:
            failed |= _other(name, context)
    finally:
        delete_topics(context.bootstrap, context.topic_prefix)
    _say(f"figures: {report.LATEST}")
    return int(failed)


def _engine(options: argparse.Namespace, context: Context) -> bool:
    systems = engine.discover(options.systems)
    events = options.events or (engine.EVENTS_QUICK if context.quick else engine.EVENTS)
    failed = False
    for users in options.users:
        _say(f"\n{engine.bench_name(users)}: {users:,} users, {engine.WINDOW_DAYS} sliding days, one worker")
        outcomes = engine.measure(context, systems, users, events)
        report.append(engine.figures(users, outcomes))
        _say(report.table(outcomes))
        failed |= any(outcome.failed for outcome in outcomes)
    return failed


def _other(name: str, context: Context) -> bool:
    _say(f"\n{name}")
    try:
        figures: list[Figure] = importlib.import_module(f"tests.bench.bench_{name}").run(context)
    except BenchError as failure:
        _say(f"  failed: {failure}")
        return True
    report.append(figures)
    _say(report.listing(figures))
    return False


def _others() -> list[str]:
    """The names of all ``bench_*.py`` beside this module."""
    return sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few events, to see that everything runs")
    parser.add_argument("--systems", type=_names, default=[], metavar="NAME,...", help="default: all")
    parser.add_argument(
        "--benches",
        type=_names,
        default=[],
        metavar="NAME,...",
        help=f"of {', '.join([ENGINE, *_others()])}; default: all",
    )
    parser.add_argument("--users", type=_numbers, default=[50_000, 1_000_000], metavar="N,...")
    parser.add_argument("--events", type=int, help=f"in the topic; default {engine.EVENTS:,}")
    parser.add_argument("--seconds", type=float, help=f"per system and run at most; default {SECONDS:.0f}")
    parser.add_argument("--runs", type=int, default=1, help="of every system, in turn; the median counts")
    return parser


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _numbers(text: str) -> list[int]:
    return [int(number.replace("_", "")) for number in text.split(",") if number]


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command talks to its user


if __name__ == "__main__":
    sys.exit(main())
