"""A worker as a process of its own that tells facts as it works; for benchmarks that are no comparison."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from tests.bench import usage
from tests.bench.measure import log_tail, stop_process
from tests.bench.model import BenchError
from tests.bench.peers.facts import WORD
from tests.bench.systems.arguments import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_LOOK_EVERY_S = 0.2


class Worker:
    """A running worker. Its standard error goes to ``log``."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def facts(self, what: str, limit_s: float) -> dict[str, Any]:
        """The next facts, which must be of the name ``what``.

        Raises:
            BenchError: they are others, or do not come within ``limit_s``, or the process ended before.
        """
        deadline = time.monotonic() + limit_s
        while True:
            with contextlib.suppress(queue.Empty):
                facts = self._told.get(timeout=_LOOK_EVERY_S)
                if facts["what"] != what:
                    raise BenchError(f"{self.name}: told {facts}, not {what} (see {self.log})")
                return facts
            self.check_alive()
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name}: no {what} within {limit_s:.0f} s\n{log_tail(self.log)}")

    def check_alive(self) -> None:
        """Raise :class:`BenchError` when the process ended by itself."""
        code = self._process.poll()
        if code is not None and self._told.empty():
            raise BenchError(f"{self.name}: stopped by itself, code {code}\n{log_tail(self.log)}")

    def peak_rss_bytes(self) -> int | None:
        """The most memory it has taken so far; None where the platform does not tell."""
        return usage.peak_rss_bytes(usage.tree(self._process.pid))

    def cpu_s(self) -> float | None:
        """Processor seconds it has taken so far; None where the platform does not tell."""
        return usage.cpu_s(usage.tree(self._process.pid))

    def _read(self) -> None:
        if self._process.stdout is None:
            raise BenchError(f"{self.name}: started without a pipe for its facts")
        for line in self._process.stdout:
            if line.startswith(WORD):
                self._told.put(json.loads(line[len(WORD) :]))


@contextlib.contextmanager
def worker(
    name: str, command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[Worker]:
    """Run ``command`` in ``folder``, made if needed, while the block runs; ``env`` is on top of ours."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            list(command),
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Worker(name, process, log)
        finally:
            stop_process(process)
