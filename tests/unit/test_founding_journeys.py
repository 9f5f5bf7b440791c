"""The journeys that the project was founded on, as files, each walked the ways it can go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from tests.house.code import ROOT
from tests.unit.core.kit import DAY, HOUR, World, journey, plan_of
from workers.core.devices import Device, Devices

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = ROOT / "tests" / "unit" / "founding_journeys"
NEVER = {"on": {"event": "never"}, "again": "always"}


def world_of(name: str, **traits: Any) -> World:
    """Somebody before the founding journey of that name."""
    plain = YAML(typ="safe", pure=True).load(FOLDER / f"{name}.yaml")
    others = [
        journey(other, entry=NEVER, steps=[{"send": {"in_app": f"{other}_hello"}}])
        for other in ("welcome_to_pro", "expansion")
    ]
    return World(plan_of(plain, *others).user, timezone="UTC", **traits)


def days(world: World) -> list[tuple[str, int]]:
    """What was sent, and on which day after the first look at the clock."""
    begun_ms = min((one.requested_at_ms for one in world.messages), default=0)
    return [(one.template, (one.requested_at_ms - begun_ms) // DAY) for one in world.messages]


# -- the limit of a plan


def at_the_limit(acv: int = 0, usage: int = 100) -> World:
    """Somebody on the starter plan who hits the limit for the second time."""
    world = world_of("starter_limit_threshold", current_plan="starter")
    world.account_traits = {"acv": acv}
    for _ in range(2):
        world.track("plan_limit_reached", usage_percentage=usage, limit_type="seats")
        world.enroll_asked()
    return world


@pytest.mark.parametrize(
    ("acv", "usage", "sent"),
    [
        (
            0,
            100,
            [("limit_banner", 0), ("limit_explained", 1), ("direct_offer", 3), ("value_lost", 8)],
        ),
        (
            5000,
            100,
            [
                ("limit_banner", 0),
                ("limit_explained", 1),
                ("direct_offer", 3),
                ("notify_account_executive", 3),
                ("value_lost", 8),
            ],
        ),
        (0, 80, [("limit_explained", 0), ("direct_offer", 2), ("value_lost", 7)]),
    ],
)
def test_the_sequence_on_a_limit(acv: int, usage: int, sent: list[tuple[str, int]]) -> None:
    """In-app at the moment of friction, mail a day later, more direct on day 3, the last one five days on."""
    world = at_the_limit(acv, usage)
    world.advance(30 * DAY)
    assert days(world) == sent
    assert {one.variant for one in world.messages if one.template == "limit_explained"} <= {
        "subject_usage",
        "subject_roi",
    }


@pytest.mark.parametrize(
    "upgrade",
    [lambda world: world.track("plan_upgraded"), lambda world: world.identify(current_plan="pro")],
)
def test_who_upgrades_falls_out_at_once_and_is_welcomed(upgrade: Callable[[World], None]) -> None:
    """In the middle of a wait."""
    world = at_the_limit()
    world.advance(DAY + HOUR)
    upgrade(world)
    world.enroll_asked()
    world.advance(30 * DAY)
    assert world.sent() == ["limit_banner", "limit_explained", "welcome_to_pro_hello"]


def test_who_was_prompted_lately_or_has_the_plan_does_not_enter() -> None:
    """Not again within 30 days; never on the higher plans."""
    world = at_the_limit()
    world.advance(29 * DAY)
    world.track("plan_limit_reached", usage_percentage=100)
    world.track("plan_limit_reached", usage_percentage=100)
    assert len(world.messages) == 4
    for plan in ("pro", "enterprise", None):
        other = world_of("starter_limit_threshold", current_plan=plan)
        other.track("plan_limit_reached")
        other.track("plan_limit_reached")
        assert other.messages == []


# -- channel after channel


@pytest.mark.parametrize(
    ("click", "after_ms", "sms", "sent"),
    [
        (None, 0, True, [("limit_push", 0), ("seats_mail", 1), ("billing_link", 5)]),
        (None, 0, False, [("limit_push", 0), ("seats_mail", 1)]),
        ("push_clicked", HOUR, True, [("limit_push", 0)]),
        ("email_clicked", 2 * DAY, True, [("limit_push", 0), ("seats_mail", 1)]),
    ],
)
def test_the_next_channel_only_where_the_last_found_no_interest(
    click: str | None, after_ms: int, sms: bool, sent: list[tuple[str, int]]
) -> None:
    """Push on day 0, mail on day 1, SMS on day 5 and only with consent; a click ends it."""
    world = world_of(
        "hold_until_engaged",
        current_plan="starter",
        seats_used=5,
        seats_limit=5,
        consent={"push": True, "sms": sms},
        phone="+14155552671",
    )
    world.devices = Devices([Device("token", "ios", 0)])
    world.track("feature_limit_reached")
    assert world.traits["last_upgrade_prompt_seen"].startswith("2026-03-14T")
    world.advance(after_ms)
    if click is not None:
        world.track(click, journey="another")
        world.track(click, journey="hold_until_engaged")
    world.advance(30 * DAY)
    assert days(world) == sent


def test_the_prompt_that_was_seen_keeps_others_out() -> None:
    """The trait that the first step sets is what the entry asks."""
    world = world_of("hold_until_engaged", current_plan="free")
    world.track("feature_limit_reached")
    world.advance(13 * DAY)
    world.track("feature_limit_reached")
    assert [outcome for outcome, _ in world.outcomes("entry")] == ["enrolled", "declined"]


# -- recovery


@pytest.mark.parametrize(
    ("mrr", "sent"),
    [
        (499, ["come_back", "whats_new", "last_call"]),
        (500, ["come_back", "customer_success_task", "whats_new", "last_call"]),
    ],
)
def test_recovery_side_by_side(mrr: int, sent: list[str]) -> None:
    """Messages and a task for customer success; the last call when both parts are over."""
    world = world_of("churn_recovery")
    world.account_traits = {"mrr": mrr}
    world.track("usage_dropped")
    world.advance(30 * DAY)
    assert world.sent() == sent


def test_recovery_ends_when_usage_is_normal() -> None:
    """The exit condition is the most valuable part: at the third session nothing more is sent."""
    world = world_of("churn_recovery")
    world.track("usage_dropped")
    for _ in range(3):
        world.advance(HOUR)
        world.track("session_started")
    world.advance(30 * DAY)
    assert world.sent() == ["come_back"]
    ((outcome, reason),) = world.outcomes("exit")
    assert (outcome, str(reason).split(":")[0]) == ("exited", "condition")


# -- activation


@pytest.mark.parametrize(
    ("milestones", "mrr", "sent"),
    [
        (3, 0, ["expansion_hello"]),
        (2, 0, ["unblock"]),
        (2, 500, ["unblock", "alert_customer_success"]),
    ],
)
def test_milestones_decide(milestones: int, mrr: int, sent: list[str]) -> None:
    """In any order and within a week; who is stuck gets help, with an alert above a threshold."""
    world = world_of("activation")
    world.account_traits = {"mrr": mrr}
    world.track("signed_up")
    for event in ("report_created", "teammate_invited", "integration_connected")[:milestones]:
        world.advance(DAY)
        world.track(event)
    world.enroll_asked()
    world.advance(30 * DAY)
    assert world.sent() == sent


# -- carts


def test_a_cart_that_is_left_is_asked_about_two_hours_after_the_last_change() -> None:
    """Of this cart; another cart's order changes nothing."""
    world = world_of("cart")
    world.track("product_added", cart_id="c1")
    world.advance(HOUR)
    world.track("product_added", cart_id="c1")
    world.track("order_completed", cart_id="c2")
    world.advance(2 * HOUR - 1)
    assert world.sent() == []
    world.advance(1)
    assert world.sent() == ["still_interested"]


def test_a_cart_that_is_ordered_is_not_asked_about() -> None:
    """Three days later, in the middle of a week, what goes well with it: Saturday and 3 days is Tuesday."""
    world = world_of("cart")
    world.track("product_added", cart_id="c1")
    world.advance(HOUR)
    world.track("order_completed", cart_id="c1", items=["d3"])
    world.advance(30 * DAY)
    (mail,) = world.messages
    assert mail.template == "goes_well_with"
    assert mail.context.awaited == {"cart_id": "c1", "items": ["d3"]}
    # 14 March 2026, 11:02, and three days; then 10:00 on Wednesday.
    assert mail.requested_at_ms == 1_773_828_000_000


# -- a threshold that is crossed


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (None, ["ten_reports", "follow_up"]),
        ("/home", ["ten_reports", "follow_up"]),
        ("/upgrade/pro", ["ten_reports"]),
    ],
)
def test_the_tenth_report(path: str | None, sent: list[str]) -> None:
    """Not the ninth, not the eleventh; and no mail to who has looked at the upgrade page."""
    world = world_of("reports_reach_ten", plan="free")
    for _ in range(9):
        world.track("report_created")
    assert world.sent() == []
    world.track("report_created")
    world.track("report_created")
    world.advance(DAY)
    if path is not None:
        world.track("page", path=path)
    world.advance(30 * DAY)
    assert world.sent() == sent
