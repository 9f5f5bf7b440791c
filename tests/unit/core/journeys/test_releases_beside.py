"""Publishing with people inside: what a pause holds, what a shadow leaves undone, what older ones need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from schemas.workspace import Journey, ObjectType, Workspace
from tests.unit.core.kit import journey
from tests.unit.core.releases_kit import (
    BANNER,
    DAY,
    HOUR,
    LOOP,
    MAIL,
    OFFER,
    PAID,
    PARTS,
    SEATS,
    START,
    WAIT,
    Publisher,
    edited,
    places,
    waiting,
)
from workers.core.compile import compile_workspace
from workers.core.journeys.account_exits import AccountChanged, exit_by_account
from workers.core.journeys.lineage import Lines, Pinned
from workers.core.journeys.progress import with_enrollment
from workers.core.journeys.releases import Wishes

if TYPE_CHECKING:
    from schemas.fields import JourneyCondition


def test_an_event_that_comes_during_a_pause_is_not_lost() -> None:
    """It is past when the pause is over, and would never come again."""
    publisher = waiting([PAID, MAIL])
    publisher.say("upsell", "paused")
    publisher.world.track("paid")
    assert publisher.world.sent() == []
    assert places(publisher) == {"1"}
    publisher.world.advance(5 * DAY)
    publisher.say("upsell", "running")
    publisher.sweep()
    publisher.world.advance(1)
    assert publisher.world.sent() == ["mail"]


def test_a_condition_that_comes_true_during_a_pause_counts_though_it_is_over_again() -> None:
    """As without the pause, only later."""
    publisher = waiting([SEATS, MAIL])
    publisher.say("upsell", "paused")
    publisher.world.identify(seats=5)
    publisher.world.identify(seats=1)
    publisher.world.advance(5 * DAY)
    assert publisher.world.sent() == []
    publisher.say("upsell", "running")
    publisher.sweep()
    publisher.world.advance(1)
    assert publisher.world.sent() == ["mail"]


@pytest.mark.parametrize(
    ("steps", "sent"),
    [
        pytest.param([PAID, MAIL], ["offer", "mail"], id="wait_for"),
        pytest.param([SEATS, MAIL], ["offer", "mail"], id="wait_until"),
        pytest.param([LOOP], ["mail", "mail", "mail"], id="repeat"),
        pytest.param([PARTS, BANNER], ["mail", "offer", "offer", "banner"], id="parallel"),
        pytest.param([{"wait": {"for": "1d", "at": "09:00"}}, MAIL], ["mail"], id="a time of day"),
    ],
)
def test_no_step_runs_in_a_pause_and_all_run_after_it(steps: list[Any], sent: list[str]) -> None:
    """What fell due runs in its order, spread; and twice looked at changes nothing."""
    publisher = waiting(steps)
    before = publisher.world.sent()
    publisher.say("upsell", "paused")
    publisher.sweep()
    publisher.world.advance(4 * DAY)
    publisher.world.look()
    assert publisher.world.sent() == before
    assert not publisher.world.timers
    publisher.say("upsell", "running", spread_ms=8 * HOUR)
    publisher.sweep()
    once = publisher.world.progress
    publisher.sweep()
    assert publisher.world.progress == once
    (timer,) = publisher.world.timers.values()
    assert START + 4 * DAY < timer.due_ms <= START + 4 * DAY + 8 * HOUR
    publisher.world.advance(20 * DAY)
    assert publisher.world.sent() == sent
    assert not publisher.world.timers


def test_a_condition_ends_the_journey_by_time_alone_also_of_who_is_held() -> None:
    """Exits act during a pause; one that time brings has a timer though nothing else may wake."""
    unused = {"not": {"performed": "used", "within": "3d"}}
    publisher = Publisher()
    publisher.publish(edited([WAIT, MAIL], exit=[{"when": unused}]))
    publisher.world.track("used")
    publisher.world.track("limit")
    publisher.say("upsell", "paused")
    publisher.world.advance(4 * DAY)
    assert publisher.world.outcomes("exit") == [
        ("exited", "condition: not (performed used within 3d at_least 1)")
    ]
    assert publisher.world.sent() == []


def test_an_edit_during_a_pause_is_followed_by_those_who_are_held() -> None:
    """Who fell due stands at the wait still: the step behind it may be replaced, or go."""
    publisher = waiting([WAIT, MAIL])
    publisher.say("upsell", "paused")
    publisher.world.advance(3 * DAY)
    publisher.publish(edited([WAIT, OFFER]))
    publisher.sweep()
    assert not publisher.world.timers
    publisher.say("upsell", "running")
    publisher.sweep()
    publisher.world.advance(1)
    assert publisher.world.sent() == ["offer"]


def test_stopped_ends_who_an_event_would_take_on() -> None:
    """Before anybody was brought in line with it."""
    publisher = waiting([PAID, MAIL])
    publisher.say("upsell", "stopped")
    publisher.world.track("paid")
    assert publisher.world.sent() == []
    assert publisher.world.outcomes("exit") == [("exited", "stopped")]


# -- shadows


def test_a_shadow_sets_nothing_calls_nobody_and_enrolls_nobody() -> None:
    """It records what it would have sent, and whom it would have enrolled where."""
    steps = [
        {"update": {"traits": {"offered": "pro"}}},
        {"send": {"webhook": "notify"}},
        {"enroll": "welcome"},
        PAID,
        MAIL,
    ]
    leaving = {"exit": [{"when": {"event": "gone"}, "then": {"enroll": "welcome"}}]}
    welcome = journey("welcome", entry={"on": {"event": "welcomed"}})
    publisher = Publisher()
    publisher.publish(edited([BANNER], shadow=False), welcome)
    publisher.publish(edited(steps, **leaving), welcome, wishes=Wishes(shadows={"upsell"}))
    publisher.world.track("limit")
    assert "offered" not in publisher.world.traits
    publisher.world.track("paid")
    publisher.world.track("limit")
    publisher.world.track("gone")
    assert publisher.world.sent() == ["banner", "banner"]
    assert not publisher.world.asked
    assert {one.journey for one in publisher.world.progress.enrollments} == {"upsell", "upsell~shadow"}
    shadow = [one for one in publisher.world.decisions if one.journey == "upsell~shadow"]
    first = ["enrolled", "would_send", "would_enroll"]
    assert [one.outcome for one in shadow] == [
        *first,
        "would_send",
        "completed",
        *first,
        "exited",
        "would_enroll",
    ]
    assert shadow[2].values == {"journey": "welcome"}


def both(steps: list[Any]) -> Publisher:
    """Somebody is in a journey and in its shadow, which has the same steps."""
    publisher = Publisher()
    publisher.publish(edited(steps))
    publisher.publish(edited([*steps, BANNER]), wishes=Wishes(shadows={"upsell"}))
    publisher.world.track("limit")
    return publisher


def of_each(publisher: Publisher, kind: str) -> tuple[list[tuple[str, str | None]], ...]:
    """Outcome and reason of the decisions of one kind, of the journey and of its shadow."""
    decided = [one for one in publisher.world.decisions if one.kind == kind]
    names = ("upsell", "upsell~shadow")
    return tuple([(one.outcome, one.reason) for one in decided if one.journey == name] for name in names)


def test_a_pause_of_a_journey_is_one_of_its_shadow() -> None:
    """Neither takes anybody, and what falls due is held in both until the pause is over."""
    publisher = both([WAIT, MAIL])
    publisher.say("upsell", "paused")
    publisher.world.track("limit")
    publisher.world.advance(4 * DAY)
    assert of_each(publisher, "entry")[0] == of_each(publisher, "entry")[1]
    assert of_each(publisher, "entry")[1][-1] == ("declined", "paused")
    assert of_each(publisher, "send") == ([], [])
    publisher.say("upsell", "running", spread_ms=HOUR)
    publisher.sweep()
    publisher.world.advance(DAY)
    assert of_each(publisher, "send") == (
        [("send", None)],
        [("would_send", "shadow"), ("would_send", "shadow")],
    )


@pytest.mark.parametrize(
    ("state", "exits"),
    [
        ("stopped", [("exited", "stopped")]),
        ("draining", [("completed", None)]),
    ],
)
def test_to_stop_a_journey_is_to_stop_its_shadow(
    state: JourneyCondition, exits: list[tuple[str, str | None]]
) -> None:
    """Those inside it end, or finish, and nobody enters it."""
    publisher = both([WAIT, MAIL])
    publisher.say("upsell", state)
    publisher.sweep()
    publisher.world.track("limit")
    publisher.world.advance(4 * DAY)
    assert of_each(publisher, "exit") == (exits, exits)
    assert [entries[-1] for entries in of_each(publisher, "entry")] == [("declined", state)] * 2


# -- what a plan holds beside the newest versions


PRODUCT = {
    "object": "product",
    "attributes": {"price": "number", "stock": "number"},
    "relationships": {
        "wished": {"of": "user", "filled_by": [{"event": "Wished", "id": "product_id"}]},
        "bought": {"of": "user", "filled_by": [{"event": "Bought", "id": "product_id"}]},
    },
}
CHEAPER = {"on": {"object": "product", "relationship": "wished", "changed": "price"}, "again": "always"}


def test_an_object_that_changes_is_an_entry_of_the_journey_and_of_its_shadow_alone() -> None:
    """Each by its own name; those who are inside an older version enter nothing by it."""
    live, shadow, older = (
        Journey.model_validate(edited(steps, entry=CHEAPER)) for steps in ([BANNER], [OFFER], [MAIL])
    )
    workspace = Workspace(name="w", journeys=(live,), objects=(ObjectType.model_validate(PRODUCT),))
    plan = compile_workspace(workspace, Lines((Pinned(older, "v1", True),), (shadow,)))
    assert [one.journey for one in plan.user.objects.changes["product"]] == ["upsell", "upsell~shadow"]
    assert plan.user.journeys.keys() == {"upsell", "upsell~shadow"}


def test_what_an_older_version_asks_of_objects_is_kept() -> None:
    """Nobody else does: neither the relationship nor the attribute would be there."""
    asking = {"related": {"object": "product", "relationship": "bought", "where": {"stock": {"gte": 1}}}}
    older = Journey.model_validate(edited([{"branch": [{"when": asking, "steps": [MAIL]}]}]))
    newest = Journey.model_validate(edited([BANNER]))
    workspace = Workspace(name="w", journeys=(newest,), objects=(ObjectType.model_validate(PRODUCT),))
    plans = [
        compile_workspace(workspace, lines)
        for lines in (Lines(), Lines((Pinned(older, "v1", False),)), Lines(shadows=(older,)))
    ]
    assert [set(plan.user.objects.relationships) for plan in plans] == [
        set(),
        {"product.bought"},
        {"product.bought"},
    ]
    assert ["stock" in plan.types.needed.get("product", ()) for plan in plans] == [False, True, True]
    assert ["Bought" in plan.user.events for plan in plans] == [False, True, True]


def test_traits_of_accounts_end_who_is_inside_the_version_that_names_them() -> None:
    """Of an older version those of the older, of the newest those of the newest."""
    exits = [[{"when": {"changed": {"account": trait}}}] for trait in ("plan", "seats")]
    publisher = waiting([WAIT], exit=exits[0])
    publisher.publish(edited([WAIT], exit=exits[1]), wishes=Wishes(policies={"upsell": "pin"}))
    plan, progress = publisher.plan.user, publisher.world.progress
    (inside,) = progress.enrollments
    progress = with_enrollment(progress, replace(inside, account="acme"))
    ended = [
        exit_by_account(plan, AccountChanged("acme", (trait,), "m"), progress, START).progress.enrollments[0]
        for trait in ("plan", "seats")
    ]
    assert [one.end_reason for one in ended] == ["changed: account plan", None]


def test_scores_that_an_older_version_chooses_its_recipients_by_are_told() -> None:
    """Its people are asked for messages still."""
    recipients = {"role": "owner", "by": "engagement"}
    older = Journey.model_validate(edited([BANNER], subject="account", recipients=recipients))
    workspace = Workspace(name="w")
    plans = [compile_workspace(workspace, lines) for lines in (Lines(), Lines((Pinned(older, "v1", False),)))]
    assert [plan.user.told_scores for plan in plans] == [frozenset(), {"engagement"}]
