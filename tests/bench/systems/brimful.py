"""Brimful's engine: one worker, with a process for each core."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tests.bench.measure import ProcessSystem
from tests.bench.systems.arguments import PEERS, arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.model import Job


class Brimful(ProcessSystem):
    """The whole engine: windows of users and of accounts, candidates decided, journeys, timers."""

    name = "brimful"
    guarantee = "exactly once"
    method = "exact windows per user AND per account, event time from the body, journeys decided"
    processes = os.cpu_count() or 1
    emits = False
    """It decides on another event than the one that it counts; tests/faults compares its every row."""

    def command(self, job: Job) -> Sequence[str]:
        """The worker in our own environment."""
        processes = str(min(self.processes, job.partitions))
        return [
            *(sys.executable, str(PEERS / "brimful_peer.py")),
            *arguments(job),
            *("--processes", processes),
        ]

    def group(self, job: Job) -> str | None:
        """Its consumer group."""
        return f"{job.name}.brimful-engine"


SYSTEM = Brimful()
