"""The senders of one partition: messages in; calls, deliveries and feeds out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from schemas import wire
from schemas.wire import Delivery, Message, MessageContext
from tests.unit.stream.kit import Rec
from workers.core.engaged import address_hash
from workers.core.templates.compile import TemplateSource, compile_templates
from workers.core.templates.render import RenderedEmail
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    OnUnknown,
    OutgoingMessage,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.channels.email import SMTP_LIMITS
from workers.senders.lanes import Begin, Outcome
from workers.senders.ledger import SENT_KEPT_MS
from workers.senders.limits import Limits  # noqa: TC001 - a dataclass names it
from workers.senders.logic import SENT, SenderLogic, SenderParts
from workers.senders.metrics import SenderMetrics
from workers.senders.people import FEEDS, PENDING
from workers.stream.batch import TP, Batch
from workers.stream.decide import apply_items, take_notices
from workers.stream.store import PartitionStore
from workers.stream.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.fields import Channel as ChannelName
    from workers.senders.channels.base import Channel

NOW = 1_773_480_000_000
MAILS = TP("messages.email", 0)

MAIL = TemplateSource(
    "mail", "email", {"subject": "Hi {{ user.name }}", "html": "<a href='{{ unsubscribe_url }}'>Bye</a>"}
)
BANNER = TemplateSource("banner", "in_app", {"form": "banner", "title": "T", "body": "Hi {{ user.name }}"})


@dataclass
class Scripted:
    """A channel that answers what it is told to, in order, and remembers what it was given."""

    name: ClassVar[str] = "email"
    provider: ClassVar[str] = "scripted"
    idempotent: ClassVar[bool] = False
    on_unknown: ClassVar[OnUnknown] = "at_most_once"
    results: list[DeliveryResult | Exception] = field(default_factory=list)
    calls: list[OutgoingMessage] = field(default_factory=list)
    held: asyncio.Event | None = None
    limits: Limits = SMTP_LIMITS

    async def deliver(self, message: OutgoingMessage) -> DeliveryResult:
        """The next answer; the last one again and again."""
        self.calls.append(message)
        if self.held is not None:
            await self.held.wait()
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result

    async def close(self) -> None:
        """Nothing to close."""


class Careless(Scripted):
    """A channel for which twice is better than never."""

    on_unknown: ClassVar[OnUnknown] = "at_least_once"


class Senders:
    """One partition's senders over a real store, a transaction at a time."""

    def __init__(self, path: Path, channel: Scripted, *templates: TemplateSource, **more: Channel) -> None:
        self.channel = channel
        self.channels: dict[str, Channel] = {"email": channel, **more}
        self.store = PartitionStore(path / "p0")
        self.now_ms = NOW
        self.notices: list[Outcome | Begin] = []
        self.registry = CollectorRegistry()
        self.metrics = SenderMetrics(self.registry)
        self.effects: list[Any] = []
        self.dead: list[tuple[int, str]] = []
        self.outputs: list[tuple[str, bytes]] = []
        self._next = 0
        self.begin(*(templates or (MAIL, BANNER)))

    def begin(self, *templates: TemplateSource) -> None:
        """A new owner's logic, which finds what the store holds."""
        self.logic = SenderLogic(
            SenderParts(
                templates=compile_templates(templates),
                channels=self.channels,
                unsubscribe_url=lambda message: f"https://u/{message.id}",
                topics=lambda name: name,
                metrics=self.metrics,
            )
        )
        self.notices = list(self.logic.opened(self.store))

    async def take(self, *messages: Message | bytes) -> None:
        """Messages arrive."""
        records = [
            Rec(at, value if isinstance(value, bytes) else wire.encode(value), b"u1")
            for at, value in enumerate(messages)
        ]
        view = View(self.store.get)
        items, _ = self.logic.prepare(Batch(MAILS, records, 0, len(records)), view, self.now_ms)
        apply_items(self.logic, MAILS, items, view, self.now_ms)
        await self.commit(view)

    async def fire(self) -> None:
        """Due timers fire."""
        timers = self.store.due(self.now_ms, 1_000)
        view = View(self.store.get)
        for timer in timers:
            view.cancel_timer(timer.timer_id)
        self.logic.fire(timers, view, self.now_ms)
        await self.commit(view)

    async def settle(self) -> None:
        """Calls end, what became of them is recorded, and those whose turn comes by that end as well."""
        while self.logic.busy or self.notices:
            while self.logic.busy:  # noqa: ASYNC110 - the logic tells nobody
                await asyncio.sleep(0)
            notices, self.notices = self.notices, []
            view = View(self.store.get)
            take_notices(self.logic, notices, view, self.now_ms)
            await self.commit(view)

    async def commit(self, view: View) -> None:
        """The transaction commits, then its effects start."""
        self.store.write(view.changes(), changelog_next=self._next, now_ms=self.now_ms)
        self._next += 1
        self.outputs += [(output.topic, output.value or b"") for output in view.outputs]
        self.dead += [(letter.offset, letter.reason) for letter in view.dead]
        self.effects += view.effects
        await self.logic.act(view.effects, self.notify)

    def notify(self, notice: Any) -> None:
        """A call ended."""
        self.notices.append(notice)

    def ended(self) -> list[Delivery]:
        """The delivery records."""
        return [wire.decode_delivery(value) for topic, value in self.outputs if topic == "deliveries"]

    def deliveries(self) -> list[tuple[str, str, str | None]]:
        """Message, outcome and reason of each delivery record."""
        return [(one.message_id, one.outcome, one.reason) for one in self.ended()]

    def pending(self) -> list[tuple[str, int, bool]]:
        """Id, attempt and whether a call is under way, of each message that has not ended."""
        rows = [PENDING.decode(row) for _, row in self.store.scan(PENDING.prefix)]
        return [(row.message.id, row.attempt, row.calling) for row in rows]

    def repeated(self) -> float:
        """How many messages came a second time."""
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "brimful_messages_repeated_total"
        )


@pytest.fixture
def senders(tmp_path: Path) -> Iterator[Senders]:
    """Senders whose channel takes everything."""
    made = Senders(tmp_path, Scripted([Accepted("p1", 40)]))
    yield made
    made.store.abandon()


def message(name: str = "m1", channel: ChannelName = "email", **fields: Any) -> Message:
    """A message to send."""
    values: dict[str, Any] = {
        "id": name,
        "channel": channel,
        "person": "u1",
        "journey": "upsell",
        "version": "v",
        "enrollment": "e",
        "step": "0",
        "template": "mail" if channel == "email" else "banner",
        "tags": ["upsell"],
        "to": "u1@example.com",
        "context": MessageContext(user={"name": "Ada"}, account={}, event={}),
        "requested_at_ms": NOW - 500,
    }
    return Message(**{**values, **fields})


async def test_a_mail_leaves_after_its_intent_is_committed(senders: Senders) -> None:
    """First the row that says "calling", then the call, then what became of it."""
    await senders.take(message())
    assert senders.pending() == [("m1", 1, True)]
    assert senders.deliveries() == []
    await senders.settle()
    (call,) = senders.channel.calls
    assert (call.id, call.to, call.unsubscribe_url) == ("m1", "u1@example.com", "https://u/m1")
    assert senders.pending() == []
    assert senders.deliveries() == [("m1", "sent", None)]
    (value,) = [value for topic, value in senders.outputs if topic == "deliveries"]
    delivery = wire.decode_delivery(value)
    assert (delivery.provider_message_id, delivery.cost_micros, delivery.latency_ms) == ("p1", 40, 500)


async def test_links_that_tell_of_clicks_are_put_in_when_a_mail_leaves(senders: Senders) -> None:
    """And the template may link to the page of the person's choices."""
    html = "<a href='{{ unsubscribe_url }}'>Bye</a><a href='{{ preferences_url }}'>Choose</a>"
    template = TemplateSource("mail", "email", {"subject": "Hi", "html": html, "tracking": "all"})
    parts = SenderParts(
        templates=compile_templates([template]),
        channels={"email": senders.channel},
        unsubscribe_url=lambda message: f"https://u/{message.id}",
        topics=lambda name: name,
        metrics=senders.metrics,
        preferences_url=lambda message: f"https://p/{message.person}",
        track=lambda message, content, now_ms: replace(
            content, html=f"{content.html}<!--{message.id} {content.tracking} {now_ms}-->"
        ),
    )
    senders.logic = SenderLogic(parts)
    await senders.take(message())
    await senders.settle()
    content = senders.channel.calls[0].content
    assert isinstance(content, RenderedEmail)
    assert content.html.endswith(f"<!--m1 all {NOW}-->")
    assert "https://p/u1" in content.html


async def test_the_same_message_is_sent_once(senders: Senders) -> None:
    """Twice in a batch, while it is under way, and after it ended."""
    await senders.take(message(), message())
    await senders.take(message())
    await senders.settle()
    await senders.take(message())
    assert len(senders.channel.calls) == 1
    assert len(senders.deliveries()) == 1
    assert senders.repeated() == 3


async def test_an_ended_message_is_remembered_for_35_days(senders: Senders) -> None:
    """Then its row goes; nobody repeats a message after so long."""
    await senders.take(message())
    await senders.settle()
    senders.now_ms = NOW + SENT_KEPT_MS - 1
    await senders.fire()
    assert len(senders.store.scan(SENT.prefix)) == 1
    senders.now_ms += 1
    await senders.fire()
    assert senders.store.scan(SENT.prefix) == []
    assert senders.store.next_due_ms() is None


async def test_a_retry_comes_by_its_timer(senders: Senders) -> None:
    """Not before; with the same id, so that a provider that can tell does."""
    senders.channel.results = [RetryAfter(60_000, "busy"), RetryAfter(60_000, "busy"), Accepted("p", 0)]
    await senders.take(message())
    await senders.settle()
    assert senders.pending() == [("m1", 1, False)]
    for attempt in (2, 3):
        due_ms = senders.store.next_due_ms()
        assert due_ms is not None
        assert due_ms >= senders.now_ms + 60_000
        senders.now_ms = due_ms - 1
        await senders.fire()
        assert len(senders.channel.calls) == attempt - 1
        senders.now_ms = due_ms
        await senders.fire()
        assert senders.pending() == [("m1", attempt, True)]
        await senders.settle()
    assert [call.id for call in senders.channel.calls] == ["m1"] * 3
    assert senders.deliveries() == [("m1", "sent", None)]


@pytest.mark.parametrize(
    ("result", "outcome", "reason"),
    [
        # the provider knows no such person
        (Refused("no_such_user", "hard"), "failed", "hard_bounce:no_such_user"),
        # nobody knows
        (Unknown("cut"), "unknown", "cut"),
        # a bug in the adapter: it may have sent before it failed
        (ZeroDivisionError("x"), "unknown", "bug:ZeroDivisionError"),
    ],
)
async def test_a_message_that_ends_otherwise_is_recorded(
    senders: Senders, result: DeliveryResult | Exception, outcome: str, reason: str
) -> None:
    """And never tried again."""
    senders.channel.results = [result]
    await senders.take(message())
    await senders.settle()
    assert senders.deliveries() == [("m1", outcome, reason)]
    senders.now_ms += 1_000_000
    await senders.fire()
    assert len(senders.channel.calls) == 1


async def test_an_address_that_the_server_does_not_know_is_closed(senders: Senders) -> None:
    """That very address; the record names no address, only its hash."""
    senders.channel.results = [Refused("smtp_recipient_550_5.1.1", "hard")]
    await senders.take(message(to="U1@example.com"))
    await senders.settle()
    (value,) = [value for topic, value in senders.outputs if topic == "engagement"]
    told = wire.decode_engagement(value)
    assert (told.type, told.person, told.message_id, told.journey) == ("bounced", "u1", "m1", "upsell")
    assert told.reason == "smtp_recipient_550_5.1.1"
    assert told.address == address_hash("u1@example.com")
    assert b"example.com" not in value


@pytest.mark.parametrize(
    ("result", "to"),
    [
        (Refused("smtp_body_554_5.7.1", "soft"), "u1@example.com"),
        (Refused("no_address", "hard"), None),
        (Unknown("cut"), "u1@example.com"),
        (Accepted("p"), "u1@example.com"),
    ],
)
async def test_other_ends_close_no_address(senders: Senders, result: DeliveryResult, to: str | None) -> None:
    """A full mailbox may have room tomorrow; who has no address yet may get one."""
    senders.channel.results = [result]
    await senders.take(message(to=to))
    await senders.settle()
    assert [topic for topic, _ in senders.outputs if topic == "engagement"] == []


@pytest.mark.parametrize(("channel", "sent"), [(Scripted, 1), (Careless, 2)])
async def test_a_worker_that_died_in_a_call_leaves_it_unknown(
    tmp_path: Path, channel: type[Scripted], sent: int
) -> None:
    """Its successor follows the channel's policy: leave it, or send it again."""
    senders = Senders(tmp_path, channel([Accepted("p", 0)], held=asyncio.Event()))
    await senders.take(message())
    while not senders.channel.calls:  # noqa: ASYNC110 - the channel tells nobody
        await asyncio.sleep(0)
    await senders.logic.close()
    assert not senders.logic.busy
    senders.channel.held = None
    senders.begin(MAIL, BANNER)
    assert senders.notices == [Outcome("m1", Unknown("worker_stopped_during_call")), Begin()]
    await senders.settle()
    senders.now_ms = senders.store.next_due_ms() or senders.now_ms
    await senders.fire() if sent == 2 else None
    await senders.settle()
    assert len(senders.channel.calls) == sent
    outcome = ("unknown", "worker_stopped_during_call") if sent == 1 else ("sent", None)
    assert senders.deliveries() == [("m1", *outcome)]
    senders.store.abandon()


async def test_messages_that_wait_for_a_retry_are_not_unknown_to_a_successor(senders: Senders) -> None:
    """Their last call ended; their timer brings them back."""
    senders.channel.results = [Misconfigured("login"), Accepted("p", 0)]
    await senders.take(message())
    await senders.settle()
    senders.begin(MAIL, BANNER)
    assert senders.notices == [Begin()]
    senders.now_ms = senders.store.next_due_ms() or 0
    await senders.fire()
    await senders.settle()
    assert senders.deliveries() == [("m1", "sent", None)]


async def test_a_result_counts_only_while_its_call_is_under_way(senders: Senders) -> None:
    """A guess about a call whose true result was recorded meanwhile changes nothing."""
    senders.channel.results = [RetryAfter(1_000, "busy"), Accepted("p", 0)]
    await senders.take(message())
    await senders.settle()
    senders.notices = [Outcome("m1", Unknown("worker_stopped_during_call"))]
    await senders.settle()
    assert senders.deliveries() == []
    assert senders.pending() == [("m1", 1, False)]
    senders.notices = [Outcome("nobody", Accepted("p", 0))]
    await senders.settle()
    assert senders.deliveries() == []


async def test_a_template_that_went_away_ends_its_messages(senders: Senders) -> None:
    """A message held up by an outage outlives its template: it fails, and the partition goes on."""
    senders.channel.results = [RetryAfter(1_000, "busy")]
    await senders.take(message())
    await senders.settle()
    senders.begin(BANNER)
    senders.now_ms = senders.store.next_due_ms() or 0
    await senders.fire()
    assert senders.pending() == []
    ((name, outcome, reason),) = senders.deliveries()
    assert (name, outcome) == ("m1", "failed")
    assert reason is not None
    assert "mail" in reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "unreadable"),
        (b"{}", "invalid"),
        (wire.encode(message(channel="sms")), "invalid"),
        (wire.encode(message(template="banner")), "invalid"),
        (wire.encode(message(template="unheard of")), "invalid"),
    ],
)
async def test_what_cannot_be_sent_is_put_aside(senders: Senders, value: bytes, reason: str) -> None:
    """The messages beside it are sent."""
    await senders.take(message("before"), value, message("after"))
    await senders.settle()
    assert senders.dead == [(1, reason)]
    assert [name for name, *_ in senders.deliveries()] == ["before", "after"]


async def test_a_message_whose_template_misses_a_value_fails_by_its_name(senders: Senders) -> None:
    """Nobody is greeted with a hole."""
    await senders.take(message(context=MessageContext(user={}, account={}, event={})))
    ((_, outcome, reason),) = senders.deliveries()
    assert outcome == "failed"
    assert reason is not None
    assert "user.name" in reason
    assert senders.channel.calls == []


async def test_an_in_app_message_is_in_the_feed_at_once(senders: Senders) -> None:
    """Feed and delivery are written together; nothing is called, nothing is unknown."""
    await senders.take(message("m1", "in_app"), message("m2", "in_app"), message("m1", "in_app"))
    feeds = [wire.decode_feed(value) for topic, value in senders.outputs if topic == "feeds"]
    assert [item.id for item in feeds[-1].items] == ["m1", "m2"]
    assert feeds[-1].items[0].body == "Hi Ada"
    assert senders.deliveries() == [("m1", "sent", None), ("m2", "sent", None)]
    stored = senders.store.get(FEEDS.key(b"u1"))
    assert stored is not None
    assert FEEDS.decode(stored) == feeds[-1]
    assert senders.effects == []


async def test_too_many_calls_under_way_hold_back_more(senders: Senders) -> None:
    """The topic keeps what the provider does not take as fast."""
    senders.channel.held = asyncio.Event()
    most = SMTP_LIMITS.calls_at_once + SMTP_LIMITS.waiting_max
    await senders.take(*(message(f"m{number}", person=f"u{number}") for number in range(most - 1)))
    assert senders.logic.has_room("messages.email")
    await senders.take(message("last", person="last"))
    assert not senders.logic.has_room("messages.email")
    assert senders.logic.has_room("messages.in_app")
    assert senders.logic.busy
    senders.channel.held.set()
    await senders.settle()
    assert senders.logic.has_room("messages.email")
    assert len(senders.deliveries()) == most


def test_a_pending_row_survives_storage() -> None:
    """What a successor reads is what was written."""
    row = PENDING.row_type(message(), 3, NOW, calling=True)
    assert msgspec.msgpack.decode(PENDING.encode(row)[1:], type=PENDING.row_type) == row
