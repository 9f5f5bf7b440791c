"""Steps other than sends, plain waits and branches: what each does, and what happens at its edges."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.core.kit import BANNER, DAY, HOUR, MAIL, START, World, journey, plan_of
from workers.core.commands import SetTimer
from workers.core.journeys.actions import HOPS_MAX


def mark(name: str) -> dict[str, Any]:
    """A step that shows that it ran."""
    return {"send": {"in_app": name}}


def world_of(*steps: dict[str, Any], **fields: Any) -> World:
    """Somebody who has not entered yet."""
    return World(plan_of(journey(steps=list(steps), **fields)).user)


def inside(*steps: dict[str, Any], **fields: Any) -> World:
    """Somebody who has just entered."""
    world = world_of(*steps, **fields)
    world.track("limit", order_id="o1")
    return world


def wait_for(**fields: Any) -> dict[str, Any]:
    """A step that waits an hour for ``paid``."""
    return {"wait_for": {"event": "paid", "timeout": "1h", **fields}}


# -- split and variants


def names_of(step: dict[str, Any], count: int, account: str | None = None) -> list[str]:
    """What each of some people got."""
    plan = plan_of(journey(steps=[step])).user
    found = []
    for number in range(count):
        world = World(plan, f"u{number}")
        records, _ = world.signal("limit")
        for record in records:
            world.enroll(_of_account(record, account))
        found.append(world.messages[0].variant or world.messages[0].template)
    return found


def _of_account(record: Any, account: str | None) -> Any:
    return replace(record, account=account)


SPLIT = {
    "split": [
        {"name": "a", "weight": 30, "steps": [mark("a")]},
        {"name": "b", "weight": 70, "steps": [mark("b")]},
    ]
}


@pytest.mark.parametrize(
    "step",
    [SPLIT, {"send": {"in_app": "banner"}, "variants": {"a": 30, "b": {"weight": 70, "template": "other"}}}],
)
def test_chance_divides_by_the_weights_and_always_alike(step: dict[str, Any]) -> None:
    """Within what 2,000 people may differ by: 3 standard deviations are 3.1 %."""
    names = names_of(step, 2_000)
    assert abs(names.count("a") / len(names) - 0.3) < 0.031
    assert names == names_of(step, 2_000)


def test_an_account_is_divided_as_one() -> None:
    """By account, all of its members alike; without one each for themselves."""
    assert len(set(names_of(SPLIT | {"by": "account"}, 50, "acme"))) == 1
    assert len(set(names_of(SPLIT | {"by": "account"}, 50, None))) == 2
    assert len(set(names_of(SPLIT, 50, "acme"))) == 2


def test_steps_of_one_experiment_choose_alike() -> None:
    """Without a name of its own each step chooses anew."""
    variants = {"send": {"in_app": "banner"}, "variants": {"a": 30, "b": 70}}
    named = names_of(SPLIT | {"experiment": "e"}, 200)
    assert named == names_of(variants | {"experiment": "e"}, 200)
    assert named != names_of(SPLIT | {"experiment": "f"}, 200)


def test_a_split_is_decided_on_record() -> None:
    """With the experiment and the arm, and the variant in message and decision."""
    variants = {"send": {"email": "mail"}, "variants": {"x": 0, "y": {"weight": 100, "template": "other"}}}
    world = inside(SPLIT | {"id": "offer"}, variants)
    (split,) = [one for one in world.decisions if one.kind == "split"]
    assert (split.outcome, split.values, split.step) == ("assigned", {"experiment": "upsell:offer"}, "offer")
    assert split.variant in {"a", "b"}
    mail = world.messages[-1]
    assert (mail.template, mail.variant) == ("other", "y")
    assert world.decisions[-2].variant == "y"


# -- parallel


PARTS = [
    {"steps": [{"wait": "1h"}, mark("one")]},
    {"steps": [{"wait": "2h"}, mark("two"), {"wait": "3h"}, mark("three")]},
]


def test_parts_run_side_by_side_and_join_once() -> None:
    """Behind the step it goes on when the last part is over."""
    world = inside({"parallel": PARTS}, mark("after"))
    world.advance(HOUR)
    assert world.sent() == ["one"]
    assert len(world.timers) == 1
    world.advance(4 * HOUR)
    assert world.sent() == ["one", "two", "three", "after"]
    assert world.outcomes("exit") == [("completed", None)]


def test_any_part_may_be_enough() -> None:
    """The others are given up."""
    world = inside({"parallel": PARTS, "join": "any"}, mark("after"))
    world.advance(10 * HOUR)
    assert world.sent() == ["one", "after"]


def test_parts_that_are_over_at_once_join_too() -> None:
    """Nobody is lost where nothing waits."""
    world = inside({"parallel": [{"steps": [mark("one")]}, {"steps": [mark("two")]}]}, mark("after"))
    assert world.sent() == ["one", "two", "after"]


def test_one_event_takes_each_part_on() -> None:
    """Two that wait for it both go on."""
    parts = [{"steps": [wait_for(), mark("one")]}, {"steps": [wait_for(), mark("two")]}]
    world = inside({"parallel": parts}, mark("after"))
    world.track("paid")
    assert world.sent() == ["one", "two", "after"]


def test_an_exit_step_in_a_part_ends_the_whole() -> None:
    """It is the journey that ends."""
    parts = [{"steps": [{"wait": "1h"}, {"exit": "done"}]}, {"steps": [{"wait": "2h"}, mark("two")]}]
    world = inside({"parallel": parts}, mark("after"))
    world.advance(DAY)
    assert world.sent() == []
    assert world.outcomes("exit") == [("exited", "exit: done")]
    assert world.timers == {}


# -- repeat


def test_a_loop_runs_its_times_and_sends_anew_in_each_round() -> None:
    """Each round's message has an id of its own."""
    world = inside({"repeat": {"times": 3, "steps": [mark("again"), {"wait": "1d"}]}}, mark("after"))
    world.advance(3 * DAY)
    assert world.sent() == ["again"] * 3 + ["after"]
    assert len({message.id for message in world.messages}) == 4


def test_loops_inside_loops_have_rounds_of_their_own() -> None:
    """Two times three."""
    inner = {"repeat": {"times": 3, "steps": [mark("again")]}}
    world = inside({"repeat": {"times": 2, "steps": [inner]}})
    assert len({message.id for message in world.messages}) == 6


@pytest.mark.parametrize(("rounds", "sent"), [(0, ["after"]), (2, ["again", "again", "after"])])
def test_a_loop_ends_when_its_condition_is_true(rounds: int, sent: list[str]) -> None:
    """Asked before each round, also before the first."""
    until = {"trait": "done", "eq": True}
    world = world_of(
        {"repeat": {"times": 9, "until": until, "steps": [mark("again"), {"wait": "1d"}]}}, mark("after")
    )
    if not rounds:
        world.identify(done=True)
    world.track("limit")
    world.advance(HOUR + (rounds - 1) * DAY if rounds else 0)
    world.identify(done=True)
    world.advance(9 * DAY)
    assert world.sent() == sent


def test_a_loop_without_a_wait_goes_on_in_portions() -> None:
    """No activation is longer for it."""
    world = inside({"repeat": {"times": 100, "steps": [mark("again")]}}, mark("after"))
    assert len(world.messages) < 50
    world.advance(0)
    assert world.sent() == ["again"] * 100 + ["after"]


# -- update, enroll, exit


def test_an_update_sets_traits_and_what_follows_comes_first() -> None:
    """The next step sees them."""
    step = {
        "update": {
            "traits": {
                "prompted": {"now": True},
                "order": {"property": "order_id"},
                "old": None,
                "copy": {"trait": "email"},
                "level": 3,
            }
        }
    }
    seen = {"branch": [{"when": {"trait": "level", "eq": 3}, "steps": [mark("seen")]}]}
    world = world_of(step, seen)
    world.traits["old"] = 1
    world.track("limit", order_id="o1")
    assert world.sent() == ["seen"]
    assert world.traits["prompted"] == "2026-03-14T10:02:00Z"
    assert (world.traits["order"], world.traits["old"], world.traits["level"]) == ("o1", None, 3)
    assert world.traits["copy"] == "u1@example.com"


def test_an_update_may_end_the_journey_and_nothing_is_sent_after_it() -> None:
    """An exit acts at once, whoever brought it."""
    step = {"update": {"traits": {"plan": "pro"}}}
    world = inside(step, mark("after"), exit=[{"when": {"changed": "plan"}}])
    assert world.sent() == []
    assert world.outcomes("exit") == [("exited", "changed: plan")]


def test_an_update_of_an_account_goes_to_the_account() -> None:
    """As any other source's traits; where no account is known, nowhere."""
    world = world_of({"update": {"account": {"asked": True}}}, mark("after"))
    (record,), _ = world.signal("limit")
    world.enroll(_of_account(record, "acme"))
    (told,) = world.told
    assert (told.account, told.traits, told.at_ms) == ("acme", {"asked": True}, START)
    assert world.sent() == ["after"]
    alone = inside({"update": {"account": {"asked": True}}}, mark("after"))
    assert (alone.told, alone.sent()) == ([], ["after"])


def two(first: list[Any], again: Any = "always", **fields: Any) -> World:
    """Two journeys; the second is entered on an event that never comes."""
    plans = plan_of(
        journey("upsell", steps=first, **fields),
        journey(
            "welcome",
            entry={
                "on": {"event": "never"},
                "again": again,
                "require": [{"trait": "plan", "ne": "none", "if_missing": "pass"}],
            },
            steps=[mark("hello")],
        ),
    )
    return World(plans.user)


@pytest.mark.parametrize(("plan", "sent"), [("free", ["hello", "after"]), ("none", ["after"])])
def test_a_step_may_enroll_elsewhere(plan: str, sent: list[str]) -> None:
    """The other journey's entry decides."""
    world = two([{"enroll": "welcome"}, {"wait": "1h"}, mark("after")])
    world.identify(plan=plan)
    world.track("limit", order_id="o1")
    world.advance(HOUR)
    assert world.sent() == sent
    hello = [message for message in world.messages if message.template == "hello"]
    assert all(message.context.event == {"order_id": "o1"} for message in hello)


@pytest.mark.parametrize(("plan", "outcome"), [("free", "enrolled"), ("none", "declined")])
def test_the_decision_on_an_enrolment_from_elsewhere_is_about_the_version_of_the_journey_entered(
    plan: str, outcome: str
) -> None:
    """Not about that of the journey that asked; so is what an exit asks."""
    world = two([{"enroll": "welcome"}])
    (version,) = {one.version for one in world.plan.journeys.values() if one.name == "welcome"}
    world.identify(plan=plan)
    world.track("limit")
    decisions = [one for one in world.decisions if one.journey == "welcome" and one.kind == "entry"]
    assert [(one.outcome, one.version) for one in decisions] == [(outcome, version)]
    leaving = two([{"wait": "1d"}], exit=[{"when": {"event": "up"}, "then": {"enroll": "welcome"}}])
    leaving.track("limit")
    leaving.signal("up")
    (asked,) = leaving.asked
    assert asked.version == leaving.plan.journeys["welcome"].version


def test_the_decision_on_an_enrolment_in_a_journey_that_is_gone_names_no_version() -> None:
    """It says `unknown`, as for a request to enter such a journey."""
    plan = plan_of(journey("upsell", steps=[{"wait": "1d"}, {"enroll": "welcome"}]))
    world = World(plan.user)
    world.track("limit")
    world.advance(DAY)
    (decision,) = [one for one in world.decisions if one.journey == "welcome"]
    assert (decision.reason, decision.version) == ("journey_gone", "unknown")


@pytest.mark.parametrize(
    ("when", "leave"),
    [
        ({"event": "upgraded"}, lambda world: world.track("upgraded")),
        ({"changed": "plan"}, lambda world: world.identify(plan="pro")),
        ({"trait": "plan", "eq": "pro"}, lambda world: world.identify(plan="pro")),
    ],
)
def test_an_exit_may_enroll_elsewhere(when: dict[str, Any], leave: Any) -> None:
    """Who upgrades is welcomed."""
    world = two([{"wait": "1d"}, mark("after")], exit=[{"when": when, "then": {"enroll": "welcome"}}])
    world.track("limit")
    leave(world)
    world.enroll_asked()
    world.advance(2 * DAY)
    assert world.sent() == ["hello"]


def test_journeys_that_enroll_one_another_do_not_go_round_for_ever() -> None:
    """After ten in a row within an hour each, it is refused on record."""
    plan = plan_of(
        journey("a", steps=[{"enroll": "b"}]),
        journey("b", entry={"on": {"event": "never"}, "again": "always"}, steps=[{"enroll": "a"}]),
    )
    world = World(plan.user)
    world.track("limit")
    assert len(world.outcomes("exit")) == HOPS_MAX + 1
    assert world.outcomes("entry")[-1] == ("declined", "too_many_hops")
    (refused,) = [one for one in world.decisions if one.reason == "too_many_hops"]
    assert refused.version == plan.user.journeys[refused.journey].version


def test_a_round_of_long_journeys_may_go_on() -> None:
    """What lasted longer than an hour begins a new row."""
    plan = plan_of(
        journey("a", steps=[{"wait": "2h"}, {"enroll": "b"}]),
        journey("b", entry={"on": {"event": "never"}, "again": "always"}, steps=[{"enroll": "a"}]),
    )
    world = World(plan.user)
    world.track("limit")
    world.advance(30 * DAY)
    assert ("declined", "too_many_hops") not in world.outcomes("entry")
    assert world.progress.active_in("a") is not None


# -- exits by a condition


def test_a_condition_ends_a_journey_at_once() -> None:
    """Also during a wait; and already at the entry, before any step."""
    leave = [{"when": {"trait": "usage", "lt": 0.5}}]
    world = inside(BANNER, {"wait": "1d"}, MAIL, exit=leave)
    world.identify(usage=0.6)
    assert world.outcomes("exit") == []
    world.identify(usage=0.4)
    assert world.outcomes("exit") == [("exited", "condition: trait usage lt 0.5")]
    world.track("limit")
    assert world.sent() == ["banner"]
    assert len(world.outcomes("exit")) == 2


def test_time_alone_may_make_the_condition_true() -> None:
    """The timer looks, and nothing is sent at that instant."""
    leave = [{"when": {"not": {"performed": "opened", "within": "1d"}}}]
    world = world_of({"wait": "5d"}, mark("after"), exit=leave)
    world.track("opened")
    world.track("limit")
    world.advance(DAY - 1)
    assert world.outcomes("exit") == []
    world.advance(1)
    assert world.sent() == []
    assert len(world.outcomes("exit")) == 1
    assert world.timers == {}


# -- webhooks, ids, versions, holdout


def test_a_webhook_is_called_once_and_is_no_message_to_the_person() -> None:
    """Consent is not asked, and it does not count as received."""
    received = {"branch": [{"when": {"received": {"tag": "promo"}, "within": "1d"}, "steps": [mark("no")]}]}
    world = world_of({"send": {"webhook": "notify"}}, received, mark("after"), tags=["promo"])
    world.identify(consent={"webhook": False})
    world.track("limit")
    assert world.sent() == ["notify", "after"]
    assert (world.messages[0].channel, world.messages[0].to) == ("webhook", None)


def test_an_account_calls_a_webhook_once_for_all_members() -> None:
    """Not once for each."""
    plan = plan_of(journey(subject="account", steps=[{"send": {"webhook": "notify"}}])).account
    world = World(plan, "acme", mrr=900)
    world.track("limit")
    (message,) = world.messages
    assert (message.person, message.account, message.context.account["mrr"]) == ("acme", "acme", 900)
    assert world.requests == []


def test_an_id_keeps_the_place_of_who_is_inside() -> None:
    """Steps that are added before it move nobody."""
    waits = {"id": "pause", "wait": "1d"}
    world = inside(waits, mark("after"))
    world.plan = plan_of(
        journey(steps=[mark("new"), {"branch": [{"when": {"trait": "x", "eq": 1}, "steps": [waits]}]}, MAIL])
    ).user
    world.advance(DAY)
    assert world.sent() == ["mail"]


def test_who_stands_in_a_part_that_is_gone_leaves_with_the_reason() -> None:
    """At the time at which it would have gone on."""
    world = inside({"parallel": PARTS}, mark("after"))
    world.plan = plan_of(journey(steps=[mark("after")])).user
    world.advance(DAY)
    assert world.sent() == []
    assert world.outcomes("exit") == [("exited", "version_gone")]
    assert world.timers == {}


def test_the_holdout_goes_the_same_way_without_messages() -> None:
    """Waits, splits, updates and the other journey alike; also no webhook."""
    steps: list[dict[str, Any]] = [
        SPLIT,
        {"send": {"webhook": "x"}},
        {"update": {"traits": {"seen": 1}}},
        wait_for(),
        BANNER,
    ]
    treated, held_out = (inside(*steps, holdout=share) for share in ("0%", "100%"))
    for world in (treated, held_out):
        world.track("paid")
    assert held_out.messages == []
    assert held_out.traits["seen"] == 1
    assert [(one.kind, one.step) for one in held_out.decisions] == [
        (one.kind, one.step) for one in treated.decisions
    ]


def test_one_timer_wakes_the_earliest_of_all() -> None:
    """It is moved, never doubled."""
    world = inside({"parallel": PARTS}, mark("after"))
    set_ids = {timer.timer_id for timer in world.timers.values()}
    world.advance(2 * HOUR)
    assert {timer.timer_id for timer in world.timers.values()} == set_ids
    (timer,) = world.timers.values()
    assert isinstance(timer, SetTimer)
    assert timer.due_ms == START + 5 * HOUR
