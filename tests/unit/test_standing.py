"""What steps wait for is told by the version that somebody is on, or that they follow to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.core.kit import plan_of
from tests.unit.core.releases_kit import BANNER, MAIL, PAID, SEATS, WAIT, Publisher, edited, waiting
from workers.standing import enrollment_item

if TYPE_CHECKING:
    from workers.core.plan import SubjectPlan


def told(publisher: Publisher, plan: SubjectPlan | None = None) -> list[str]:
    """What the person's positions wait for."""
    world = publisher.world
    (held,) = world.progress.enrollments
    item = enrollment_item("user", world.progress, held, plan or publisher.plan.user, world.now_ms)
    return [position["waits_for"] for position in item["positions"]]


@pytest.mark.parametrize("policy", ["pin", "drain"])
@pytest.mark.parametrize(
    "new", [[SEATS, MAIL], [WAIT, PAID, MAIL], [BANNER], None], ids=["changed", "moved", "gone", "removed"]
)
def test_who_finishes_an_older_version_waits_for_what_that_says(policy: str, new: list[Any] | None) -> None:
    """Whatever stands in that place in the newest, or whether there is one at all."""
    publisher = waiting([PAID, MAIL], on_edit=policy)
    other = edited([MAIL], name="another") if new is None else edited(new, on_edit=policy)
    publisher.publish(other)
    assert told(publisher) == ["event: paid"]


def test_who_follows_waits_for_what_the_newest_says_at_the_new_place() -> None:
    """Also before they are looked at: that is what the engine will go by."""
    publisher = waiting([WAIT, MAIL])
    publisher.publish(edited([PAID, {"wait": "3d"}, MAIL]))
    assert told(publisher) == ["time"]
    publisher.publish(edited([BANNER, PAID, {"wait": "3d"}, MAIL]))
    assert told(publisher) == ["time"]
    publisher.sweep()
    assert told(publisher) == ["time"]


def test_a_step_or_journey_that_is_gone_takes_nobody_on() -> None:
    """They are stuck, which the preview of the publication told."""
    publisher = waiting([PAID, MAIL])
    publisher.publish(edited([MAIL]))
    assert told(publisher) == ["nothing: the workspace has no such step"]
    publisher.publish(edited([MAIL], name="another"))
    assert told(publisher) == ["nothing: the workspace has no such journey"]


def test_a_version_that_is_not_known_is_not_guessed() -> None:
    """Where what is published has another history than the rows."""
    inside = waiting([PAID, MAIL])
    elsewhere = Publisher()
    elsewhere.publish(edited([SEATS, MAIL]))
    elsewhere.publish(edited([SEATS, WAIT, MAIL], on_edit="pin"))
    (held,) = inside.world.progress.enrollments
    expected = f"unknown: the workspace does not have version {held.version}, which it is on"
    assert told(inside, elsewhere.plan.user) == [expected]


def test_a_folder_knows_one_version_and_says_when_that_is_another() -> None:
    """The engine of a folder follows to what is there; so the answer is a guess, and says so."""
    publisher = waiting([PAID, MAIL])
    (held,) = publisher.world.progress.enrollments
    same = plan_of(edited([PAID, MAIL])).user
    assert told(publisher, same) == ["event: paid"]
    other = plan_of(edited([SEATS, MAIL])).user
    now = other.journeys["upsell"].version
    of_which = f" (by version {now}; {held.version}, which it is on, is not known)"
    assert told(publisher, other) == ["condition: trait seats gte 5" + of_which]
