"""How fast a worker takes over a partition of which it has nothing: the whole changelog into an empty store.

The changelog is written by the kernel's own producer, in transactions of the size that a busy engine makes.
Measured is :meth:`Partition.acquire` as a whole: fencing, claiming, reading, writing.
"""

from __future__ import annotations

import random
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from schemas.topics import load_topics
from tests.bench import usage
from tests.bench.model import BenchError, Context, Figure
from tests.bench.process import worker
from tests.bench.spread import verdict
from tests.bench.systems.arguments import PEERS
from workers.stream.admin import apply_topics
from workers.stream.partition import SEAL
from workers.stream.store import PartitionStore, position_change, timer_row
from workers.stream.tables import Table
from workers.stream.transaction import PartitionProducer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = 1_000_000
ROWS_QUICK = 100_000
TIMER_EVERY = 10
"""One timer for so many rows in the second measurement: their index by due time is made anew."""

ROWS_PER_TRANSACTION = 5_000
GOAL_PER_S = 200_000
RESTORE_LIMIT_S = 600.0
SYSTEM = "brimful"
CHANGELOG = "brimful-engine-changelog"


class Row(msgspec.Struct, array_like=True):
    """About as much as the engine keeps of a user: counts by day, traits, when they were last seen."""

    plan: str
    email: str
    account: str
    last_ms: int
    days: list[int]


TABLE = Table("bench", b"u", Row)


def run(context: Context) -> list[Figure]:
    """Restore rows alone, and rows with timers among them."""
    rows = ROWS_QUICK if context.quick else ROWS
    figures = []
    for name, timer_every in (("restore", 0), ("restore_with_timers", TIMER_EVERY)):
        figures += _restore(context, name, rows, timer_every)
    context.say(verdict(figures[0], at_least=GOAL_PER_S))
    return figures


def _restore(context: Context, name: str, rows: int, timer_every: int) -> list[Figure]:
    app = f"{context.topic_prefix}-{name}".replace("_", "-")
    changelog = _create(context, app)
    written, size = _write(context, app, changelog, rows, timer_every)
    context.say(f"  {name}: {written:,} rows of {size / written:.0f} bytes in {changelog}")
    folder = context.work_dir / app
    values = {"name": app, "bootstrap": context.bootstrap, "changelog": changelog, "state-dir": str(folder)}
    options = [word for key, value in values.items() for word in (f"--{key}", value)]
    with worker(name, [sys.executable, str(PEERS / "restore_peer.py"), *options], folder) as restoring:
        told = restoring.facts("restored", RESTORE_LIMIT_S)
    state = folder / app / "p0"
    disk = usage.disk_bytes(state)
    _check(state, rows, timer_every)
    return [
        Figure(name, SYSTEM, round(written / told["seconds"], 1), "records/s"),
        Figure(f"{name}_peak_rss", SYSTEM, told["peak_rss_bytes"], "bytes"),
        Figure(f"{name}_disk", SYSTEM, disk, "bytes"),
    ]


def _create(context: Context, app: str) -> str:
    """The changelog as the product declares it, with one partition."""
    declared = [topic for topic in load_topics() if topic.name == CHANGELOG]
    apply_topics(context.bootstrap, declared, prefix=f"{app}.", partitions=1)
    return f"{app}.{CHANGELOG}"


def _write(context: Context, app: str, changelog: str, rows: int, timer_every: int) -> tuple[int, int]:
    """Fill the changelog; how many records of state it holds, and their bytes without keys."""
    producer = PartitionProducer(context.bootstrap, app, 0, {})
    producer.fence()
    written = size = 0
    for changes in _transactions(rows, timer_every, int(time.time() * 1000)):
        marker = dict([position_change("product-events", written)])
        producer.begin()
        producer.produce(changelog, 0, (changes | marker).items(), (SEAL, b""), ())
        producer.flush()
        producer.commit()
        written += len(changes)
        size += sum(map(len, changes.values()))
    producer.close()
    return written, size


def _transactions(rows: int, timer_every: int, now_ms: int) -> Iterator[dict[bytes, bytes]]:
    rng = random.Random(20_260_314)  # noqa: S311 - repeatable rows, not a secret
    changes: dict[bytes, bytes] = {}
    for number in range(rows):
        bits = rng.getrandbits(128)
        row = Row(
            plan=("free", "starter", "team", "pro")[bits & 3],
            email=f"{bits:032x}@mail.example.com",
            account=f"acct-{number // 20:06d}",
            last_ms=now_ms - (bits >> 8 & 0xFFFFFFF),
            days=[bits >> shift & 0xFFFF for shift in range(0, 105, 5)],
        )
        changes[TABLE.key(_key(number))] = TABLE.encode(row)
        if timer_every and number % timer_every == 0:
            due_ms = now_ms + 86_400_000 + (bits >> 32 & 0xFFFFFFF)
            changes[b"t" + _timer_id(number)] = timer_row(due_ms, _key(number))
        if len(changes) >= ROWS_PER_TRANSACTION:
            yield changes
            changes = {}
    if changes:
        yield changes


def _check(path: Path, rows: int, timer_every: int) -> None:
    """The restored store holds what was written: looked at in a thousand places, and at every timer.

    Raises:
        BenchError: something is missing, so the rate is worth nothing.
    """
    store = PartitionStore(path)
    try:
        numbers = range(0, rows, max(1, rows // 1000))
        found = store.read([TABLE.key(_key(number)) for number in numbers])
        missing = sum(row is None or not TABLE.decode(row).account for row in found)
        timers = len(store.due(2**62, rows)) if timer_every else 0
        expected = -(-rows // timer_every) if timer_every else 0
        if missing or timers != expected:
            raise BenchError(
                f"{path}: {missing} rows of {len(numbers)} and {expected - timers} timers are missing"
            )
    finally:
        store.abandon()


def _key(number: int) -> bytes:
    return b"user-%07d" % number


def _timer_id(number: int) -> bytes:
    return b"timer-%010d" % number
