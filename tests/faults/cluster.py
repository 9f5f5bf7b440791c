"""Starts, kills and awaits workers of the fault tests."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

import httpx
import msgspec

from tests.faults import engine_worker
from tests.faults.engine_worker import Order
from tests.faults.history import LATER_MS, NOW_MS, History, publish
from workers.assemble import ENGINE_AGENTS
from workers.local.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkServerProcess
    from pathlib import Path

START_S = 90.0
STOP_S = 90.0
REST_S = 120.0
STILL_LOOKS = 8
LOOK_S = 0.2
LAG, TASKS = "brimful_consumer_lag_records{", "brimful_background_tasks{"

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([engine_worker.__name__])
"""Importing takes three of the four CPU seconds of a start: it is done once, and workers are its forks."""


class Worker:
    """One worker that can be started again in the same place."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path, number: int, partitions: int) -> None:
        self.folder = folder / f"worker-{number}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.order = Order(
            bootstrap=bootstrap,
            prefix=prefix,
            state_dir=str(self.folder / "state"),
            instance=f"w{number}",
            now_ms=NOW_MS,
            partitions=partitions,
            port=0,
        )
        self._process: ForkServerProcess | None = None

    def start(
        self,
        *,
        slow_s: float = 0.0,
        die_at: tuple[int, int] | None = None,
        die_in: str | None = None,
        sleeps: bool = False,
    ) -> None:
        """Start; returns at once."""
        self.order = msgspec.structs.replace(
            self.order, port=free_port(), slow_s=slow_s, die_at=die_at, die_in=die_in, sleeps=sleeps
        )
        order, log = msgspec.json.encode(self.order), str(self.folder / "log.txt")
        self._process = _FORKS.Process(target=_work, args=(order, log), daemon=True)
        self._process.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None, "not started"
        pid = self._process.pid
        assert pid is not None, "not started"
        return pid

    def ready(self) -> bool:
        """Whether all its partitions run."""
        with contextlib.suppress(httpx.HTTPError):
            return (
                httpx.get(f"http://127.0.0.1:{self.order.port}/readyz", timeout=5).status_code
                == httpx.codes.OK
            )
        return False

    def left(self) -> tuple[list[float], list[float]]:
        """Records behind, per source partition that it owns, and tasks left, per partition."""
        with contextlib.suppress(httpx.HTTPError):
            lines = httpx.get(f"http://127.0.0.1:{self.order.port}/metrics", timeout=5).text.splitlines()
            lags, tasks = (
                [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)]
                for name in (LAG, TASKS)
            )
            return lags, tasks
        return [1.0], [1.0]

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.alive:
            self.signal(signal.SIGKILL)
            self.wait(START_S)

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; the exit code, or None where it still runs."""
        assert self._process is not None, "not started"
        self._process.join(seconds)
        return self._process.exitcode

    def stop(self) -> None:
        """SIGTERM, and wait for the clean end."""
        if self.alive:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            assert self.wait(STOP_S) is not None, f"it does not end: {self.tail()}"

    def forget(self) -> None:
        """Delete the local state, as a pod that moved to another disk has none."""
        shutil.rmtree(self.order.state_dir, ignore_errors=True)

    def tail(self) -> str:
        """The end of its log."""
        return "\n".join((self.folder / "log.txt").read_text(errors="replace").splitlines()[-25:])


def _work(order: bytes, log: str) -> None:
    """In the new process."""
    sys.exit(engine_worker.main(order, log))


SOURCES = sum(map(len, ENGINE_AGENTS.values()))
"""Topics that the engine reads."""


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition of the outside world."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {seconds:.0f} s"
        time.sleep(0.05)


def come_to_rest(workers: list[Worker], partitions: int) -> None:
    """Wait until all partitions are owned and nothing is behind, for a while."""
    deadline = time.monotonic() + REST_S
    still = 0
    while still < STILL_LOOKS:
        assert time.monotonic() < deadline, "\n".join(worker.tail() for worker in workers)
        time.sleep(LOOK_S)
        for worker in workers:
            assert worker.alive, worker.tail()
        left = [worker.left() for worker in workers]
        lags, tasks = ([number for one in left for number in one[which]] for which in (0, 1))
        ready = len(lags) == partitions * SOURCES and all(worker.ready() for worker in workers)
        at_rest = ready and not any(lags) and not any(tasks)
        still = still + 1 if at_rest else 0


def last_phase(worker: Worker, partitions: int) -> None:
    """Start again two days later, so that every timer fires, and stop."""
    worker.order = msgspec.structs.replace(worker.order, now_ms=LATER_MS)
    worker.start()
    come_to_rest([worker], partitions)
    worker.stop()


def undisturbed(bootstrap: str, prefix: str, folder: Path, past: History, partitions: int) -> None:
    """The run that all others are compared with."""
    worker = Worker(bootstrap, prefix, folder, 0, partitions)
    worker.start()
    try:
        for phase in past.phases:
            publish(bootstrap, f"{prefix}product-events", phase)
            come_to_rest([worker], partitions)
        worker.stop()
        last_phase(worker, partitions)
    finally:
        worker.kill()
