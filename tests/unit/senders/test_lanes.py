"""Whose turn it is: order of one person's messages, limits of a connection, and providers that fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from schemas import wire
from tests.unit.senders.test_logic import BANNER, MAIL, NOW, Scripted, Senders, message
from workers.core.templates.compile import TemplateSource
from workers.core.templates.webhooks import RenderedWebhook
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    OutgoingMessage,
    RetryAfter,
    Unknown,
)
from workers.senders.ledger import MESSAGE_AGE_MAX_MS
from workers.senders.limits import FAILURES_TO_OPEN, OPEN_MIN_MS, Limits
from workers.senders.people import OWNERS, Forget
from workers.stream.decide import take_notices
from workers.stream.view import View

if TYPE_CHECKING:
    from pathlib import Path

FAILING = RetryAfter(1_000, "http_500", "provider")


async def pass_time(senders: Senders, until_ms: int) -> None:
    """Let timers fire and calls end, timer by timer, up to a time."""
    for _ in range(10_000):
        due_ms = senders.store.next_due_ms()
        if due_ms is None or due_ms > until_ms:
            senders.now_ms = max(senders.now_ms, until_ms)
            return
        senders.now_ms = max(senders.now_ms, due_ms)
        await senders.fire()
        await senders.settle()
    pytest.fail("it never comes to rest")


async def test_messages_of_one_person_leave_in_order(tmp_path: Path) -> None:
    """Also when the first is tried again, while other people's pass."""
    channel = Scripted([RetryAfter(60_000, "grey"), Accepted("p")])
    senders = Senders(tmp_path, channel)
    await senders.take(message("a1"), message("a2"), message("b1", person="u2"), message("a3"))
    await senders.settle()
    assert [call.id for call in channel.calls] == ["a1", "b1"]
    await pass_time(senders, NOW + 200_000)
    assert [call.id for call in channel.calls] == ["a1", "b1", "a1", "a2", "a3"]
    assert senders.pending() == []
    senders.store.abandon()


async def test_a_successor_keeps_the_order(tmp_path: Path) -> None:
    """Who waits for a turn is in the state: nobody is forgotten, nobody overtakes."""
    channel = Scripted([Accepted("p")], limits=Limits(calls_at_once=2))
    senders = Senders(tmp_path, channel)
    channel.held = asyncio.Event()
    names = [("a1", "u1"), ("b1", "u2"), ("a2", "u1"), ("c1", "u3"), ("c2", "u3")]
    for at, (name, person) in enumerate(names):
        senders.now_ms = NOW + at
        await senders.take(message(name, person=person))
    await asyncio.sleep(0)
    assert [call.id for call in channel.calls] == ["a1", "b1"]
    await senders.logic.close()
    channel.held = None
    senders.begin(MAIL, BANNER)
    await senders.settle()
    # What was being called is unknown now, and an SMTP server cannot tell a repeat.
    assert [call.id for call in channel.calls] == ["a1", "b1", "c1", "a2", "c2"]
    assert senders.pending() == []
    senders.store.abandon()


async def test_no_more_calls_at_once_than_the_connection_bears(tmp_path: Path) -> None:
    """The others wait in the state, not as calls of unknown outcome."""
    channel = Scripted([Accepted("p")], held=asyncio.Event(), limits=Limits(calls_at_once=3))
    senders = Senders(tmp_path, channel)
    await senders.take(*(message(f"m{number}", person=f"u{number}") for number in range(10)))
    await asyncio.sleep(0)
    assert len(channel.calls) == 3
    assert sum(calling for _, _, calling in senders.pending()) == 3
    assert channel.held is not None
    channel.held.set()
    await senders.settle()
    assert len(senders.deliveries()) == 10
    senders.store.abandon()


async def test_calls_keep_to_the_rate(tmp_path: Path) -> None:
    """Ten a second, in virtual time; each message is called once."""
    channel = Scripted([Accepted("p")], limits=Limits(per_second=10, burst=5))
    senders = Senders(tmp_path, channel)
    await senders.take(*(message(f"m{number}", person=f"u{number}") for number in range(50)))
    await senders.settle()
    assert len(channel.calls) == 5
    await pass_time(senders, NOW + 2_000)
    assert len(channel.calls) in range(20, 26)
    await pass_time(senders, NOW + 6_000)
    assert sorted(call.id for call in channel.calls) == sorted(f"m{number}" for number in range(50))
    senders.store.abandon()


async def test_a_provider_that_fails_is_left_alone_and_found_again(tmp_path: Path) -> None:
    """A hundred messages cost a handful of calls while it is down; all leave when it is back."""
    channel = Scripted([FAILING], limits=Limits(calls_at_once=4))
    senders = Senders(tmp_path, channel)
    await senders.take(*(message(f"m{number}", person=f"u{number}") for number in range(100)))
    await senders.settle()
    await pass_time(senders, NOW + 600_000)
    assert len(channel.calls) < FAILURES_TO_OPEN + 4 + 10
    assert len(senders.pending()) == 100
    channel.results = [Accepted("p")]
    await pass_time(senders, NOW + 600_000 + 8 * 3_600_000)
    assert len(senders.deliveries()) == 100
    assert {outcome for _, outcome, _ in senders.deliveries()} == {"sent"}
    senders.store.abandon()


async def test_a_told_pause_holds_all_messages_of_the_connection(tmp_path: Path) -> None:
    """Nobody is called before the time that the provider named; the attempts of a message do not run out."""
    channel = Scripted([*[RetryAfter(30_000, "http_429", "rate")] * 20, Accepted("p")])
    senders = Senders(tmp_path, channel)
    await senders.take(message("m1"))
    await senders.settle()
    await senders.take(message("m2", person="u2"))
    await senders.settle()
    assert len(channel.calls) == 1
    await pass_time(senders, NOW + 29_999)
    assert len(channel.calls) == 1
    await pass_time(senders, NOW + 3_600_000)
    assert [outcome for _, outcome, _ in senders.deliveries()] == ["sent", "sent"]
    senders.store.abandon()


async def test_a_setting_that_is_wrong_costs_a_call_a_minute(tmp_path: Path) -> None:
    """However many messages wait for a person to mend it; a day later they are given up."""
    channel = Scripted([Misconfigured("token")], limits=Limits(calls_at_once=1))
    senders = Senders(tmp_path, channel)
    await senders.take(*(message(f"m{number}", person=f"u{number}") for number in range(20)))
    await senders.settle()
    await pass_time(senders, NOW + 600_000)
    assert len(channel.calls) <= 11
    await pass_time(senders, NOW + MESSAGE_AGE_MAX_MS + 600_000)
    reasons = {reason for _, _, reason in senders.deliveries()}
    assert len(senders.deliveries()) == 20
    assert reasons <= {"gave_up:waited", "gave_up:token"}
    senders.store.abandon()


async def test_a_bug_is_no_failing_provider(tmp_path: Path) -> None:
    """Messages that our own code cannot handle do not stop the others."""
    channel = Scripted([ZeroDivisionError("x")])
    senders = Senders(tmp_path, channel)
    await senders.take(*(message(f"m{number}", person=f"u{number}") for number in range(20)))
    await senders.settle()
    assert len(channel.calls) == 20
    senders.store.abandon()


async def test_a_record_that_fails_beside_others_costs_nobody_a_turn(tmp_path: Path) -> None:
    """The batch is decided again without it; slots that the first decision took are free."""
    channel = Scripted([Accepted("p")], limits=Limits(calls_at_once=2))
    senders = Senders(tmp_path, channel)
    for at in range(5):
        await senders.take(
            message(f"a{at}", person="u1"),
            message("bad", template="unheard of"),
            message(f"b{at}", person="u2"),
        )
        await senders.settle()
    assert len(senders.deliveries()) == 10
    assert all(not lane.under_way and not lane.ready for lane in senders.logic._lanes.values())
    senders.store.abandon()


async def test_a_message_that_cannot_be_rendered_lets_the_next_one_of_the_person_pass(tmp_path: Path) -> None:
    """Its end is a turn for the one behind it."""
    channel = Scripted([RetryAfter(1_000, "grey"), Accepted("p")])
    senders = Senders(tmp_path, channel)
    bad = message("a2", context=type(message().context)(user={}, account={}, event={}))
    await senders.take(message("a1"), bad, message("a3"))
    await senders.settle()
    await pass_time(senders, NOW + 10_000)
    assert [(name, outcome) for name, outcome, _ in senders.deliveries()] == [
        ("a1", "sent"),
        ("a2", "failed"),
        ("a3", "sent"),
    ]
    senders.store.abandon()


async def test_unknown_outcomes_count_as_failures(tmp_path: Path) -> None:
    """A provider that takes requests and never answers is left alone too."""
    channel = Scripted([Unknown("timeout")], limits=Limits(calls_at_once=1))
    senders = Senders(tmp_path, channel)
    await senders.take(*(message(f"m{number}", person=f"u{number}") for number in range(20)))
    await senders.settle()
    assert len(channel.calls) == FAILURES_TO_OPEN
    senders.now_ms += OPEN_MIN_MS
    await senders.fire()
    await senders.settle()
    assert len(channel.calls) == FAILURES_TO_OPEN + 1
    senders.store.abandon()


def hook(name: str, connection: str, **fields: object) -> TemplateSource:
    """A webhook over a connection."""
    values = {"provider": "standard", "connection": connection, "body": {"id": "{{ message.id }}"}, **fields}
    return TemplateSource(name, "webhook", values)


async def ticks() -> None:
    """Let calls that do not wait come to their end."""
    for _ in range(50):
        await asyncio.sleep(0)


async def decide_notices(senders: Senders) -> None:
    """Record what ended, and begin what may begin by it, while other calls hang."""
    await ticks()
    while senders.notices:
        notices, senders.notices = senders.notices, []
        view = View(senders.store.get)
        take_notices(senders.logic, notices, view, senders.now_ms)
        await senders.commit(view)
        await ticks()


class Hanging(Scripted):
    """A provider that takes requests and does not answer; each is given up after 15 s of virtual time."""

    senders: Senders
    back = False

    async def deliver(self, message: OutgoingMessage) -> DeliveryResult:
        """Hang until the deadline, or answer at once when it is back."""
        self.calls.append(message)
        if self.back:
            return Accepted("p")
        began_ms = self.senders.now_ms
        while self.senders.now_ms < began_ms + 15_000:  # noqa: ASYNC110 - virtual time tells nobody
            await asyncio.sleep(0)
        return Unknown("http_timeout")


async def test_a_provider_that_hangs_for_ten_minutes_delays_nobody_else(tmp_path: Path) -> None:
    """The same people, topic and partition: whoever's provider answers has theirs at once."""
    mails, slow, quick = Scripted([Accepted("p")]), Hanging(), Scripted([Accepted("p")])
    slow.limits = quick.limits = Limits(calls_at_once=8)
    slow.on_unknown = "at_least_once"  # type: ignore[misc]
    senders = Senders(
        tmp_path, mails, MAIL, hook("slow", "slow"), hook("quick", "quick"), slow=slow, quick=quick
    )
    slow.senders = senders
    number = 0
    for second in range(0, 600, 5):
        senders.now_ms = NOW + second * 1_000
        await senders.fire()
        sent = []
        for _ in range(4):
            number += 1
            person = f"u{number % 10}"
            sent += [
                message(f"slow{number}", "webhook", template="slow", person=person),
                message(f"quick{number}", "webhook", template="quick", person=person),
                message(f"mail{number}", person=person),
            ]
        assert senders.logic.has_room("messages.webhook")
        await senders.take(*sent)
        await decide_notices(senders)
        ended = {name for name, outcome, _ in senders.deliveries() if outcome == "sent"}
        assert {one.id for one in sent if one.template != "slow"} <= ended
        assert not any(name.startswith("slow") for name in ended)
    assert len(slow.calls) < 100, "it is asked now and then, not for every message"
    slow.back = True
    await pass_time(senders, senders.now_ms + 8 * 3_600_000)
    assert [outcome for _, outcome, _ in senders.deliveries()] == ["sent"] * (3 * number)
    for person in {call.person for call in slow.calls}:
        mine = [call.id for call in slow.calls if call.person == person]
        order = list(dict.fromkeys(mine))
        assert order == sorted(order, key=lambda name: int(name.removeprefix("slow")))
    senders.store.abandon()


async def test_an_account_stays_with_its_owner_when_the_list_grows(tmp_path: Path) -> None:
    """The owner is in the document and in the state."""
    crm = Scripted([Accepted("p")])
    body = {"owner": "{{ owner.id }}", "name": "{{ owner.name }}"}
    few = [{"id": name, "name": name.upper()} for name in "ab"]
    many = [*few, *({"id": f"x{number}", "name": "X"} for number in range(50))]
    senders = Senders(
        tmp_path, Scripted([Accepted("p")]), hook("lead", "crm", body=body, owners=few), crm=crm
    )
    for number in range(20):
        await senders.take(
            message(f"m{number}", "webhook", template="lead", account=f"acme-{number}", person=f"u{number}")
        )
    await senders.settle()
    before = [rendered(call)["owner"] for call in crm.calls]
    assert set(before) == {"a", "b"}
    senders.begin(hook("lead", "crm", body=body, owners=many))
    for number in range(20):
        await senders.take(
            message(f"n{number}", "webhook", template="lead", account=f"acme-{number}", person=f"v{number}")
        )
    await senders.settle()
    assert [rendered(call)["owner"] for call in crm.calls[20:]] == before
    assert rendered(crm.calls[0])["name"] == before[0].upper()
    senders.store.abandon()


async def test_the_owner_of_a_person_who_is_erased_is_forgotten(tmp_path: Path) -> None:
    """Of somebody without an account the row is personal; an account's stays."""
    crm = Scripted([Accepted("p")])
    lead = hook("lead", "crm", body={"owner": "{{ owner.id }}"}, owners=["a"])
    senders = Senders(tmp_path, Scripted([Accepted("p")]), lead, crm=crm)
    await senders.take(
        message("m1", "webhook", template="lead"), message("m2", "webhook", template="lead", account="acme")
    )
    await senders.settle()
    assert [key for key, _ in senders.store.scan(OWNERS.prefix)] == [b"oa:acme", b"op:u1"]
    view = View(senders.store.get)
    senders.logic._people.forget(Forget("u1"), "messages.webhook", view, senders.now_ms)
    await senders.commit(view)
    assert [key for key, _ in senders.store.scan(OWNERS.prefix)] == [b"oa:acme"]
    senders.store.abandon()


def rendered(call: OutgoingMessage) -> dict[str, str]:
    """The document of a call."""
    assert isinstance(call.content, RenderedWebhook)
    document: dict[str, str] = call.content.document
    return document


async def test_a_delivery_names_the_provider(tmp_path: Path) -> None:
    """Not its connection, of which there may be several."""
    crm = Scripted([Accepted("p")])
    senders = Senders(tmp_path, Scripted([Accepted("p")]), MAIL, BANNER, hook("lead", "crm"), crm=crm)
    await senders.take(
        message("m1"), message("m2", "in_app"), message("m3", "webhook", template="lead", person="u2")
    )
    await senders.settle()
    providers = {
        wire.decode_delivery(value).message_id: wire.decode_delivery(value).provider
        for topic, value in senders.outputs
        if topic == "deliveries"
    }
    assert providers == {"m1": "scripted", "m2": "in_app", "m3": "scripted"}
    seconds = senders.registry.get_sample_value("brimful_handoff_seconds_sum", {"provider": "scripted"})
    assert seconds == pytest.approx(1.0)
    senders.store.abandon()


async def test_a_connection_that_was_taken_away_ends_its_messages(tmp_path: Path) -> None:
    """New ones are put aside with the name of what is missing."""
    crm = Scripted([RetryAfter(1_000, "busy")])
    senders = Senders(tmp_path, Scripted([Accepted("p")]), hook("lead", "crm"), crm=crm)
    await senders.take(message("m1", "webhook", template="lead"))
    await senders.settle()
    del senders.channels["crm"]
    senders.begin(hook("lead", "crm"))
    await senders.settle()
    await pass_time(senders, NOW + 60_000)
    assert senders.deliveries() == [("m1", "failed", "no_connection")]
    await senders.take(message("m2", "webhook", template="lead"))
    assert senders.dead == [(0, "invalid")]
    senders.store.abandon()


def call(name: str, **fields: object) -> wire.Message:
    """A call of the webhook ``hook`` for the account acme."""
    values: dict[str, object] = {"person": "acme", "account": "acme", "subject_type": "account", **fields}
    return message(name, "webhook", template="hook", **values)


def stop(**fields: object) -> wire.Message:
    """The enrollment of :func:`message` was left."""
    return replace(call("stop", **fields), withdrawn="event: churned", template="withdraw")


async def test_calls_that_wait_end_when_their_enrollment_is_left(tmp_path: Path) -> None:
    """Of this enrollment alone; those that were behind them have their turn."""
    hooks = Scripted([RetryAfter(60_000, "http_500"), Accepted("p")])
    senders = Senders(tmp_path, Scripted([]), MAIL, hook("hook", "hook"), hook=hooks)
    await senders.take(call("a"), call("b"), call("c", enrollment="other"))
    await senders.settle()
    assert [one.id for one in hooks.calls] == ["a"]
    await senders.take(stop())
    await senders.settle()
    assert [one.id for one in hooks.calls] == ["a", "c"]
    assert senders.deliveries() == [
        ("a", "skipped", "withdrawn"),
        ("b", "skipped", "withdrawn"),
        ("c", "sent", None),
    ]
    await pass_time(senders, NOW + 3_600_000)
    assert len(hooks.calls) == 2
    await senders.take(call("a"))
    assert senders.repeated() == 1
    senders.store.abandon()


@pytest.mark.parametrize(
    ("result", "ended"),
    [
        (RetryAfter(1_000, "http_500"), ("a", "skipped", "withdrawn")),
        (Accepted("p"), ("a", "sent", None)),
        (Unknown("http_timeout"), ("a", "unknown", "http_timeout")),
    ],
)
async def test_a_call_that_is_under_way_when_its_enrollment_is_left_is_not_repeated(
    tmp_path: Path, result: DeliveryResult, ended: tuple[str, str, str | None]
) -> None:
    """What its receiver says counts; it is not asked again."""
    hooks = Scripted([result])
    senders = Senders(tmp_path, Scripted([]), MAIL, hook("hook", "hook"), hook=hooks)
    await senders.take(call("a"))
    await senders.take(stop())
    await senders.settle()
    await pass_time(senders, NOW + 3_600_000)
    assert senders.deliveries() == [ended]
    assert len(hooks.calls) == 1
    senders.store.abandon()


async def test_a_person_may_be_named_like_an_account(tmp_path: Path) -> None:
    """Neither waits for the other, and to forget the one leaves the other's calls alone."""
    hooks = Scripted([RetryAfter(60_000, "http_500")])
    senders = Senders(tmp_path, Scripted([]), MAIL, hook("hook", "hook"), hook=hooks)
    await senders.take(call("account's"), call("person's", subject_type=None))
    await senders.settle()
    assert {one.id for one in hooks.calls} == {"account's", "person's"}
    view = View(senders.store.get)
    senders.logic._people.forget(Forget("acme"), "messages.webhook", view, senders.now_ms)
    await senders.commit(view)
    assert [name for name, _, _ in senders.pending()] == ["account's"]
    senders.store.abandon()


async def test_a_mail_server_that_hangs_for_ten_minutes_delays_nobody_else(tmp_path: Path) -> None:
    """Its topic is left alone once enough mails wait; webhooks and banners of the same people go out."""
    mails, hooks = Hanging(), Scripted([Accepted("p")])
    mails.limits = Limits(calls_at_once=8, waiting_max=50)
    senders = Senders(tmp_path, mails, MAIL, BANNER, hook("hook", "hook"), hook=hooks)
    mails.senders = senders
    given = 0
    for second in range(0, 600, 5):
        senders.now_ms = NOW + second * 1_000
        await senders.fire()
        people = [f"u{second * 4 + one}" for one in range(4)]
        others = [message(f"hook{one}", "webhook", template="hook", person=one) for one in people]
        others += [message(f"banner{one}", "in_app", person=one, to=None) for one in people]
        await senders.take(*others)
        if senders.logic.has_room("messages.email"):
            await senders.take(*(message(f"mail{one}", person=one) for one in people))
            given += 4
        assert senders.logic.has_room("messages.webhook")
        await decide_notices(senders)
        ended = {name for name, outcome, _ in senders.deliveries() if outcome == "sent"}
        assert {one.id for one in others} <= ended
    assert 50 <= given < 200, "the topic keeps the others"
    assert len(mails.calls) < 100
    mails.back = True
    await pass_time(senders, senders.now_ms + 8 * 3_600_000)
    ended_mails = [outcome for name, outcome, _ in senders.deliveries() if name.startswith("mail")]
    assert len(ended_mails) == given
    assert set(ended_mails) == {"sent", "unknown"}
    senders.store.abandon()
