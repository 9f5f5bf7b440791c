"""The senders of one partition: messages in; renderings, deliveries and feeds out.

E-mail leaves through its channel after the intent is committed, and its result comes back as a notice;
an in-app message has no provider and is written to the person's feed in the same transaction.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from msgspec.structs import replace

from schemas import wire
from schemas.wire import Delivery, Feed, Message
from workers.core.ids import stable_id
from workers.core.render import RenderedEmail, RenderedInApp, RenderFailed, render_email, render_in_app
from workers.core.templates import EmailTemplate, InAppTemplate
from workers.errors import Refused
from workers.senders.channels.base import DeliveryResult, OutgoingMessage, Unknown
from workers.senders.channels.in_app import add_item, item_of
from workers.senders.ledger import SENT_KEPT_MS, End, Pending, Sent, TryAgain, next_step
from workers.senders.people import FEEDS, PENDING, Forget, People, retry_timer
from workers.stream.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from schemas.fields import DeliveryOutcome
    from workers.core.templates import Templates
    from workers.senders.channels.base import Channel
    from workers.senders.metrics import SenderMetrics
    from workers.stream.batch import TP, Batch
    from workers.stream.logic import Notify
    from workers.stream.store import PartitionStore, Timer
    from workers.stream.view import View

log = structlog.get_logger(__name__)

SENT = Table("sent", b"s", Sent)

_RETRY = b"retry:"
_FORGET = b"forget:"

CALLS_AT_ONCE = 64
"""Deliveries of one partition under way at the same time, at most."""


def _no_page(_: Message) -> str:
    return ""


def _untracked(_: Message, content: RenderedEmail, __: int) -> RenderedEmail:
    return content


@dataclass(frozen=True)
class SenderParts:
    """What the senders of all partitions share.

    ``unsubscribe_url`` gives a person's one-click address for a message; ``topics`` maps the plain names
    of topics to their full names. ``preferences_url`` gives the page of their choices; ``track`` puts
    links that tell of clicks into an e-mail, as its template and the workspace want it.
    """

    templates: Templates
    channels: Mapping[str, Channel]
    unsubscribe_url: Callable[[Message], str]
    topics: Callable[[str], str]
    metrics: SenderMetrics
    preferences_url: Callable[[Message], str] = _no_page
    track: Callable[[Message, RenderedEmail, int], RenderedEmail] = _untracked


@dataclass(frozen=True, slots=True)
class Call:
    """An effect: deliver this message, whose intent is committed."""

    outgoing: OutgoingMessage


@dataclass(frozen=True, slots=True)
class Outcome:
    """A notice: what became of a call."""

    message_id: str
    result: DeliveryResult


class SenderLogic:
    """See :class:`workers.stream.logic.PartitionLogic`."""

    def __init__(self, parts: SenderParts) -> None:
        self._parts = parts
        self._people = People(parts.topics)
        self._identity = parts.topics("identity")
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self._calls: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether calls are under way whose results are worth waiting for."""
        return bool(self._calls)

    def has_room(self) -> bool:
        """Whether more messages may be taken in now."""
        return len(self._calls) < CALLS_AT_ONCE * 4

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Decode messages, and what is told of people; what is neither is dead-lettered."""
        del now_ms
        items: list[tuple[Any, Message | Forget | wire.IdentityRecord]] = []
        keys: list[bytes] = []
        for record in batch.records:
            try:
                taken = self._decode(record, batch.tp.topic)
            except msgspec.ValidationError as error:
                view.dead_letter(batch.tp, record, "invalid", str(error))
            except msgspec.DecodeError as error:
                view.dead_letter(batch.tp, record, "unreadable", str(error))
            else:
                items.append((record, taken))
                if isinstance(taken, Message):
                    keys.append(SENT.key(taken.id.encode()))
        return items, keys

    def _decode(self, record: Any, topic: str) -> Message | Forget | wire.IdentityRecord:
        if topic == self._identity:
            return wire.decode_identity(record.value or b"")
        if record.value is None and record.key:
            return Forget(record.key.decode())
        return wire.decode_message(record.value or b"")

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Take messages in; follow merges and erasures."""
        for _, taken in items:
            match taken:
                case Message():
                    self._take(taken, view, now_ms)
                case Forget():
                    self._people.forget(taken, tp.topic, view, now_ms)
                case _:
                    self._people.told(taken, view, now_ms)

    def timer_keys(self, timers: Sequence[Timer]) -> Sequence[bytes]:
        """Nothing worth reading ahead: retries are rare."""
        del timers
        return ()

    def fire(self, timers: Sequence[Timer], view: View, now_ms: int) -> None:
        """Try again what was to be tried again; forget what may be forgotten."""
        for timer in timers:
            if timer.payload.startswith(_FORGET):
                view.table(SENT).delete(timer.payload[len(_FORGET) :])
                continue
            key = timer.payload[len(_RETRY) :]
            pending = view.table(PENDING).get(key)
            if pending is not None:
                pending.attempt += 1
                self._call_again(pending, view, now_ms)

    def notices(self, notices: Sequence[Outcome], view: View, now_ms: int) -> None:
        """Record what became of calls."""
        for notice in notices:
            pending = view.table(PENDING).get(notice.message_id.encode())
            # A new owner's word on a call is a guess; it counts for nothing once the result was recorded.
            if pending is not None and pending.calling:
                self._follow(pending, notice.result, view, now_ms)

    def opened(self, store: PartitionStore) -> Sequence[Outcome]:
        """Calls that a former owner began and whose results were never recorded."""
        rows = (PENDING.decode(stored) for _, stored in store.scan(PENDING.prefix))
        return [Outcome(row.message.id, Unknown("worker_stopped_during_call")) for row in rows if row.calling]

    async def act(self, effects: Sequence[Call], notify: Notify) -> None:
        """Start the calls."""
        for call in effects:
            task = asyncio.create_task(self._deliver(call.outgoing, notify))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def close(self) -> None:
        """Cancel calls under way; the next owner finds their rows."""
        for task in tuple(self._calls):
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    # -- one message

    def _take(self, message: Message, view: View, now_ms: int) -> None:
        key = message.id.encode()
        if view.table(SENT).get(key) is not None or view.table(PENDING).get(key) is not None:
            self._parts.metrics.repeated(message)
            return
        match message.channel:
            case "in_app":
                self._show(message, view, now_ms)
            case channel if channel in self._parts.channels:
                self._call(Pending(message, 1, now_ms, calling=True), view, now_ms)
            case channel:
                raise Refused("invalid", f"no sender for the channel {channel!r} is configured")

    def _show(self, message: Message, view: View, now_ms: int) -> None:
        home = self._people.home(message.person, view)
        if home != message.person:
            moved = replace(message, person=home)
            view.send(self._parts.topics("messages.in_app"), home.encode(), wire.encode(moved))
            return
        content = self._render(message)
        if isinstance(content, RenderFailed):
            self._end(message, End("failed", _render_reason(content)), view, now_ms)
            return
        assert isinstance(content, RenderedInApp), "an in-app message renders an in-app template"
        feed = view.table(FEEDS).get(message.person.encode())
        feed = feed or Feed(person=message.person, items=[], updated_at_ms=now_ms)
        changed = add_item(feed, item_of(message, content, now_ms), now_ms)
        if changed is not feed:
            self._people.put_feed(changed, view)
        self._end(message, End("sent"), view, now_ms)

    def _call_again(self, pending: Pending, view: View, now_ms: int) -> None:
        """Another attempt; a message that the workspace cannot send any more ends, and stops no other."""
        try:
            self._call(pending, view, now_ms)
        except Refused as refused:
            self._end(pending.message, End("failed", refused.detail), view, now_ms)

    def _call(self, pending: Pending, view: View, now_ms: int) -> None:
        message = pending.message
        url = self._parts.unsubscribe_url(message)
        preferences = self._parts.preferences_url(message)
        content = self._render(message, unsubscribe_url=url, preferences_url=preferences)
        if isinstance(content, RenderFailed):
            self._end(message, End("failed", _render_reason(content)), view, now_ms)
            return
        if isinstance(content, RenderedEmail):
            content = self._parts.track(message, content, now_ms)
        pending.calling = True
        self._people.waits(message, view)
        view.table(PENDING).put(message.id.encode(), pending)
        view.after_commit(
            Call(
                OutgoingMessage(
                    id=message.id,
                    channel=message.channel,
                    person=message.person,
                    content=content,
                    to=message.to,
                    journey=message.journey,
                    step=message.step,
                    tags=tuple(message.tags),
                    unsubscribe_url=url,
                ),
            ),
        )

    def _render(self, message: Message, **more: str) -> RenderedEmail | RenderedInApp | RenderFailed:
        template = self._parts.templates.get(message.template)
        context = {
            "user": message.context.user,
            "account": message.context.account,
            "event": message.context.event,
            "awaited": message.context.awaited or {},
            "related": message.context.related or {},
            "message": {
                "id": message.id,
                "journey": message.journey,
                "step": message.step,
                "template": message.template,
                "channel": message.channel,
                "tags": message.tags,
                "variant": message.variant,
            },
            **more,
        }
        match template, message.channel:
            case EmailTemplate(), "email":
                return render_email(template, context)
            case InAppTemplate(), "in_app":
                return render_in_app(template, context)
        raise Refused("invalid", f"the workspace has no {message.channel} template {message.template!r}")

    def _follow(self, pending: Pending, result: DeliveryResult, view: View, now_ms: int) -> None:
        message = pending.message
        key = message.id.encode()
        step = next_step(pending, result, self._parts.channels[message.channel].on_unknown, now_ms)
        match step:
            case End():
                view.table(PENDING).delete(key)
                self._end(message, step, view, now_ms)
            case TryAgain(delay_ms, reason):
                pending.calling = False
                view.table(PENDING).put(key, pending)
                view.set_timer(retry_timer(message.id), now_ms + delay_ms, _RETRY + key)
                self._parts.metrics.retried(message, reason)

    def _end(self, message: Message, end: End, view: View, now_ms: int) -> None:
        key = message.id.encode()
        view.table(PENDING).delete(key)
        self._people.ended(message, view)
        view.table(SENT).put(key, Sent(now_ms))
        view.set_timer(bytes.fromhex(stable_id("forget", message.id)), now_ms + SENT_KEPT_MS, _FORGET + key)
        outcome: DeliveryOutcome = end.outcome
        delivery = Delivery(
            id=stable_id("delivery", message.id),
            message_id=message.id,
            channel=message.channel,
            person=message.person,
            account=message.account,
            journey=message.journey,
            version=message.version,
            enrollment=message.enrollment,
            step=message.step,
            template=message.template,
            outcome=outcome,
            reason=end.reason,
            provider="in_app" if message.channel == "in_app" else "smtp",
            provider_message_id=end.provider_message_id,
            cost_micros=end.cost_micros,
            latency_ms=max(0, now_ms - message.requested_at_ms),
            at_ms=now_ms,
        )
        view.send(self._parts.topics("deliveries"), message.person.encode(), wire.encode(delivery))
        self._parts.metrics.ended(delivery)

    async def _deliver(self, outgoing: OutgoingMessage, notify: Notify) -> None:
        async with self._slots:
            try:
                result = await self._parts.channels[outgoing.channel].deliver(outgoing)
            except Exception as error:  # noqa: BLE001 - a bug in an adapter is an unknown outcome, not a stopped partition
                log.error(
                    "channel.bug",
                    channel=outgoing.channel,
                    message_id=outgoing.id,
                    error=type(error).__name__,
                )
                result = Unknown(f"bug:{type(error).__name__}")
        notify(Outcome(outgoing.id, result))


def _render_reason(failed: RenderFailed) -> str:
    return f"{failed.reason}:{failed.variable}" if failed.variable else failed.reason
