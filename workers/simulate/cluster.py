"""Workers, and who owns which partition: what a consumer group and its orchestrator do, as calls.

Nothing here is random: who drives the cluster decides when workers die, stop, restart and disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workers.simulate.log import MemoryLog
from workers.simulate.owner import Owner
from workers.simulate.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workers.simulate.loop import VirtualLoop
    from workers.stream.app import AppSpec
    from workers.stream.transaction import Step


@dataclass
class Worker:
    """A process: its clock, the applications that it runs, and its disk, which outlives it."""

    name: str
    specs: Sequence[AppSpec]
    skew_ms: int = 0
    alive: bool = True
    disk: dict[tuple[str, int], MemoryStore] = field(default_factory=dict)


@dataclass
class Rules:
    """How the cluster behaves where a real one would by chance. The defaults are a quiet day.

    ``batch_records``: most records of a topic in the next transaction. ``wake_ms``: how soon an owner notices
    that it has work. ``step_ms`` is told of each step and says how long it takes; what it raises goes wrong
    there. ``cache_bytes``: of a partition's rows in memory.
    """

    batch_records: Callable[[Owner], int] = lambda _owner: 20_000
    wake_ms: Callable[[Owner], int] = lambda _owner: 0
    step_ms: Callable[[Owner, Step], int] = lambda _owner, _step: 0
    cache_bytes: Callable[[], int] = lambda: 1024 * 1024


class Cluster:
    """All workers on one log. Each application's partitions are spread over the workers that live."""

    def __init__(
        self, loop: VirtualLoop, partitions: int, workers: Sequence[Worker], rules: Rules | None = None
    ) -> None:
        self.loop = loop
        self.log = MemoryLog(partitions, lambda: loop.now_ms)
        self.log.written = self._written
        self.workers = {worker.name: worker for worker in workers}
        self.rules = rules or Rules()
        self.owners: dict[tuple[str, int], Owner] = {}
        self._running: list[Owner] = []

    # -- what owners ask

    def batch_records(self, owner: Owner) -> int:
        """See :class:`workers.simulate.owner.Surroundings`."""
        return self.rules.batch_records(owner)

    def step(self, owner: Owner, step: Step) -> int:
        """See :class:`workers.simulate.owner.Surroundings`."""
        return self.rules.step_ms(owner, step)

    def is_owner(self, owner: Owner) -> bool:
        """See :class:`workers.simulate.owner.Surroundings`."""
        return self.owners.get((owner.spec.config.app_id, owner.number)) is owner

    # -- what happens to workers

    def balance(self, turn: int = 0) -> None:
        """Give each partition to a worker that lives; another ``turn`` moves them round.

        Who loses a partition finishes its transaction first, and the new owner begins after that.
        """
        alive = [worker for worker in self.workers.values() if worker.alive]
        if not alive:
            return
        for at in range(len(alive[0].specs)):
            app_id = alive[0].specs[at].config.app_id
            for number in range(self.log.partitions):
                worker = alive[(number + at + turn) % len(alive)]
                owner = self.owners.get((app_id, number))
                if owner is None or owner.over:
                    self.own(worker, at, number)
                elif owner.worker != worker.name or owner.spec is not worker.specs[at]:
                    self.hand_over(owner, worker, at)

    def hand_over(self, owner: Owner, to: Worker, at: int) -> None:
        """A cooperative rebalance: ``owner`` stops after its transaction, then ``to`` takes over."""
        owner.stopping = True
        self.wake(owner)

        def follow() -> None:
            if not self.is_owner(owner):
                return
            if not owner.over:
                self.loop.at(self.loop.now_ms + 50, follow)
                return
            self.keep_disk(owner)
            worker = to if to.alive else next((one for one in self.workers.values() if one.alive), None)
            if worker is not None:
                self.own(worker, at, owner.number)

        self.loop.at(self.loop.now_ms + 1, follow)

    def own(self, worker: Worker, at: int, number: int) -> Owner:
        """``worker`` begins to own a partition; a former owner that still runs does not know it."""
        spec = worker.specs[at]
        place = (spec.config.app_id, number)
        cache_bytes = self.rules.cache_bytes()
        disk = worker.disk.get(place)
        store = (
            disk.copy(cache_bytes=cache_bytes) if disk is not None else MemoryStore(cache_bytes=cache_bytes)
        )
        owner = Owner(spec, number, self, worker.name, worker.skew_ms, store)
        self.owners[place] = owner
        self._running.append(owner)
        self._schedule(owner, 0)
        return owner

    def crash(self, worker: Worker) -> None:
        """The process dies: what it had in memory is gone, what was flushed to disk is not."""
        worker.alive = False
        for owner in [one for one in self._running if one.worker == worker.name]:
            owner.kill()
            self._running.remove(owner)

    def restart(self, worker: Worker, specs: Sequence[AppSpec] | None = None) -> None:
        """The process starts again, perhaps with another workspace."""
        worker.alive = True
        if specs is not None:
            worker.specs = specs

    def set_clock(self, worker: Worker, skew_ms: int) -> None:
        """The worker's clock jumps."""
        worker.skew_ms = skew_ms
        for owner in self._running:
            if owner.worker == worker.name:
                owner.skew_ms = skew_ms
                self._arm(owner)
                self.wake(owner)

    def renew(self, worker: Worker, app_id: str) -> None:
        """The worker's partitions of an application decide by new logics from their next transactions on."""
        for owner in self.owned_by(worker):
            if owner.spec.config.app_id == app_id:
                owner.renew()

    def keep_disk(self, owner: Owner) -> None:
        """What the owner wrote so far is flushed to its worker's disk."""
        place = (owner.spec.config.app_id, owner.number)
        self.workers[owner.worker].disk[place] = owner.store.copy()

    def owned_by(self, worker: Worker) -> list[Owner]:
        """The partitions that a worker runs."""
        return [one for one in self._running if one.worker == worker.name]

    # -- driving

    def _written(self, topic: str, partition: int) -> None:
        """Wake who reads a topic."""
        for owner in self._running:
            if owner.number == partition and topic in owner.spec.config.sources:
                self.wake(owner)

    def wake(self, owner: Owner) -> None:
        """See :class:`workers.simulate.owner.Surroundings`."""
        if owner.idle and owner.has_work():
            owner.idle = False
            self._schedule(owner, self.rules.wake_ms(owner))

    def _schedule(self, owner: Owner, pause_ms: int) -> None:
        self.loop.at(self.loop.now_ms + pause_ms, lambda: self._go_on(owner))

    def _go_on(self, owner: Owner) -> None:
        if owner.over:
            return
        pause_ms = owner.resume()
        if owner.over:
            self._running.remove(owner)
        elif pause_ms is not None:
            self._schedule(owner, pause_ms)
        else:
            self._arm(owner)

    def _arm(self, owner: Owner) -> None:
        """Wake an idle owner when its next timer is due."""
        wakes_ms = owner.wakes_ms()
        if owner.idle and wakes_ms is not None:
            self.loop.at(wakes_ms, lambda: self.wake(owner))
