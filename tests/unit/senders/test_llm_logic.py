"""The agent that asks language models: each question ends once, and what it cost is counted once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from schemas import wire
from tests.unit.senders.llm_kit import MINUTE, NOW, asked, connection_to, slot
from tests.unit.stream.kit import Rec
from workers.clock import FixedClock
from workers.core.llm.money import DAY_MS, Spending
from workers.senders.channels.base import Accepted, Misconfigured, Refused, RetryAfter, Unknown
from workers.senders.http.client import HttpClient
from workers.senders.llm.endpoint import Called, Endpoint, Said
from workers.senders.llm.logic import LlmLogic, LlmParts
from workers.senders.llm.metrics import LlmMetrics
from workers.senders.llm.questions import QUESTIONS, SPENDING
from workers.stream.batch import TP, Batch
from workers.stream.decide import apply_items, take_notices
from workers.stream.store import PartitionStore
from workers.stream.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUESTIONS_TP = TP("llm-requests", 0)
COST = 50_000
OTHER = '{"label": "other"}'


def says(text: str = OTHER, problem: str | None = None, cost: int = COST) -> Called:
    """A completion."""
    return Called(Accepted(None), "told", Said(text, "small-2026", 200, 10, problem), cost)


def fails(result: Any, charged: Any = "nothing") -> Called:
    """A call without a completion."""
    return Called(result, charged)


RATE = fails(RetryAfter(7_000, "http_429", "rate"))


class Scripted(Endpoint):
    """An endpoint that answers what it is told to, in order; the last answer again and again."""

    def __init__(self, **fields: Any) -> None:
        connection = connection_to("https://llm.example.com", **fields)
        super().__init__("assistant", connection, HttpClient(), FixedClock(NOW))
        self.answers: list[Called | Exception] = [says()]
        self.calls: list[tuple[wire.LlmAsked, float]] = []
        self.held: asyncio.Event | None = None

    async def ask(self, asked: wire.LlmAsked, total_s: float) -> Called:
        """The next answer."""
        self.calls.append((asked, total_s))
        if self.held is not None:
            await self.held.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Agent:
    """One partition's agent over a real store, a transaction at a time."""

    def __init__(self, path: Path, endpoint: Scripted) -> None:
        self.endpoint = endpoint
        self.store = PartitionStore(path / "p0")
        self.now_ms = NOW
        self.registry = CollectorRegistry()
        self.metrics = LlmMetrics(self.registry)
        self.outputs: list[tuple[str, bytes | None, bytes]] = []
        self.dead: list[str] = []
        self.notices: list[Any] = []
        self._next = 0
        self.begin()

    def begin(self) -> None:
        """A new owner's logic, which finds what the store holds."""
        self.logic = LlmLogic(LlmParts({"assistant": self.endpoint}, lambda name: name, self.metrics))
        self.notices = list(self.logic.opened(self.store))

    async def take(self, *records: wire.LlmAsked | wire.LlmWithdrawn | bytes) -> None:
        """Records arrive."""
        values = [one if isinstance(one, bytes) else wire.encode(one) for one in records]
        batch = Batch(QUESTIONS_TP, [Rec(at, value, b"assistant") for at, value in enumerate(values)], 0, 9)
        view = View(self.store.get)
        items, _ = self.logic.prepare(batch, view, self.now_ms)
        apply_items(self.logic, QUESTIONS_TP, items, view, self.now_ms)
        await self.commit(view)

    async def settle(self) -> None:
        """Calls end, and what follows from that in the same moment."""
        while self.logic.busy or self.notices:
            while self.logic.busy:  # noqa: ASYNC110 - the logic tells nobody
                await asyncio.sleep(0)
            notices, self.notices = self.notices, []
            view = View(self.store.get)
            take_notices(self.logic, notices, view, self.now_ms)
            await self.commit(view)

    async def later(self, duration_ms: int) -> None:
        """Time passes; timers fire in their order, each at its time, and calls end at once."""
        until_ms = self.now_ms + duration_ms
        while due := self.store.due(until_ms, 1):
            self.now_ms = max(self.now_ms, due[0].due_ms)
            view = View(self.store.get)
            view.cancel_timer(due[0].timer_id)
            self.logic.fire(due, view, self.now_ms)
            await self.commit(view)
            await self.settle()
        self.now_ms = until_ms

    async def commit(self, view: View) -> None:
        """The transaction commits, then its effects start."""
        self.store.write(view.changes(), changelog_next=self._next, now_ms=self.now_ms)
        self._next += 1
        self.outputs += [(one.topic, one.key, one.value or b"") for one in view.outputs]
        self.dead += [letter.reason for letter in view.dead]
        await self.logic.act(view.effects, self.notify)

    def notify(self, notice: Any) -> None:
        """A call came back."""
        self.notices.append(notice)

    def answers(self) -> list[wire.LlmAnswered]:
        """What the engine is told."""
        return [wire.decode_scheduler(value) for _, _, value in self.outputs]  # type: ignore[misc]

    def ends(self) -> list[tuple[str, str | None, str | None]]:
        """Question, value and reason of each answer."""
        return [(one.request, one.value, one.reason) for one in self.answers()]

    def spending(self) -> Spending:
        """What was spent over the connection."""
        stored = self.store.get(SPENDING.key(b"assistant"))
        return SPENDING.decode(stored) if stored is not None else Spending(NOW // DAY_MS)

    def rows(self) -> int:
        """Questions that are kept, those that ended included."""
        return len(list(self.store.scan(QUESTIONS.prefix)))


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """An agent whose endpoint answers."""
    made = Agent(tmp_path, Scripted())
    yield made
    made.store.abandon()


async def test_a_question_is_asked_and_the_engine_is_answered(agent: Agent) -> None:
    """With the whole exchange, to the subject's partition."""
    await agent.take(asked())
    await agent.settle()
    ((topic, key, _),) = agent.outputs
    (answer,) = agent.answers()
    assert (topic, key) == ("scheduler", b"u1")
    assert (answer.request, answer.value, answer.reason) == ("q1", "other", None)
    exchange = answer.exchange
    assert exchange is not None
    assert (exchange.model, exchange.answer, exchange.calls) == ("small-2026", OTHER, 1)
    assert (exchange.input_tokens, exchange.output_tokens, exchange.cost_nanos) == (200, 10, COST)
    assert [message.role for message in exchange.prompt] == ["system", "user"]
    assert agent.spending() == Spending(NOW // DAY_MS, {"upsell": COST}, {})


async def test_the_same_question_twice_is_asked_once(agent: Agent) -> None:
    """While the call runs, and after it ended, as long as it could be asked at all."""
    await agent.take(asked(), asked())
    await agent.settle()
    await agent.take(asked())
    await agent.settle()
    await agent.later(10 * MINUTE)
    await agent.take(asked())
    await agent.settle()
    assert len(agent.endpoint.calls) == 1
    assert agent.ends() == [("q1", "other", None), ("q1", None, "gave_up:waited")]
    assert agent.rows() == 0


async def test_what_a_call_may_cost_is_reserved_while_it_runs(agent: Agent) -> None:
    """In the transaction that begins it."""
    agent.endpoint.held = asyncio.Event()
    await agent.take(asked())
    worst = agent.endpoint.worst_nanos(asked())
    assert agent.spending() == Spending(NOW // DAY_MS, {}, {"upsell": worst})
    agent.endpoint.held.set()
    await agent.settle()
    assert agent.spending().reserved == {}


@pytest.mark.parametrize(
    ("answers", "end", "calls"),
    [
        ([fails(RetryAfter(1_000, "http_500", "provider")), says()], ("other", None), 2),
        ([fails(RetryAfter(1_000, "http_500", "provider"))], (None, "gave_up:http_500"), 3),
        ([RATE] * 5 + [says()], ("other", None), 6),
        ([RATE] * 5 + [fails(RetryAfter(1_000, "http_500", "provider")), says()], ("other", None), 7),
        ([fails(Unknown("http_timeout"), "unknown"), says()], ("other", None), 2),
        ([fails(Refused("http_400", "soft"))], (None, "http_400"), 1),
        ([fails(Misconfigured("http_401")), says()], ("other", None), 2),
        ([fails(Misconfigured("http_401"))], (None, "gave_up:http_401"), 8),  # a minute each, with jitter
        ([says("nonsense"), says()], ("other", None), 2),
        ([says("nonsense")], (None, "not_json"), 2),
        ([says('{"label": "send gifts"}')], (None, "not_an_option"), 2),
        ([says("I cannot", "refusal")], (None, "refusal"), 1),
        ([says('{"label": "ot', "cut_off")], (None, "cut_off"), 2),
        ([ValueError("bug")], (None, "gave_up:bug:ValueError"), 3),
    ],
)
async def test_what_follows_from_each_answer(
    agent: Agent, answers: list[Called | Exception], end: tuple[str | None, str | None], calls: int
) -> None:
    """Asked again where that may help, a bounded number of times; then the journey hears why not."""
    agent.endpoint.answers = answers
    await agent.take(asked())
    await agent.settle()
    await agent.later(10 * MINUTE)
    assert agent.ends() == [("q1", *end)]
    assert len(agent.endpoint.calls) == calls
    assert agent.rows() == 0


async def test_each_call_is_counted_with_what_it_cost(agent: Agent) -> None:
    """A lost answer at its worst case, a refused call with nothing, one that could not be taken as told."""
    agent.endpoint.answers = [
        fails(RetryAfter(1_000, "http_429", "rate")),
        fails(Unknown("http_timeout"), "unknown"),
        says("nonsense", cost=7),
        says(),
    ]
    agent.endpoint.attempts = 4
    await agent.take(asked())
    await agent.settle()
    await agent.later(MINUTE)
    worst = agent.endpoint.worst_nanos(asked())
    assert agent.spending() == Spending(NOW // DAY_MS, {"upsell": worst + 7 + COST}, {})
    (answer,) = agent.answers()
    assert answer.exchange is not None
    assert (answer.exchange.cost_nanos, answer.exchange.calls) == (worst + 7 + COST, 4)
    assert (answer.exchange.input_tokens, answer.exchange.output_tokens) == (400, 20)


@pytest.mark.parametrize(
    ("caps", "reason"),
    [
        ({"per_day": Decimal("0.000001")}, "cap_per_day"),
        ({"per_call": Decimal("0.000001")}, "cap_per_call"),
        ({"per_journey": Decimal("0.000001")}, "cap_per_journey"),
    ],
)
async def test_a_cap_that_would_break_leads_to_the_fallback_without_a_call(
    tmp_path: Path, caps: dict[str, Any], reason: str
) -> None:
    """Nobody waits for tomorrow's money."""
    agent = Agent(tmp_path, Scripted(**caps))
    await agent.take(asked())
    await agent.settle()
    assert agent.ends() == [("q1", None, reason)]
    assert agent.answers()[0].exchange is None
    assert agent.endpoint.calls == []
    agent.store.abandon()


async def test_many_questions_at_once_stay_below_the_cap_of_the_day(tmp_path: Path) -> None:
    """Calls under way count; on the next day (UTC) there is money again."""
    endpoint = Scripted(calls_at_once=100)
    worst = endpoint.worst_nanos(asked())
    agent = Agent(tmp_path, Scripted(calls_at_once=100, per_day=Decimal(3 * worst) / 10**9))
    agent.endpoint.answers = [says(cost=worst)]
    await agent.take(*(asked(f"q{number}") for number in range(5)))
    await agent.settle()
    assert sorted(agent.ends()) == [
        *((f"q{number}", "other", None) for number in range(3)),
        ("q3", None, "cap_per_day"),
        ("q4", None, "cap_per_day"),
    ]
    assert sum(agent.spending().spent.values()) == 3 * worst
    agent.now_ms += DAY_MS
    await agent.take(asked("q9", until_ms=agent.now_ms + MINUTE))
    await agent.settle()
    assert agent.ends()[-1] == ("q9", "other", None)
    agent.store.abandon()


@pytest.mark.parametrize(
    ("fields", "reason"), [({"connection": "gone"}, "no_connection"), ({"model": "huge"}, "no_model")]
)
async def test_who_cannot_be_asked_is_told_of_at_once(
    agent: Agent, fields: dict[str, Any], reason: str
) -> None:
    """A workspace was published before the file of connections was; nothing stays behind."""
    await agent.take(asked(**fields))
    await agent.settle()
    assert agent.ends() == [("q1", None, reason)]
    await agent.later(10 * MINUTE)
    assert agent.rows() == 0


async def test_a_call_has_no_more_time_than_the_question(agent: Agent) -> None:
    """The engine goes on without it then."""
    await agent.take(asked(until_ms=NOW + 200))
    await agent.settle()
    assert agent.endpoint.calls[0][1] == 0.2


async def test_a_question_that_waits_too_long_for_its_turn_ends(tmp_path: Path) -> None:
    """The endpoint hangs, and has one place."""
    agent = Agent(tmp_path, Scripted(calls_at_once=1))
    agent.endpoint.held = asyncio.Event()
    await agent.take(asked("q1"), asked("q2"))
    agent.now_ms += 10 * MINUTE
    view = View(agent.store.get)
    due = agent.store.due(agent.now_ms, 10)
    agent.logic.fire(due, view, agent.now_ms)
    await agent.commit(view)
    assert agent.ends() == [("q2", None, "gave_up:waited")]
    agent.endpoint.held.set()
    await agent.settle()
    assert agent.ends()[-1] == ("q1", "other", None)
    assert agent.rows() == 0
    agent.store.abandon()


async def test_five_failures_in_a_row_leave_the_endpoint_alone(agent: Agent) -> None:
    """The breaker of all connections; what waits meanwhile is asked afterwards."""
    agent.endpoint.answers = [*[fails(RetryAfter(1_000, "http_500", "provider"))] * 6, says()]
    await agent.take(*(asked(f"q{number}") for number in range(6)))
    await agent.settle()
    await agent.take(asked("q9"))
    await agent.settle()
    assert len(agent.endpoint.calls) == 6
    await agent.later(5 * MINUTE)
    assert {value for _, value, _ in agent.ends()} == {"other"}
    assert len(agent.ends()) == 7


# -- crashes


async def test_a_call_that_a_worker_died_in_is_asked_again_and_counts_at_its_worst(agent: Agent) -> None:
    """The next owner finds its row; nobody knows what the call cost."""
    agent.endpoint.held = asyncio.Event()
    await agent.take(asked())
    await agent.logic.close()
    agent.endpoint.held = None
    agent.begin()
    await agent.settle()
    await agent.later(MINUTE)
    worst = agent.endpoint.worst_nanos(asked())
    assert agent.ends() == [("q1", "other", None)]
    assert agent.spending() == Spending(NOW // DAY_MS, {"upsell": worst + COST}, {})


async def test_questions_that_waited_for_their_turn_are_taken_over(tmp_path: Path) -> None:
    """In their order, by the next owner."""
    agent = Agent(tmp_path, Scripted(calls_at_once=1))
    agent.endpoint.held = asyncio.Event()
    await agent.take(*(asked(f"q{number}") for number in range(4)))
    await agent.logic.close()
    agent.endpoint.held = None
    agent.begin()
    await agent.settle()
    await agent.later(MINUTE)
    assert sorted(agent.ends()) == [(f"q{number}", "other", None) for number in range(4)]
    agent.store.abandon()


# -- taken back


def taken_back(name: str = "q1") -> wire.LlmWithdrawn:
    """Nobody waits any more."""
    return wire.LlmWithdrawn(id=f"w-{name}", request=name, connection="assistant", at_ms=NOW)


async def test_a_question_that_nobody_waits_for_is_not_asked(tmp_path: Path) -> None:
    """And what it showed is forgotten."""
    agent = Agent(tmp_path, Scripted(calls_at_once=1))
    agent.endpoint.held = asyncio.Event()
    await agent.take(asked("q1"), slot("q2", data={"name": "Ada Lovelace"}))
    await agent.take(taken_back("q2"), taken_back("unknown"))
    assert all(b"Lovelace" not in stored for _, stored in agent.store.scan(QUESTIONS.prefix))
    agent.endpoint.held.set()
    await agent.settle()
    assert agent.ends() == [("q1", "other", None)]
    await agent.later(10 * MINUTE)
    assert agent.rows() == 0
    agent.store.abandon()


async def test_a_call_that_nobody_waits_for_is_paid_all_the_same(agent: Agent) -> None:
    """It comes back, is counted, and tells nobody."""
    agent.endpoint.held = asyncio.Event()
    await agent.take(asked())
    await agent.take(taken_back())
    agent.endpoint.held.set()
    await agent.settle()
    assert agent.ends() == []
    assert agent.spending() == Spending(NOW // DAY_MS, {"upsell": COST}, {})


async def test_an_answer_that_ended_keeps_nothing_of_the_person(agent: Agent) -> None:
    """The id alone is kept, until nobody could ask again."""
    await agent.take(asked(data={"name": "Ada Lovelace"}))
    await agent.settle()
    assert agent.rows() == 1
    assert all(b"Lovelace" not in stored for _, stored in agent.store.scan(QUESTIONS.prefix))


async def test_what_is_no_question_is_dead_lettered(agent: Agent) -> None:
    """Each with its reason."""
    await agent.take(b"{", b'{"type": "llm_asked"}')
    assert agent.dead == ["unreadable", "invalid"]


async def test_metrics_tell_calls_tokens_cost_and_outcomes(agent: Agent) -> None:
    """Of what was said they tell nothing."""
    agent.endpoint.answers = [says("nonsense"), says()]
    await agent.take(asked())
    await agent.settle()
    await agent.later(MINUTE)
    value = agent.registry.get_sample_value
    calls = {"connection": "assistant", "result": "accepted"}
    assert value("brimful_llm_calls_total", calls) == 2
    assert value("brimful_llm_tokens_total", {"connection": "assistant", "direction": "input"}) == 400
    assert value("brimful_llm_cost_total", {"connection": "assistant", "journey": "upsell"}) == 2 * COST / 1e9
    outcome = {"journey": "upsell", "step": "intent", "outcome": "answered"}
    assert value("brimful_llm_questions_total", outcome) == 1
    assert value("brimful_llm_call_seconds_count", {"connection": "assistant"}) == 2
