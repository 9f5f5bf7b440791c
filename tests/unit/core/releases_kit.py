"""Publishing without Kafka: versions of one journey after another, and people inside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas import wire
from schemas.workspace import Journey, Workspace
from tests.unit.core.kit import DAY, HOUR, START, World, journey
from workers.core.compile import compile_workspace
from workers.core.journeys.moving import realign
from workers.core.journeys.releases import Cell, Change, Wishes, compose, fates, next_in_force

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.fields import JourneyCondition
    from workers.core.journeys.releases import Fate
    from workers.core.plan import Plan

WAIT: dict[str, Any] = {"wait": "2d"}
BANNER: dict[str, Any] = {"send": {"in_app": "banner"}}
MAIL: dict[str, Any] = {"send": {"email": "mail"}}
OFFER: dict[str, Any] = {"send": {"email": "offer"}}

PAID: dict[str, Any] = {
    "wait_for": {"event": "paid", "timeout": "3d"},
    "timed_out": [OFFER],
}
SEATS: dict[str, Any] = {
    "wait_until": {"when": {"trait": "seats", "gte": 5}, "timeout": "3d"},
    "timed_out": [OFFER],
}
PARTS: dict[str, Any] = {
    "parallel": [{"steps": [{"wait": "1d"}, MAIL]}, {"steps": [PAID, OFFER]}],
}
LOOP: dict[str, Any] = {"repeat": {"times": 3, "steps": [MAIL, {"wait": "2d"}]}}

__all__ = [
    "BANNER",
    "DAY",
    "HOUR",
    "LOOP",
    "MAIL",
    "OFFER",
    "PAID",
    "PARTS",
    "SEATS",
    "START",
    "WAIT",
    "Publisher",
    "edited",
    "places",
    "waiting",
]


class Publisher:
    """Publishes workspaces; ``plan`` is what workers then run, and ``world`` a person among them."""

    def __init__(self) -> None:
        self.in_force: wire.InForce | None = None
        self.workspaces: dict[str, Workspace] = {}
        self.states: dict[str, wire.JourneyState] = {}
        self.changes: list[Change] = []
        self.plan: Plan = compile_workspace(Workspace(name="w"))
        self.world = World(self.plan.user)

    def propose(
        self, *journeys: Mapping[str, Any], wishes: Wishes | None = None, version: str | None = None
    ) -> Plan:
        """The plan that a publication would lead to."""
        models = tuple(Journey.model_validate(dict(plain)) for plain in journeys)
        version = version or f"w{len(self.workspaces) + 1}"
        workspace = self.workspaces.get(version) or Workspace(name="w", journeys=models)
        self.workspaces[version] = workspace
        publication = wire.Publication(version=version, at_ms=self.world.now_ms, by="me", message="")
        before = compose(self.in_force, self.workspaces)[0].journeys if self.in_force else ()
        named = {journey.journey: journey for journey in before}
        self.proposed, self.changes = next_in_force(
            self.in_force, named, workspace, publication, wishes or Wishes()
        )
        return compile_workspace(*compose(self.proposed, self.workspaces, self.states.values()))

    def publish(self, *journeys: Mapping[str, Any], **more: Any) -> None:
        """Put journeys in force; workers take them up at once, and nobody is looked at yet."""
        plan = self.propose(*journeys, **more)
        self.in_force = self.proposed
        self._run(plan)

    def say(self, journey: str, state: JourneyCondition, spread_ms: int = 0) -> None:
        """Pause, resume or stop a journey."""
        assert self.in_force is not None
        before = self.states.get(journey)
        paused_at_ms = before.paused_at_ms if before is not None else None
        self.states[journey] = wire.JourneyState(
            workspace="w",
            journey=journey,
            state=state,
            paused_at_ms=self.world.now_ms if state == "paused" else paused_at_ms,
            spread_ms=spread_ms,
            by="me",
            at_ms=self.world.now_ms,
        )
        self._run(compile_workspace(*compose(self.in_force, self.workspaces, self.states.values())))

    def sweep(self) -> None:
        """Workers look at everybody inside."""
        self.world.take(realign(self.world.plan, self.world.progress, self.world.now_ms))

    def fates(self, plan: Plan, *steps: str, journey: str = "upsell") -> Fate:
        """What a plan would mean for somebody at these steps of the version in force."""
        assert self.in_force is not None
        version = self.in_force.journeys[journey].version or ""
        (fate,) = fates(plan, {Cell("user", journey, version, steps): 1})
        return fate

    def version(self, journey: str = "upsell") -> str | None:
        """The newest version of a journey."""
        assert self.in_force is not None
        return self.in_force.journeys[journey].version

    def _run(self, plan: Plan) -> None:
        self.plan = plan
        self.world.plan = plan.user


def edited(steps: list[Any], **fields: Any) -> dict[str, Any]:
    """The journey with other steps."""
    return journey(steps=steps, **fields)


def waiting(steps: list[Any], **fields: Any) -> Publisher:
    """Somebody waits in a published journey."""
    publisher = Publisher()
    publisher.publish(edited(steps, **fields))
    publisher.world.track("limit")
    return publisher


def places(publisher: Publisher) -> set[str]:
    """The steps where the person stands."""
    (inside,) = publisher.world.progress.enrollments
    return {place.step for place in inside.places}
