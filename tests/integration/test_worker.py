"""``brimful worker`` as a platform team runs it: a process, or several, with health and metrics."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from typer.testing import CliRunner

from schemas.topics import load_topics
from workers.cli.main import cli
from workers.local.ports import free_port
from workers.stream.admin import apply_topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

pytestmark = pytest.mark.kafka

LIMIT_S = 90.0
WORKSPACE = Path(__file__).parents[2] / "deploy" / "workspaces" / "plan_limits"
PARTITIONS = 4


def test_a_worker_of_two_processes_shares_its_partitions(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Each serves its own metrics, together they run every partition, and SIGTERM ends both cleanly."""
    apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=PARTITIONS)
    port = _two_free_ports()
    log = tmp_path / "log.txt"
    with log.open("wb") as errors:
        worker = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", "worker", "engine"],
            env={
                **os.environ,
                "BRIMFUL_KAFKA": kafka,
                "BRIMFUL_TOPIC_PREFIX": topic_prefix,
                "BRIMFUL_STATE_DIR": str(tmp_path / "state"),
                "BRIMFUL_WORKSPACE": str(WORKSPACE),
                "BRIMFUL_HTTP_PORT": str(port),
                "BRIMFUL_PROCESSES": "2",
                "BRIMFUL_SESSION_TIMEOUT_S": "6",
            },
            stderr=errors,
        )
    try:
        _until(lambda: [_running(port), _running(port + 1)] == [2, 2], log)
        assert httpx.get(f"http://127.0.0.1:{port + 1}/readyz").status_code == 200
        assert (tmp_path / "state" / "process-1").is_dir()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(LIMIT_S) == 0, log.read_text()
    finally:
        worker.kill()
        worker.wait()
    assert log.read_text().count("worker.stopped") == 2


def test_a_list_is_kept_by_command(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put on and taken off by files of ids; who is in it is told from the changelog, to the last commit."""
    apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=PARTITIONS)
    workspace = shutil.copytree(WORKSPACE, tmp_path / "workspace")
    (workspace / "segments").mkdir(exist_ok=True)
    (workspace / "segments" / "beta.yaml").write_text("segment: beta\nstatic: true\n")
    (workspace / "segments" / "asks.yaml").write_text(
        "segment: asks\nrequire:\n  - in_segment: beta\nexclude:\n  - trait: plan\n    eq: pro\n"
    )
    settings = {
        "BRIMFUL_KAFKA": kafka,
        "BRIMFUL_TOPIC_PREFIX": topic_prefix,
        "BRIMFUL_STATE_DIR": str(tmp_path / "state"),
        "BRIMFUL_WORKSPACE": str(workspace),
        "BRIMFUL_HTTP_PORT": "0",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "ids.txt").write_text("\n".join(f"user-{number:03}" for number in range(50)) + "\n\n")
    (tmp_path / "gone.txt").write_text("user-007\nuser-099\n")
    log = tmp_path / "log.txt"
    with log.open("wb") as errors:
        worker = subprocess.Popen([sys.executable, "-m", "workers.cli", "worker", "engine"], stderr=errors)
    try:
        assert _segment("add", "beta", str(tmp_path / "ids.txt")).exit_code == 0
        _until(lambda: len(_segment("members", "asks").stdout.split()) == 50, log)
        assert _segment("remove", "beta", str(tmp_path / "gone.txt")).exit_code == 0
        _until(lambda: len(_segment("members", "asks").stdout.split()) == 49, log)
        assert "user-007" not in _segment("members", "beta").stdout.split()
    finally:
        worker.terminate()
        assert worker.wait(LIMIT_S) == 0
    assert "has conditions" in str(_segment("add", "asks", str(tmp_path / "ids.txt")).exception)
    assert "there is no segment" in str(_segment("add", "alpha", str(tmp_path / "ids.txt")).exception)


def _segment(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["segment", *arguments])


def _running(port: int) -> int:
    """Partitions that the process on ``port`` runs; -1 while it does not answer."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5)
    except httpx.TransportError:
        return -1
    lines = [line for line in answer.text.splitlines() if line.startswith("brimful_partitions_running{")]
    return int(float(lines[0].split()[-1])) if lines else -1


def _two_free_ports() -> int:
    """The first of two neighbouring ports that nobody uses."""
    while True:
        port = free_port()
        try:
            httpx.get(f"http://127.0.0.1:{port + 1}", timeout=1)
        except httpx.ConnectError:
            return port


def _until(holds: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)
