"""``brimful backfill --files`` against real workers: an archive is as if it had come by the topic."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
from confluent_kafka import Producer

from schemas.topics import load_topics
from tests.unit.cli.backfill_kit import plain
from workers.assemble import ENGINE_AGENTS
from workers.core.compile import compile_workspace
from workers.local.demo.history import load_history
from workers.local.demo.mapping import demo_events
from workers.local.ports import free_port
from workers.reading.topics import read_topic
from workers.state import ACCOUNTS, USERS
from workers.stream.admin import apply_topics
from workers.workspace.files import load_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kafka

LIMIT_S = 120.0
LAG, TASKS = "brimful_consumer_lag_records{", "brimful_background_tasks{"
SOURCES = sum(map(len, ENGINE_AGENTS.values()))
"""Topics that the engine reads."""

PARTITIONS = 4
EVENTS = 20_000
STILL_LOOKS = 10
"""Five a second; a loaded machine's broker may keep a fetch waiting for one."""

ASKED = """
journey: of_{subject}
subject: {subject}
entry:
  on: {{event: never}}
  require:
    - {{performed: plan_limit_reached, at_least: 3, within: 60d}}
    - {{performed: create_opportunity, at_least: 3, within: 30d}}
    - {{sum: value, of: win_opportunity, within: 60d, gte: 1000}}
    - {{distinct: limit_type, of: plan_limit_reached, within: 60d, gte: 2}}
{recipients}
steps:
  - send: {{in_app: banner}}
"""
BANNER = "channel: in_app\nform: banner\ntitle: Hello\nbody: You\n"


class Running(NamedTuple):
    """A worker, with the settings that commands beside it have."""

    settings: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path


def test_an_archive_is_as_if_it_had_come_by_the_topic(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """Use of a CRM, windows of users and accounts: half of it is in files alone, a quarter in both."""
    events = history()
    workspace = asking(tmp_path / "workspace")
    env = {
        **os.environ,
        "BRIMFUL_KAFKA": kafka,
        "BRIMFUL_WORKSPACE": str(workspace),
        "BRIMFUL_SESSION_TIMEOUT_S": "6",
    }
    half, most = EVENTS // 2, EVENTS * 3 // 4
    files = archive(tmp_path / "archive", events[:most])
    by_topic, by_files = f"{topic_prefix}topic.", f"{topic_prefix}files."
    with worker(env, by_topic, tmp_path / "topic") as running:
        produce(kafka, by_topic, events)
        come_to_rest(running)
    with worker(env, by_files, tmp_path / "files") as running:
        produce(kafka, by_files, events[half:])
        come_to_rest(running)
        before = ["--before", datetime.now(UTC).isoformat()]
        told = backfill(running.settings, "--files", str(files), *before, "--dry-run")
        assert "2 line(s) of the files are no events" in told, told
        told = backfill(running.settings, "--files", f"{files}/*.gz", "--files", str(files), *before)
        assert "03.ndjson.gz, line 3: not readable as JSON: 1 line(s)" in told, told
        told = backfill(running.settings, "--files", str(files), *before)
        assert "every window has taken from files already" in told, told
        come_to_rest(running)
    right = counted(kafka, by_topic, workspace)
    assert counted(kafka, by_files, workspace) == right
    assert len(right) > 100


def history() -> list[tuple[bytes, bytes]]:
    """The bundled history as producers send it, keyed by user, all of it within the last weeks."""
    found = list(islice(demo_events(load_history()), EVENTS))
    shift_ms = time.time_ns() // 1_000_000 - 3_600_000 - found[-1].at_ms
    result = []
    for event in found:
        moment = datetime.fromtimestamp((event.at_ms + shift_ms) / 1000, UTC).isoformat()
        message: dict[str, Any] = {"timestamp": moment, **event.message}
        result.append((str(message["userId"]).encode(), json.dumps(message).encode()))
    return result


def asking(folder: Path) -> Path:
    """A workspace that asks about limits, use and money, of users and of accounts."""
    (folder / "journeys").mkdir(parents=True)
    (folder / "templates").mkdir()
    (folder / "templates" / "banner.yaml").write_text(BANNER)
    for subject, recipients in (("user", ""), ("account", "recipients: {role: [admin]}")):
        text = ASKED.format(subject=subject, recipients=recipients)
        (folder / "journeys" / f"of_{subject}.yaml").write_text(text)
    return folder


def archive(folder: Path, events: list[tuple[bytes, bytes]]) -> Path:
    """Files as a producer keeps them: gzipped, by time; two lines are damaged, and one event stands twice."""
    folder.mkdir()
    lines = [value for _, value in events]
    size = -(-len(lines) // 5)
    for number in range(5):
        part = [lines[number * size], *lines[number * size : (number + 1) * size]]
        if number in {1, 3}:
            part.insert(2, b'{"type": "track", "broken')
        (folder / f"{number:02}.ndjson.gz").write_bytes(gzip.compress(b"\n".join(part)))
    return folder


@contextmanager
def worker(env: dict[str, str], prefix: str, folder: Path) -> Iterator[Running]:
    """An engine over topics of its own, stopped cleanly at the end."""
    apply_topics(env["BRIMFUL_KAFKA"], load_topics(), prefix=prefix, partitions=PARTITIONS)
    folder.mkdir()
    settings = {
        **env,
        "BRIMFUL_TOPIC_PREFIX": prefix,
        "BRIMFUL_STATE_DIR": str(folder / "state"),
        "BRIMFUL_HTTP_PORT": str(free_port()),
    }
    with (folder / "log.txt").open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", "worker", "engine"], env=settings, stderr=errors
        )
    try:
        yield Running(settings, process, folder / "log.txt")
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0, (folder / "log.txt").read_text()[-3000:]
    finally:
        process.kill()
        process.wait()


def produce(bootstrap: str, prefix: str, events: list[tuple[bytes, bytes]]) -> None:
    """Write them, each to its user's partition."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 5, "log_level": 3}
    )
    for key, value in events:
        producer.produce(f"{prefix}product-events", key=key, value=value)
    assert producer.flush(60) == 0


def come_to_rest(running: Running) -> None:
    """Until nothing of what the engine reads is behind, for a while."""
    deadline = time.monotonic() + LIMIT_S
    still = 0
    while still < STILL_LOOKS:
        assert time.monotonic() < deadline, running.log.read_text()[-3000:]
        assert running.process.poll() is None, running.log.read_text()[-3000:]
        time.sleep(0.2)
        lags, tasks = left(running.settings["BRIMFUL_HTTP_PORT"])
        at_rest = len(lags) == PARTITIONS * SOURCES and not any(lags) and not any(tasks)
        still = still + 1 if at_rest else 0


def left(port: str) -> tuple[list[float], list[float]]:
    """Records behind, per partition of each topic, and tasks; nothing while the worker does not answer."""
    try:
        lines = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text.splitlines()
    except httpx.TransportError:
        return [], []
    lags, tasks = (
        [float(line.split()[-1]) for line in lines if line.startswith(name)] for name in (LAG, TASKS)
    )
    return lags, tasks


def backfill(settings: dict[str, str], *arguments: str) -> str:
    """What the command says; it ends well."""
    done = subprocess.run(
        [sys.executable, "-m", "workers.cli", "backfill", *arguments],
        env=settings,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


def counted(bootstrap: str, prefix: str, workspace: Path) -> dict[tuple[str, int], Any]:
    """What each window of each subject holds, out of the changelog."""
    plan = compile_workspace(load_workspace(workspace).workspace)
    rows: dict[bytes, bytes] = {}
    topic = f"{prefix}brimful-engine-changelog"
    for found in read_topic({"bootstrap.servers": bootstrap}, topic, None, lambda *_: None, deletions=True):
        rows[found.key or b""] = found.value
    result = {}
    for kind, tables in ((plan.user, USERS), (plan.account, ACCOUNTS)):
        for key, value in rows.items():
            if not key.startswith(tables.activity.prefix) or not value:
                continue
            for slot, held in tables.activity.decode(value).windows.items():
                result[key.decode(), slot] = plain(kind, slot, held, time.time_ns() // 1_000_000)
    return {at: content for at, content in result.items() if content}
