"""A run: the real applications on the in-memory log, a scenario's actions, and what is left to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import structlog

from tests.simulation.actions import DAY, HOUR, SECOND, START_MS, Fault, Produced
from tests.simulation.provider import FaultyChannel, HookChannel, PatientChannel, Provider
from tests.simulation.scenario import SENDERS, WORKERS, Scenario
from tests.simulation.wiring import PublishedWiring, Wiring
from tests.simulation.words import HOOK
from workers.errors import Retryable
from workers.simulate.cluster import Cluster, Rules, Worker
from workers.simulate.loop import VirtualLoop
from workers.stream.transaction import Step

if TYPE_CHECKING:
    from schemas.fields import EditPolicy, JourneyCondition
    from tests.simulation.publishing import Desk
    from workers.senders.channels.base import Channel
    from workers.simulate.log import MemoryLog, Record
    from workers.simulate.owner import Owner

SETTLE_MS = 60 * DAY
"""Time after the last action in which everything has to come to its end; no journey takes half of it."""

SESSION_MS = 10 * SECOND
"""How long until the group notices that a worker is gone."""


TURNS_MAX = 5_000
"""Transactions of a run; one with everything in it takes some 600."""


class GoesRoundError(AssertionError):
    """A run comes to no end: something causes itself again and again."""


@dataclass
class Run:
    """What a run left behind: all topics, what the provider accepted, and the true time of everything.

    ``sent`` are the records that producers wrote, with their actions; ``errors`` what was logged as an error.
    ``trace`` are (time in ms, text); ``heard`` when which worker ran how much of what was published.
    """

    scenario: Scenario
    log: MemoryLog
    provider: Provider
    cluster: Cluster
    wiring: Wiring
    sent: list[tuple[Produced, Record]] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    trace: list[tuple[int, str]] = field(default_factory=list)
    heard: list[tuple[int, str, int]] = field(default_factory=list)
    turns: int = 0


def run(scenario: Scenario) -> Run:
    """Let it happen, then let it come to rest; what is logged as an error is kept."""
    with structlog.testing.capture_logs() as logged:
        left = _run(scenario)
    left.errors = [entry for entry in logged if entry["log_level"] == "error"]
    return left


def _run(scenario: Scenario) -> Run:
    loop = VirtualLoop(START_MS)
    random = Random(f"run {scenario.seed}")  # noqa: S311 - chance that can be repeated is the point
    provider = Provider(loop, random, remembers_ids=scenario.remembers_ids)
    channel = PatientChannel(provider) if scenario.remembers_ids else FaultyChannel(provider)
    channels: dict[str, Channel] = {"email": channel, HOOK: HookChannel(provider)}
    workers = [Worker(name, ()) for name in WORKERS]
    cluster = Cluster(loop, scenario.partitions, workers)
    wiring = (
        PublishedWiring(scenario, channels, WORKERS, cluster.log, loop.now_ms)
        if scenario.published
        else Wiring(scenario, channels)
    )
    for worker in workers:
        worker.specs = wiring.specs(worker.name)
    left = Run(scenario, cluster.log, provider, cluster, wiring)
    faults = Faults(left, wiring, channel, random)
    for action in scenario.actions:
        loop.at(action.at_ms, partial(faults.do, action))
    cluster.balance()
    loop.run_until(scenario.end_ms)
    faults.heal()
    loop.run_until(scenario.end_ms + scenario.stalls_ms + SETTLE_MS)
    return left


@dataclass
class Trap:
    """What happens the next time a worker's application comes to a step, or (None) calls the provider."""

    worker: str
    app: int
    step: Step | None
    kind: str
    given: dict[str, Any]


class Faults:
    """Does what the actions say; and decides, under the seed, what chance decides in a real cluster."""

    def __init__(self, left: Run, wiring: Wiring, channel: FaultyChannel, random: Random) -> None:
        self._left = left
        self._cluster = left.cluster
        self._loop = left.cluster.loop
        self._wiring = wiring
        self._random = random
        self._healed = False
        self._traps: list[Trap] = []
        self._turn = 0
        cluster = left.cluster
        cluster.rules = Rules(self._batch_records, self._wake_ms, self._step_ms, self._cache_bytes)
        channel.on_call = self._on_call

    def do(self, action: Produced | Fault) -> None:
        """Do one action."""
        if isinstance(action, Produced):
            key = None if action.key is None else action.key.encode()
            record = self._left.log.append(action.topic, key, action.value, action.partition)
            self._left.sent.append((action, record))
            return
        self._say(str(action))
        getattr(self, f"_{action.what}")(**action.given)

    def heal(self) -> None:
        """From now on nothing goes wrong: whatever is left undone has to be done."""
        self._say("faults end")
        self._healed = True
        self._traps.clear()
        self._left.provider.faulty = False
        if self._wiring.desk is not None:
            self._wiring.desk.resume_all(self._loop.now_ms)
        for worker in self._cluster.workers.values():
            self._cluster.set_clock(worker, 0)
            self._begin(worker)
            self._hear(worker)
        self._cluster.balance()

    # -- chance

    def _batch_records(self, _owner: Owner) -> int:
        return self._random.choice((1, 2, 5, 50, 20_000))

    def _wake_ms(self, _owner: Owner) -> int:
        return self._random.choice((0, 1, 20, 300))

    def _cache_bytes(self) -> int:
        return self._random.choice((0, 20_000, 1_000_000))

    def _step_ms(self, owner: Owner, step: Step) -> int:
        """How long a step takes, or what happens there."""
        self._left.turns += step is Step.ACK
        if self._left.turns > TURNS_MAX:
            raise GoesRoundError(f"more than {TURNS_MAX} transactions, the last of {owner.name}")
        trap = self._sprung(owner, step) if self._traps else None
        if trap is None:
            return self._random.choice((0, 0, 0, 1, 5, 100))
        self._say(f"{trap.kind} of {owner.name} after step {step.name}")
        match trap.kind:
            case "crash_at":
                self._later(lambda: self._crash(trap.worker, **trap.given))
            case "commit_fails":
                raise Retryable("the simulation says so")
            case "zombie":
                self._later(lambda: self._replace(owner))
                return int(trap.given["sleeps_ms"])
        return 1

    def _on_call(self) -> None:
        """The provider is being called: a worker whose trap is set dies in the middle of it."""
        for trap in self._traps:
            if trap.step is None:
                self._traps.remove(trap)
                self._loop.at(self._loop.now_ms + 3, partial(self._crash, trap.worker, **trap.given))
                return

    def _sprung(self, owner: Owner, step: Step) -> Trap | None:
        for trap in self._traps:
            app_id = self._wiring.specs(trap.worker)[trap.app].config.app_id
            here = (owner.worker, owner.spec.config.app_id, step) == (trap.worker, app_id, trap.step)
            if here:
                self._traps.remove(trap)
                return trap
        return None

    # -- the faults, by their names

    def _crash(self, worker: str, down_ms: int) -> None:
        one = self._cluster.workers[worker]
        if not one.alive or self._healed:
            return
        self._say(f"{worker} dies")
        self._cluster.crash(one)
        self._loop.at(self._loop.now_ms + min(SESSION_MS, down_ms), self._cluster.balance)
        self._loop.at(self._loop.now_ms + down_ms, lambda: self._start(one))

    def _start(self, worker: Worker) -> None:
        if not worker.alive:
            self._say(f"{worker.name} starts")
            self._begin(worker)
            self._cluster.balance(self._turn)

    def _begin(self, worker: Worker) -> None:
        """A worker starts with the newest workspace that there is."""
        self._take_up(worker)
        self._cluster.restart(worker, self._wiring.specs(worker.name))

    def _take_up(self, worker: Worker) -> None:
        self._wiring.take_up(worker.name)
        if self._wiring.desk is not None:
            self._left.heard.append((self._loop.now_ms, worker.name, len(self._wiring.desk.told)))

    def _crash_at(self, worker: str, app: int, step: Step, down_ms: int) -> None:
        self._traps.append(Trap(worker, app, step, "crash_at", {"down_ms": down_ms}))

    def _crash_in_call(self, worker: str, down_ms: int) -> None:
        self._traps.append(Trap(worker, SENDERS, None, "crash_in_call", {"down_ms": down_ms}))

    def _commit_fails(self, worker: str, app: int, step: Step, *, applied: bool) -> None:
        del step
        self._traps.append(Trap(worker, app, Step.COMMIT if applied else Step.FLUSH, "commit_fails", {}))

    def _zombie(self, worker: str, app: int, step: Step, sleeps_ms: int) -> None:
        self._traps.append(Trap(worker, app, step, "zombie", {"sleeps_ms": sleeps_ms}))

    def _replace(self, owner: Owner) -> None:
        """Another worker takes the partition, while the one who had it knows nothing of that."""
        others = [one for one in self._cluster.workers.values() if one.alive and one.name != owner.worker]
        if others and self._cluster.is_owner(owner) and not self._healed:
            specs = [spec.config.app_id for spec in others[0].specs]
            self._cluster.own(
                self._random.choice(others), specs.index(owner.spec.config.app_id), owner.number
            )

    def _rebalance(self, turn: int) -> None:
        self._turn = turn
        self._cluster.balance(turn)

    def _clock(self, worker: str, skew_ms: int) -> None:
        self._cluster.set_clock(self._cluster.workers[worker], skew_ms)

    def _lose_disk(self, worker: str) -> None:
        self._cluster.workers[worker].disk.clear()

    def _keep_disk(self, worker: str) -> None:
        for owner in self._cluster.owned_by(self._cluster.workers[worker]):
            self._cluster.keep_disk(owner)

    def _compact(self) -> None:
        for spec in self._wiring.specs(WORKERS[0]):
            self._left.log.compact(spec.config.changelog)

    def _stall(self, down_ms: int) -> None:
        for worker in WORKERS:
            self._crash(worker, down_ms)

    def _edit(self, version: int) -> None:
        """A rolling restart with another workspace, a worker at a time."""
        self._wiring.version = version
        for number, worker in enumerate(self._cluster.workers.values()):
            after_ms = number * self._random.randrange(HOUR // 4)
            self._loop.at(self._loop.now_ms + after_ms, partial(self._adopt, worker))

    def _adopt(self, worker: Worker) -> None:
        worker.specs = self._wiring.specs(worker.name)
        self._cluster.balance(self._turn)

    def _publish(self, version: int, policies: dict[str, EditPolicy], shadows: list[str]) -> None:
        self._desk.publish(version, self._loop.now_ms, policies, shadows)
        self._spread_word()

    def _roll_back(self) -> None:
        self._desk.roll_back(self._loop.now_ms)
        self._spread_word()

    def _word(self, journey: str, state: JourneyCondition, spread_ms: int) -> None:
        """A journey is paused, resumed or stopped."""
        self._desk.say(journey, state, spread_ms, self._loop.now_ms)
        self._spread_word()

    @property
    def _desk(self) -> Desk:
        assert self._wiring.desk is not None, "runs of folders publish nothing"
        return self._wiring.desk

    def _spread_word(self) -> None:
        """Each worker hears of it a moment later, one of them perhaps much later."""
        for worker in self._cluster.workers.values():
            after_ms = self._random.choice((1_000, 1_000, 20_000, HOUR // 4))
            self._loop.at(self._loop.now_ms + after_ms, partial(self._hear, worker))

    def _hear(self, worker: Worker) -> None:
        if worker.alive and self._wiring.desk is not None:
            self._take_up(worker)
            self._cluster.renew(worker, worker.specs[0].config.app_id)

    # --

    def _later(self, call: Any) -> None:
        self._loop.at(self._loop.now_ms, call)

    def _say(self, text: str) -> None:
        self._left.trace.append((self._loop.now_ms, text))
