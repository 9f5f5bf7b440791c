"""Publishing to a running worker: it takes versions up as it runs, and goes on when one cannot be run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from confluent_kafka import Producer
from msgspec.structs import replace
from typer.testing import CliRunner

from schemas import wire
from schemas.topics import load_topics
from workers.cli.main import cli
from workers.local.ports import free_port
from workers.reading.topics import read_topic
from workers.settings import from_env
from workers.stream.admin import apply_topics
from workers.versions.bundle import Bundle
from workers.versions.published import version_records
from workers.versions.running import in_force
from workers.versions.topic import WorkspaceWriter, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

pytestmark = pytest.mark.kafka

LIMIT_S = 90.0
JOURNEY = """\
journey: upsell
subject: user
entry:
  on: {{event: limit}}
  again: always
steps:
{steps}
"""
BANNER = "channel: in_app\nform: banner\ntitle: Hello\nbody: Hello\n"


class Shop:
    """A workspace's folder, the commands, and what the worker decides."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env
        self.settings = from_env({name: value for name, value in env.items() if name.startswith("BRIMFUL")})
        self._events = 0
        (folder / "journeys").mkdir(parents=True)
        (folder / "templates").mkdir()
        for template in ("one", "two"):
            (folder / "templates" / f"{template}.yaml").write_text(BANNER)

    def write(self, *steps: str) -> None:
        """Edit the journey."""
        text = JOURNEY.format(steps="\n".join(f"  - {step}" for step in steps))
        (self.folder / "journeys" / "upsell.yaml").write_text(text)

    def run(self, *arguments: str) -> Result:
        """A command."""
        return CliRunner().invoke(cli, list(arguments), env=self.env)

    def limit(self, user: str) -> None:
        """A user reaches the limit."""
        self._events += 1
        producer = Producer(
            {"bootstrap.servers": self.settings.kafka, "partitioner": "murmur2_random", "log_level": 3}
        )
        event = {
            "type": "track",
            "messageId": f"m{self._events}",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "userId": user,
            "event": "limit",
        }
        producer.produce(self.settings.topic("product-events"), json.dumps(event), user)
        assert producer.flush(30) == 0

    def decisions(self, user: str) -> list[tuple[str, str, Any]]:
        """Kind, outcome and template of what was decided about a user."""
        options = {"bootstrap.servers": self.settings.kafka}
        found = read_topic(options, self.settings.topic("decisions"), None, lambda *_: None)
        read_ = [wire.decode_decision(one.value) for one in found]
        return [(one.kind, one.outcome, one.values.get("template")) for one in read_ if one.subject == user]


def test_a_running_worker_takes_up_what_is_published(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """Published, edited with somebody inside, refused, rolled back and paused: without a restart."""
    apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=2)
    port = free_port()
    env = {
        **os.environ,
        "BRIMFUL_KAFKA": kafka,
        "BRIMFUL_TOPIC_PREFIX": topic_prefix,
        "BRIMFUL_STATE_DIR": str(tmp_path / "state"),
        "BRIMFUL_WORKSPACE_SOURCE": "topic",
        "BRIMFUL_HTTP_PORT": str(port),
    }
    shop = Shop(tmp_path / "shop", env)
    log = tmp_path / "log.txt"
    shop.write("send: {in_app: one}", "wait: 30d", "send: {in_app: two}")
    published = shop.run("publish", str(shop.folder), "-m", "first", "--by", "ana")
    assert published.exit_code == 0, published.output
    with log.open("wb") as errors:
        worker = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", "worker", "engine"], env=env, stderr=errors
        )

    def about() -> dict[str, Any]:
        try:
            told: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).json()
        except httpx.TransportError:
            return {}
        return told.get("workspace", {}) if told.get("ready") else {}

    try:
        _until(lambda: about().get("serial") == 1, log)
        shop.limit("u1")
        _until(lambda: ("send", "send", "one") in shop.decisions("u1"), log)

        # The step that u1 waits at goes: publishing is refused, until it is said what becomes of u1.
        shop.write("send: {in_app: two}")
        stuck = shop.run("publish", str(shop.folder))
        assert (stuck.exit_code, "1 user(s) in upsell" in stuck.output) == (3, True), stuck.output
        pinned = shop.run("publish", str(shop.folder), "--on-edit", "upsell=pin")
        assert pinned.exit_code == 0, pinned.output
        _until(lambda: about().get("serial") == 2, log)
        shop.limit("u2")
        _until(lambda: ("send", "send", "two") in shop.decisions("u2"), log)
        assert ("exit", "exited", None) not in shop.decisions("u1")

        # Written by a newer Brimful: this one refuses it and goes on.
        _publish_unusable(shop)
        _until(lambda: "brand_new" in about().get("refused", ""), log)
        assert about()["serial"] == 2
        shop.limit("u3")
        _until(lambda: ("send", "send", "two") in shop.decisions("u3"), log)

        # Rolled back past both, with a shorter wait for u1, and paused.
        first = shop.run("versions").output.splitlines()[-1].split()[0]
        rolled = shop.run("rollback", first)
        assert rolled.exit_code == 0, rolled.output
        _until(lambda: about().get("serial") == 4, log)
        shop.write("send: {in_app: one}", "wait: 1s", "send: {in_app: two}")
        assert shop.run("publish", str(shop.folder)).exit_code == 0
        assert shop.run("journey", "pause", "upsell").exit_code == 0
        _until(lambda: _declined(shop, "u4"), log)
        _commands_ask_what_runs(shop)
        assert shop.run("journey", "stop", "upsell", "--eject").exit_code == 0
        _until(lambda: ("exit", "exited", None) in shop.decisions("u1"), log)
    finally:
        worker.terminate()
        assert worker.wait(LIMIT_S) == 0, log.read_text()[-3000:]


def _commands_ask_what_runs(shop: Shop) -> None:
    """Though the folder says something else by now; a paused journey is listed as one."""
    listed = shop.run("journey", "list").output
    assert listed.startswith("upsell  paused  version "), listed
    assert " inside" in listed
    shop.write("wait: 9d")
    assert in_force(shop.settings).version == read(shop.settings).in_force["shop"].version
    refused = shop.run("enroll", "upsell", "u9")
    assert "nobody enters 'upsell' on request" in str(refused.exception)
    shown = json.loads(shop.run("enrollments", "show", "u1", "--json").stdout)
    assert [one["journey"] for one in shown["enrollments"]] == ["upsell"]


def _declined(shop: Shop, user: str) -> bool:
    shop.limit(user)
    time.sleep(0.2)
    return ("entry", "declined", None) in shop.decisions(user)


def _publish_unusable(shop: Shop) -> None:
    """Put a version in force whose content this Brimful does not know: past the check of the command."""
    writer = WorkspaceWriter(shop.settings, "shop")
    published = read(shop.settings)
    before = published.in_force["shop"]
    good = published.bundle("shop", before.version)
    bad = Bundle("shop", good.files | {"journeys/more.yaml": "journey: more\nbrand_new: 1\n"})
    publication = wire.Publication(version=bad.version, at_ms=1, by="me", message="")
    in_force = replace(
        before, version=bad.version, serial=before.serial + 1, history=[*before.history, publication]
    )
    writer.write([*version_records(bad, 1), in_force])


def _until(holds: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)
