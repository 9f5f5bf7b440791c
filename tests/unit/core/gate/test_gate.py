"""The gate: what stops a message, and what is recorded of it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from schemas import wire
from tests.unit.core.kit import BANNER, DAY, HOUR, MAIL, START, World, journey, plan_of
from workers.core.commands import RecordDecision, SendMessage, Tell
from workers.core.facts import SubjectFacts
from workers.core.gate import held
from workers.core.gate.sending import answer_request
from workers.core.gate.verdict import (
    REQUEST_MAX_AGE_MS,
    Defer,
    Send,
    SendRequest,
    Skip,
    decide_send,
    once_key,
)
from workers.core.journeys.progress import MESSAGES_MAX, ONCE_MAX, Progress, SentMessage
from workers.core.journeys.recipients import Member, choose, route

ADDRESS = "ada@example.com"


def request(**fields: Any) -> SendRequest:
    """A request for an e-mail, made now."""
    usual: dict[str, Any] = {
        "id": "id1",
        "subject_type": "user",
        "subject": "u1",
        "account": None,
        "journey": "upsell",
        "version": "v",
        "enrollment": "e",
        "step": "0",
        "channel": "email",
        "template": "mail",
        "tags": (),
        "once": False,
        "holdout": False,
        "requested_at_ms": START,
    }
    return SendRequest(**{**usual, **fields})


@pytest.mark.parametrize(
    ("channel", "traits", "reason"),
    [
        ("email", {"email": ADDRESS}, None),  # nothing said is consent to e-mail
        ("email", {"email": ADDRESS, "consent": {"email": True}}, None),
        ("email", {"email": ADDRESS, "consent": {"email": False}}, "no_consent"),
        ("email", {"email": ADDRESS, "consent": {"email": "no"}}, "no_consent"),  # what is not a yes is a no
        ("email", {"email": ADDRESS, "consent": {"email": 1}}, "no_consent"),
        ("email", {"email": ADDRESS, "consent": False}, "no_consent"),  # to nothing at all
        ("email", {"email": ADDRESS, "consent": True}, None),
        ("email", {"email": ADDRESS, "consent": {"sms": False}}, None),  # one channel is not another
        ("email", {}, "no_address"),
        ("email", {"email": ""}, "no_address"),
        ("email", {"email": 5}, "no_address"),
        ("email", {"email": "nobody"}, "no_address"),
        ("sms", {"phone": "+1 415 555 2671", "consent": {"sms": True}}, None),
        ("sms", {"phone": "+1 415 555 2671"}, "no_consent"),  # a text message needs a yes
        ("sms", {"consent": {"sms": True}}, "no_address"),
        ("sms", {"phone": "none", "consent": {"sms": True}}, "no_address"),
        ("sms", {"phone": 5, "consent": {"sms": True}}, "no_address"),
        ("push", {}, "no_address"),  # no device is registered
        ("in_app", {}, None),  # needs no address
        ("in_app", {"consent": {"email": False}}, None),
        ("in_app", {"consent": {"in_app": False}}, "no_consent"),
    ],
)
def test_consent_and_address_are_the_persons_own(
    channel: Any, traits: dict[str, Any], reason: str | None
) -> None:
    """Each channel asks for its own."""
    verdict = decide_send(request(channel=channel), SubjectFacts(START, traits=traits), Progress("u1"), START)
    assert (verdict.reason if isinstance(verdict, Skip) else None) == reason
    if isinstance(verdict, Send):
        assert verdict.to == traits.get({"email": "email", "sms": "phone"}.get(channel, ""))


def test_no_decision_shows_an_address() -> None:
    """Only whether there is one."""
    verdict = decide_send(request(), SubjectFacts(START, traits={"email": ADDRESS}), Progress("u1"), START)
    assert ADDRESS not in repr(verdict.values)
    assert verdict.values == {"consent email": None, "has address": True}


@pytest.mark.parametrize(
    ("progress", "fields", "age_ms", "reason"),
    [
        (Progress("u1", messages=(SentMessage("id1", "email", (), START),)), {}, 0, "already_sent"),
        (Progress("u1"), {}, REQUEST_MAX_AGE_MS, None),
        (Progress("u1"), {}, REQUEST_MAX_AGE_MS + 1, "stale"),
        (
            Progress("u1", messages=(SentMessage("x", "email", (), START),) * MESSAGES_MAX),
            {},
            0,
            "too_many_messages",
        ),
        (Progress("u1", once=("x",) * ONCE_MAX), {"once": True}, 0, "too_many_once"),
        (Progress("u1", once=("x",) * ONCE_MAX), {}, 0, None),
    ],
)
def test_what_cannot_be_remembered_is_not_sent(
    progress: Progress, fields: dict[str, Any], age_ms: int, reason: str | None
) -> None:
    """Rather no message than a second one."""
    facts = SubjectFacts(START, traits={"email": ADDRESS})
    verdict = decide_send(request(**fields), facts, progress, START + age_ms)
    assert (verdict.reason if isinstance(verdict, Skip) else None) == reason


def test_once_means_once_ever_also_from_another_journey() -> None:
    """The template is what may not come twice."""
    step = {"send": {"in_app": "banner", "once": "user"}}
    plan = plan_of(
        journey("a", steps=[step]), journey("b", steps=[step], entry={"on": {"event": "other"}})
    ).user
    world = World(plan)
    world.track("limit")
    world.advance(400 * DAY)
    world.track("other")
    world.track("limit")
    assert world.sent() == ["banner"]
    assert world.outcomes("send") == [("send", None), ("skip", "once"), ("skip", "once")]


def test_the_holdout_remembers_its_own_once() -> None:
    """It looks like those who got the message, and may still get it when it is no longer held out."""
    steps = [{"send": {"in_app": "banner", "once": "user"}}]
    world = World(plan_of(journey(steps=steps, holdout="100%")).user)
    world.track("limit")
    world.track("limit")
    assert world.outcomes("send") == [("would_send", None), ("skip", "once")]
    world.plan = plan_of(journey(steps=steps)).user
    world.track("limit")
    assert world.sent() == ["banner"]
    assert once_key(request(once=True)) != once_key(request(once=True, holdout=True))


def test_a_skipped_message_does_not_stop_the_journey() -> None:
    """Skipping is no failure: the next step runs."""
    world = World(plan_of(journey(steps=[MAIL, BANNER])).user, email=None)
    world.track("limit")
    assert world.sent() == ["banner"]
    assert world.outcomes("send") == [("skip", "no_address"), ("send", None)]


# -- recipients


MEMBERS = [Member("c", "admin"), Member("a", "member"), Member("b", "billing_owner"), Member("d", "admin")]


@pytest.mark.parametrize(
    ("members", "roles", "limit", "chosen"),
    [
        (MEMBERS, ("billing_owner", "admin"), 10, ("b", "c", "d")),  # in the order of the roles, then of ids
        (MEMBERS, ("admin", "billing_owner"), 10, ("c", "d", "b")),
        (MEMBERS, ("billing_owner", "admin"), 2, ("b", "c")),
        (MEMBERS, ("owner",), 10, ()),  # roles are known, and nobody has this one
        ([Member("b", None), Member("a", None)], ("owner",), 10, ("a", "b")),  # no role is known: all
        ([Member("b", None), Member("a", "member")], ("owner",), 10, ()),
        ([Member("a", "admin"), Member("a", "owner")], ("owner", "admin"), 10, ("a",)),  # nobody twice
        ([], ("owner",), 10, ()),
    ],
)
def test_recipients_are_chosen_by_role(
    members: list[Member], roles: tuple[str, ...], limit: int, chosen: tuple[str, ...]
) -> None:
    """Whatever order they come in."""
    assert choose(members, roles, limit) == chosen
    assert choose(reversed(members), roles, limit) == chosen


def account_world() -> World:
    """An account that has just entered a journey with a once-per-user banner."""
    steps = [{"send": {"in_app": "banner", "once": "user"}}]
    plan = plan_of(journey(subject="account", steps=steps, tags=["expansion"]))
    world = World(plan.account, "acme", name="Acme")
    world.track("limit", kind="seats")
    return world


def test_each_recipient_gets_a_request_of_their_own() -> None:
    """Routing twice makes the same records."""
    (command,) = account_world().requests
    requests, decisions = route(command, [Member("b", None), Member("a", None)])
    assert [one.subject for one in requests] == ["a", "b"]
    assert len({one.id for one in requests}) == 2
    assert decisions == ()
    assert route(command, [Member("a", None), Member("b", None)]) == (requests, decisions)


def test_an_account_without_recipients_is_recorded() -> None:
    """Why nobody heard anything is an answer."""
    (command,) = account_world().requests
    requests, (decision,) = route(command, [Member("a", "member")])
    assert requests == ()
    assert (decision.decision.outcome, decision.decision.reason) == ("skip", "no_recipient")


def answer(record: wire.MessageRequest, progress: Progress, now_ms: int = START, **traits: Any) -> Any:
    """What the person's partition makes of a request, when the account says yes."""
    steps = [{"send": {"in_app": "banner", "once": "user"}}]
    plan = plan_of(journey(subject="account", steps=steps, tags=["expansion"]))
    facts = SubjectFacts(now_ms, traits=traits)
    gated = answer_request(plan, record, facts, progress, now_ms)
    if isinstance(gated.verdict, Defer):
        (command,) = gated.transition.commands
        assert isinstance(command, Tell)
        assert isinstance(command.record, wire.SendAsk)
        yes = wire.SendAnswer(
            id="yes",
            ask=command.record.id,
            message=command.record.message,
            subject=record.subject,
            account="acme",
            granted=True,
            counted=False,
            at_ms=now_ms,
        )
        heard = held.heard(gated.transition.progress, yes)
        assert heard is not None
        gated = answer_request(plan, record, facts, heard, now_ms)
    return gated.transition


def member_request() -> wire.MessageRequest:
    """The request for one member."""
    (command,) = account_world().requests
    return route(command, [Member("a", None)])[0][0]


def test_a_requested_message_passes_the_persons_own_gate() -> None:
    """With the person's traits, the account's facts, and the account's enrollment on it."""
    record = member_request()
    transition = answer(record, Progress("a"), first_name="Ada")
    send, decision = transition.commands
    assert isinstance(send, SendMessage)
    assert isinstance(decision, RecordDecision)
    message = send.message
    assert (message.person, message.account, message.id) == ("a", "acme", record.id)
    assert message.context.user == {"first_name": "Ada"}
    assert message.context.account["name"] == "Acme"
    assert decision.decision.outcome == "send"
    assert [one.tags for one in transition.progress.messages] == [("expansion",)]


@pytest.mark.parametrize(
    ("traits", "reason"),
    [({"consent": {"in_app": False}}, "no_consent"), ({}, "already_sent")],
)
def test_a_requested_message_may_be_stopped(traits: dict[str, Any], reason: str) -> None:
    """By the person's consent, and because it came before."""
    record = member_request()
    progress = Progress("a") if traits else answer(record, Progress("a")).progress
    (decision,) = answer(record, progress, **traits).commands
    assert decision.decision.reason == reason


def test_once_holds_across_accounts() -> None:
    """A person of two accounts gets the template once."""
    record = member_request()
    progress = answer(record, Progress("a")).progress
    other = wire.MessageRequest(
        id="other",
        subject="a",
        account="globex",
        journey=record.journey,
        version=record.version,
        enrollment="e2",
        step=record.step,
        message=record.message,
        context=record.context,
        at_ms=START,
    )
    (decision,) = answer(other, progress, START + HOUR).commands
    assert decision.decision.reason == "once"


def test_a_full_row_empties_with_time() -> None:
    """Messages older than anything asks for make room again."""
    world = World(plan_of(journey()).user)
    world.progress = replace(world.progress, messages=(SentMessage("x", "email", (), START),) * MESSAGES_MAX)
    world.track("limit")
    world.advance(8 * DAY)
    world.track("limit")
    assert world.outcomes("send") == [("skip", "too_many_messages"), ("send", None)]
