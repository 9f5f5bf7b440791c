"""A worker with the engine role, for the fault tests: a fixed clock, small transactions, and a way to die."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from schemas.workspace import Workspace
from workers import runner, telemetry
from workers.assemble import Assembly
from workers.core.templates.compile import compile_templates
from workers.parts import KernelPart
from workers.settings import Settings
from workers.stream.transaction import Step
from workers.workspace.files import LoadedWorkspace

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from workers.stream.app import KernelApp


class Order(msgspec.Struct):
    """What the worker is to do. ``die_at``: a step, and the how-manieth transaction dies at it.

    With ``die_in`` only transactions count that did this part of a merge: ``asked``, ``given`` or ``taken``.
    With ``sleeps`` it does not die there but stops (SIGSTOP); whoever wakes it has a zombie.
    """

    bootstrap: str
    prefix: str
    state_dir: str
    instance: str
    now_ms: int
    partitions: int
    port: int
    slow_s: float = 0.0
    die_at: tuple[int, int] | None = None
    standby_replicas: int = 0
    die_in: str | None = None
    sleeps: bool = False


WITHIN = "21d"


def workspace() -> LoadedWorkspace:
    """Windows of users and of accounts, segments, enrollments with timers, messages, exits and goals."""
    again = {"after": "30d"}
    steps = [{"send": {"in_app": "banner"}}, {"wait": "1d"}, {"send": {"email": "letter"}}]
    ends = {
        "exit": [{"when": {"event": "plan_upgraded"}}],
        "goal": {"event": "plan_upgraded", "within": "14d"},
    }
    used = {"performed": "api_called", "at_least": 20, "within": WITHIN}
    user = {
        "journey": "usage_upsell",
        "subject": "user",
        "tags": ["upsell"],
        "entry": {"on": {"event": "plan_limit_reached"}, "require": [used], "again": again},
        "steps": steps,
        **ends,
    }
    account = {
        "journey": "account_upsell",
        "subject": "account",
        "tags": ["expansion"],
        "entry": {"on": {"event": "account_checked"}, "require": [{**used, "at_least": 100}], "again": again},
        "recipients": {"role": ["admin"]},
        "steps": steps,
        **ends,
    }
    segments = [{"segment": "heavy_users", "subject": "user", "require": [used]}]
    checked = Workspace.model_validate({"name": "faults", "journeys": [user, account], "segments": segments})
    return LoadedWorkspace(checked, compile_templates(()))


class Steps:
    """Watches the steps of all transactions of this process: slows them, and dies where it was ordered to."""

    def __init__(self, order: Order, registry: CollectorRegistry) -> None:
        self._order = order
        self._registry = registry
        self._seen: Counter[Step] = Counter()
        self._merges = 0.0
        self._merging: set[int] = set()
        self._lock = threading.Lock()

    def __call__(self, step: Step, partition: int) -> None:
        """One step of one transaction is done."""
        with self._lock:
            if not self._is_counted(step, partition):
                return
            self._seen[step] += 1
            number = self._seen[step]
        if self._order.die_at == (step.value, number):
            os.kill(os.getpid(), signal.SIGSTOP if self._order.sleeps else signal.SIGKILL)
        if step is Step.PRODUCE and self._order.slow_s:
            time.sleep(self._order.slow_s)  # in the committing thread, with the transaction open

    def _is_counted(self, step: Step, partition: int) -> bool:
        """Whether the partition's transaction did the part of a merge that is watched for.

        Between READ and DECIDE of a partition no other one decides: what is counted there is its own.
        """
        if self._order.die_in is None:
            return True
        merges = self._registry.get_sample_value("brimful_merges_total", {"outcome": self._order.die_in})
        if step is Step.READ:
            self._merging.discard(partition)
            self._merges = merges or 0.0
        elif step is Step.DECIDE and (merges or 0.0) > self._merges:
            self._merging.add(partition)
        return partition in self._merging


def main(ordered: bytes, log: str) -> int:
    """Run the :class:`Order`, as JSON, until SIGTERM or until killed; output is added to the file ``log``."""
    os.setsid()
    with Path(log).open("ab") as written:
        os.dup2(written.fileno(), 1)
        os.dup2(written.fileno(), 2)
    order = msgspec.json.decode(ordered, type=Order)
    telemetry.configure_logging("info", "text")
    settings = Settings(
        kafka=order.bootstrap,
        topic_prefix=order.prefix,
        state_dir=Path(order.state_dir),
        clock=f"fixed:{order.now_ms}",
        instance_id=order.instance,
        session_timeout_s=6,
        batch_records=100,
        linger_ms=0,
        standby_replicas=order.standby_replicas,
    )
    assembly = Assembly(settings, ["engine"])
    assembly.use(workspace())
    steps = Steps(order, assembly.registry)

    def build() -> KernelApp:
        return assembly.app(assembly.engine_spec(order.partitions), steps)

    return runner.run([KernelPart("engine", build)], assembly.registry, "127.0.0.1", order.port)
