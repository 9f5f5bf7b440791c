"""Brimful's engine, one worker."""

from __future__ import annotations

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
    emits = False
    """It decides on another event than the one that it counts; tests/faults compares its every row."""

    def command(self, job: Job) -> Sequence[str]:
        """The worker in our own environment."""
        return [sys.executable, str(PEERS / "brimful_peer.py"), *arguments(job)]

    def group(self, job: Job) -> str | None:
        """Its consumer group."""
        return f"{job.name}.brimful-engine"


SYSTEM = Brimful()
