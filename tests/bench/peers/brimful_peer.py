"""One Brimful worker with the engine role over the job's topic, as ``brimful worker engine`` runs it.

``--processes`` is what ``BRIMFUL_PROCESSES`` is to a worker.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from schemas.topics import load_topics
from schemas.workspace import Workspace
from tests.bench.peers.definitions import segments
from tests.bench.peers.options import parser
from tests.bench.peers.progress import EVERY_S, report
from workers import processes, runner
from workers.assemble import Assembly
from workers.core.templates.compile import compile_templates
from workers.parts import KernelPart
from workers.settings import Settings
from workers.stream.admin import apply_topics
from workers.workspace.files import LoadedWorkspace

if TYPE_CHECKING:
    import argparse

    from workers.stream.app import KernelApp
    from workers.stream.transport import BatchedConsumer

ENOUGH = "plan_limit_reached"
COUNTED = "api_called"


def workspace(threshold: int, days: int) -> LoadedWorkspace:
    """A user and an account journey that count what the peers count, and decide on the rarer event."""
    within = f"{days}d"
    journeys = [
        {
            "journey": f"bench_{subject}",
            "subject": subject,
            "entry": {
                "on": {"event": ENOUGH},
                "require": [{"performed": COUNTED, "at_least": least, "within": within}],
                "again": {"after": "30d"},
            },
            "steps": [{"wait": "1d"}, {"send": {"in_app": "banner"}}],
            **({"recipients": {"role": ["admin"]}} if subject == "account" else {}),
        }
        for subject, least in (("user", threshold), ("account", threshold * 4))
    ]
    checked = Workspace.model_validate({"name": "bench", "journeys": journeys})
    return LoadedWorkspace(checked, compile_templates(()))


def definitions(count: int) -> LoadedWorkspace:
    """So many segments and nothing else."""
    checked = Workspace.model_validate({"name": "bench", "segments": segments(count)})
    return LoadedWorkspace(checked, compile_templates(()))


class Bench(Assembly):
    """The assembly of a worker, with the job's topic in the place of its product events."""

    def __init__(self, settings: Settings, product_events: str) -> None:
        super().__init__(settings, ["engine"])
        self._product_events = product_events

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return self._product_events if name == "product-events" else super().topic(name)


class Progress:
    """Events whose windows are committed, of users and, at the end, of accounts too."""

    def __init__(self, product_events: str, account_events: str) -> None:
        self.app: KernelApp | None = None
        self._product_events = product_events
        self._account_events = account_events

    def count(self) -> int:
        """Committed events; the last one counts when the accounts are through as well."""
        if self.app is None or not self.app.started:
            return 0
        partitions = list(self.app.manager.partitions.values())
        done = sum(
            applied
            for partition in partitions
            for tp, applied in list(partition.applied.items())
            if tp.topic == self._product_events
        )
        consumer = cast("BatchedConsumer", self.app.consumer)
        behind = any(
            (reading is not None and reading[1] < reading[0]) or partition.mailbox.waiting
            for partition in partitions
            for tp in list(partition.applied)
            if tp.topic == self._account_events
            for reading in (consumer.reading(tp),)
        )
        return max(0, done - 1) if behind else done


def run_engine(given: argparse.Namespace, settings: Settings, number: int, counts: Any) -> int:
    """One process of the worker, which notes how far it came in its place of ``counts``."""
    bench = Bench(settings, given.topic)
    count = given.definitions
    bench.use(definitions(count) if count else workspace(given.threshold, given.days))
    progress = Progress(given.topic, settings.topic("account-events"))

    def build() -> KernelApp:
        progress.app = bench.app(bench.engine_spec(given.partitions))
        return progress.app

    def note() -> None:
        while True:
            counts[number] = progress.count()
            time.sleep(EVERY_S)

    threading.Thread(target=note, daemon=True).start()
    return runner.run([KernelPart("engine", build)], bench.registry, "127.0.0.1", 0)


def main() -> int:
    """Run until SIGTERM."""
    options = parser()
    options.add_argument("--processes", type=int, default=1)
    options.add_argument("--definitions", type=int, default=0, help="segments in place of the journeys")
    given = options.parse_args()
    settings = Settings(
        kafka=given.bootstrap,
        topic_prefix=f"{given.name}.",
        state_dir=Path(given.state_dir),
        log_level="warning",
        http_port=0,
    )
    apply_topics(given.bootstrap, load_topics(), prefix=settings.topic_prefix, partitions=given.partitions)
    counts = multiprocessing.get_context("spawn").Array("q", given.processes, lock=False)
    report(lambda: sum(counts))
    if given.processes == 1:
        return run_engine(given, settings, 0, counts)
    return processes.run(
        [
            partial(run_engine, given, processes.settings_of(settings, number), number, counts)
            for number in range(given.processes)
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
