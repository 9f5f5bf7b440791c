"""A worker whose timers are counted and timed, over the topic of records that set them."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from tests.bench import usage
from tests.bench.peers.facts import tell
from tests.bench.peers.timers_logic import Recorder, TimersLogic
from tests.bench.spread import percentile
from workers import runner, telemetry
from workers.clock import Clock, SystemClock
from workers.parts import KernelPart
from workers.stream.app import AppSpec, create_app
from workers.stream.metrics import KernelMetrics
from workers.stream.partition import KernelConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.stream.app import KernelApp

_LOOK_EVERY_S = 0.05
_HELD_LOOK_S = 0.2
"""How long a partition sleeps at most while the clock is held, so that it notices soon that it runs."""


class HeldClock:
    """Stands at ``at_ms`` until it is released, then runs as the wall clock does."""

    def __init__(self, at_ms: int) -> None:
        self._at_ms = at_ms
        self._offset_ms: float | None = None

    def release(self) -> None:
        """Let it run."""
        self._offset_ms = self._at_ms - time.time_ns() / 1e6

    def now_ms(self) -> int:
        """Where it stands."""
        if self._offset_ms is None:
            return self._at_ms
        return int(time.time_ns() / 1e6 + self._offset_ms)

    def seconds_until(self, at_ms: int) -> float:
        """Real seconds until then, or the next look while it is held."""
        seconds = (at_ms - self.now_ms()) / 1000
        return min(seconds, _HELD_LOOK_S) if self._offset_ms is None else seconds


class Watch:
    """A part (see ``workers.runner.Part``) that tells the harness how far the other one is."""

    name = "watch"

    def __init__(self, kernel: KernelPart, recorder: Recorder, expected: int, held: HeldClock | None) -> None:
        self._kernel = kernel
        self._recorder = recorder
        self._expected = expected
        self._held = held
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        recorder = self._recorder
        await _until(self._kernel.ready)
        tell("running")
        if self._held is not None:
            began = time.monotonic()
            await _until(lambda: recorder.set >= self._expected)
            tell("set", seconds=time.monotonic() - began)
            self._held.release()
        await _until(lambda: recorder.fired >= self._expected)
        late_ms = recorder.late_ms()
        tell(
            "fired",
            last_ms=recorder.last_ms,
            p50_ms=percentile(late_ms, 0.5),
            p99_ms=percentile(late_ms, 0.99),
            worst_ms=late_ms[-1],
            twice=recorder.twice,
            peak_rss_bytes=usage.peak_rss_bytes([os.getpid()]) or 0,
        )

    async def failed(self) -> BaseException:
        """Return when it cannot watch any more, with the reason."""
        assert self._task is not None, "asked before the start"
        await asyncio.wait({self._task})
        error = self._task.exception()
        if error is None:
            await asyncio.Event().wait()
        return error or RuntimeError("it has ended")

    async def stop(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()

    def started(self) -> bool:
        """As the other part."""
        return self._kernel.started()

    def ready(self) -> bool:
        """As the other part."""
        return self._kernel.ready()


async def _until(met: Callable[[], bool]) -> None:
    """Return soon after ``met``; counters are looked at, because counting must not cost a wake-up each."""
    while not met():  # noqa: ASYNC110 - see above
        await asyncio.sleep(_LOOK_EVERY_S)


def main() -> int:
    """Run until SIGTERM."""
    given = _options()
    telemetry.configure_logging("warning", "text")
    held = HeldClock(given.held_at_ms) if given.held_at_ms else None
    clock: Clock = held or SystemClock()
    recorder = Recorder(clock, given.partitions)
    config = KernelConfig(
        app_id=given.name,
        bootstrap=given.bootstrap,
        state_dir=Path(given.state_dir),
        sources=(given.topic,),
        changelog=given.changelog,
    )
    spec = AppSpec(
        config, lambda number: TimersLogic(number, recorder, given.output_topic), {"timers": config.sources}
    )
    registry = CollectorRegistry()
    metrics = KernelMetrics(registry)

    def build() -> KernelApp:
        return create_app(spec, clock, metrics, recorder.on_step)

    kernel = KernelPart("timers", build)
    watch = Watch(kernel, recorder, given.expected, held)
    return runner.run([kernel, watch], registry, "127.0.0.1", 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for text in ("name", "bootstrap", "topic", "output-topic", "changelog", "state-dir"):
        parser.add_argument(f"--{text}", required=True)
    for number in ("partitions", "expected", "held-at-ms"):
        parser.add_argument(f"--{number}", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
