"""How the workers of a run are wired, and which workspace each of them runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tests.simulation.publishing import Desk
from workers.assemble import Assembly
from workers.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.simulation.scenario import Scenario
    from workers.senders.channels.base import Channel
    from workers.simulate.log import MemoryLog
    from workers.stream.app import AppSpec


class Wiring:
    """Workers that run the workspace of a folder, which all of them have: another one takes a restart."""

    desk: Desk | None = None

    def __init__(self, scenario: Scenario, channels: Mapping[str, Channel]) -> None:
        self._made: list[tuple[AppSpec, ...]] = []
        for loaded in scenario.versions.loaded:
            assembly = new_assembly()
            assembly.use(loaded)
            self._made.append(specs_of(assembly, channels, scenario.partitions))
        self.version = 0

    def specs(self, worker: str) -> tuple[AppSpec, ...]:
        """The applications that a worker starts with now."""
        del worker
        return self._made[self.version]

    def take_up(self, worker: str) -> None:
        """A worker hears of all that was published: of nothing."""


class PublishedWiring(Wiring):
    """Workers that run what is published, each as of when it heard of it last."""

    def __init__(  # it wires what the other one does not
        self,
        scenario: Scenario,
        channels: Mapping[str, Channel],
        workers: tuple[str, ...],
        log: MemoryLog,
        now_ms: int,
    ) -> None:
        self.desk: Desk = Desk(scenario.versions.loaded, log)
        self.desk.publish(0, now_ms, shadows=scenario.shadows)
        self._assemblies = {worker: new_assembly() for worker in workers}
        self._specs = {}
        for worker, assembly in self._assemblies.items():
            assembly._take_up(self.desk.active)
            self._specs[worker] = specs_of(assembly, channels, scenario.partitions)

    def specs(self, worker: str) -> tuple[AppSpec, ...]:
        """The applications of a worker; they run what it heard of last."""
        return self._specs[worker]

    def take_up(self, worker: str) -> None:
        """A worker hears of all that was published."""
        self._assemblies[worker]._take_up(self.desk.active)


def new_assembly() -> Assembly:
    """A worker's, with settings that lead nowhere."""
    secret = cast("Any", "a secret of the simulation, 32 bytes")
    return Assembly(Settings(state_dir=Path("nowhere"), secret=secret), ())


def specs_of(assembly: Assembly, channels: Mapping[str, Channel], partitions: int) -> tuple[AppSpec, ...]:
    """Engine, senders and insights as a worker wires them, with the channels in the place of real ones."""
    return (
        assembly.engine_spec(partitions),
        assembly.senders_spec(channels),
        assembly.insights_spec(),
    )
