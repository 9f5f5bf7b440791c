"""Publishing while the gate holds a message: it is still sent, goes along, or is given up with a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas.workspace import Journey, MessageSettings, Workspace
from tests.unit.core.releases_kit import DAY, HOUR, MAIL, OFFER, START, WAIT, Publisher, edited
from workers.core.journeys.releases import Wishes

if TYPE_CHECKING:
    from schemas.fields import EditPolicy

QUIET = MessageSettings.model_validate(
    {"quiet_hours": [{"from": "10:00", "to": "22:00", "channel": ["in_app", "email"]}]}
)
"""START is at 10:02: what is sent then is held until the evening."""


class Quiet(Publisher):
    """Publishes workspaces that are quiet over the day."""

    def publish(self, *journeys: Any, **more: Any) -> None:
        """As any other, with hours in which nothing goes out."""
        models = tuple(Journey.model_validate(dict(plain)) for plain in journeys)
        version = more.pop("version", None) or f"w{len(self.workspaces) + 1}"
        self.workspaces.setdefault(version, Workspace(name="w", journeys=models, messages=QUIET))
        super().publish(*journeys, version=version, **more)


def held(steps: list[Any], **fields: Any) -> Quiet:
    """Somebody whose message is held for the evening."""
    publisher = Quiet()
    publisher.publish(edited(steps, **fields))
    publisher.world.track("limit")
    publisher.world.advance(HOUR)
    (one,) = publisher.world.progress.waiting
    assert one.since_ms == START
    return publisher


def moved(publisher: Quiet, steps: list[Any], *, swept: bool, **wishes: Any) -> None:
    """Another version is published, and the evening comes."""
    publisher.publish(edited(steps), wishes=Wishes(**wishes))
    if swept:
        publisher.sweep()
    publisher.world.advance(DAY)


SWEPT = pytest.mark.parametrize("swept", [True, False])


@SWEPT
@pytest.mark.parametrize("policy", ["pin", "drain"])
def test_who_finishes_the_old_version_gets_what_is_held(policy: str, swept: bool) -> None:
    """Its step is gone in the new one, which is not theirs."""
    publisher = held([MAIL, WAIT])
    moved(publisher, [WAIT], swept=swept, policies={"upsell": policy})
    assert publisher.world.sent() == ["mail"]
    assert publisher.world.outcomes("send") == [("defer", "quiet_hours"), ("send", None)]
    assert publisher.world.progress.waiting == ()


@SWEPT
def test_what_is_held_at_a_step_that_is_gone_is_given_up_with_a_decision(swept: bool) -> None:
    """A move says where they stand instead; nothing of the message is left, also not in the gate's eyes."""
    publisher = held([MAIL, WAIT])
    moved(publisher, [{"wait": "5d"}], swept=swept, moves={"upsell": {"0": "0"}})
    assert publisher.world.sent() == []
    assert publisher.world.outcomes("send") == [("defer", "quiet_hours"), ("skip", "step_gone")]
    decision = publisher.world.decisions[-1]
    assert (decision.step, decision.values["template"], decision.values["channel"]) == ("0", "mail", "email")
    assert publisher.world.progress.waiting == ()
    assert publisher.world.progress.enrollments[0].is_active


@SWEPT
def test_what_is_held_goes_along_when_its_step_has_another_place(swept: bool) -> None:
    """It is one message with one id, held since when it was; its deferral is told once."""
    publisher = held([MAIL, WAIT])
    (before,) = publisher.world.progress.waiting
    publisher.publish(edited([OFFER, MAIL, WAIT]))
    if swept:
        publisher.sweep()
        (after,) = publisher.world.progress.waiting
        assert (after.id, after.since_ms, after.until_ms) == (before.id, before.since_ms, before.until_ms)
    publisher.world.advance(DAY)
    assert [one.id for one in publisher.world.messages] == [before.id]
    assert publisher.world.outcomes("send") == [("defer", "quiet_hours"), ("send", None)]
    assert publisher.world.progress.waiting == ()


@SWEPT
def test_another_message_at_the_step_takes_the_place_of_what_is_held(swept: bool) -> None:
    """The step is the same by its kind; of the message that the new version has no more a decision tells."""
    publisher = held([MAIL, WAIT])
    moved(publisher, [OFFER, WAIT], swept=swept)
    assert publisher.world.sent() == ["offer"]
    told = publisher.world.outcomes("send")
    assert told[:2] == [("defer", "quiet_hours"), ("skip", "step_gone")]
    assert told[-1] == ("send", None)
    assert publisher.world.progress.waiting == ()


@SWEPT
def test_a_roll_back_gives_up_what_the_version_before_does_not_have(swept: bool) -> None:
    """With a move; and with pin it is still sent."""
    rows: tuple[tuple[dict[str, EditPolicy], list[str]], ...] = (({}, []), ({"upsell": "pin"}, ["mail"]))
    for policies, sent in rows:
        publisher = Quiet()
        publisher.publish(edited([WAIT]), version="first")
        publisher.publish(edited([MAIL, WAIT]))
        publisher.world.track("limit")
        publisher.publish(
            edited([WAIT]),
            version="first",
            wishes=Wishes(policies=policies, moves={} if policies else {"upsell": {"0": "0"}}),
        )
        if swept:
            publisher.sweep()
        publisher.world.advance(DAY)
        assert publisher.world.sent() == sent
        assert publisher.world.progress.waiting == ()


@SWEPT
def test_who_ends_because_the_step_is_gone_loses_what_is_held_with_them(swept: bool) -> None:
    """Published with --force: the exit's decision tells."""
    publisher = held([MAIL, WAIT])
    moved(publisher, [{"wait": "5d"}], swept=swept)
    assert publisher.world.sent() == []
    assert publisher.world.outcomes("exit") == [("exited", "version_gone")]
    assert publisher.world.progress.waiting == ()


def test_a_part_that_is_given_up_gives_up_what_is_held_for_it() -> None:
    """The first part to come to its end takes all on; what another part's message waits for is over."""
    parts = {"parallel": [{"steps": [MAIL]}, {"steps": [{"wait": "2h"}]}], "join": "any"}
    publisher = held([parts, WAIT])
    publisher.world.advance(DAY)
    assert publisher.world.sent() == []
    assert publisher.world.outcomes("send") == [("defer", "quiet_hours"), ("skip", "given_up")]
    assert publisher.world.progress.waiting == ()


@pytest.mark.parametrize("event", ["paid", "limit_not_heard"])
def test_an_event_that_takes_another_part_on_takes_what_is_held_along(event: str) -> None:
    """In a version that nobody was looked at for yet; and where nothing is heard, nothing has changed."""
    paid = {"wait_for": {"event": "paid", "timeout": "5d"}, "timed_out": [OFFER]}
    publisher = held([{"parallel": [{"steps": [MAIL]}, {"steps": [paid, OFFER]}]}])
    (before,) = publisher.world.progress.waiting
    parts = {"parallel": [{"steps": [{"update": {"traits": {"seen": True}}}, MAIL]}, {"steps": [paid, WAIT]}]}
    publisher.publish(edited([parts]))
    publisher.world.track(event)
    publisher.world.advance(DAY)
    assert [one.id for one in publisher.world.messages] == [before.id]
    assert publisher.world.outcomes("send") == [("defer", "quiet_hours"), ("send", None)]
    assert publisher.world.progress.waiting == ()
