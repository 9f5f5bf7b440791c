"""The two journeys that ship with Brimful, as their readers understand them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.core.kit import DAY, HOUR, World
from workers.core.compile import compile_workspace
from workers.core.journeys.recipients import Member, route
from workers.workspace.files import load_workspace

FOLDER = Path(__file__).parents[3] / "deploy" / "workspaces" / "plan_limits"
PLAN = compile_workspace(load_workspace(FOLDER).workspace)


def user(**traits: Any) -> World:
    """A user on the starter plan."""
    return World(PLAN.user, "u1", **{"plan": "starter", **traits})


def account(**traits: Any) -> World:
    """An account on the starter plan."""
    return World(PLAN.account, "acme", **{"plan": "starter", **traits})


def test_the_workspace_has_no_warnings() -> None:
    """What we ship is linted clean."""
    assert load_workspace(FOLDER).warnings == ()


def test_a_second_limit_within_21_days_brings_the_banner_and_a_day_later_the_mail() -> None:
    """The whole way of one person."""
    world = user()
    world.track("plan_limit_reached", limit_type="seats")
    world.advance(20 * DAY)
    assert world.sent() == []
    world.track("plan_limit_reached", limit_type="seats")
    assert world.sent() == ["limit_banner"]
    world.advance(DAY)
    assert world.sent() == ["limit_banner", "limit_explained"]


@pytest.mark.parametrize("plan", ["pro", "enterprise", None])
def test_large_and_unknown_plans_hear_nothing(plan: str | None) -> None:
    """Whose plan is not known may have the largest."""
    world = user(plan=plan)
    world.track("plan_limit_reached")
    world.track("plan_limit_reached")
    assert world.sent() == []


@pytest.mark.parametrize("leave", ["event", "trait"])
def test_an_upgrade_stops_the_mail(leave: str) -> None:
    """As an event of the user, or as a change of the plan that somebody else made."""
    world = user()
    world.track("plan_limit_reached")
    world.track("plan_limit_reached")
    world.advance(DAY - 1)
    if leave == "event":
        world.track("plan_upgraded", mrr_delta=30)
    else:
        world.identify(plan="team")
    world.advance(30 * DAY)
    assert world.sent() == ["limit_banner"]
    assert [one.revenue for one in world.conversions] == ([30.0] if leave == "event" else [])


def test_who_heard_of_it_hears_again_after_30_days_at_the_earliest() -> None:
    """From the last message on: an upsell excludes for 30 days."""
    world = user()
    world.track("plan_limit_reached")
    world.track("plan_limit_reached")
    world.advance(31 * DAY - 1)
    world.track("plan_limit_reached")
    world.track("plan_limit_reached")
    assert world.sent() == ["limit_banner", "limit_explained"]
    world.advance(1)
    world.track("plan_limit_reached")
    assert world.sent() == ["limit_banner", "limit_explained", "limit_banner"]


def test_three_limits_over_all_members_reach_those_who_manage_the_plan() -> None:
    """The account's journey runs once, asks its owner and admins, and stops when anyone upgrades."""
    world = account(name="Acme")
    members = [Member("u1", "member"), Member("u2", "admin"), Member("u3", "billing_owner")]
    world.track("plan_limit_reached")
    world.track("plan_limit_reached")
    assert world.requests == []
    world.track("plan_limit_reached", limit_type="seats")
    (banner,) = world.requests
    requests, _ = route(banner, members)
    assert [one.subject for one in requests] == ["u3", "u2"]
    assert [one.message.template for one in requests] == ["account_limit_banner"] * 2
    world.advance(HOUR)
    world.track("plan_upgraded", mrr_delta=100)
    world.advance(10 * DAY)
    taken_back = [one.message.withdrawn for one in world.requests if one is not banner]
    assert taken_back == ["goal:plan_upgraded", "event: plan_upgraded"]
    (conversion,) = world.conversions
    assert (conversion.subject_type, conversion.subject, conversion.revenue) == ("account", "acme", 100.0)


def test_the_account_mail_follows_after_a_day() -> None:
    """Unless it upgraded."""
    world = account()
    for _ in range(3):
        world.track("plan_limit_reached")
    world.advance(DAY)
    assert [one.message.template for one in world.requests] == ["account_limit_banner", "account_limit_email"]
