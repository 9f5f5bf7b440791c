"""``brimful run``: the main job on this machine, on a recorded history, with all it needs.

It starts a local Kafka, a mail sink, and one worker with all roles in a process of its own; replays the
bundled history through the gateway on a clock that runs fast; and shows what happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import structlog

from schemas.topics import DEFAULT_PARTITIONS, load_topics
from workers.clock import ScaledClock
from workers.errors import Misconfigured, Retryable
from workers.intake.console.session import SCOPE as CONSOLE
from workers.intake.keys import make_key
from workers.intake.tokens import make_feed_token
from workers.local.demo.history import History, load_history
from workers.local.demo.lines import goal_details
from workers.local.demo.mapping import demo_events
from workers.local.demo.publish import GatewayPublisher
from workers.local.demo.replay import Replay, speed_for
from workers.local.demo.tail import Tailer
from workers.local.kafka import open_kafka
from workers.local.live import LiveView
from workers.local.mailsink import MailSink
from workers.local.ports import free_port
from workers.stream.admin import apply_topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from workers.local.kafka import LocalKafka

log = structlog.get_logger(__name__)

TAILED = ("scheduler", "decisions", "deliveries", "conversions")
START_S = 60.0  # for the worker to be ready: a first start compiles every module
STOP_S = 45.0  # for the worker to drain; then SIGKILL, after which nothing is lost either
POLL_S = 0.1
CATCH_UP_S = 60.0  # after the end of the history
LOOK_S = 0.5
STILL_LOOKS = 6  # looks without any lag: longer than a message takes through all topics
LAG = "brimful_consumer_lag_records"
DAY_MS = 86_400_000
DEMO_PERSON = "ada"
TOKEN_MS = 365 * DAY_MS


@dataclass(frozen=True, slots=True)
class RunOptions:
    """``seconds``: how long the whole history takes. ``stay``: go on after its end, until Ctrl-C."""

    data: Path
    workspace: Path
    seconds: float
    stay: bool


@dataclass(frozen=True, slots=True)
class Session:
    """What one run has to itself: its keys, and its place on the time line of the kept data."""

    number: int
    start_ms: int
    write_key: str
    secret: str
    console_key: str
    api_key_line: str


def run(options: RunOptions) -> int:
    """Run until Ctrl-C, or to the end of the history; 0 when it ended as asked."""
    options.data.mkdir(parents=True, exist_ok=True)
    history = load_history()
    with contextlib.ExitStack() as stack:
        kafka = stack.enter_context(open_kafka(options.data / "kafka", os.environ))
        for limit in kafka.limitations:
            print(f"note: this Kafka {limit}", file=sys.stderr)  # noqa: T201 - a command talks to its user
        if kafka.kind != "mock":
            apply_topics(kafka.bootstrap, load_topics(), partitions=DEFAULT_PARTITIONS)
        sink = stack.enter_context(MailSink(options.data / "mail"))
        session = _session(options.data / "run.json", history)
        speed = speed_for(history, options.seconds)
        wall_start_ms = time.time_ns() // 1_000_000 + 1_000
        clock = ScaledClock(session.start_ms, wall_start_ms, speed)
        ports = (free_port(), free_port())
        worker = stack.enter_context(_worker(options, kafka, sink, session, clock, ports))
        return asyncio.run(_replay(options, history, kafka, sink, session, clock, ports, worker))


def _session(path: Path, history: History) -> Session:
    """This run's place after the earlier ones: the kept state remembers them, and time does not go back."""
    before: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    number = before.get("runs", 0) + 1
    start_ms = before.get("next_start_ms", history.start_ms)
    span_ms = history.end_ms - history.start_ms
    path.write_text(json.dumps({"runs": number, "next_start_ms": start_ms + span_ms + 60 * DAY_MS}))
    console_key, configured = make_key("demo", (CONSOLE, "journeys:read"), secrets.token_bytes(32))
    keys = secrets.token_hex(16), secrets.token_hex(32), console_key, configured.line()
    return Session(number, start_ms, *keys)


@contextlib.contextmanager
def _worker(
    options: RunOptions,
    kafka: LocalKafka,
    sink: MailSink,
    session: Session,
    clock: ScaledClock,
    ports: tuple[int, int],
) -> Iterator[subprocess.Popen[bytes]]:
    gateway, admin = ports
    env = {
        **os.environ,
        "BRIMFUL_KAFKA": kafka.bootstrap,
        "BRIMFUL_STATE_DIR": str(options.data / "state"),
        "BRIMFUL_WORKSPACE": str(options.workspace),
        "BRIMFUL_CLOCK": f"scaled:{clock.start_ms}:{clock.wall_start_ms}:{clock.speed}",
        "BRIMFUL_WRITE_KEYS": f"demo={session.write_key}",
        "BRIMFUL_SECRET": session.secret,
        "BRIMFUL_SMTP": f"smtp://{sink.smtp_host}:{sink.smtp_port}",
        "BRIMFUL_MAIL_FROM": "Acme Product <hello@example.com>",
        "BRIMFUL_GATEWAY_PORT": str(gateway),
        "BRIMFUL_DEMO": "true",
        "BRIMFUL_CONSOLE": "true",
        "BRIMFUL_API_KEYS": session.api_key_line,
        "BRIMFUL_PUBLIC_URL": f"http://127.0.0.1:{gateway}",
        "BRIMFUL_HTTP_PORT": str(admin),
        "BRIMFUL_INSTANCE_ID": "local",
        "BRIMFUL_LOG_FORMAT": "text",
    }
    with (options.data / "worker.log").open("ab") as log_file:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", "worker", "all"],
            env=env,
            stdout=log_file,
            stderr=log_file,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                log.warning("run.worker_killed", seconds=STOP_S)
                process.kill()
                process.wait()


async def _replay(
    options: RunOptions,
    history: History,
    kafka: LocalKafka,
    sink: MailSink,
    session: Session,
    clock: ScaledClock,
    ports: tuple[int, int],
    worker: subprocess.Popen[bytes],
) -> int:
    gateway, admin = ports
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    print("waiting for the worker ...", file=sys.stderr)  # noqa: T201 - a command talks to its user
    await _ready(admin, worker, options.data / "worker.log", stop)
    namespace = "" if session.number == 1 else f"r{session.number}-"
    events = list(demo_events(history, namespace))
    links = {
        "mail": sink.http_url,
        "metrics": f"http://127.0.0.1:{admin}/metrics",
        "gateway": f"http://127.0.0.1:{gateway}/v1/track   (write key {session.write_key})",
        "console": f"http://127.0.0.1:{gateway}/console   (key {session.console_key})",
        "demo": _demo_url(gateway, session, clock),
        "worker log": str(options.data / "worker.log"),
    }
    publish = GatewayPublisher(f"http://127.0.0.1:{gateway}", session.write_key)
    with LiveView(links=links, details=goal_details(events)) as view:
        show_feed = _feed_note(view, session, gateway, clock)

        def on_record(topic: str, record: dict[str, Any]) -> None:
            view.on_record(topic, record)
            show_feed(topic, record)

        replay = Replay(
            history,
            events,
            clock=clock,
            start_ms=session.start_ms,
            publish=publish,
            on_progress=view.on_progress,
        )
        async with publish:
            with Tailer(kafka.bootstrap, TAILED, on_record):
                await _until(stop, worker, replay.run(stop))
                if not stop.is_set():
                    view.note("the history is through; Ctrl-C stops everything")
                    if options.stay:
                        await _until(stop, worker, stop.wait())
                    else:
                        await _until(stop, worker, _through(admin))
    return 0


async def _until(stop: asyncio.Event, worker: subprocess.Popen[bytes], work: Any) -> None:
    """Await ``work``, but not longer than the worker lives or the user wants."""
    doing = asyncio.ensure_future(work)
    while not doing.done() and not stop.is_set():
        if worker.poll() is not None:
            doing.cancel()
            raise Retryable(f"the worker ended with code {worker.returncode}; see its log")
        await asyncio.wait({doing}, timeout=POLL_S)
    if not doing.done():
        await asyncio.wait({doing}, timeout=5)
        doing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await doing


async def _ready(
    admin_port: int, worker: subprocess.Popen[bytes], log_path: Path, stop: asyncio.Event
) -> None:
    deadline = time.monotonic() + START_S
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{admin_port}", timeout=2.0) as client:
        while time.monotonic() < deadline and not stop.is_set():
            if worker.poll() is not None:
                raise Misconfigured(f"the worker did not start; the end of {log_path}:\n{_tail(log_path)}")
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/readyz")).status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(POLL_S)
    if not stop.is_set():
        raise Retryable(f"the worker was not ready within {START_S:.0f} s; see {log_path}")


async def _through(admin_port: int) -> None:
    """Return when the worker has applied all records and no new ones came for a moment, or after a minute."""
    deadline = time.monotonic() + CATCH_UP_S
    still = 0
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{admin_port}", timeout=5.0) as client:
        while time.monotonic() < deadline and still < STILL_LOOKS:
            await asyncio.sleep(LOOK_S)
            text = (await client.get("/metrics")).text
            lags = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(LAG + "{")]
            still = still + 1 if lags and not any(map(float, lags)) else 0


def _tail(log_path: Path) -> str:
    return "\n".join(log_path.read_text(errors="replace").splitlines()[-15:])


def _demo_url(gateway: int, session: Session, clock: ScaledClock) -> str:
    """The page that tries the SDK, as one person. What stands behind # is sent to nobody."""
    token = make_feed_token(session.secret.encode(), DEMO_PERSON, clock.now_ms() + TOKEN_MS)
    return f"http://127.0.0.1:{gateway}/demo#user={DEMO_PERSON}&key={session.write_key}&token={token}"


def _feed_note(view: LiveView, session: Session, gateway: int, clock: ScaledClock) -> Any:
    """Shows the address of one person's in-app feed, once somebody has something in it."""
    shown = False

    def note(topic: str, record: Mapping[str, Any]) -> None:
        nonlocal shown
        if shown or topic != "deliveries" or record.get("channel") != "in_app":
            return
        shown = True
        person = str(record["person"])
        token = make_feed_token(session.secret.encode(), person, clock.now_ms() + TOKEN_MS)
        view.note(f"in-app feed of {person}: http://127.0.0.1:{gateway}/v1/in-app/feed?token={token}")

    return note
