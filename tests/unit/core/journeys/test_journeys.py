"""Inside a journey: steps, timers, exits and goals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.core.kit import BANNER, DAY, HOUR, MAIL, SECOND, START, World, journey, plan_of
from workers.core.commands import CancelTimer, SetTimer
from workers.core.journeys.inside import Changed, Happened, changed_traits, observe
from workers.core.journeys.progress import GOAL_LATENESS_MS, Progress
from workers.core.journeys.steps import STEPS_PER_ACTIVATION_MAX

if TYPE_CHECKING:
    from workers.core.plan import SubjectPlan

STEPS = [BANNER, {"wait": "1d"}, MAIL]
EXITS = [{"when": {"event": "upgraded"}}, {"when": {"changed": "plan"}}]
GOAL = {"event": "upgraded", "within": "14d", "revenue": "properties.mrr_delta"}


def user_plan(**fields: Any) -> SubjectPlan:
    """The users' plan of one journey that sends, waits a day, and sends again."""
    return plan_of(journey(**{"steps": STEPS, "exit": EXITS, "goal": GOAL, **fields})).user


def inside(**fields: Any) -> World:
    """A user who has just entered."""
    world = World(user_plan(**fields), plan="free")
    world.track("limit")
    return world


# -- steps and timers


def test_the_first_message_goes_at_once_and_the_next_after_the_wait() -> None:
    """Not a millisecond before the day is over."""
    world = inside()
    assert world.sent() == ["banner"]
    world.advance(DAY - 1)
    assert world.sent() == ["banner"]
    world.advance(1)
    assert world.sent() == ["banner", "mail"]
    assert world.outcomes("exit") == [("completed", None)]
    assert world.timers == {}


def test_a_message_carries_what_its_template_and_its_sender_need() -> None:
    """Traits as they are when it is sent, the trigger's properties as they were."""
    world = World(user_plan(tags=["upsell"]), plan="free")
    world.account_traits = {"name": "Acme"}
    world.track("limit", kind="seats")
    world.traits["first_name"] = "Ada"
    world.advance(DAY)
    banner, mail = world.messages
    assert (banner.channel, banner.to, mail.channel, mail.to) == ("in_app", None, "email", "u1@example.com")
    assert (mail.person, mail.journey, mail.step, mail.tags) == ("u1", "upsell", "2", ["upsell"])
    assert mail.context.user["first_name"] == "Ada"
    assert (mail.context.account, mail.context.event) == ({"name": "Acme"}, {"kind": "seats"})
    assert banner.id != mail.id
    assert mail.requested_at_ms == START + DAY


def test_a_timer_that_fires_early_or_again_does_nothing() -> None:
    """The row comes back as it went in."""
    world = inside()
    (timer,) = world.timers.values()
    world.now_ms = timer.due_ms - 1
    assert world.fire(timer).commands == ()
    world.now_ms = timer.due_ms
    assert world.fire(timer).commands != ()
    before = world.progress
    again = world.fire(timer)
    assert again.commands == ()
    assert again.progress is before


def test_a_cancelled_timer_that_fires_all_the_same_does_nothing() -> None:
    """The exit was committed first: what fires later finds the enrollment over."""
    world = inside()
    (timer,) = world.timers.values()
    world.advance(HOUR)
    world.track("upgraded")
    world.now_ms = timer.due_ms
    assert world.fire(timer).commands == ()
    assert world.sent() == ["banner"]


def test_a_late_timer_delays_what_follows() -> None:
    """After downtime nobody gets in one moment what was meant for two days."""
    world = inside(steps=[{"wait": "1d"}, BANNER, {"wait": "1d"}, MAIL])
    (timer,) = world.timers.values()
    world.timers.clear()
    world.now_ms += 5 * DAY
    world.fire(timer)
    assert world.sent() == ["banner"]
    world.advance(DAY - 1)
    assert world.sent() == ["banner"]
    world.advance(1)
    assert world.sent() == ["banner", "mail"]


def test_a_wait_at_the_end_keeps_one_inside() -> None:
    """Until it is over."""
    world = inside(steps=[BANNER, {"wait": "1d"}])
    world.advance(DAY - 1)
    assert world.progress.active_in("upsell") is not None
    world.advance(1)
    assert world.progress.active_in("upsell") is None


BRANCH = {
    "branch": [
        {"when": {"trait": "seats", "gte": 10}, "steps": [{"wait": "1h"}, BANNER]},
        {"when": {"trait": "seats", "gte": 5}, "steps": [MAIL]},
        {"otherwise": [{"send": {"in_app": "small"}}]},
    ]
}


@pytest.mark.parametrize(
    ("seats", "sent"),
    [
        (10, ["banner", "last"]),  # the first arm that is true, though the second is too
        (9, ["mail", "last"]),
        (4, ["small", "last"]),
        (None, ["small", "last"]),  # missing is not true
    ],
)
def test_a_branch_takes_the_first_arm_that_is_true(seats: int | None, sent: list[str]) -> None:
    """And goes on behind the branch."""
    world = World(user_plan(steps=[BRANCH, {"send": {"in_app": "last"}}]), seats=seats)
    world.track("limit")
    world.advance(HOUR)
    assert world.sent() == sent


def test_a_branch_without_otherwise_may_be_passed_by() -> None:
    """Nobody is lost."""
    world = World(user_plan(steps=[{"branch": BRANCH["branch"][:2]}, {"send": {"in_app": "last"}}]))
    world.track("limit")
    assert world.sent() == ["last"]


def test_a_branch_sees_what_the_step_before_it_sent() -> None:
    """Progress within one activation is progress."""
    received = {"received": {"tag": "upsell"}, "within": "1h"}
    branch = {"branch": [{"when": received, "steps": [MAIL]}]}
    world = World(user_plan(steps=[BANNER, branch], tags=["upsell"]))
    world.track("limit")
    assert world.sent() == ["banner", "mail"]


def test_a_long_journey_goes_on_in_portions() -> None:
    """One activation runs a bounded number of steps; a timer due at once runs the rest."""
    count = STEPS_PER_ACTIVATION_MAX + 5
    steps = [{"send": {"in_app": f"t{n}"}} for n in range(count)]
    world = inside(steps=[*steps, {"wait": "1h"}, MAIL])
    assert len(world.messages) == STEPS_PER_ACTIVATION_MAX
    world.advance(0)
    assert len(world.messages) == count
    world.advance(HOUR)
    assert world.sent()[-1] == "mail"


# -- exits


@pytest.mark.parametrize(
    ("leave", "reason"),
    [
        (lambda world: world.track("upgraded"), "event: upgraded"),
        (lambda world: world.identify(plan="pro"), "changed: plan"),
        (lambda world: world.identify(plan=None), "changed: plan"),
    ],
)
def test_an_exit_acts_at_once_also_during_a_wait(leave: Any, reason: str) -> None:
    """The timer is cancelled in the same transition, and no message follows."""
    world = inside()
    world.advance(DAY - 1)
    leave(world)
    assert world.timers == {}
    world.advance(10 * DAY)
    assert world.sent() == ["banner"]
    assert reason in world.withdrawn()
    assert world.outcomes("exit") == [("exited", reason)]


def test_traits_that_stay_the_same_end_nothing() -> None:
    """Nor do others that change."""
    world = inside()
    world.identify(plan="free", city="Oslo")
    assert world.progress.active_in("upsell") is not None


def test_an_exit_that_asks_for_properties_looks_at_them() -> None:
    """One of several exits on the same event is enough."""
    exits = [{"when": {"event": "upgraded", "where": {"to": to}}} for to in ("pro", "enterprise")]
    world = inside(exit=exits)
    world.track("upgraded", to="team")
    assert world.outcomes("exit") == []
    world.track("upgraded", to="enterprise")
    assert world.outcomes("exit") == [("exited", "event: upgraded")]


def test_an_event_from_before_the_trigger_ends_nothing() -> None:
    """It comes late, and belongs to the time before the entry."""
    world = inside()
    world.advance(HOUR)
    world.track("upgraded", START - 1)
    assert world.outcomes("exit") == []
    assert world.conversions == []
    world.track("upgraded", START)
    assert world.outcomes("exit") == [("exited", "event: upgraded")]


def test_the_trigger_itself_ends_and_converts_nothing() -> None:
    """Even where the event that enters is also the one that exits and the goal."""
    plan = user_plan(exit=[{"when": {"event": "limit"}}], goal={"event": "limit", "within": "1d"})
    world = World(plan)
    ((record,), _) = world.signal("limit")
    world.enroll(record)
    again = Happened("limit", {}, record.trigger.message_id, START)
    assert observe(plan, again, world.progress, START).commands == ()
    world.track("limit")
    assert world.outcomes("exit") == [("exited", "event: limit")]
    assert len(world.conversions) == 1


def test_observing_what_concerns_nobody_changes_nothing() -> None:
    """The very row that went in comes back, so that the shell need not write it."""
    world = inside()
    for happened in (
        Happened("unheard of", {}, "m", START + 1),
        Happened("limit", {}, "m", START + 1),
        Changed(("city",), "m", START + 1),
    ):
        transition = observe(world.plan, happened, world.progress, START + 1)
        assert transition.commands == ()
        assert transition.progress is world.progress
    nobody = Progress("u2")
    assert observe(world.plan, Happened("upgraded", {}, "m", START), nobody, START).progress is nobody


def test_changes_are_noticed_by_what_exits_watch() -> None:
    """From and to nothing, inside objects, and by type."""
    plan = plan_of(journey(exit=[{"when": {"changed": "plan"}}, {"when": {"changed": "billing.cycle"}}])).user
    assert changed_traits(plan, {}, {"plan": "free"}) == ("plan",)
    assert changed_traits(plan, {"plan": 1}, {"plan": True}) == ("plan",)
    assert changed_traits(plan, {"billing": {"cycle": "m"}}, {"billing": {"cycle": "y", "x": 1}}) == (
        "billing.cycle",
    )
    assert changed_traits(plan, {"plan": 1, "city": "a"}, {"plan": 1.0, "city": "b"}) == ()


# -- goals


def test_a_goal_may_be_reached_by_the_event_that_ends_the_journey() -> None:
    """Conversion, goal decision and exit come together."""
    world = inside()
    world.advance(HOUR)
    world.track("upgraded", mrr_delta=49)
    (conversion,) = world.conversions
    assert conversion.time_to_convert_ms == HOUR
    assert (conversion.attributed, conversion.holdout, conversion.revenue) == (True, False, 49.0)
    assert world.outcomes("goal") == [("converted", None)]
    assert world.outcomes("exit") == [("exited", "event: upgraded")]


@pytest.mark.parametrize(
    ("after_ms", "converts"),
    [(0, True), (14 * DAY - 1, True), (14 * DAY, False)],
)
def test_a_goal_counts_within_its_window_also_after_the_end(after_ms: int, converts: bool) -> None:
    """The journey is over after a day; its window is 14 days from the entry, half-open."""
    world = inside()
    world.advance(after_ms)
    world.track("upgraded")
    assert bool(world.conversions) is converts


def test_a_goal_counts_once_and_is_never_rewritten() -> None:
    """Neither by a later event nor by an earlier one that comes late."""
    world = inside()
    world.advance(2 * DAY)
    world.track("upgraded", mrr_delta=10)
    world.advance(HOUR)
    world.track("upgraded", mrr_delta=20)
    world.track("upgraded", START + HOUR, mrr_delta=30)
    assert [one.revenue for one in world.conversions] == [10.0]


@pytest.mark.parametrize(("late_ms", "converts"), [(GOAL_LATENESS_MS - 1, True), (GOAL_LATENESS_MS, False)])
def test_an_event_of_the_window_that_comes_late_still_counts_for_a_day(late_ms: int, converts: bool) -> None:
    """After that the enrollment is forgotten as soon as the row changes."""
    world = inside()
    world.advance(14 * DAY + late_ms)
    world.track("limit")  # enters anew: the row changes, and forgets
    world.track("upgraded", START + DAY)
    assert bool(world.conversions) is converts


def test_one_event_is_one_conversion_of_a_journey() -> None:
    """It is credited to the newest enrollment that began before it, and to none if that one has converted."""
    world = inside(steps=[BANNER], exit=[])
    world.advance(DAY)
    world.track("limit")
    world.advance(DAY)
    world.track("upgraded")
    world.track("upgraded")
    (conversion,) = world.conversions
    assert conversion.entered_at_ms == START + DAY


def test_a_conversion_without_a_message_is_not_attributed() -> None:
    """Neither one that came before the first message, nor one of the holdout."""
    waiting = inside(steps=[{"wait": "1d"}, MAIL])
    waiting.advance(HOUR)
    waiting.track("upgraded")
    held_out = inside(holdout="100%")
    held_out.advance(HOUR)
    held_out.track("upgraded")
    assert [(one.attributed, one.holdout) for one in waiting.conversions] == [(False, False)]
    assert [(one.attributed, one.holdout) for one in held_out.conversions] == [(False, True)]


@pytest.mark.parametrize(("value", "revenue"), [(12, 12.0), ("12", None), (True, None), (None, None)])
def test_revenue_is_a_number_or_nothing(value: Any, revenue: float | None) -> None:
    """Nothing is made up of what is not a number."""
    world = inside()
    world.advance(SECOND)
    world.track("upgraded", mrr_delta=value)
    assert [one.revenue for one in world.conversions] == [revenue]


def test_what_a_row_no_longer_needs_is_forgotten() -> None:
    """Ended enrollments when their goal is past, properties at once, messages when nothing asks for them."""
    world = inside(entry={"on": {"event": "limit"}, "again": "always"})
    world.advance(DAY)
    (ended,) = world.progress.enrollments
    assert ended.trigger.properties == {}
    world.advance(20 * DAY)
    world.track("limit")
    assert [one.entered_at_ms for one in world.progress.enrollments] == [START + 21 * DAY]
    assert [one.at_ms for one in world.progress.messages] == [START + 21 * DAY]


# -- versions


def test_who_waits_follows_an_edit_that_keeps_the_step() -> None:
    """The wait runs on, and what follows is the new version's."""
    world = inside()
    world.plan = user_plan(steps=[BANNER, {"wait": "3d"}, {"send": {"in_app": "new"}}])
    world.advance(DAY)
    assert world.sent() == ["banner", "new"]
    assert world.messages[-1].version == world.plan.journeys["upsell"].version


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (user_plan(steps=[BANNER]), "version_gone"),
        (plan_of(journey("other")).user, "journey_gone"),
    ],
)
def test_who_cannot_follow_leaves_with_the_reason(plan: SubjectPlan, reason: str) -> None:
    """Nobody hangs in a step that is not there."""
    world = inside()
    world.plan = plan
    world.advance(DAY)
    assert world.sent() == ["banner"]
    assert world.outcomes("exit") == [("exited", reason)]


# -- accounts


def test_an_account_is_asked_for_its_members_once_per_step() -> None:
    """The journey runs once for the account, and says who is meant."""
    plan = plan_of(
        journey(
            subject="account",
            steps=STEPS,
            recipients={"role": ["billing_owner", "admin"], "limit": 3},
            tags=["expansion"],
        )
    ).account
    world = World(plan, "acme", name="Acme")
    world.track("limit", kind="seats")
    world.advance(DAY)
    banner, mail = world.requests
    assert (banner.account, banner.roles, banner.limit) == ("acme", ("billing_owner", "admin"), 3)
    assert (mail.message.channel, mail.message.template, mail.message.tags) == (
        "email",
        "mail",
        ["expansion"],
    )
    assert mail.context.account["name"] == "Acme"
    assert mail.context.event == {"kind": "seats"}
    assert world.messages == []
    assert world.outcomes("send") == [("request", None)] * 2


def test_commands_come_in_the_order_in_which_they_were_decided() -> None:
    """Entry, send, timer; on an exit the timer goes before the decision."""
    world = World(user_plan())
    ((record,), _) = world.signal("limit")
    kinds = [type(command).__name__ for command in world.enroll(record).commands]
    assert kinds == ["RecordDecision", "SendMessage", "RecordDecision", "SetTimer"]
    (timer,) = world.timers.values()
    assert isinstance(timer, SetTimer)
    assert len(bytes.fromhex(timer.timer_id)) == 16
    left = observe(world.plan, Changed(("plan",), "m", START + 1), world.progress, START + 1)
    assert left.commands[0] == CancelTimer(timer.timer_id)
