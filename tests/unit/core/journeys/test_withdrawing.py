"""In-app messages are taken back when an exit or a goal makes them pointless."""

from __future__ import annotations

from tests.unit.core.test_plan_limits import account, user
from workers.core.journeys.recipients import Member, route

DAY_MS = 86_400_000


def reach_limit(times: int, world: object) -> None:
    """The event that the ready-made journeys wait for."""
    for _ in range(times):
        world.track("plan_limit_reached")  # type: ignore[attr-defined]


def test_an_upgrade_takes_the_banner_back_also_when_the_journey_is_over() -> None:
    """The steps ended after a day; the banner would be there for two weeks."""
    world = user()
    reach_limit(2, world)
    world.advance(3 * DAY_MS)
    assert world.withdrawn() == []
    world.track("plan_upgraded", mrr_delta=30)
    assert world.withdrawn() == ["goal:plan_upgraded"]
    (back,) = world.taken_back
    assert back.enrollment == world.messages[0].enrollment
    assert (back.channel, back.person) == ("in_app", world.messages[0].person)


def test_who_got_nothing_has_nothing_taken_back() -> None:
    """An upgrade of who is in no journey writes no records."""
    world = user()
    reach_limit(1, world)
    world.track("plan_upgraded", mrr_delta=30)
    assert world.messages == []


def test_a_withdrawal_of_an_account_goes_to_every_member() -> None:
    """Roles may have changed since; who had no message has nothing to lose. Nobody is recorded as missing."""
    world = account(name="Acme")
    reach_limit(3, world)
    world.track("plan_upgraded", mrr_delta=100)
    back = world.requests[-1]
    assert back.message.withdrawn is not None
    members = [Member(f"u{number}", "member") for number in range(5)]
    requests, decisions = route(back, members)
    assert [one.subject for one in requests] == [f"u{number}" for number in range(5)]
    assert decisions == ()
    assert route(back, []) == ((), ())
