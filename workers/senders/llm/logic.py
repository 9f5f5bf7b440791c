"""The agent of one partition that asks language models: questions in, answers to the engine out.

All questions over a connection have its name as their key, so that one partition counts what is spent on it,
in the transactions that ask and that take answers in: to the token, whatever crashes.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

import structlog

from schemas import wire
from workers.core.ids import stable_id
from workers.core.llm.money import on_day, over_cap, reserve, settle
from workers.senders.channels.base import Unknown
from workers.senders.lanes import WAIT_MIN_MS, Gate, Lane, Turn, by_lane
from workers.senders.llm.endpoint import Called
from workers.senders.llm.questions import (
    QUESTIONS,
    SPENDING,
    Again,
    Nothing,
    Question,
    Value,
    answer_of,
    counted,
    next_step,
)
from workers.stream.decoding import decoded
from workers.stream.logic import NoTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from workers.senders.llm.endpoint import Endpoint
    from workers.senders.llm.metrics import LlmMetrics
    from workers.stream.batch import TP, Batch
    from workers.stream.logic import Notify
    from workers.stream.store import PartitionStore, Timer
    from workers.stream.view import View

log = structlog.get_logger(__name__)

_AGAIN, _UNTIL, _LANE = b"llm_again", b"llm_until", b"llm_lane"
"""What a timer is for: the part of its payload before the colon."""


@dataclass(frozen=True, slots=True)
class LlmCall:
    """An effect: ask over a connection, for at most ``total_s``; the intent is committed."""

    connection: str
    asked: wire.LlmAsked
    total_s: float


@dataclass(frozen=True, slots=True)
class LlmReady:
    """An effect: the turn of this question has come, as soon as its lane allows."""

    connection: str
    request: str


@dataclass(frozen=True, slots=True)
class LlmGone:
    """An effect: this question ended or was taken back, and waits no more."""

    connection: str
    request: str


@dataclass(frozen=True, slots=True)
class LlmCame:
    """A notice: what came of a call."""

    request: str
    called: Called


@dataclass(frozen=True, slots=True)
class LlmBegin:
    """A notice: the partition was taken over; let those who wait for their turn begin."""


LlmEffect: TypeAlias = LlmCall | LlmReady | LlmGone
LlmNotice: TypeAlias = LlmCame | LlmBegin


@dataclass(frozen=True)
class LlmParts:
    """What the agents of all partitions share. ``endpoints`` are by the name of their connection."""

    endpoints: Mapping[str, Endpoint]
    topics: Callable[[str], str]
    metrics: LlmMetrics
    gates: Mapping[str, Gate] = field(init=False)

    def __post_init__(self) -> None:
        gates = {name: Gate(endpoint.limits) for name, endpoint in self.endpoints.items()}
        object.__setattr__(self, "gates", gates)


def is_ours(timer: Timer) -> bool:
    """Whether a timer is of this agent."""
    return timer.payload.partition(b":")[0] in (_AGAIN, _UNTIL, _LANE)


class LlmLogic(NoTasks):
    """See :class:`workers.stream.logic.PartitionLogic`."""

    def __init__(self, parts: LlmParts) -> None:
        self._parts = parts
        self._lanes = {name: Lane(name, "llm", parts.gates[name]) for name in parts.endpoints}
        self._calls: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether calls are under way whose results are worth waiting for."""
        return bool(self._calls)

    def has_room(self, topic: str) -> bool:
        """Whether more questions may be taken in now."""
        del topic
        return all(lane.has_room for lane in self._lanes.values())

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Decode questions, and that nobody waits for them any more."""
        del now_ms
        items = decoded(batch, view, wire.decode_llm)
        requests = (taken.id if isinstance(taken, wire.LlmAsked) else taken.request for _, taken in items)
        return items, [QUESTIONS.key(request.encode()) for request in requests]

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Take questions in, and let go of those that nobody waits for."""
        del tp
        for _, taken in items:
            if isinstance(taken, wire.LlmAsked):
                self._take(taken, view, now_ms)
            else:
                self._withdraw(taken, view)

    def timer_keys(self, timers: Sequence[Timer]) -> Sequence[bytes]:
        """Nothing worth reading ahead: calls take far longer than reads."""
        del timers
        return ()

    def fire(self, timers: Sequence[Timer], view: View, now_ms: int) -> None:
        """Ask again what was to be asked again; look at lanes that waited; end what has had its time."""
        turns: list[Turn] = []
        for timer in timers:
            kind, _, key = timer.payload.partition(b":")
            if kind == _LANE:
                turns.append(Turn(key.decode()))
                continue
            question = view.table(QUESTIONS).get(key)
            if question is None:
                continue
            if kind == _UNTIL:
                self._expire(key, question, view, now_ms)
            elif question.asked is not None and not question.calling:
                turns.append(self._queue(question.asked, question, view))
        self._move(turns, view, now_ms)

    def put_off(self, timer: Timer) -> None:
        """The kernel's log and count are enough."""

    def finish(self, view: View, now_ms: int) -> None:
        """Nothing is to be summed up."""

    def notices(self, notices: Sequence[LlmNotice], view: View, now_ms: int) -> None:
        """Record what came of calls, and begin those whose turn it is by that."""
        turns: list[Turn] = []
        for notice in notices:
            if isinstance(notice, LlmBegin):
                turns += [Turn(name) for name in self._lanes]
                continue
            self._learn(notice, now_ms)
            question = view.table(QUESTIONS).get(notice.request.encode())
            # A new owner's word on a call is a guess; it counts for nothing once the result was recorded.
            if question is not None and question.calling:
                self._follow(notice.request, question, notice.called, view, now_ms)
            if question is not None:
                turns.append(Turn(question.connection))
        self._move(turns, view, now_ms)

    def opened(self, store: PartitionStore) -> Sequence[LlmNotice]:
        """Calls that a former owner began and whose results were never recorded, and who waits for a turn."""
        begun: list[LlmNotice] = []
        lost = Called(Unknown("worker_stopped_during_call"), "unknown")
        found = False
        for key, stored in store.scan(QUESTIONS.prefix):
            question = QUESTIONS.decode(stored)
            request = key[len(QUESTIONS.prefix) :].decode()
            found = True
            if question.calling:
                begun.append(LlmCame(request, lost))
            elif question.queued and question.connection in self._lanes:
                self._lanes[question.connection].ready[request] = None
        return [*begun, LlmBegin()] if found else []

    async def act(self, effects: Sequence[LlmEffect], notify: Notify) -> None:
        """Start the calls; note whose turn has come."""
        for effect in effects:
            match effect:
                case LlmReady(connection, request):
                    self._lanes[connection].ready[request] = None
                case LlmGone(connection, request):
                    self._lanes[connection].left(request)
                case LlmCall():
                    self._lanes[effect.connection].started(effect.asked.id)
                    task = asyncio.create_task(self._call(effect, notify))
                    self._calls.add(task)
                    task.add_done_callback(self._calls.discard)
                case _:
                    assert_never(effect)

    async def close(self) -> None:
        """Cancel calls under way; the next owner finds their rows."""
        for task in tuple(self._calls):
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    # -- one question

    def _take(self, asked: wire.LlmAsked, view: View, now_ms: int) -> None:
        if view.table(QUESTIONS).get(asked.id.encode()) is not None:
            self._parts.metrics.repeated(asked)
            return
        question = Question(asked.connection, asked.journey, asked.until_ms, asked)
        timer_id = bytes.fromhex(stable_id("llm until", asked.id))
        if asked.until_ms > now_ms:
            view.set_timer(timer_id, asked.until_ms, _UNTIL + b":" + asked.id.encode())
        endpoint = self._parts.endpoints.get(asked.connection)
        if endpoint is None or not endpoint.knows(asked):
            reason = "no_connection" if endpoint is None else "no_model"
            self._end(asked, question, Nothing(reason), view, now_ms)
        elif asked.until_ms <= now_ms:
            self._end(asked, question, Nothing("gave_up:waited"), view, now_ms)
        else:
            self._move([self._queue(asked, question, view)], view, now_ms)

    def _withdraw(self, withdrawn: wire.LlmWithdrawn, view: View) -> None:
        """Forget what was asked. A call that is under way is still counted when it comes back."""
        key = withdrawn.request.encode()
        question = view.table(QUESTIONS).get(key)
        if question is None or question.asked is None:
            return
        question.asked, question.answer, question.queued = None, None, False
        view.table(QUESTIONS).put(key, question)
        self._gone(question, withdrawn.request, view)

    def _queue(self, asked: wire.LlmAsked, question: Question, view: View) -> Turn:
        question.queued = True
        view.table(QUESTIONS).put(asked.id.encode(), question)
        if question.connection in self._lanes:
            view.after_commit(LlmReady(question.connection, asked.id))
        return Turn(question.connection, asked.id)

    def _move(self, turns: Sequence[Turn], view: View, now_ms: int) -> None:
        """Begin the calls whose turn has come, lane by lane."""
        for lane, fresh in by_lane(self._lanes, turns):
            self._begin(lane, fresh, view, now_ms)

    def _begin(self, lane: Lane, fresh: Sequence[str], view: View, now_ms: int) -> None:
        """Begin what the lane's limits allow: who waits there, then ``fresh``."""
        for request in chain(lane.ready, fresh):
            wait_ms = lane.gate.wait_ms(now_ms)
            if wait_ms > 0 or not lane.has_slot(now_ms):
                if wait_ms > 0 or not lane.under_way:
                    due_ms = now_ms + max(wait_ms, WAIT_MIN_MS)
                    timer_id = bytes.fromhex(stable_id("llm lane", lane.connection))
                    view.set_timer(timer_id, due_ms, _LANE + b":" + lane.connection.encode())
                return
            question = view.table(QUESTIONS).get(request.encode())
            if question is None or question.asked is None:
                view.after_commit(LlmGone(lane.connection, request))
            elif question.queued:
                self._start(lane, question.asked, question, view, now_ms)

    def _start(self, lane: Lane, asked: wire.LlmAsked, question: Question, view: View, now_ms: int) -> None:
        endpoint, key = self._parts.endpoints[lane.connection], lane.connection.encode()
        spending = on_day(view.table(SPENDING).get(key), now_ms)
        left_ms = question.until_ms - now_ms
        reason: str | None = None
        if left_ms <= 0:
            reason = "gave_up:waited"
        elif not endpoint.knows(asked):
            reason = "no_model"
        else:
            worst = endpoint.worst_nanos(asked)
            reason = over_cap(spending, endpoint.caps, question.journey, worst)
        if reason is not None:
            self._end(asked, question, Nothing(reason), view, now_ms)
            return
        view.table(SPENDING).put(key, reserve(spending, question.journey, worst))
        lane.gate.admit(now_ms)
        lane.chosen[asked.id] = now_ms
        question.calls += 1
        question.calling, question.queued, question.reserved_nanos = True, False, worst
        view.table(QUESTIONS).put(asked.id.encode(), question)
        total_s = min(endpoint.deadline_s, left_ms / 1000)
        view.after_commit(LlmCall(lane.connection, asked, total_s))

    def _learn(self, notice: LlmCame, now_ms: int) -> None:
        """What a call of ours says of its endpoint; nothing where it was another worker's call."""
        for lane in self._lanes.values():
            if notice.request in lane.under_way:
                lane.under_way.discard(notice.request)
                opened = lane.gate.learn(notice.called.result, now_ms)
                self._parts.metrics.called(lane.connection, notice.called, opened=opened)

    def _follow(self, request: str, question: Question, called: Called, view: View, now_ms: int) -> None:
        """Count what a call cost, and go on from what it brought."""
        key = question.connection.encode()
        cost = counted(question, called)
        spending = on_day(view.table(SPENDING).get(key), now_ms)
        spent = settle(spending, question.journey, question.reserved_nanos, cost)
        view.table(SPENDING).put(key, spent)
        question.reserved_nanos = 0
        self._parts.metrics.spent(question.connection, question.journey, cost)
        asked = question.asked
        if asked is None:
            question.answer = None
            self._keep_id(request, question, view, now_ms)
            return
        endpoint = self._parts.endpoints.get(question.connection)
        step = next_step(question, called, endpoint.attempts if endpoint is not None else 1, now_ms)
        if isinstance(step, Again):
            question.bad_answers += called.said is not None
            view.table(QUESTIONS).put(request.encode(), question)
            timer_id = bytes.fromhex(stable_id("llm again", request))
            view.set_timer(timer_id, now_ms + step.delay_ms, _AGAIN + b":" + request.encode())
        else:
            self._end(asked, question, step, view, now_ms)

    def _expire(self, key: bytes, question: Question, view: View, now_ms: int) -> None:
        """The time of a question is over: what came of it is forgotten, and what has not come will not."""
        if question.calling:
            return
        if question.asked is not None:
            self._end(question.asked, question, Nothing("gave_up:waited"), view, now_ms)
        view.table(QUESTIONS).delete(key)

    def _end(
        self, asked: wire.LlmAsked, question: Question, end: Value | Nothing, view: View, now_ms: int
    ) -> None:
        """Answer the engine, and keep the id until the same question would come too late anyway."""
        value = end.value if isinstance(end, Value) else None
        reason = end.reason if isinstance(end, Nothing) else None
        answered = answer_of(question, asked, value, reason, now_ms)
        view.send(self._parts.topics("scheduler"), asked.subject.encode(), wire.encode(answered))
        self._parts.metrics.ended(asked, reason)
        question.asked, question.answer, question.queued = None, None, False
        self._keep_id(asked.id, question, view, now_ms)
        self._gone(question, asked.id, view)

    def _keep_id(self, request: str, question: Question, view: View, now_ms: int) -> None:
        if question.until_ms > now_ms:
            view.table(QUESTIONS).put(request.encode(), question)
        else:
            view.table(QUESTIONS).delete(request.encode())

    def _gone(self, question: Question, request: str, view: View) -> None:
        if question.connection in self._lanes:
            view.after_commit(LlmGone(question.connection, request))

    async def _call(self, call: LlmCall, notify: Notify) -> None:
        endpoint = self._parts.endpoints[call.connection]
        async with self._parts.gates[call.connection].slots:
            began = time.monotonic()
            try:
                called = await endpoint.ask(call.asked, call.total_s)
            except Exception as error:  # noqa: BLE001 - a bug of ours is an unknown outcome, not a stopped partition
                name = type(error).__name__
                log.error("llm.bug", connection=call.connection, request=call.asked.id, error=name)
                called = Called(Unknown(f"bug:{name}"), "unknown")
            self._parts.metrics.took(call.connection, time.monotonic() - began)
        notify(LlmCame(call.asked.id, called))
