"""The main job as a newcomer meets it: one command, a history played fast, messages and conversions."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kafka


def _command(data: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "workers.cli", "run", "--data", str(data), *options]


def test_a_history_runs_through_to_messages_and_conversions(kafka: str, tmp_path: Path) -> None:
    """Every stage shows: eligible subjects, in-app messages, mails, conversions; the end is clean."""
    done = subprocess.run(
        _command(tmp_path, "--seconds", "60", "--no-stay"),
        env={**os.environ, "BRIMFUL_KAFKA": kafka},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert "became eligible for plan_limit_upsell" in done.stdout
    assert "became eligible for account_limit_expansion" in done.stdout
    end = re.search(
        r"^end: (\d+) events, .* (\d+) e-mail, (\d+) in-app message sent, (\d+) converted$",
        done.stdout,
        re.MULTILINE,
    )
    assert end is not None, done.stdout[-500:]
    events, mails, in_app, converted = map(int, end.groups())
    assert events == 56_672
    assert mails > 50
    assert in_app > 50
    assert converted > 0
    log = (tmp_path / "worker.log").read_text()
    assert "worker.stopped" in log
    assert "Traceback" not in log


def test_ctrl_c_stops_everything(kafka: str, tmp_path: Path) -> None:
    """An interrupt in the middle ends worker and mail sink, and the exit code says that all is well."""
    process = subprocess.Popen(
        _command(tmp_path),
        env={**os.environ, "BRIMFUL_KAFKA": kafka},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        deadline = time.monotonic() + 90
        for line in process.stdout:
            if "events," in line or time.monotonic() > deadline:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(60) == 0, rest[-2000:]
        process.stdout.close()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert "worker.stopped" in (tmp_path / "worker.log").read_text()


def test_a_wrong_setting_is_refused_by_its_name(tmp_path: Path) -> None:
    """A worker with a setting that nobody reads, or with a wrong one, says which and what to do."""
    done = subprocess.run(
        [sys.executable, "-m", "workers.cli", "worker", "engine"],
        env={**os.environ, "BRIMFUL_BATCH_RECORDS": "many", "BRIMFUL_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "BRIMFUL_BATCH_RECORDS" in done.stderr
    assert "Traceback" not in done.stderr
