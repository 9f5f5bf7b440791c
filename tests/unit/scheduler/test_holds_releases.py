"""Publishing and pausing while members' gates hold what an account's journey asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas.workspace import Journey, MessageSettings, Workspace
from tests.unit.core.kit import journey
from tests.unit.core.releases_kit import Publisher
from tests.unit.identity.kit import DAY, HOUR, NOW, Cluster
from tests.unit.scheduler.test_holds import NIGHT, PEOPLE, QUIET, exists, over_night, sends
from workers.core.journeys.releases import Wishes
from workers.engine import EngineLogic
from workers.shell import EngineParts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.fields import EditPolicy, JourneyCondition
    from workers.core.plan import Plan

MAIL: dict[str, Any] = {"send": {"email": "mail"}}
OFFER: dict[str, Any] = {"send": {"email": "offer"}}
WAIT: dict[str, Any] = {"wait": "9d"}


class Town:
    """People of one account, and what is published to the engine that they are in."""

    def __init__(self, steps: list[Any], **fields: Any) -> None:
        self._publisher = Publisher()
        self._publisher.world.now_ms = NOW
        self.cluster = Cluster(plan=self._published(team(steps, **fields)))
        for person in PEOPLE:
            self.cluster.identify(person, email=f"{person}@example.com")
            self.cluster.group(person, "acme", role="owner")
        self.cluster.settle()

    def at_night(self) -> None:
        """The journey asks for its message when nothing may go out."""
        self.cluster.now_ms = NIGHT
        self.cluster.track("limit", userId="ada")
        self.cluster.settle()
        assert sends(self.cluster) == [("defer", "quiet_hours")] * len(PEOPLE)

    def publish(self, *journeys: Mapping[str, Any], **wishes: Any) -> None:
        """Another workspace is in force, and all partitions have taken it up."""
        self._publisher.world.now_ms = self.cluster.now_ms
        self._run(self._published(*journeys, wishes=Wishes(**wishes)))

    def say(self, state: JourneyCondition) -> None:
        """A word about the journey."""
        self._publisher.world.now_ms = self.cluster.now_ms
        self._publisher.say("team", state)
        self._run(self._publisher.plan)

    def _published(self, *journeys: Mapping[str, Any], **more: Any) -> Plan:
        models = tuple(Journey.model_validate(dict(one)) for one in journeys)
        messages = MessageSettings.model_validate({"quiet_hours": QUIET, "max_hold": "6d"})
        version = f"w{len(self._publisher.workspaces) + 1}"
        self._publisher.workspaces[version] = Workspace(name="w", journeys=models, messages=messages)
        self._publisher.publish(*journeys, version=version, **more)
        return self._publisher.plan

    def _run(self, plan: Plan) -> None:
        cluster = self.cluster
        cluster.plan = plan
        cluster.parts = EngineParts(
            plan,
            cluster.partitions,
            lambda name: name,
            cluster.parts.metrics,
            erasure_key=cluster.parts.erasure_key,
        )
        cluster.engines = [EngineLogic(number, cluster.parts) for number in range(cluster.partitions)]


def team(steps: list[Any], **fields: Any) -> dict[str, Any]:
    """A journey of accounts."""
    recipients = {"role": "owner", "limit": 5}
    return journey("team", subject="account", recipients=recipients, steps=steps, **fields)


ALL = len(PEOPLE)


@pytest.mark.parametrize("policy", ["pin", "drain"])
def test_who_finishes_the_old_version_gets_what_it_asked_for(policy: EditPolicy) -> None:
    """Its step is gone in the new one, which is not the account's."""
    town = Town([MAIL, WAIT])
    town.at_night()
    town.publish(team([WAIT]), policies={"team": policy})
    over_night(town.cluster)
    assert len(town.cluster.messages()) == ALL
    assert not exists(town.cluster)


def test_what_is_held_of_a_step_that_is_gone_is_given_up_with_a_decision() -> None:
    """The account itself goes on: it stands behind the step."""
    town = Town([MAIL, WAIT])
    town.at_night()
    town.publish(team([WAIT]))
    over_night(town.cluster)
    assert town.cluster.messages() == []
    assert sends(town.cluster) == [("defer", "quiet_hours")] * ALL + [("skip", "step_gone")] * ALL
    assert not exists(town.cluster)


def test_a_step_with_another_place_keeps_its_own_rules() -> None:
    """Where it stood another step stands now, whose rules are for another message."""
    town = Town([MAIL, WAIT])
    town.at_night()
    late = {"send": {"email": "offer", "at": "17:00"}}
    town.publish(team([late, MAIL, WAIT]))
    over_night(town.cluster)
    assert {one.template for one in town.cluster.messages()} == {"mail"}
    assert len(town.cluster.messages()) == ALL


def test_what_a_removed_journey_asked_for_is_given_up() -> None:
    """With follow those inside end, and their messages with them."""
    town = Town([MAIL, WAIT])
    town.at_night()
    town.publish(journey("other"))
    over_night(town.cluster)
    assert town.cluster.messages() == []
    assert sends(town.cluster) == [("defer", "quiet_hours")] * ALL + [("skip", "journey_gone")] * ALL
    assert not exists(town.cluster)


def test_what_a_paused_journey_asked_for_stays_held() -> None:
    """A pause stops what is wrong at once, also what has left the journey and is not sent yet."""
    town = Town([MAIL, WAIT])
    town.at_night()
    town.say("paused")
    over_night(town.cluster)
    town.cluster.later(DAY // 2)
    assert town.cluster.messages() == []
    assert exists(town.cluster)
    town.say("running")
    town.cluster.later(HOUR)
    assert len(town.cluster.messages()) == ALL
    assert sends(town.cluster) == [("defer", "quiet_hours")] * ALL + [("send", "")] * ALL
