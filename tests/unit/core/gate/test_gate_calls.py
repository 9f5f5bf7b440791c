"""Calls of webhooks at the gate: what stops them is what is said of them, never what a person allows."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.workspace import Journey, Workspace
from tests.unit.core.kit import BANNER, DAY, HOUR, MAIL, START, World, journey, plan_of
from workers.core.journeys.progress import SentMessage, with_message
from workers.core.lint.messages import lint_messages
from workers.core.lint.steps import lint_steps

CALL: dict[str, Any] = {"send": {"webhook": "create_deal"}}
CALLED = [("send", None)]


def account(*steps: dict[str, Any], messages: dict[str, Any] | None = None, **fields: Any) -> World:
    """An account in front of a journey of its own; it leaves on ``churned``."""
    leaving = [{"when": {"event": "churned"}}]
    one = journey(subject="account", steps=list(steps), exit=leaving, **fields)
    return World(plan_of(one, **(messages or {})).account, "acme")


def test_a_call_of_an_account_is_one_of_the_account() -> None:
    """Once, whatever members there are; its message, decision and key are the account's."""
    world = account(CALL, CALL)
    world.track("limit")
    assert [(one.subject_type, one.person, one.account) for one in world.messages] == [
        ("account", "acme", "acme")
    ] * 2
    assert world.requests == []
    assert len({one.id for one in world.messages}) == 2
    decided = [one for one in world.decisions if one.kind == "send"]
    assert {(one.subject_type, one.subject, one.outcome) for one in decided} == {("account", "acme", "send")}
    assert world.progress.enrollments[0].first_sent_at_ms is None


def test_a_call_has_one_key_for_each_enrollment_and_step() -> None:
    """The same when the step runs again for the same enrollment; another in the next one."""
    first, again = account(CALL), account(CALL)
    for world in (first, again):
        world.track("limit")
    assert first.messages[0].id == again.messages[0].id
    first.advance(DAY)
    first.track("limit")
    assert len({one.id for one in first.messages}) == 2


def test_what_a_person_allows_says_nothing_about_a_call() -> None:
    """No consent, quiet hours or exclusive tags; only what names calls counts them."""
    rules: dict[str, Any] = {
        "quiet_hours": [{"from": "00:00", "to": "23:59"}],
        "caps": [{"max": 1, "within": "30d"}, {"max": 1, "within": "30d", "of": "account"}],
        "exclusive": [{"tag": "upsell", "within": "7d"}],
    }
    one = journey(steps=[CALL, CALL, BANNER], tags=["upsell"], window=[{"from": "01:00", "to": "02:00"}])
    world = World(plan_of(one, **rules).user)
    world.identify(consent=False)
    world.progress = with_message(world.progress, SentMessage("x", "email", ("upsell",), START, "other"))
    world.track("limit")
    assert world.outcomes("send")[:2] == CALLED * 2
    world = account(CALL, CALL, messages=rules)
    world.track("limit")
    assert world.outcomes("send") == CALLED * 2


def test_calls_take_no_room_of_messages() -> None:
    """A cap that names no channel counts what people received; so do exclusive tags."""
    rules: dict[str, Any] = {
        "caps": [{"max": 1, "within": "30d"}],
        "exclusive": [{"tag": "upsell", "within": "7d"}],
    }
    calling = journey("calls", steps=[CALL, CALL], tags=["upsell"])
    writing = journey("writes", steps=[MAIL], tags=["upsell"], entry={"on": {"event": "other"}})
    world = World(plan_of(calling, writing, **rules).user)
    world.track("limit")
    world.track("other")
    assert world.sent() == ["create_deal", "create_deal", "mail"]


@pytest.mark.parametrize(
    ("on_cap", "decided", "end"),
    [
        ("skip", [("send", None), ("skip", "cap")], "completed"),
        ("drop", [("send", None), ("drop", "cap")], "completed"),
        ("exit", [("send", None), ("exit", "cap")], "gate: cap"),
    ],
)
def test_a_cap_of_the_account_that_names_calls_counts_them(
    on_cap: str, decided: list[tuple[str, str | None]], end: str
) -> None:
    """Those of all journeys of the account, by channel and tag as for messages."""
    cap = {"max": 1, "within": "7d", "of": "account", "channel": "webhook", "on_cap": on_cap}
    world = account(CALL, CALL, messages={"caps": [cap]})
    world.track("limit")
    assert world.outcomes("send") == decided
    assert world.decisions[-2].values["cap 1 within 7d to an account of webhook"] == 1
    assert world.progress.enrollments[0].end_reason == end


def test_a_cap_looks_as_far_back_as_it_says() -> None:
    """Calls are remembered for as long."""
    cap = {"max": 1, "within": "30d", "of": "account", "channel": "webhook"}
    world = account(CALL, messages={"caps": [cap]})
    for passing in (0, 20 * DAY, 9 * DAY, DAY):
        world.advance(passing)
        world.track("limit")
    assert [one for one, _ in world.outcomes("send")] == ["send", "skip", "skip", "send"]


def test_a_call_that_is_deferred_waits_at_its_step_and_an_exit_ends_it() -> None:
    """Told once, called when there is room; not after the account left."""
    cap = {"max": 1, "within": "1d", "of": "account", "channel": "webhook", "on_cap": "defer"}
    world = account(CALL, CALL, messages={"caps": [cap]})
    world.track("limit")
    assert world.outcomes("send") == [("send", None), ("defer", "cap")]
    world.advance(DAY)
    assert world.outcomes("send") == [("send", None), ("defer", "cap"), ("send", None)]
    world.track("limit")
    world.track("churned")
    assert (world.timers, world.progress.waiting) == ({}, ())
    world.advance(3 * DAY)
    assert len(world.messages) == 2


def test_a_call_keeps_to_the_hours_of_its_own_step() -> None:
    """By the clock of the account."""
    step = {"send": {"webhook": "tell_sales", "window": [{"from": "09:00", "to": "17:00"}]}}
    world = account(step)
    world.traits["timezone"] = "America/New_York"
    world.track("limit")  # 10:02 in London, 06:02 in New York
    assert world.outcomes("send") == [("defer", "window")]
    world.advance(4 * HOUR)
    assert world.sent() == ["tell_sales"]


def test_once_is_once_for_the_account() -> None:
    """In this journey and in others."""
    step = {"send": {"webhook": "create_deal", "once": "account"}}
    other = journey("other", subject="account", steps=[step], entry={"on": {"event": "other"}})
    world = World(plan_of(journey(subject="account", steps=[step]), other).account, "acme")
    for event in ("limit", "limit", "other"):
        world.track(event)
    assert world.outcomes("send") == [("send", None), ("skip", "once"), ("skip", "once")]


def test_an_account_of_the_holdout_would_have_called() -> None:
    """And is capped like others."""
    cap = {"max": 1, "within": "7d", "of": "account", "channel": "webhook"}
    world = account(CALL, CALL, messages={"caps": [cap]}, holdout="100%")
    world.track("limit")
    assert world.outcomes("send") == [("would_send", None), ("skip", "cap")]
    assert world.messages == []


def test_an_exit_stops_calls_that_nobody_has_taken_yet() -> None:
    """The senders are told, of the same enrollment and subject; not where there is nothing to stop."""
    world = account(CALL, {"wait": "30d"})
    world.track("limit")
    world.track("churned")
    (stopping,) = world.taken_back
    assert (stopping.channel, stopping.person, stopping.subject_type, stopping.enrollment) == (
        "webhook",
        "acme",
        "account",
        world.messages[0].enrollment,
    )
    assert stopping.withdrawn == "event: churned"
    late = account(CALL, {"wait": "30d"})
    late.track("limit")
    late.advance(2 * DAY)  # by now the senders have given up themselves
    late.track("churned")
    without = account({"wait": "30d"})
    without.track("limit")
    without.track("churned")
    assert late.taken_back == without.taken_back == []


@pytest.mark.parametrize("last", [{"exit": "handed_over"}, None])
def test_a_journey_that_comes_to_its_end_stops_no_call(last: dict[str, Any] | None) -> None:
    """Its last step may be the very call; an exit step is an end like any other."""
    world = account(CALL, *([last] if last else []))
    world.track("limit")
    assert world.progress.enrollments[0].end_reason is not None
    assert world.taken_back == []


@pytest.mark.parametrize(
    ("subject", "once", "says"),
    [
        ("account", "account", []),
        ("user", "user", []),
        ("account", "user", ["so are its calls: say `once: account`"]),
        ("user", "account", ["so are its calls: say `once: user`"]),
    ],
)
def test_once_of_a_call_is_of_the_journeys_subject(subject: str, once: str, says: list[str]) -> None:
    """Anything else is a mistake that lint names; a cap may end the account's journey by its own call."""
    step = {"send": {"webhook": "x", "once": once, "on_cap": "exit"}}
    model = Journey.model_validate(journey(subject=subject, steps=[step]))
    templates = {"x": {"channel": "webhook", "fields": {}}}
    workspace = Workspace(name="test", journeys=(model,), templates=templates)
    found = [one.detail for one in (*lint_steps(workspace), *lint_messages(workspace))]
    assert len(found) == len(says)
    assert all(part in detail for part, detail in zip(says, found, strict=True))
