"""From a product event to the in-app feed at 1,000 events a second; engine and senders in one process.

Every event makes another user eligible at once for an in-app message. ``feed_latency`` is from the producer's
call to the feed record in the hands of a read-committed consumer. ``feed_latency_http`` is, under the same
load, from the start of an HTTP call to the gateway to the answer of a long poll that waited for the feed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
from confluent_kafka import OFFSET_END, Consumer, KafkaException, Producer, TopicPartition

from schemas.topics import DEFAULT_PARTITIONS, load_topics
from tests.bench.load import QUIET
from tests.bench.model import BenchError, Context, Figure
from tests.bench.process import Worker, worker
from tests.bench.spread import percentile, verdict
from tests.bench.systems.arguments import BENCH
from workers.intake.tokens import make_feed_token
from workers.local.ports import free_port
from workers.stream.admin import apply_topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SYSTEM = "brimful"
RATE_PER_S = 1_000
SECONDS = 30
SECONDS_QUICK = 5
WARM_SECONDS = 60
WARM_SECONDS_QUICK = 10
"""Left out of the figures: a JVM broker that has just started takes five times as long for a transaction."""

PROBES_PER_S = 20
"""Users who are followed through HTTP, on top of the load."""

GOAL_P99_MS = 500
START_LIMIT_S = 90.0
ARRIVAL_LIMIT_S = 30.0
_TICK_S = 0.002
"""Shortest sleep of the producer: waking up for every event would take the worker's processor time."""

_WAIT_S = 0.01
"""How long the consumer collects feeds before it looks at them: a part of what is measured."""

WRITE_KEY = "bench-write-key"
SECRET = "a key of the benchmark, known to all"
WORKSPACE = BENCH / "workspaces" / "latency"

_TEMPLATE = (
    b'{"type":"track","event":"plan_limit_reached","userId":"%s","messageId":"bench-%s","timestamp":"%s",'
    b'"context":{"groupId":"acct-%06d","ip":"203.0.113.7","library":{"name":"analytics-python","version":"2.4.0"}},'
    b'"properties":{"endpoint":"/v2/reports/00017","method":"GET","duration_ms":182,'
    b'"limit_type":"api_calls","current_plan":"starter","usage_percentage":97}}'
)


def run(context: Context) -> list[Figure]:
    """One worker with engine and senders, one gateway, one producer, one consumer."""
    prefix = f"{context.topic_prefix}-latency."
    apply_topics(context.bootstrap, load_topics(), prefix=prefix, partitions=DEFAULT_PARTITIONS)
    seconds, warm = (SECONDS_QUICK, WARM_SECONDS_QUICK) if context.quick else (SECONDS, WARM_SECONDS)
    folder = context.work_dir / "latency"
    gateway_port = free_port()
    with (
        _role(context, prefix, "engine,senders", folder / "worker") as working,
        _role(context, prefix, "gateway", folder / "gateway", gateway_port=gateway_port),
    ):
        load = Load(context.bootstrap, prefix, warm * RATE_PER_S, seconds * RATE_PER_S)
        probing = Probes(f"http://127.0.0.1:{gateway_port}", seconds)
        late_ms, http_ms = _measure(load, probing)
        rss = working.peak_rss_bytes()
    figures = [*_spread("feed_latency", late_ms), *_spread("feed_latency_http", http_ms)]
    for figure in (figures[1], figures[4]):
        context.say(verdict(figure, at_most=GOAL_P99_MS))
    return figures if rss is None else [*figures, Figure("feed_latency_peak_rss", SYSTEM, rss, "bytes")]


def _measure(load: Load, probing: Probes) -> tuple[list[float], list[float]]:
    """What the load's events and the probes took, ascending, in milliseconds, warm-up excluded."""
    receiving = threading.Thread(target=load.receive, daemon=True)
    receiving.start()
    probes = threading.Thread(target=probing.run, daemon=True)
    load.produce(after_warm_up=probes.start)
    receiving.join()
    probes.join()
    return load.late_ms(), probing.late_ms()


def _spread(name: str, late_ms: list[float]) -> list[Figure]:
    values = (
        ("p50", percentile(late_ms, 0.5)),
        ("p99", percentile(late_ms, 0.99)),
        ("worst", late_ms[-1]),
    )
    return [Figure(f"{name}_{what}", SYSTEM, round(value, 1), "ms") for what, value in values]


class Load:
    """``warm`` and then ``count`` events of as many users, and their feeds: each in a thread of its own."""

    def __init__(self, bootstrap: str, prefix: str, warm: int, count: int) -> None:
        self._warm = warm
        self._count = count = warm + count
        self._topic = f"{prefix}product-events"
        self._sent_s: list[float] = [0.0] * count
        self._seen_s: list[float] = [0.0] * count
        self._error: KafkaException | None = None
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                # Five requests in flight at most: a broker that is busy gets larger ones, not more of them.
                "enable.idempotence": True,
                **QUIET,
            }
        )
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"{prefix}reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                **QUIET,
            }
        )
        self._consumer.assign(
            [TopicPartition(f"{prefix}feeds", number, OFFSET_END) for number in range(DEFAULT_PARTITIONS)]
        )
        self._consumer.poll(1.0)
        self._deadline_s = time.monotonic() + count / RATE_PER_S + ARRIVAL_LIMIT_S

    def produce(self, after_warm_up: Callable[[], None]) -> None:
        """Send all events evenly; calls ``after_warm_up`` once it is warm."""
        began_s = time.monotonic()
        for number in range(self._count):
            if (early_s := began_s + number / RATE_PER_S - time.monotonic()) > 0:
                time.sleep(max(early_s, _TICK_S))
            if number == self._warm:
                after_warm_up()
            value = event(b"load-%07d" % number, number)
            self._sent_s[number] = time.monotonic()
            self._producer.produce(self._topic, value, b"load-%07d" % number)
        self._producer.flush(ARRIVAL_LIMIT_S)

    def receive(self) -> None:
        """Note when each user's feed is seen, until all are or the time is up."""
        missing = self._count
        while missing and self._error is None and time.monotonic() < self._deadline_s:
            # Many at once: each call takes the interpreter's lock, which the other threads want too.
            for message in self._consumer.consume(1_000, _WAIT_S):
                if (error := message.error()) is not None:
                    self._error = KafkaException(error)
                    break
                key = message.key() or b""
                if key.startswith(b"load-") and not self._seen_s[number := int(key[5:])]:
                    self._seen_s[number] = time.monotonic()
                    missing -= 1
        self._consumer.close()

    def late_ms(self) -> list[float]:
        """What each event after the warm-up took, ascending.

        Raises:
            BenchError: some never came.
        """
        missing = sum(not seen for seen in self._seen_s)
        if missing or self._error:
            raise BenchError(f"{missing:,} of {self._count:,} feeds were not seen; last error: {self._error}")
        pairs = zip(self._sent_s[self._warm :], self._seen_s[self._warm :], strict=True)
        return sorted((seen - sent) * 1000 for sent, seen in pairs)


class Probes:
    """Users whose event goes through the gateway while a long poll waits for their feed."""

    def __init__(self, url: str, seconds: int) -> None:
        self._url = url
        self._count = seconds * PROBES_PER_S
        self._late_ms: list[float] = []
        self._error: Exception | None = None

    def run(self) -> None:
        """Follow them all; for a thread of its own."""
        try:
            asyncio.run(self._run())
        except Exception as error:  # noqa: BLE001 - told by the thread that asks for the figures
            self._error = error

    def late_ms(self) -> list[float]:
        """From the start of the call to the answer of the long poll, ascending.

        Raises:
            BenchError: a probe failed.
        """
        if self._error is not None:
            raise BenchError(f"a call to the gateway failed: {self._error!r}") from self._error
        return sorted(self._late_ms)

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=1_000, max_keepalive_connections=1_000)
        async with (
            httpx.AsyncClient(base_url=self._url, timeout=ARRIVAL_LIMIT_S, limits=limits) as client,
            asyncio.TaskGroup() as group,
        ):
            for number in range(self._count):
                group.create_task(self._follow(client, number))
                await asyncio.sleep(1 / PROBES_PER_S)

    async def _follow(self, client: httpx.AsyncClient, number: int) -> None:
        user = f"probe-{number:07d}"
        token = make_feed_token(SECRET.encode(), user, int(time.time() * 1000) + 3_600_000)
        feed = asyncio.create_task(
            client.get(
                "/v1/in-app/feed", params={"since": "none"}, headers={"authorization": f"Bearer {token}"}
            )
        )
        await asyncio.sleep(0.05)
        began_s = time.monotonic()
        taken = await client.post("/v1/track", content=event(user.encode(), number), auth=(WRITE_KEY, ""))
        taken.raise_for_status()
        answer = (await feed).raise_for_status()
        self._late_ms.append((time.monotonic() - began_s) * 1000)
        if not answer.json()["items"]:
            raise BenchError(f"the feed of {user} came without its message")


def event(user: bytes, number: int) -> bytes:
    """One product event of about 400 bytes that happens now."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
    return _TEMPLATE % (user, user, now, number // 20)


@contextlib.contextmanager
def _role(context: Context, prefix: str, roles: str, folder: Path, gateway_port: int = 0) -> Iterator[Worker]:
    """``brimful worker`` with these roles, ready."""
    port = free_port()
    env = {
        "BRIMFUL_KAFKA": context.bootstrap,
        "BRIMFUL_TOPIC_PREFIX": prefix,
        "BRIMFUL_STATE_DIR": str(folder / "state"),
        "BRIMFUL_WORKSPACE": str(WORKSPACE),
        "BRIMFUL_HTTP_PORT": str(port),
        "BRIMFUL_GATEWAY_PORT": str(gateway_port),
        "BRIMFUL_WRITE_KEYS": f"bench={WRITE_KEY}",
        "BRIMFUL_SECRET": SECRET,
        "BRIMFUL_LOG_LEVEL": "warning",
    }
    name = roles.replace(",", "-")
    with worker(name, [sys.executable, "-m", "workers.cli", "worker", roles], folder, env) as running:
        _await_ready(running, f"http://127.0.0.1:{port}/readyz")
        yield running


def _await_ready(running: Worker, url: str) -> None:
    deadline_s = time.monotonic() + START_LIMIT_S
    while True:
        running.check_alive()
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(url, timeout=5):  # noqa: S310
            return
        if time.monotonic() > deadline_s:
            raise BenchError(f"{running.name}: not ready within {START_LIMIT_S:.0f} s (see {running.log})")
        time.sleep(0.1)
