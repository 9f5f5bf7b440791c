"""The senders of one partition: messages in; renderings, deliveries and feeds out.

E-mail leaves through its channel after the intent is committed, and its result comes back as a notice;
an in-app message has no provider and is written to the person's feed in the same transaction.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol, assert_never

import msgspec
import structlog
from msgspec.structs import replace

from schemas import wire
from schemas.wire import Feed, Message
from workers.core.ids import stable_id
from workers.core.templates.render import RenderedEmail, RenderedInApp, RenderFailed
from workers.errors import Refused
from workers.senders.calls import calls_of
from workers.senders.channels.base import DeliveryResult, Unknown
from workers.senders.channels.in_app import add_item, item_of
from workers.senders.lanes import (
    WAIT_MIN_MS,
    Begin,
    Call,
    Gate,
    Gone,
    Lane,
    Outcome,
    Place,
    Ready,
    Turn,
    by_lane,
    first_in_line,
)
from workers.senders.ledger import (
    SENT_KEPT_MS,
    End,
    Pending,
    Sent,
    Texts,
    TryAgain,
    bounce_of,
    delivery_of,
    next_step,
    texts_of,
)
from workers.senders.news import tell
from workers.senders.pace import domain_of
from workers.senders.people import FEEDS, PENDING, WAITING, Forget, People, retry_timer
from workers.senders.rendering import Rendering, not_rendered
from workers.stream.logic import NoTasks
from workers.stream.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from workers.core.templates.compile import CompiledTemplate
    from workers.senders.channels.base import Channel
    from workers.senders.metrics import SenderMetrics
    from workers.stream.batch import TP, Batch
    from workers.stream.logic import Notify
    from workers.stream.store import PartitionStore, Timer
    from workers.stream.view import View

log = structlog.get_logger(__name__)

SENT = Table("sent", b"s", Sent)

_RETRY, _FORGET, _LANE = b"retry", b"forget", b"lane"
"""What a timer is for: the part of its payload before the colon."""

WITHDRAWN = End("skipped", "withdrawn")
"""Of a call whose enrollment was left before its receiver took it."""


class TemplateSource(Protocol):
    """Gives the templates of the workspace that runs; another one may run for the next message."""

    def get(self, name: str, /) -> CompiledTemplate | None:
        """The template; None where there is none of that name."""
        ...


def _no_page(_: Message) -> str:
    return ""


def _untracked(_: Message, content: RenderedEmail, __: int) -> RenderedEmail:
    return content


def _later(delay_s: float, run: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(delay_s, run)


@dataclass(frozen=True)
class SenderParts:
    """What the senders of all partitions share. ``channels`` are by the name of their connection.

    ``unsubscribe_url`` gives a person's one-click address for a message; ``topics`` maps the plain names
    of topics to their full names. ``preferences_url`` gives the page of their choices; ``track`` puts
    links that tell of clicks into an e-mail, as its template and the workspace want it. ``later`` runs a
    function after some seconds.
    """

    templates: TemplateSource
    channels: Mapping[str, Channel]
    unsubscribe_url: Callable[[Message], str]
    topics: Callable[[str], str]
    metrics: SenderMetrics
    preferences_url: Callable[[Message], str] = _no_page
    track: Callable[[Message, RenderedEmail, int], RenderedEmail] = _untracked
    later: Callable[[float, Callable[[], None]], asyncio.TimerHandle] = _later
    gates: Mapping[str, Gate] = field(init=False)

    def __post_init__(self) -> None:
        gates = {connection: Gate(channel.limits) for connection, channel in self.channels.items()}
        object.__setattr__(self, "gates", gates)


class SenderLogic(NoTasks):
    """See :class:`workers.stream.logic.PartitionLogic`."""

    def __init__(self, parts: SenderParts) -> None:
        self._parts = parts
        self._people = People(parts.topics)
        self._rendering = Rendering(parts, self._people)
        self._identity = parts.topics("identity")
        self._engagement = parts.topics("engagement")
        self._lanes = {
            connection: Lane(connection, channel.name, parts.gates[connection])
            for connection, channel in parts.channels.items()
        }
        self._fed_by = {
            parts.topics(f"messages.{name}"): [lane for lane in self._lanes.values() if lane.channel == name]
            for name in {lane.channel for lane in self._lanes.values()}
        }
        self._calls: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether calls are under way whose results are worth waiting for."""
        return bool(self._calls)

    def has_room(self, topic: str) -> bool:
        """Whether more messages of a topic may be taken in now."""
        return all(lane.has_room for lane in self._fed_by.get(topic, ()))

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Decode messages, and what is told of people; what is neither is dead-lettered."""
        del now_ms
        items: list[tuple[Any, Message | Forget | wire.Engagement | wire.IdentityRecord]] = []
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
                    keys += (SENT.key(taken.id.encode()), *self._people.rows_of(taken))
        return items, keys

    def _decode(self, record: Any, topic: str) -> Message | Forget | wire.Engagement | wire.IdentityRecord:
        if topic == self._engagement:
            return wire.decode_engagement(record.value or b"")
        if topic == self._identity:
            return wire.decode_identity(record.value or b"")
        if record.value is None and record.key:
            return Forget(record.key.decode())
        return wire.decode_message(record.value or b"")

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Take messages in; follow merges, erasures, and what people did with their feeds."""
        for _, taken in items:
            match taken:
                case Message():
                    self._take(taken, view, now_ms)
                case Forget():
                    self._people.forget(taken, tp.topic, view, now_ms)
                case wire.Engagement():
                    self._people.engaged(taken, view, now_ms)
                case _:
                    self._people.told(taken, view, now_ms)

    def timer_keys(self, timers: Sequence[Timer]) -> Sequence[bytes]:
        """Nothing worth reading ahead: retries are rare."""
        del timers
        return ()

    def fire(self, timers: Sequence[Timer], view: View, now_ms: int) -> None:
        """Try again what was to be tried again; look at lanes that waited; forget what may be forgotten."""
        turns: list[Turn] = []
        for timer in timers:
            kind, _, key = timer.payload.partition(b":")
            if kind == _FORGET:
                view.table(SENT).delete(key)
            elif kind == _LANE:
                turns.append(Turn(key.decode()))
            elif (pending := view.table(PENDING).get(key)) is not None:
                turns += self._queue(pending, view, now_ms)
        self._move(turns, view, now_ms)

    def put_off(self, timer: Timer) -> None:
        """The kernel's log and count are enough."""

    def finish(self, view: View, now_ms: int) -> None:
        """Nothing is to be summed up."""

    def notices(self, notices: Sequence[Outcome | Begin], view: View, now_ms: int) -> None:
        """Record what became of calls, and begin those whose turn it is by that."""
        turns: list[Turn] = []
        for notice in notices:
            if isinstance(notice, Begin):
                turns += [Turn(connection) for connection in self._lanes]
                continue
            self._learn(notice, now_ms)
            pending = view.table(PENDING).get(notice.message_id.encode())
            # A new owner's word on a call is a guess; it counts for nothing once the result was recorded.
            if pending is not None and pending.calling:
                turns += [Turn(pending.connection), *self._follow(pending, notice.result, view, now_ms)]
            elif pending is not None:
                turns.append(Turn(pending.connection))
        self._move(turns, view, now_ms)

    def opened(self, store: PartitionStore) -> Sequence[Outcome | Begin]:
        """Calls that a former owner began and whose results were never recorded, and who waits for a turn."""
        rows = {
            row.message.id: row
            for row in (PENDING.decode(stored) for _, stored in store.scan(PENDING.prefix))
        }
        waiting = (WAITING.decode(stored).messages for _, stored in store.scan(WAITING.prefix))
        for row in sorted(first_in_line(rows, waiting), key=lambda row: row.taken_at_ms):
            if row.connection in self._lanes:
                self._lanes[row.connection].ready[row.message.id] = None
        lost = Unknown("worker_stopped_during_call")
        begun = [Outcome(row.message.id, lost) for row in rows.values() if row.calling]
        return [*begun, Begin()] if rows else []

    async def act(self, effects: Sequence[Call | Ready | Gone], notify: Notify) -> None:
        """Start the calls; note whose turn has come."""
        for effect in effects:
            match effect:
                case Ready(connection, message_id):
                    self._lanes[connection].ready[message_id] = None
                case Gone(connection, message_id):
                    self._lanes[connection].left(message_id)
                case Call():
                    self._lanes[effect.connection].started(effect.outgoing.id)
                    task = asyncio.create_task(self._deliver(effect, notify))
                    self._calls.add(task)
                    task.add_done_callback(self._calls.discard)

    async def close(self) -> None:
        """Cancel calls under way; the next owner finds their rows."""
        for task in tuple(self._calls):
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    # -- one message

    def _take(self, message: Message, view: View, now_ms: int) -> None:
        if message.withdrawn is not None:
            self._withdraw(message, view, now_ms)
            return
        key = message.id.encode()
        if view.table(SENT).get(key) is not None or view.table(PENDING).get(key) is not None:
            self._parts.metrics.repeated(message)
            return
        if message.channel == "in_app":
            self._show(message, view, now_ms)
            return
        connection = connection_of(self._rendering.template(message), message)
        if connection not in self._lanes:
            raise Refused("invalid", f"no sender for the {_way(message, connection)} is configured")
        pending = Pending(message, 0, now_ms, calling=False, connection=connection)
        self._people.waits(message, view)
        self._move(self._queue(pending, view, now_ms), view, now_ms)

    def _withdraw(self, message: Message, view: View, now_ms: int) -> None:
        """Take items out of the feed; of calls, end those that wait. One under way is not tried again."""
        if message.channel == "in_app":
            self._people.withdraw(message, view, now_ms)
            return
        turns: list[Turn] = []
        for pending in self._people.of_enrollment(message, view):
            if pending.calling:
                pending.withdrawn = True
                view.table(PENDING).put(pending.message.id.encode(), pending)
            else:
                view.cancel_timer(retry_timer(pending.message.id))
                turns += self._end(pending, WITHDRAWN, view, now_ms)
        self._move(turns, view, now_ms)

    def _show(self, message: Message, view: View, now_ms: int) -> None:
        home = self._people.home(message.person, view)
        if home != message.person:
            moved = replace(message, person=home)
            view.send(self._parts.topics("messages.in_app"), home.encode(), wire.encode(moved))
            return
        content = self._rendering.content(message, view, now_ms)
        if isinstance(content, RenderFailed):
            self._record(message, not_rendered(content), "in_app", None, view, now_ms)
            return
        assert isinstance(content, RenderedInApp), "an in-app message renders an in-app template"
        feed = view.table(FEEDS).get(message.person.encode())
        feed = feed or Feed(person=message.person, items=[], updated_at_ms=now_ms)
        changed = add_item(feed, item_of(message, content, now_ms), now_ms)
        if changed is not feed:
            self._people.put_feed(changed, view)
        self._record(message, End("sent"), "in_app", texts_of(content), view, now_ms)

    def _queue(self, pending: Pending, view: View, now_ms: int) -> Sequence[Turn]:
        """Let a message wait for its turn, which has come unless an older one of the person is on its way."""
        message, connection = pending.message, pending.connection
        pending.queued = True
        view.table(PENDING).put(message.id.encode(), pending)
        if connection not in self._lanes:
            # It was taken out of the settings while the message waited.
            return self._end(pending, End("failed", "no_connection"), view, now_ms)
        if not self._people.is_first(message, connection, view):
            return ()
        view.after_commit(Ready(connection, message.id))
        return (Turn(connection, message.id),)

    def _move(self, turns: Sequence[Turn], view: View, now_ms: int) -> None:
        """Begin the calls whose turn has come, lane by lane."""
        for lane, fresh in by_lane(self._lanes, turns):
            self._begin(lane, fresh, view, now_ms)

    def _begin(self, lane: Lane, fresh: list[str], view: View, now_ms: int) -> None:
        """Begin what the lane's limits allow: who waits there, then ``fresh``, which grows meanwhile."""
        closed: dict[str, int] = {}
        for message_id in chain(lane.ready, fresh):
            if lane.domains.get(message_id) in closed:
                continue
            wait_ms = lane.gate.wait_ms(now_ms)
            if wait_ms > 0 or not lane.has_slot(now_ms):
                if wait_ms > 0 or not lane.under_way:
                    self._look_later(lane, wait_ms, view, now_ms)
                return
            pending = view.table(PENDING).get(message_id.encode())
            if pending is None:
                view.after_commit(Gone(lane.connection, message_id))
            elif not pending.queued:
                continue
            elif (wait_ms := lane.gate.receiver_wait_ms(domain_of(pending.message.to), now_ms)) > 0:
                lane.domains[message_id] = domain_of(pending.message.to)
                closed[lane.domains[message_id]] = wait_ms
            else:
                fresh += [
                    turn.message_id for turn in self._start(lane, pending, view, now_ms) if turn.message_id
                ]
        if closed:
            self._look_later(lane, min(closed.values()), view, now_ms)

    def _start(self, lane: Lane, pending: Pending, view: View, now_ms: int) -> Sequence[Turn]:
        outgoing = self._rendering.outgoing(pending, view, now_ms)
        if isinstance(outgoing, End):
            return self._end(pending, outgoing, view, now_ms)
        lane.gate.admit(now_ms, domain_of(pending.message.to), calls_of(outgoing.content))
        lane.chosen[outgoing.id] = now_ms
        pending.attempt += 1
        pending.texts = texts_of(outgoing.content)
        pending.calling, pending.queued = True, False
        view.table(PENDING).put(outgoing.id.encode(), pending)
        view.after_commit(Call(lane.connection, outgoing))
        return ()

    def _look_later(self, lane: Lane, wait_ms: int, view: View, now_ms: int) -> None:
        due_ms = now_ms + max(wait_ms, WAIT_MIN_MS)
        name = lane.connection
        view.set_timer(bytes.fromhex(stable_id("lane", name)), due_ms, _LANE + b":" + name.encode())

    def _learn(self, notice: Outcome, now_ms: int) -> None:
        """What a call of ours says of its provider; nothing where it was another worker's call."""
        for lane in self._lanes.values():
            if lane.ended(notice.message_id):
                opened = not notice.bug and lane.gate.learn(notice.result, now_ms)
                self._parts.metrics.called(lane.connection, notice.result, opened=opened)

    def _follow(self, pending: Pending, result: DeliveryResult, view: View, now_ms: int) -> Sequence[Turn]:
        message = pending.message
        tell(message, result, self._parts.topics, view, now_ms)
        pending.done = list(dict.fromkeys((*pending.done, *result.news.done)))
        channel = self._parts.channels.get(pending.connection)
        step = next_step(pending, result, channel.on_unknown if channel else "at_most_once", now_ms)
        if pending.withdrawn and isinstance(step, TryAgain):
            step = WITHDRAWN
        match step:
            case End():
                return self._end(pending, step, view, now_ms)
            case TryAgain(delay_ms, reason):
                pending.calling = False
                key = message.id.encode()
                view.table(PENDING).put(key, pending)
                view.set_timer(retry_timer(message.id), now_ms + delay_ms, _RETRY + b":" + key)
                self._parts.metrics.retried(message, reason)
                return ()
            case _:
                assert_never(step)

    def _end(self, pending: Pending, end: End, view: View, now_ms: int) -> Sequence[Turn]:
        """Record the end of a message; the turn of the person's next one has come by it."""
        message, connection = pending.message, pending.connection
        view.table(PENDING).delete(message.id.encode())
        self._people.ended(message, view)
        channel = self._parts.channels.get(connection)
        provider = channel.provider if channel else connection
        self._record(message, end, provider, pending.texts, view, now_ms)
        if connection not in self._lanes:
            return ()
        view.after_commit(Gone(connection, message.id))
        following = self._people.next(message, connection, view)
        if following is None:
            return ()
        view.after_commit(Ready(connection, following))
        return (Turn(connection, following),)

    def _record(
        self, message: Message, end: End, provider: str, texts: Texts | None, view: View, now_ms: int
    ) -> None:
        key = message.id.encode()
        view.table(SENT).put(key, Sent(now_ms))
        view.set_timer(
            bytes.fromhex(stable_id("forget", message.id)), now_ms + SENT_KEPT_MS, _FORGET + b":" + key
        )
        delivery = delivery_of(message, end, provider, texts, now_ms)
        view.send(self._parts.topics("deliveries"), message.person.encode(), wire.encode(delivery))
        self._parts.metrics.ended(delivery)
        if (bounced := bounce_of(message, end, now_ms)) is not None:
            view.send(self._parts.topics("engagement"), message.person.encode(), wire.encode(bounced))

    async def _deliver(self, call: Call, notify: Notify) -> None:
        channel, bug = self._parts.channels[call.connection], False
        async with Place(self._parts.gates[call.connection]) as place:
            began = time.monotonic()
            slow = self._when_slow(call, place, notify)
            try:
                result = await channel.deliver(call.outgoing)
            except Exception as error:  # noqa: BLE001 - a bug in an adapter is an unknown outcome, not a stopped partition
                name = type(error).__name__
                log.error("channel.bug", connection=call.connection, message_id=call.outgoing.id, error=name)
                result, bug = Unknown(f"bug:{name}"), True
            finally:
                if slow is not None:
                    slow.cancel()
            self._parts.metrics.took(call.connection, time.monotonic() - began)
        notify(Outcome(call.outgoing.id, result, bug))

    def _when_slow(self, call: Call, place: Place, notify: Notify) -> asyncio.TimerHandle | None:
        """Let another call begin when this one has no answer for long, where its connection allows that."""
        slow_s = self._parts.gates[call.connection].limits.slow_s

        def step_aside() -> None:
            lane = self._lanes[call.connection]
            if call.outgoing.id in lane.under_way and place.step_aside():
                lane.slow.add(call.outgoing.id)
                notify(Begin())

        return self._parts.later(slow_s, step_aside) if slow_s is not None else None


def connection_of(template: CompiledTemplate, message: Message) -> str:
    """The connection over which a message leaves: a webhook's own, else the channel's only one."""
    return getattr(template, "connection", message.channel)


def _way(message: Message, connection: str) -> str:
    plain = connection == message.channel
    return f"channel {connection!r}" if plain else f"connection {connection!r} of {message.template!r}"
