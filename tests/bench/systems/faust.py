"""Plain Faust, as its documentation shows it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.bench.measure import ProcessSystem
from tests.bench.systems.arguments import PEERS, arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.model import Job


class Faust(ProcessSystem):
    """At least once: its exactly-once mode loses events when a worker is killed, and is slower."""

    name = "faust"
    guarantee = "at least once"
    method = "per-record agent, 21 daily counts per user in a RocksDB table"

    def command(self, job: Job) -> Sequence[str]:
        """The peer in our own environment."""
        return [sys.executable, str(PEERS / "faust_peer.py"), *arguments(job)]


SYSTEM = Faust()
