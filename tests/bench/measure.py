"""Run a system as a process of its own and measure it from outside.

The process prints ``progress COUNT SECONDS`` lines (any monotonic clock) as it works. Its clock gives the
rate, so a late reader costs nothing; memory, CPU and disk are read while it runs. When it claims to be
through, its committed offsets must reach the end of the topic soon after: uncommitted work is not done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.bench import usage
from tests.bench.load import QUIET
from tests.bench.meter import Meter
from tests.bench.model import BenchError, Job, Result
from tests.bench.systems.arguments import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PROGRESS = "progress"
"""The first word of a line of standard output that carries a count and the moment it was read."""

START_LIMIT_S = 120.0
"""How long a system may take to process its first event."""

STALL_LIMIT_S = 60.0
"""How long a started system may go without progress."""

COMMIT_LIMIT_S = 30.0
"""How long after its last event a system may take to commit; above every system's commit interval."""

STOP_LIMIT_S = 30.0
"""How long a system may take to stop on SIGTERM before it is killed."""

_LOOK_EVERY_S = 0.1
_USAGE_EVERY_S = 0.5
_LOG_TAIL = 15


class ProcessSystem(ABC):
    """A :class:`~tests.bench.model.System` that is a program. Say which, and how to see its progress."""

    name: str
    guarantee: str
    method: str
    emits: bool = True

    @abstractmethod
    def command(self, job: Job) -> Sequence[str]:
        """The program and its arguments."""

    def environment(self, job: Job) -> Mapping[str, str]:
        """Variables on top of ours."""
        return {}

    def group(self, job: Job) -> str | None:
        """The consumer group whose offsets it commits; None when it keeps them elsewhere, and is trusted."""
        return job.name

    def unavailable(self) -> str | None:
        """Nothing missing, unless a system says otherwise."""
        return None

    def start(self, job: Job) -> Result:
        """As :meth:`tests.bench.model.System.start` promises."""
        job.state_dir.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self.environment(job)}
        with (
            job.log.open("wb") as log,
            subprocess.Popen(
                list(self.command(job)),
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=job.state_dir,
                env=environment,
                start_new_session=True,
            ) as process,
        ):
            try:
                return self._measure(process, job)
            finally:
                stop_process(process)

    def _measure(self, process: subprocess.Popen[bytes], job: Job) -> Result:
        watch = _Watch(process, job)
        watch.until_done(self.name)
        if watch.meter.complete:
            self._await_commit(job)
        events, seconds = watch.meter.whole()
        if seconds <= 0:
            raise BenchError(f"{self.name}: too few events to measure a rate; give it more (see {job.log})")
        return Result(
            processed=events,
            elapsed_s=seconds,
            steady_per_s=watch.meter.steady_per_s(),
            complete=watch.meter.complete,
            peak_rss_bytes=watch.peak_rss_bytes,
            cpu_s=watch.cpu_spent_s(),
            disk_bytes=usage.disk_bytes(job.state_dir),
        )

    def _await_commit(self, job: Job) -> None:
        group = self.group(job)
        if group is None:
            return
        admin = AdminClient({"bootstrap.servers": job.bootstrap, **QUIET})
        deadline = time.monotonic() + COMMIT_LIMIT_S
        while (done := _committed(admin, group, job)) < job.events:
            if time.monotonic() > deadline:
                raise BenchError(
                    f"{self.name}: claims {job.events:,} events but committed only {done:,} within "
                    f"{COMMIT_LIMIT_S:.0f} s (see {job.log})",
                )
            time.sleep(_LOOK_EVERY_S)


@dataclass(slots=True)
class _Watch:
    """Follows one process: its progress lines in a thread, what it uses in the caller's."""

    process: subprocess.Popen[bytes]
    job: Job
    meter: Meter = field(init=False)
    peak_rss_bytes: int | None = None
    _cpu_first_s: float | None = None
    _cpu_last_s: float | None = None
    _moved_at_s: float = 0.0

    def __post_init__(self) -> None:
        self.meter = Meter(self.job.events)

    def until_done(self, name: str) -> None:
        """Return when everything is processed or the time is up; raise when neither can be awaited."""
        reader = threading.Thread(target=self._read, daemon=True)
        self._moved_at_s = time.monotonic()
        reader.start()
        first_s: float | None = None
        used_s = 0.0
        while not self.meter.complete:
            now_s = time.monotonic()
            if self.meter.started and first_s is None:
                first_s = now_s
            if first_s is not None and now_s - first_s >= self.job.seconds:
                break
            self._fail_unless_alive(name, now_s)
            if now_s - used_s >= _USAGE_EVERY_S:
                used_s = now_s
                self._look()
            time.sleep(_LOOK_EVERY_S)
        self._look()

    def cpu_spent_s(self) -> float | None:
        """Processor seconds since the first event, as far as they can be told."""
        if self._cpu_first_s is None or self._cpu_last_s is None:
            return None
        return self._cpu_last_s - self._cpu_first_s

    def _read(self) -> None:
        if self.process.stdout is None:
            raise BenchError("the process was started without a pipe for its progress")
        for line in self.process.stdout:
            words = line.split()
            if len(words) != 3 or words[0] != PROGRESS.encode():
                continue
            if self.meter.add(int(words[1]), float(words[2])):
                self._moved_at_s = time.monotonic()

    def _look(self) -> None:
        pids = usage.tree(self.process.pid)
        rss = usage.peak_rss_bytes(pids)
        if rss is not None:
            self.peak_rss_bytes = max(rss, self.peak_rss_bytes or 0)
        if self.meter.started:
            self._cpu_last_s = usage.cpu_s(pids)
            if self._cpu_first_s is None:
                self._cpu_first_s = self._cpu_last_s

    def _fail_unless_alive(self, name: str, now_s: float) -> None:
        if self.process.poll() is not None:
            code = self.process.returncode
            raise BenchError(f"{name}: stopped by itself, code {code}\n{log_tail(self.job.log)}")
        limit_s = STALL_LIMIT_S if self.meter.started else START_LIMIT_S
        if now_s - self._moved_at_s > limit_s:
            what = "no progress" if self.meter.started else "no event processed"
            raise BenchError(f"{name}: {what} for {limit_s:.0f} s\n{log_tail(self.job.log)}")


def _committed(admin: AdminClient, group: str, job: Job) -> int:
    """How many records of the job's topic the group has committed; 0 for a group unknown."""
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(job.topic, p) for p in range(job.partitions)])
    answer = admin.list_consumer_group_offsets([asked])[group].result(30)
    return sum(max(0, p.offset) for p in answer.topic_partitions)


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """End the process: SIGTERM to it and its children, SIGKILL when it does not end in time."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, sig)
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                continue
    if process.poll() is None:
        raise BenchError(f"process {process.pid} outlived SIGKILL by {STOP_LIMIT_S:.0f} s")


def log_tail(log: Path) -> str:
    """The last lines of a log, for a message about what wrote it."""
    lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL:]
    return "\n".join([f"  (end of {log})", *("  | " + line for line in lines)])
