"""The harness measures a program by what it prints, and says so when there is nothing to measure."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.bench.measure import ProcessSystem
from tests.bench.model import BenchError, Job

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WORKS = """
import pathlib, time
pathlib.Path("state").write_bytes(b"x" * 10_000)
print("noise", flush=True)
for count, at_s in ((0, 1.0), (100, 10.0), (600, 11.0), (1100, 12.0)):
    print("progress", count, at_s, flush=True)
time.sleep(60)
"""


class Scripted(ProcessSystem):
    """A system that is a few lines of Python and commits nowhere."""

    name = "scripted"
    guarantee = "none"
    method = "prints what it is told"

    def __init__(self, script: str) -> None:
        self.script = script

    def command(self, job: Job) -> Sequence[str]:
        """The script."""
        return [sys.executable, "-c", self.script]

    def group(self, job: Job) -> str | None:
        """No group: there is no broker."""
        return None


def job(tmp_path: Path) -> Job:
    """A job of 1,100 events whose broker nobody asks."""
    return Job(
        name="job",
        bootstrap="nowhere:1",
        topic="events",
        partitions=1,
        events=1100,
        users=1,
        output_topic="reached",
        threshold=25,
        window_days=21,
        state_dir=tmp_path / "state",
        log=tmp_path / "log.txt",
        seconds=20.0,
    )


def test_the_rate_is_taken_from_the_clock_of_the_program(tmp_path: Path) -> None:
    """1,000 events in the two seconds that it says have passed, however long they took here."""
    result = Scripted(WORKS).start(job(tmp_path))
    assert (result.processed, result.elapsed_s, result.per_s) == (1000, 2.0, 500.0)
    assert result.complete


def test_the_state_folder_is_where_it_runs_and_what_is_weighed(tmp_path: Path) -> None:
    """What a system leaves there counts as its disk use."""
    assert Scripted(WORKS).start(job(tmp_path)).disk_bytes >= 10_000


def test_a_program_that_stops_by_itself_is_a_failure_with_the_end_of_its_log(tmp_path: Path) -> None:
    """The reader sees why without opening a file."""
    with pytest.raises(BenchError, match=r"(?s)stopped by itself, code 3.*no such broker"):
        Scripted("import sys; print('no such broker', file=sys.stderr); sys.exit(3)").start(job(tmp_path))


def test_a_program_that_does_all_at_once_gives_no_rate(tmp_path: Path) -> None:
    """One sample is no measurement."""
    script = "import time; print('progress', 1100, 1.0, flush=True); time.sleep(60)"
    with pytest.raises(BenchError, match="too few events to measure a rate"):
        Scripted(script).start(job(tmp_path))
