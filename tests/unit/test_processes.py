"""One worker in several processes: they begin, stop and fail together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from workers.processes import settings_of
from workers.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 60.0

PROGRAM = '''
import asyncio, os, signal, sys, time
from functools import partial
from pathlib import Path
from workers import processes

def wait(folder, number, code):
    """Say that it runs, and end on SIGTERM with this code, or when the parent is gone."""
    async def main():
        end = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
        watch = processes.ParentWatch()
        await watch.start()
        Path(folder, f"{number}.started").write_text(str(os.getpid()))
        waits = [asyncio.create_task(one) for one in (end.wait(), watch.failed())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        Path(folder, f"{number}.ended").write_text("orphan" if waits[1].done() else "told")
        return code
    return asyncio.run(main())

if __name__ == "__main__":
    sys.exit(processes.run([partial(wait, sys.argv[1], n, int(code)) for n, code in enumerate(sys.argv[2:])]))
'''


class Running:
    """Two processes under a parent."""

    def __init__(self, folder: Path, codes: tuple[int, ...] = (0, 0)) -> None:
        self._folder = folder
        program = folder / "program.py"
        program.write_text(PROGRAM)
        self.parent = subprocess.Popen(
            [sys.executable, str(program), str(folder), *map(str, codes)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stderr=subprocess.DEVNULL,
        )
        self.pids = [int(self.told(number, "started")) for number in range(len(codes))]

    def told(self, number: int, what: str) -> str:
        """What a process wrote, once it has."""
        file = self._folder / f"{number}.{what}"
        deadline = time.monotonic() + LIMIT_S
        while not (file.exists() and file.read_text()):
            assert time.monotonic() < deadline, f"process {number} has not {what}"
            time.sleep(0.02)
        return file.read_text()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Both run."""
    made = Running(tmp_path)
    yield made
    if made.parent.poll() is None:
        made.parent.kill()
        made.parent.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_of_them_cleanly(running: Running, number: signal.Signals) -> None:
    """The parent passes it on, and waits for them."""
    running.parent.send_signal(number)
    assert running.parent.wait(LIMIT_S) == 0
    assert [running.told(n, "ended") for n in (0, 1)] == ["told", "told"]


def test_when_one_dies_the_worker_ends_and_says_so(running: Running) -> None:
    """Half a worker is no worker: whoever runs it starts it again."""
    os.kill(running.pids[1], signal.SIGKILL)
    assert running.parent.wait(LIMIT_S) == 1
    assert running.told(0, "ended") == "told"


def test_an_exit_code_is_not_lost(tmp_path: Path) -> None:
    """A process that stopped with an error makes the worker's exit code 1, also after a SIGTERM."""
    running = Running(tmp_path, (0, 3))
    running.parent.terminate()
    assert running.parent.wait(LIMIT_S) == 1


def test_no_process_outlives_its_parent(running: Running) -> None:
    """Not even a killed one: an orphan would hold partitions and files that the next worker needs."""
    running.parent.kill()
    assert [running.told(n, "ended") for n in (0, 1)] == ["orphan", "orphan"]


def test_each_process_has_its_own_state_port_and_membership() -> None:
    """The first has those of the worker, so that a worker can be given more without a restore."""
    settings = Settings(state_dir=Path("/state"), http_port=9464, instance_id="pod-0", processes=3)
    first, second, third = (settings_of(settings, number) for number in range(3))
    assert first == settings
    assert (second.state_dir, second.http_port, second.instance_id) == (
        Path("/state/process-1"),
        9465,
        "pod-0-1",
    )
    assert third.http_port == 9466
    anonymous = settings_of(Settings(http_port=0), 1)
    assert (anonymous.http_port, anonymous.instance_id) == (0, None)
