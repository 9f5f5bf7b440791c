"""Timers of one worker over eight partitions, exactly once: how late they fire, how fast when overdue.

Each timer that fires is deleted, changes a row and writes one record, in one transaction with others of its
partition. Lateness is from the due time to the end of the commit of that transaction.

* ``timers_1m``: timers that are set already and become due evenly within a minute.
* ``timers_5k``: 5,000 records a second set 5,000 timers a second, while as many fire.
* ``timers_overdue``: timers that became due while nobody was there to fire them.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer

from tests.bench.load import QUIET, create_topic, delete_topics, keys_of
from tests.bench.model import BenchError, Context, Figure
from tests.bench.peers.timers_logic import DUE
from tests.bench.process import worker
from tests.bench.spread import verdict
from tests.bench.systems.arguments import PEERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SYSTEM = "brimful"
PARTITIONS = 8
RATE_PER_S = 5_000
GOAL_P99_MS = 100
GOAL_BEHIND_MS = 1_000
"""Falling behind means that lateness grows: a minute of it would be far above a second."""

HELD_AT_MS = 1_800_000_000_000
"""Where the worker's clock stands while timers are set."""

LEAD_MS = 1_000
"""From the release of the clock to the first due time: partitions notice the release before."""

AHEAD_MS = 2_000
"""How far ahead live timers are set."""

START_LIMIT_S = 60.0
SET_LIMIT_S = 300.0
FIRE_LIMIT_S = 180.0
_DELIVERY_LIMIT_S = 60.0
_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Plan:
    """``count`` timers, set beforehand and due within ``span_ms``; None: live, at ``RATE_PER_S``."""

    name: str
    count: int
    span_ms: int | None


def run(context: Context) -> list[Figure]:
    """All three."""
    quick = context.quick
    minute = _measure(context, Plan("timers_1m", *((50_000, 5_000) if quick else (1_000_000, 60_000))))
    live = _measure(context, Plan("timers_5k", RATE_PER_S * (5 if quick else 30), None))
    overdue = _measure(context, Plan("timers_overdue", 50_000 if quick else 500_000, 0))
    context.say(verdict(_named(minute, "timers_1m_worst"), at_most=GOAL_BEHIND_MS))
    context.say(verdict(_named(live, "timers_5k_p99"), at_most=GOAL_P99_MS))
    return [*minute, *live, *overdue[:1], *overdue[-1:]]


def _named(figures: list[Figure], bench: str) -> Figure:
    return next(figure for figure in figures if figure.bench == bench)


def _measure(context: Context, plan: Plan) -> list[Figure]:
    app = f"{context.topic_prefix}-{plan.name}".replace("_", "-")
    source, output, changelog = (f"{app}-{name}" for name in ("source", "output", "changelog"))
    for topic in (source, output, changelog, f"{app}-dead-letters"):
        create_topic(context.bootstrap, topic, PARTITIONS)
    producer = _producer(context.bootstrap)
    if plan.span_ms is not None:
        _fill(producer, source, plan.count, plan.span_ms)
    folder = context.work_dir / app
    values: dict[str, str | int | Path] = {
        "name": app,
        "bootstrap": context.bootstrap,
        "topic": source,
        "output-topic": output,
        "changelog": changelog,
        "state-dir": folder,
        "partitions": PARTITIONS,
        "expected": plan.count,
        "held-at-ms": 0 if plan.span_ms is None else HELD_AT_MS,
    }
    options = [word for key, value in values.items() for word in (f"--{key}", str(value))]
    with worker(plan.name, [sys.executable, str(PEERS / "timers_peer.py"), *options], folder) as firing:
        firing.facts("running", START_LIMIT_S)
        if plan.span_ms is None:
            first_due_ms = _set_live(producer, source, plan.count)
        else:
            first_due_ms = HELD_AT_MS + LEAD_MS
            took_s = firing.facts("set", SET_LIMIT_S)["seconds"]
            context.say(f"  {plan.name}: {plan.count:,} timers set in {took_s:.1f} s")
        told = firing.facts("fired", FIRE_LIMIT_S)
    _check(context, output, plan.count, told)
    delete_topics(context.bootstrap, app)
    return _figures(plan, told, first_due_ms)


def _figures(plan: Plan, told: dict[str, Any], first_due_ms: int) -> list[Figure]:
    seconds = (told["last_ms"] - first_due_ms) / 1000
    return [
        Figure(plan.name, SYSTEM, round(plan.count / seconds, 1), "timers/s"),
        Figure(f"{plan.name}_p50", SYSTEM, told["p50_ms"], "ms"),
        Figure(f"{plan.name}_p99", SYSTEM, told["p99_ms"], "ms"),
        Figure(f"{plan.name}_worst", SYSTEM, told["worst_ms"], "ms"),
        Figure(f"{plan.name}_peak_rss", SYSTEM, told["peak_rss_bytes"], "bytes"),
    ]


def _check(context: Context, output: str, count: int, told: dict[str, Any]) -> None:
    """Each timer fired once and its record can be read.

    Raises:
        BenchError: it did not.
    """
    found = len(keys_of(context.bootstrap, output))
    if found != count or told["twice"]:
        raise BenchError(
            f"{output}: {found:,} timers of {count:,} wrote a record, {told['twice']:,} fired wrongly"
        )


def _producer(bootstrap: str) -> Producer:
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 5,
            "enable.idempotence": True,
            "queue.buffering.max.messages": 1_000_000,
            **QUIET,
        }
    )


def _fill(producer: Producer, topic: str, count: int, span_ms: int) -> None:
    """Records for timers due evenly over the span, in an order that has nothing to do with it."""
    step = _coprime(count)
    dues = (HELD_AT_MS + LEAD_MS + span_ms * (number * step % count) // count for number in range(count))
    for at in range(0, count, _CHUNK):
        messages = [
            {"key": _key(number), "value": DUE.pack(next(dues))}
            for number in range(at, min(count, at + _CHUNK))
        ]
        producer.produce_batch(topic, messages)
        producer.poll(0)
    _flush(producer)


def _coprime(count: int) -> int:
    """A step that visits every number below ``count`` once: a prime that does not divide it."""
    return next(prime for prime in (611_953, 104_729, 7_919) if count % prime)


def _set_live(producer: Producer, topic: str, count: int) -> int:
    """Send records evenly, each for a timer ``AHEAD_MS`` from then; the first due time."""
    first_ms = time.time_ns() // 1_000_000
    for number, at_s in _paced(count):
        due_ms = first_ms + AHEAD_MS + int(at_s * 1000)
        producer.produce(topic, DUE.pack(due_ms), _key(number))
        producer.poll(0)
    _flush(producer)
    return first_ms + AHEAD_MS


def _paced(count: int) -> Iterator[tuple[int, float]]:
    """Numbers below ``count`` at ``RATE_PER_S``, each with its second; sleeps in between."""
    began = time.monotonic()
    for number in range(count):
        at_s = number / RATE_PER_S
        if (early_s := began + at_s - time.monotonic()) > 0:
            time.sleep(max(early_s, 0.002))
        yield number, at_s


def _flush(producer: Producer) -> None:
    if left := producer.flush(_DELIVERY_LIMIT_S):
        raise BenchError(f"{left:,} records were not acknowledged in {_DELIVERY_LIMIT_S:.0f} s")


def _key(number: int) -> bytes:
    return b"timer-%010d" % number
