"""What benchmarks are told and what they give back. A new one needs only this module.

* A system of the engine benchmark is a module in ``tests/bench/systems`` with a ``SYSTEM`` that is a
  :class:`System`; :mod:`tests.bench.measure` has the base class for one that runs as a process.
* Any other benchmark is a module ``tests/bench/bench_*.py`` with ``run(context: Context) -> list[Figure]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Figure(msgspec.Struct, frozen=True):
    """One line of ``.bench/latest.jsonl``. ``unit`` is spelled out: events/s, bytes, seconds."""

    bench: str
    system: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Context:
    """What every benchmark is given. ``work_dir`` is scratch, emptied before each call of the command.

    ``topic_prefix`` begins the name of every topic, group and transactional id that a benchmark makes;
    the topics are deleted afterwards. ``seconds`` is how long one measurement should last at most.
    """

    bootstrap: str
    work_dir: Path
    topic_prefix: str
    quick: bool
    seconds: float
    runs: int
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """One run of one system over a topic that is full already.

    The system counts ``api_called`` per user over the last ``window_days`` sliding days, by the event time
    that each record carries as its timestamp, and writes a record keyed by the user to ``output_topic`` when
    a count reaches ``threshold``. ``name`` is fresh for each run: use it as group id and as the prefix of
    transactional ids and internal topics. All its local state goes into ``state_dir``.
    """

    name: str
    bootstrap: str
    topic: str
    partitions: int
    events: int
    users: int
    output_topic: str
    threshold: int
    window_days: int
    state_dir: Path
    log: Path
    seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of one system came to.

    ``processed`` events took ``elapsed_s`` seconds, from the first sign of progress to the last event,
    start-up excluded; ``steady_per_s`` is the rate of the second half of that time. ``complete`` says that
    the system got through the whole topic before its time was up. ``peak_rss_bytes`` and ``cpu_s`` are of the
    process and its children, the latter while it was measured; None where the platform does not tell them.
    """

    processed: int
    elapsed_s: float
    steady_per_s: float
    complete: bool
    peak_rss_bytes: int | None
    cpu_s: float | None
    disk_bytes: int

    @property
    def per_s(self) -> float:
        """Events per second over the whole measurement."""
        return self.processed / self.elapsed_s


class System(Protocol):
    """A contestant of the engine benchmark."""

    name: str
    """How it is called in the figures, such as ``kafka_streams``."""

    guarantee: str
    """``exactly once`` or ``at least once``, as it runs here."""

    method: str
    """One line for the reader: what it does per event."""

    emits: bool
    """Whether it writes the users that reach the threshold to the job's output topic, to be compared."""

    def unavailable(self) -> str | None:
        """Why it cannot run on this machine, or None when it can. May install what it needs, once."""

    def start(self, job: Job) -> Result:
        """Run it over the topic until everything is processed or ``job.seconds`` are over, then stop it.

        Raises:
            BenchError: it did not start, stopped by itself, made no progress, or lost its commits.
        """


class BenchError(Exception):
    """A system that could not be measured; the message says what was seen and where its log is."""
