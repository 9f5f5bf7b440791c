"""Publishing as ``brimful publish`` and ``brimful journey`` do it, with the topic ``workspace`` in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from schemas import wire
from workers.core.journeys.releases import Wishes
from workers.versions.active import Loader
from workers.versions.bundle import Bundle
from workers.versions.inside import CHANGELOG, count_inside
from workers.versions.published import Published, key_of
from workers.versions.publishing import propose, rolled_back_to, said

if TYPE_CHECKING:
    from schemas.fields import EditPolicy, JourneyCondition
    from workers.core.journeys.releases import Change
    from workers.simulate.log import MemoryLog
    from workers.versions.active import Active
    from workers.workspace.files import LoadedWorkspace


@dataclass(frozen=True)
class DrawnBundle(Bundle):
    """A workspace that was drawn: its text is the model's, so that the same one has the same version."""

    loaded: LoadedWorkspace = field(kw_only=True)

    def load(self) -> LoadedWorkspace:
        """What was drawn."""
        return self.loaded


class DrawnVersions(Published):
    """What is published, with the content of versions as it was drawn."""

    def __init__(self, bundles: list[DrawnBundle]) -> None:
        super().__init__()
        self._bundles = {one.version: one for one in bundles}

    def bundle(self, workspace: str, version: str) -> DrawnBundle:
        """The content of a version."""
        del workspace
        return self._bundles[version]


@dataclass(frozen=True)
class Told:
    """Something was published, or said about a journey: the ``number``-th time, at ``at_ms`` by true time."""

    number: int
    at_ms: int
    changes: tuple[Change, ...] = ()
    journey: str | None = None
    state: JourneyCondition | None = None


class Desk:
    """Publishes. ``active`` is what a worker that reads everything runs."""

    active: Active

    def __init__(self, workspaces: tuple[LoadedWorkspace, ...], log: MemoryLog) -> None:
        self._bundles = [_bundle(loaded) for loaded in workspaces]
        self._name = self._bundles[0].name
        self._published = DrawnVersions(self._bundles)
        self._loader = Loader()
        self._log = log
        self.told: list[Told] = []

    def publish(
        self, number: int, at_ms: int, policies: dict[str, EditPolicy] | None = None, shadows: Any = ()
    ) -> None:
        """Put a workspace in force, whoever would be stuck."""
        self._publish(self._bundles[number], at_ms, policies or {}, shadows)

    def roll_back(self, at_ms: int) -> None:
        """Publish again what was in force before; nothing where nothing else ever was."""
        in_force = self._published.in_force[self._name]
        if any(one.version != in_force.version for one in in_force.history):
            version = rolled_back_to(self._published, self._name, None)
            self._publish(self._published.bundle(self._name, version), at_ms, {}, ())

    def _publish(
        self, bundle: DrawnBundle, at_ms: int, policies: dict[str, EditPolicy], shadows: Any
    ) -> None:
        publication = wire.Publication(version=bundle.version, at_ms=at_ms, by="somebody", message="")
        known = {one.journey for one in bundle.loaded.workspace.journeys}
        wishes = Wishes(
            {name: policy for name, policy in policies.items() if name in known},
            shadows=[name for name in shadows if name in known],
        )
        people = count_inside(cast("Any", self._log.committed(CHANGELOG)))
        proposal = propose(self._published, bundle, publication, wishes, people)
        for record in proposal.records:
            self._take(record)
        for key in proposal.forget:
            self._published.take(key, None)
        self._tell(Told(len(self.told), at_ms, tuple(proposal.changes)))

    def say(self, journey: str, state: JourneyCondition, spread_ms: int, at_ms: int) -> None:
        """Pause, resume or stop a journey; nothing where there is none of that name now."""
        if journey in self._published.in_force[self._name].journeys:
            self._take(said(self._published, self._name, journey, state, spread_ms, "somebody", at_ms))
            self._tell(Told(len(self.told), at_ms, journey=journey, state=state))

    def resume_all(self, at_ms: int) -> None:
        """Let go on what is paused."""
        for state in self._published.states_of(self._name):
            if state.state == "paused":
                self.say(state.journey, "running", 0, at_ms)

    def _take(self, record: wire.WorkspaceRecord) -> None:
        self._published.take(key_of(record), wire.encode(record))

    def _tell(self, told: Told) -> None:
        self.told.append(told)
        self.active = self._loader.load(self._published, self._name)


def _bundle(loaded: LoadedWorkspace) -> DrawnBundle:
    text = loaded.workspace.model_dump_json(by_alias=True)
    return DrawnBundle(loaded.workspace.name, {"workspace.yaml": text}, loaded=loaded)
