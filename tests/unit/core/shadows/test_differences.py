"""A shadow beside the version in force: what is a difference, with which reason, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.core.kit import BANNER, DAY, HOUR, MAIL, START, World, journey
from tests.unit.core.shadows.kit import (
    SPAN,
    account_beside,
    beside,
    compared,
    differences,
    steps_beside,
    told,
)
from workers.core.journeys.recipients import Member, route
from workers.core.shadows.history import Span, history

OFFER: dict[str, Any] = {"send": {"email": "offer"}}
WAIT: dict[str, Any] = {"wait": "1d"}
PAID: dict[str, Any] = {"wait_for": {"event": "paid", "timeout": "3d"}, "timed_out": [MAIL]}
QUIET = {"quiet_hours": [{"from": "10:00", "to": "22:00", "channel": ["in_app", "email"]}]}
"""START is at 10:02 in UTC: what is sent then waits for the evening."""
ONCE_A_DAY = {"caps": [{"max": 1, "within": "1d", "on_cap": "skip"}]}

ALIKE = [
    [BANNER],
    [WAIT, MAIL, {"wait": "3d"}, OFFER],
    [PAID, OFFER],
    [{"parallel": [{"steps": [WAIT, MAIL]}, {"steps": [PAID]}]}],
    [{"repeat": {"times": 3, "steps": [BANNER, WAIT]}}],
    [{"wait": {"for": "2h", "at": "09:00"}}, MAIL],
]


def lived(world: World) -> World:
    """The person enters, and twenty days pass, in which they pay."""
    world.track("limit")
    world.advance(2 * DAY)
    world.track("paid")
    world.advance(18 * DAY)
    return world


@pytest.mark.parametrize("steps", ALIKE)
@pytest.mark.parametrize("messages", [{}, QUIET])
def test_a_version_beside_itself_differs_in_nothing(steps: list[Any], messages: dict[str, Any]) -> None:
    """Also where the gate holds its messages, which come later in the version in force alone."""
    world = lived(steps_beside(steps, steps, **messages))
    assert differences(world) == []
    (one,) = compared(world.decisions)
    assert one.messages == len(one.running.sent if one.running else []) > 0


ROWS: list[tuple[str, list[Any], list[Any], dict[str, Any], list[tuple[str, str, str]]]] = [
    (
        "a message is added",
        [BANNER],
        [BANNER, OFFER],
        {},
        [("message_only_in_shadow", "email offer", "it had ended, completed")],
    ),
    (
        "a message is gone",
        [BANNER, OFFER],
        [BANNER],
        {},
        [("message_only_in_running", "email offer", "it had ended, completed")],
    ),
    (
        "another template at the same step",
        [MAIL],
        [OFFER],
        {},
        [("message_changed", "email offer", "shadow: offer, running: mail")],
    ),
    (
        "a step before a message moves it, and is no other message",
        [MAIL],
        [{"branch": [{"when": {"trait": "vip", "eq": True}, "steps": [OFFER]}]}, MAIL],
        {},
        [],
    ),
    (
        "a template goes to the end, and another takes its place",
        [BANNER, WAIT, MAIL],
        [{"send": {"in_app": "tour"}}, {"wait": "2d"}, MAIL, BANNER],
        {},
        [
            ("message_changed", "in_app tour", "shadow: tour, running: banner"),
            ("message_time", "email mail", "later in the shadow"),
            ("message_only_in_shadow", "in_app banner", "it had ended, completed"),
            ("exit", "", "later in the shadow, completed"),
        ],
    ),
    (
        "a wait is longer",
        [WAIT, MAIL],
        [{"wait": "3d"}, MAIL],
        {},
        [
            ("message_time", "email mail", "later in the shadow"),
            ("exit", "", "later in the shadow, completed"),
        ],
    ),
    (
        "the cap counts what each would have sent, and stops both at the same message",
        [BANNER, MAIL],
        [BANNER, MAIL],
        ONCE_A_DAY,
        [],
    ),
    (
        "the cap stops a message that the shadow alone has",
        [BANNER],
        [BANNER, MAIL],
        ONCE_A_DAY,
        [],
    ),
    (
        "it leaves otherwise",
        [MAIL, {"exit": "fed_up"}],
        [MAIL],
        {},
        [("exit", "", "shadow: completed, running: exit: fed_up")],
    ),
    (
        "it is still inside",
        [MAIL],
        [MAIL, {"wait": "90d"}],
        {},
        [("exit", "", "shadow: still inside, running: completed")],
    ),
]


@pytest.mark.parametrize(
    ("why", "running", "shadow", "messages", "found"), ROWS, ids=[row[0] for row in ROWS]
)
def test_what_differs_is_told_with_its_reason(
    why: str,
    running: list[Any],
    shadow: list[Any],
    messages: dict[str, Any],
    found: list[tuple[str, str, str]],
) -> None:
    """Each difference once."""
    assert told(lived(steps_beside(running, shadow, **messages))) == found


@pytest.mark.parametrize(
    ("running", "shadow", "kind", "reason"),
    [
        ({}, {"require": [{"trait": "vip", "eq": True}]}, "entered_only_in_running", "declined: missing: "),
        (
            {"exclude": [{"trait": "vip", "exists": False}]},
            {},
            "entered_only_in_shadow",
            "declined: exclude: ",
        ),
        ({}, {"on": {"event": "other"}}, "entered_only_in_running", "no candidate"),
        ({"again": "never"}, {}, "entered_only_in_shadow", "declined: again"),
    ],
)
def test_who_entered_one_alone_is_told_with_what_the_other_said(
    running: dict[str, Any], shadow: dict[str, Any], kind: str, reason: str
) -> None:
    """Its condition, or that nothing made them a candidate."""
    entry = {"on": {"event": "limit"}, "again": "always"}
    world = beside(journey(entry=entry | running), journey(entry=entry | shadow))
    if "again" in running:
        world.track("limit")
        world.advance(2 * DAY)
    world.track("limit")
    world.advance(DAY)
    (found,) = differences(world)
    assert found.kind == kind
    assert found.reason.startswith(reason)


def test_who_enters_later_differs_in_that_alone() -> None:
    """The times of what follows are counted from the entry."""
    running = journey(steps=[WAIT, MAIL])
    later = {"on": {"event": "paid"}, "again": "always"}
    world = lived(beside(running, journey(steps=[WAIT, MAIL], entry=later)))
    assert told(world) == [("entry_time", "", "later in the shadow")]


def test_a_goal_of_one_alone_is_told() -> None:
    """A person converts in the version whose goal they reach."""
    world = lived(beside(journey(), journey(goal={"event": "paid", "within": "5d"})))
    assert told(world) == [("goal", "", "reached in the shadow only")]


def test_a_shadow_holds_out_whom_the_journey_holds_out() -> None:
    """Else half of its people would be compared with others."""
    for number in range(20):
        world = beside(journey(holdout="50%"), journey(holdout="50%"))
        world.progress = type(world.progress)(f"u{number}")
        world.subject = f"u{number}"
        world.track("limit")
        assert differences(world) == []
    world = beside(journey(holdout="0%"), journey(holdout="100%"))
    world.track("limit")
    assert told(world) == [("holdout", "", "held out in the shadow only")]


def test_other_variants_are_told_by_what_they_vary() -> None:
    """The same template, in which chance has another word."""
    variants = {"send": {"email": "x"}, "variants": {"mail": 100, "offer": 0}}
    running = journey(steps=[variants])
    shadow = journey(steps=[{**variants, "variants": {"mail": 0, "offer": 100}}])
    world = lived(beside(running, shadow))
    assert told(world) == [
        ("message_changed", "email x", "shadow: x (offer), running: x (mail)"),
    ]


def test_a_time_of_the_day_that_one_keeps_and_the_other_does_not_is_a_difference() -> None:
    """Both come to the step at once; one holds its message there."""
    world = steps_beside([MAIL], [{"send": {"email": "mail", "at": "17:00"}}])
    world.track("limit")
    world.advance(2 * DAY)
    ((kind, what, reason),) = told(world)
    assert (kind, what) == ("message_time", "email mail")
    assert reason == "shadow: held for send_time, running: at once"


# -- the edges of the span


@pytest.mark.parametrize(("into_ms", "found"), [(30_000, 0), (120_000, 1)])
def test_what_lies_at_the_end_of_the_span_is_left_out(into_ms: int, found: int) -> None:
    """The other version may do the same a moment later."""
    world = lived(steps_beside([WAIT], [WAIT, MAIL]))
    span = Span(SPAN.since_ms, START + DAY + into_ms)
    assert len(differences(world, span)) == found


def test_who_was_inside_before_the_span_is_left_out() -> None:
    """A shadow begins without people; theirs would be missing in it."""
    world = lived(steps_beside([MAIL, WAIT, OFFER], [MAIL]))
    assert compared(world.decisions, Span(START + HOUR, SPAN.until_ms)) == []


def test_a_message_that_is_held_still_is_not_missing() -> None:
    """Nor what follows it: the version in force will come to it."""
    world = steps_beside([MAIL, OFFER], [MAIL, OFFER], **QUIET)
    world.track("limit")
    world.advance(HOUR)
    assert differences(world, Span(SPAN.since_ms, START + HOUR)) == []


def test_entries_in_another_version_are_left_out() -> None:
    """Of a journey that was published again within the span."""
    world = lived(steps_beside([MAIL], [MAIL]))
    running = [one for one in world.decisions if one.journey == "upsell"]
    (version,) = {one.version for one in running}
    assert len(history(running, SPAN, version).runs) == 1
    assert history(running, SPAN, "another").runs == []


# -- journeys of accounts


@pytest.mark.parametrize(
    ("role", "found"),
    [
        ("owner", []),
        ("admin", ["shadow and running: other members"]),
        ("user", ["shadow and running: 2 and 1 members"]),
    ],
)
def test_a_shadow_says_how_many_members_it_would_have_asked(role: str, found: list[str]) -> None:
    """Not who they are; whether they are the same is told by a digest."""
    members = [Member("ada", "owner"), Member("bob", "admin"), Member("cyd", "user"), Member("dan", "user")]
    running = journey(subject="account", recipients={"role": "owner"})
    shadow = journey(subject="account", recipients={"role": role})
    world = account_beside(running, shadow)
    world.track("limit")
    for command in world.requests:
        requests, decisions = route(command, members)
        world.decisions += [one.decision for one in decisions]
        for request in requests:
            (asked,) = [one for one in world.decisions if one.outcome == "request"]
            world.decisions.append(
                type(asked)(
                    id=request.id,
                    kind="send",
                    subject_type="user",
                    subject=request.subject,
                    account=request.account,
                    journey=request.journey,
                    version=request.version,
                    enrollment=request.enrollment,
                    step=request.step,
                    outcome="send",
                    values={"channel": "in_app", "template": "banner"},
                    at_ms=asked.at_ms,
                )
            )
    assert not any("ada" in str(one.values) for one in world.decisions)
    assert [one.reason for one in differences(world)] == found
