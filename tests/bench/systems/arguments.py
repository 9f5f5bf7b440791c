"""What every peer program is told on its command line; ``peers/options.py`` and ``Peer.java`` read it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.model import Job

BENCH = Path(__file__).resolve().parent.parent
PEERS = BENCH / "peers"
ROOT = BENCH.parent.parent
BUILDS = ROOT / ".bench"
"""Where environments and builds of peers are kept between runs."""


def arguments(job: Job) -> list[str]:
    """``job`` as long options."""
    values = {
        "name": job.name,
        "bootstrap": job.bootstrap,
        "topic": job.topic,
        "output-topic": job.output_topic,
        "state-dir": str(job.state_dir),
        "partitions": str(job.partitions),
        "threshold": str(job.threshold),
        "days": str(job.window_days),
    }
    return [word for name, value in values.items() for word in (f"--{name}", value)]
