"""A worker that takes over one partition with nothing on its disk, and tells what that took."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from rocksdict import Cache

from tests.bench import usage
from tests.bench.peers.facts import tell
from workers import runner, telemetry
from workers.clock import SystemClock
from workers.stream.app import BLOCK_CACHE_BYTES
from workers.stream.logic import Quiet
from workers.stream.metrics import KernelMetrics, StreamMetrics
from workers.stream.partition import KernelConfig, KernelParts, Partition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.stream.batch import TP, Batch
    from workers.stream.transaction import Step
    from workers.stream.view import View


class Idle(Quiet):
    """Decides nothing: there is nothing to read."""

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Nothing."""
        return (), ()

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Nothing."""


class Restore:
    """A part (see ``workers.runner.Part``): its start acquires the partition, its stop closes it."""

    name = "restore"

    def __init__(self, config: KernelConfig, registry: CollectorRegistry) -> None:
        self._config = config
        self._registry = registry
        self._partition: Partition | None = None

    async def start(self) -> None:
        """Acquire, then tell seconds, bytes of memory and bytes on disk."""
        config, clock = self._config, SystemClock()
        metrics = StreamMetrics(KernelMetrics(self._registry), config.app_id, clock)
        parts = KernelParts(
            clock=clock,
            metrics=metrics,
            executor=ThreadPoolExecutor(4),
            block_cache=Cache(BLOCK_CACHE_BYTES),
            new_logic=lambda _: Idle(),
            on_step=_no_step,
        )
        partition = self._partition = Partition(0, config, parts, config.cache_bytes)
        started = time.monotonic()
        await partition.acquire()
        took_s = time.monotonic() - started
        tell(
            "restored",
            seconds=took_s,
            peak_rss_bytes=usage.peak_rss_bytes([os.getpid()]) or 0,
        )

    async def failed(self) -> BaseException:
        """Never: it does nothing more."""
        await asyncio.Event().wait()
        return RuntimeError("it has ended")

    async def stop(self) -> None:
        """Close as a worker does."""
        if self._partition is not None:
            await self._partition.close()

    def started(self) -> bool:
        """Once restored."""
        return self.ready()

    def ready(self) -> bool:
        """Once restored."""
        return self._partition is not None and self._partition.acquired


def _no_step(step: Step, partition: int) -> None:
    """Nobody asks."""


def main() -> int:
    """Restore, then wait for SIGTERM."""
    parser = argparse.ArgumentParser()
    for text in ("name", "bootstrap", "changelog", "state-dir"):
        parser.add_argument(f"--{text}", required=True)
    given = parser.parse_args()
    telemetry.configure_logging("warning", "text")
    config = KernelConfig(
        app_id=given.name,
        bootstrap=given.bootstrap,
        state_dir=Path(given.state_dir),
        sources=(),
        changelog=given.changelog,
    )
    registry = CollectorRegistry()
    return runner.run([Restore(config, registry)], registry, "127.0.0.1", 0)


if __name__ == "__main__":
    sys.exit(main())
