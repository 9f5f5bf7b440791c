"""Operating many people inside journeys: a million people, ten timers each, in one worker's engine.

* ``journeys_take_over``: a worker that has nothing takes over all of them.
* ``journeys_sweep``: it begins again with a workspace that has another segment, and looks at everybody once;
  meanwhile events go on, and ``..._live`` is from an event to its committed decision.
* ``journeys_exit``: all leave one of the journeys on request, at the rate of ``brimful exit``, beside the
  same events.
* ``journeys_release``: messages that quiet hours hold go out at their end, over the workspace's ``spread``;
  late is from each one's time to its committed message.

Their state is written into the changelog beforehand (:mod:`tests.bench.people`).
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from schemas import wire
from schemas.topics import DEFAULT_PARTITIONS, load_topics
from tests.bench import usage
from tests.bench.load import QUIET, delete_topics
from tests.bench.model import BenchError, Context, Figure
from tests.bench.people import CHANGELOG, all_held, all_standing, fill
from tests.bench.process import Worker, worker
from tests.bench.spread import percentile, verdict
from workers.cli.exits import RATE
from workers.core.compile import compile_workspace
from workers.core.ids import stable_id
from workers.local.ports import free_port
from workers.reading.topics import ends_of
from workers.state import SWEPT
from workers.stream.admin import apply_topics
from workers.workspace.files import load_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from confluent_kafka import Message

SYSTEM = "brimful"
RATE_PER_S = 200
"""Live events a second: enough to see what they wait for, too few to be the load."""

GOAL_LATE_MS = 2_000
MINUTE_MS = 60_000
START_LIMIT_S = 900.0
WORK_LIMIT_S = 1_800.0
_TICK_S = 0.2


@dataclass(frozen=True, slots=True)
class Size:
    """How many. ``ahead_ms``: how long writing and taking over the held messages may take."""

    people: int
    journeys: int
    held: int
    spread_s: int
    ahead_ms: int


FULL = Size(1_000_000, 10, 1_000_000, 300, 8 * MINUTE_MS)
QUICK = Size(5_000, 10, 5_000, 10, MINUTE_MS // 2)


def run(context: Context) -> list[Figure]:
    """All four."""
    size = QUICK if context.quick else FULL
    return [*_operate(context, size), *_release(context, size)]


def _operate(context: Context, size: Size) -> list[Figure]:
    prefix = f"{context.topic_prefix}-journeys."
    apply_topics(context.bootstrap, load_topics(), prefix=prefix, partitions=DEFAULT_PARTITIONS)
    folder = context.work_dir / "journeys"
    workspace = _workspace(folder / "workspace", [_waiting(at) for at in range(size.journeys)])
    records, stored = fill(context, prefix, all_standing(size.people, size.journeys, _now_ms()))
    context.say(
        f"  {size.people:,} people, {size.people * size.journeys:,} timers: {records:,} records, "
        f"{stored / 2**20:,.0f} MiB in the changelog"
    )
    with _engine(context, prefix, folder, workspace) as (running, seconds):
        figures = _taken_over(records, seconds, running, folder)
    _write(workspace / "segments" / "paying.yaml", PAYING)
    swept = Tail(context.bootstrap, f"{prefix}{CHANGELOG}")
    decided = Tail(context.bootstrap, f"{prefix}decisions")
    with _engine(context, prefix, folder, workspace) as (running, _), _live(context, prefix) as live:
        figures += _sweep(swept, decided, live, _segments_version(workspace))
        figures += _exit(context, prefix, size.people, decided, live)
        figures += _memory("journeys", running)
    swept.close()
    decided.close()
    _remove(context, prefix, folder)
    return figures


def _taken_over(records: int, seconds: float, running: Worker, folder: Path) -> list[Figure]:
    return [
        Figure("journeys_take_over", SYSTEM, round(seconds, 2), "seconds"),
        Figure("journeys_take_over_rate", SYSTEM, round(records / seconds, 1), "records/s"),
        Figure("journeys_disk", SYSTEM, usage.disk_bytes(folder / "state"), "bytes"),
        *_memory("journeys_take_over", running),
    ]


def _sweep(swept: Tail, decided: Tail, live: Live, version: str) -> list[Figure]:
    """Until every partition has looked at everybody."""
    key, done = SWEPT.key(b"user"), set[int]()

    def look(message: Message) -> None:
        value = message.value()
        if message.key() == key and value:
            row = SWEPT.decode(value)
            if (row.version, row.cursor) == (version, b""):
                done.add(message.partition() or 0)

    began_s = time.monotonic()
    _until("the sweep", lambda: len(done) == DEFAULT_PARTITIONS, (swept, look), (decided, live.saw))
    seconds = time.monotonic() - began_s
    return [
        Figure("journeys_sweep", SYSTEM, round(seconds, 2), "seconds"),
        *_spread("journeys_sweep_live", live.late_ms(decided)),
    ]


def _exit(context: Context, prefix: str, people: int, decided: Tail, live: Live) -> list[Figure]:
    """Until everybody has left ``w0``: one decision of each."""
    left: set[bytes] = set()

    def look(message: Message) -> None:
        key = message.key() or b""
        if not live.saw(message) and b'"kind":"exit"' in (message.value() or b""):
            left.add(key)

    asked = wire.ExitBatch(
        id="bench", journey="w0", subject_type="user", rate=RATE, reason="bench", at_ms=_now_ms()
    )
    producer = Producer({"bootstrap.servers": context.bootstrap, **QUIET})
    began_s = time.monotonic()
    for number in range(DEFAULT_PARTITIONS):
        producer.produce(f"{prefix}scheduler", wire.encode(asked), b"bench", number)
    producer.flush(60)
    _until("everybody's exit", lambda: len(left) >= people, (decided, look))
    seconds = time.monotonic() - began_s
    return [
        Figure("journeys_exit", SYSTEM, round(seconds, 2), "seconds"),
        Figure("journeys_exit_rate", SYSTEM, round(people / seconds, 1), "exits/s"),
        *_spread("journeys_exit_live", live.late_ms(decided)),
    ]


def _release(context: Context, size: Size) -> list[Figure]:
    """Messages that are held until a minute that is ahead, and go out after it."""
    prefix = f"{context.topic_prefix}-release."
    apply_topics(context.bootstrap, load_topics(), prefix=prefix, partitions=DEFAULT_PARTITIONS)
    folder, now_ms = context.work_dir / "release", _now_ms()
    end_ms = -(-(now_ms + size.ahead_ms) // MINUTE_MS) * MINUTE_MS
    workspace = _workspace(folder / "workspace", [SENDING], _quiet(end_ms, size.spread_s))

    def due_ms(who: str) -> int:
        return end_ms + int(stable_id("spread", who)[:12], 16) % (size.spread_s * 1000)

    fill(context, prefix, all_held(size.held, now_ms, due_ms))
    late_ms: dict[bytes, float] = {}

    def look(message: Message) -> None:
        key = message.key() or b""
        late_ms[key] = time.time() * 1000 - due_ms(key.decode())

    sent = Tail(context.bootstrap, f"{prefix}messages.in_app")
    with _engine(context, prefix, folder, workspace) as (running, _):
        early_ms = end_ms - _now_ms()
        if early_ms < 0:
            raise BenchError(f"the worker was ready {-early_ms:,} ms after the end of quiet hours: too late")
        context.say(f"  {size.held:,} messages are held for {early_ms / 1000:,.0f} s more")
        _until("all messages", lambda: len(late_ms) >= size.held, (sent, look))
        seconds = (_now_ms() - end_ms) / 1000
        memory = _memory("journeys_release", running)
    sent.close()
    disk = usage.disk_bytes(folder / "state")
    _remove(context, prefix, folder)
    ordered = sorted(late_ms.values())
    if ordered[0] < 0:
        raise BenchError(f"a message went out {-ordered[0]:,.0f} ms before its time")
    figures = _spread("journeys_release", ordered)
    context.say(verdict(figures[-1], at_most=GOAL_LATE_MS))
    return [
        Figure("journeys_release", SYSTEM, round(size.held / seconds, 1), "messages/s"),
        *figures,
        *memory,
        Figure("journeys_release_disk", SYSTEM, disk, "bytes"),
    ]


# -- the workspace

PAYING = {"segment": "paying", "subject": "user", "require": [{"trait": "plan", "eq": "pro"}]}
LIVE = {
    "journey": "live",
    "subject": "user",
    "entry": {"on": {"event": "arrived"}, "again": "always"},
    "steps": [{"wait": "1d"}],
}
SENDING = {
    "journey": "w0",
    "subject": "user",
    "entry": {"on": {"event": "came"}},
    "steps": [{"send": {"in_app": "bench_banner"}}, {"wait": "30d"}],
}
BANNER = {"channel": "in_app", "form": "banner", "title": "Hello", "body": "A message that was held."}


def _waiting(at: int) -> dict[str, Any]:
    """A journey whose people wait."""
    steps = [{"wait": "30d"}, {"send": {"in_app": "bench_banner"}}]
    return {"journey": f"w{at}", "subject": "user", "entry": {"on": {"event": "came"}}, "steps": steps}


def _quiet(end_ms: int, spread_s: int) -> dict[str, Any]:
    """Quiet hours of in-app messages, half a day long until ``end_ms``."""
    clock = [datetime.fromtimestamp(at / 1000, UTC).strftime("%H:%M") for at in (end_ms - 43_200_000, end_ms)]
    hours = {"from": clock[0], "to": clock[1], "channel": "in_app"}
    return {"messages": {"quiet_hours": [hours], "spread": f"{spread_s}s"}}


def _workspace(folder: Path, journeys: list[dict[str, Any]], settings: dict[str, Any] | None = None) -> Path:
    """A workspace's folder; JSON is YAML too."""
    for journey in (*journeys, LIVE):
        _write(folder / "journeys" / f"{journey['journey']}.yaml", journey)
    _write(folder / "templates" / "bench_banner.yaml", BANNER)
    _write(folder / "workspace.yaml", {"timezone": "UTC", **(settings or {})})
    return folder


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _segments_version(workspace: Path) -> str:
    return compile_workspace(load_workspace(workspace).workspace).user.segments.version


# -- what runs


class Tail:
    """What is committed to a topic from now on."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "bench-tail",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                **QUIET,
            }
        )
        ends = ends_of({"bootstrap.servers": bootstrap}, topic)
        self._consumer.assign([TopicPartition(topic, number, at) for number, at in ends.items()])

    def take(self, look: Callable[[Message], object], seconds: float) -> int:
        """Show what has come, waiting so long at most; how many."""
        messages = self._consumer.consume(5_000, seconds)
        for message in messages:
            error = message.error()
            if error is not None:
                raise BenchError(str(KafkaException(error)))
            look(message)
        return len(messages)

    def close(self) -> None:
        """Let go."""
        self._consumer.close()


def _until(what: str, met: Callable[[], bool], *tails: tuple[Tail, Callable[[Message], object]]) -> None:
    deadline_s = time.monotonic() + WORK_LIMIT_S
    while not met():
        for tail, look in tails:
            tail.take(look, _TICK_S / 10)
        if time.monotonic() > deadline_s:
            raise BenchError(f"{what} did not come within {WORK_LIMIT_S:,.0f} s")


@dataclass(slots=True)
class Live:
    """Events that are sent evenly, each of a person of its own, until it is stopped."""

    producer: Producer
    topic: str
    sent_s: dict[bytes, float] = field(default_factory=dict)
    late: list[float] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def send(self) -> None:
        """For a thread of its own."""
        began_s, number = time.monotonic(), 0
        while not self.stopped.is_set():
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            key = b"live-%07d" % number
            event = {"type": "track", "event": "arrived", "userId": key.decode(), "timestamp": now}
            value = json.dumps(event | {"messageId": f"m-{number}"}).encode()
            self.sent_s[key] = time.monotonic()
            self.producer.produce(self.topic, value, key)
            self.producer.poll(0)
            number += 1
            self.stopped.wait(max(0.0, began_s + number / RATE_PER_S - time.monotonic()))
        self.producer.flush(60)

    def saw(self, message: Message) -> bool:
        """Note the decision on an event; whether it is one."""
        sent_s = self.sent_s.pop(message.key() or b"", None)
        if sent_s is not None:
            self.late.append((time.monotonic() - sent_s) * 1000)
        return (message.key() or b"").startswith(b"live-")

    def late_ms(self, decided: Tail) -> list[float]:
        """What all events since the last call took, ascending; waits for those that are under way."""
        last, waited = max(self.sent_s, default=b""), set(self.sent_s)
        _until(
            f"the decision on {last.decode()}", lambda: not waited & self.sent_s.keys(), (decided, self.saw)
        )
        late, self.late = sorted(self.late), []
        return late


@contextlib.contextmanager
def _live(context: Context, prefix: str) -> Iterator[Live]:
    config = {
        "bootstrap.servers": context.bootstrap,
        "partitioner": "murmur2_random",
        "linger.ms": 5,
        **QUIET,
    }
    live = Live(Producer(config), f"{prefix}product-events")
    thread = threading.Thread(target=live.send, daemon=True)
    thread.start()
    try:
        yield live
    finally:
        live.stopped.set()
        thread.join()


@contextlib.contextmanager
def _engine(context: Context, prefix: str, folder: Path, workspace: Path) -> Iterator[tuple[Worker, float]]:
    """``brimful worker engine``, ready, and the seconds that took."""
    port = free_port()
    env = {
        "BRIMFUL_KAFKA": context.bootstrap,
        "BRIMFUL_TOPIC_PREFIX": prefix,
        "BRIMFUL_STATE_DIR": str(folder / "state"),
        "BRIMFUL_WORKSPACE": str(workspace),
        "BRIMFUL_HTTP_PORT": str(port),
        "BRIMFUL_LOG_LEVEL": "warning",
    }
    began_s = time.monotonic()
    with worker("engine", [sys.executable, "-m", "workers.cli", "worker", "engine"], folder, env) as running:
        while not _is_ready(f"http://127.0.0.1:{port}/readyz"):
            running.check_alive()
            if time.monotonic() > began_s + START_LIMIT_S:
                raise BenchError(f"not ready within {START_LIMIT_S:.0f} s (see {running.log})")
            time.sleep(_TICK_S)
        yield running, time.monotonic() - began_s


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own worker
            return True
    except (urllib.error.URLError, TimeoutError):
        return False


def _memory(name: str, running: Worker) -> list[Figure]:
    rss = running.peak_rss_bytes()
    return [] if rss is None else [Figure(f"{name}_peak_rss", SYSTEM, rss, "bytes")]


def _spread(name: str, late_ms: list[float]) -> list[Figure]:
    values = (
        ("p50", percentile(late_ms, 0.5)),
        ("p99", percentile(late_ms, 0.99)),
        ("worst", late_ms[-1]),
    )
    return [Figure(f"{name}_{what}", SYSTEM, round(value, 1), "ms") for what, value in values]


def _remove(context: Context, prefix: str, folder: Path) -> None:
    delete_topics(context.bootstrap, prefix)
    shutil.rmtree(folder, ignore_errors=True)


def _now_ms() -> int:
    return int(time.time() * 1000)
