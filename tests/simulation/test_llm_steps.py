"""LLM steps in the real applications, in virtual time: whatever dies when, each question has one end.

The engine and the senders run as a worker wires them; the model is asked in memory, and says what each text
makes it say.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from schemas import wire
from tests.unit.senders.llm_kit import connection_to
from workers.assemble import Assembly
from workers.clock import FixedClock
from workers.senders.channels.base import Accepted, RetryAfter, Unknown
from workers.senders.http.client import HttpClient
from workers.senders.llm.endpoint import Called, Endpoint, Said
from workers.senders.llm.questions import QUESTIONS, SPENDING
from workers.settings import Settings
from workers.simulate.cluster import Cluster, Rules, Worker
from workers.simulate.loop import VirtualLoop
from workers.stream.transaction import Step
from workers.workspace.files import LoadedWorkspace, load_workspace

if TYPE_CHECKING:
    from workers.core.llm.money import Spending
    from workers.simulate.owner import Owner

START_MS = 1_773_480_000_000
HOUR = 3_600_000
PARTITIONS = 3
PEOPLE = 9

JOURNEY = """
journey: answer_replies
subject: user
entry: {on: {event: replied}}
steps:
  - id: intent
    llm:
      connection: assistant
      classify: {interested: wants to hear more, stop: wants no more, other: anything else}
      instruction: What does the customer want?
      data: {reply: {property: text}}
      timeout: 10m
      fallback: other
  - branch:
      - when: {llm: intent, is: interested}
        steps:
          - id: pick
            llm:
              connection: assistant
              choose: [short, long]
              instruction: Which offer fits?
              data: {reply: {property: text}}
              fallback: short
          - id: opening
            llm:
              connection: assistant
              fill: {max_chars: 60, forbid: [free]}
              instruction: Greet them.
              data: {reply: {property: text}}
              fallback: Thank you for your reply.
          - send: {in_app: offer}
            variants: {short: {}, long: {template: long_offer}}
            chosen_by: pick
      - when: {llm: intent, is: stop}
        steps: [exit: stop]
      - otherwise:
          - send: {in_app: later}
"""

OFFER = '"{{ llm.opening }}"'
"""The body of a banner that shows what the model wrote."""

REPLIES = {
    "interested": {"label": "interested", "variant": "long", "text": "Great choice & welcome!"},
    "hostile": {"label": "give everybody a discount", "variant": "both", "text": "See evil.example"},
    "stop": {"label": "stop", "variant": "short", "text": "x"},
}
"""What the model says of each text, to each kind of question."""


class Assistant(Endpoint):
    """The model. ``faults`` come with each call in turn; ``bill`` is what it would be paid for."""

    def __init__(self, loop: VirtualLoop, **fields: Any) -> None:
        connection = connection_to("https://llm.example.com", **fields)
        super().__init__("assistant", connection, HttpClient(), FixedClock(START_MS))
        self.loop = loop
        self.replies = REPLIES
        self.bill: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.faults: list[str] = []

    async def ask(self, asked: wire.LlmAsked, total_s: float) -> Called:
        """A second later it says what the text makes it say."""
        fault = self.faults.pop(0) if self.faults else ""
        self.calls[asked.id] += 1
        await asyncio.sleep(min(1.0, total_s))
        match fault:
            case "429":
                return Called(RetryAfter(3_000, "http_429", "rate"), "nothing")
            case "500":
                return Called(RetryAfter(1_000, "http_500", "provider"), "nothing")
            case "lost":
                self.bill[asked.id] += 90_000
                return Called(Unknown("http_timeout"), "unknown")
            case "dead":
                return Called(RetryAfter(3_000_000, "http_429", "rate"), "nothing")
        field = {"classify": "label", "choose": "variant", "fill": "text"}[asked.task]
        said = json.dumps({field: self.replies[asked.data["reply"]][field]})
        self.bill[asked.id] += 90_000
        return Called(Accepted(None), "told", Said(said, "small-2026", 500, 25), 90_000)


def loaded(tmp_path: Path) -> LoadedWorkspace:
    """The workspace of these tests."""
    for name in ("journeys", "templates"):
        (tmp_path / name).mkdir()
    (tmp_path / "journeys" / "answer_replies.yaml").write_text(JOURNEY)
    for name, body in (("offer", OFFER), ("long_offer", OFFER), ("later", "Later")):
        (tmp_path / "templates" / f"{name}.yaml").write_text(
            f"channel: in_app\nform: banner\ntitle: T\nbody: {body}\n"
        )
    return load_workspace(tmp_path)


class Simulated:
    """Two workers with engine and senders on a log in memory."""

    def __init__(self, workspace: LoadedWorkspace, **fields: Any) -> None:
        self.loop = VirtualLoop(START_MS)
        self.assistant = Assistant(self.loop, **fields)
        settings = Settings(
            state_dir=Path("nowhere"), secret=cast("Any", "a secret of 32 bytes for the tests")
        )
        assembly = Assembly(settings, ())
        assembly.use(workspace)
        specs = (
            assembly.engine_spec(PARTITIONS),
            assembly.senders_spec({}, {"assistant": self.assistant}),
        )
        self.workers = [Worker(name, specs) for name in ("one", "two")]
        self.cluster = Cluster(self.loop, PARTITIONS, self.workers)
        self.cluster.balance()

    def reply(self, person: str, text: str) -> None:
        """Somebody replied."""
        event = {
            "type": "track",
            "messageId": f"m-{person}",
            "userId": person,
            "event": "replied",
            "timestamp": "2026-03-14T09:20:00.000Z",
            "properties": {"text": text},
        }
        self.cluster.log.append("product-events", person.encode(), json.dumps(event).encode())

    def later(self, duration_ms: int) -> None:
        """Time passes."""
        self.loop.run_until(self.loop.now_ms + duration_ms)

    def of(self, topic: str, decode: Any) -> list[Any]:
        """The committed records of a topic."""
        return [decode(record.value) for record in self.cluster.log.committed(topic) if record.value]

    def questions(self) -> list[wire.LlmAsked]:
        """All that was asked."""
        found = self.of("llm-requests", wire.decode_llm)
        return [one for one in found if isinstance(one, wire.LlmAsked)]

    def answers(self) -> list[wire.LlmAnswered]:
        """All that came back."""
        return [
            one for one in self.of("scheduler", wire.decode_scheduler) if isinstance(one, wire.LlmAnswered)
        ]

    def decisions(self, kind: str) -> list[wire.Decision]:
        """What was decided."""
        return [one for one in self.of("decisions", wire.decode_decision) if one.kind == kind]

    def shown(self) -> dict[str, list[tuple[str, str]]]:
        """What stands in feeds at last: template and text, by person."""
        newest = {one.person: one for one in self.of("feeds", wire.decode_feed)}
        return {
            person: [(item.template, item.body) for item in feed.items] for person, feed in newest.items()
        }

    def spending(self) -> Spending:
        """The row of the connection, which one partition has."""
        rows = [
            SPENDING.decode(stored)
            for (app, _), owner in self.cluster.owners.items()
            if "senders" in app
            for _, stored in owner.store.scan(SPENDING.prefix)
        ]
        (row,) = rows
        return row

    def kept(self) -> int:
        """Questions that a partition still keeps."""
        return sum(
            len(list(owner.store.scan(QUESTIONS.prefix)))
            for (app, _), owner in self.cluster.owners.items()
            if "senders" in app
        )


def everybody(simulated: Simulated) -> None:
    """A third of each kind replies."""
    for number in range(PEOPLE):
        simulated.reply(f"u{number}", list(REPLIES)[number % 3])


def check(simulated: Simulated, *, fallbacks: bool = False) -> None:
    """What holds whatever died: one end of each question and enrollment, and a bill that adds up."""
    questions, answers = simulated.questions(), simulated.answers()
    assert len({one.id for one in questions}) == len(questions)
    assert Counter(one.request for one in answers) == Counter(one.id for one in questions)
    ends = [one for one in simulated.decisions("llm") if one.outcome != "late"]
    assert len(ends) == len(questions) == len({one.id for one in ends})
    assert Counter(one.subject for one in simulated.decisions("exit")) == {
        f"u{number}": 1 for number in range(PEOPLE)
    }
    cost = sum(one.exchange.cost_nanos for one in answers if one.exchange is not None)
    assert simulated.spending().spent == ({"answer_replies": cost} if cost else {})
    assert simulated.spending().reserved == {}
    assert cost >= sum(simulated.assistant.bill.values())
    assert simulated.kept() == 0
    if fallbacks:
        return
    banners = simulated.shown()
    for number in range(PEOPLE):
        shown = banners.get(f"u{number}", [])
        match number % 3:
            case 0:
                assert shown == [("long_offer", "Great choice & welcome!")]
            case 1:
                assert [template for template, _ in shown] == ["later"]
            case 2:
                assert shown == []


def test_people_go_where_the_model_says_and_hostile_texts_lead_nowhere_else(tmp_path: Path) -> None:
    """Approved labels, an approved variant; a text that breaks the rules of its slot is not shown."""
    simulated = Simulated(loaded(tmp_path))
    everybody(simulated)
    simulated.later(HOUR)
    check(simulated)
    hostile = [one for one in simulated.decisions("llm") if one.subject == "u1"]
    assert [(one.outcome, one.reason) for one in hostile] == [("fallback", "not_an_option")]
    assert hostile[0].values["exchange"]["answer"] == '{"label": "give everybody a discount"}'
    asked = {one.subject: one.id for one in simulated.questions()}
    assert simulated.assistant.calls[asked["u1"]] == 2
    assert simulated.assistant.calls[asked["u2"]] == 1


def test_a_text_that_breaks_the_rules_of_its_slot_is_not_shown(tmp_path: Path) -> None:
    """The fallback stands in its place, and the decision says why."""
    simulated = Simulated(loaded(tmp_path))
    simulated.assistant.replies = REPLIES | {
        "interested": REPLIES["interested"] | {"text": "See evil.example"}
    }
    simulated.reply("u0", "interested")
    simulated.later(HOUR)
    assert simulated.shown()["u0"] == [("long_offer", "Thank you for your reply.")]
    (decision,) = [one for one in simulated.decisions("llm") if one.step == "opening"]
    assert decision.reason == "text_refused: it has a link that is not allowed"


@pytest.mark.parametrize("app", ["engine", "senders"])
@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("nth", [1, 4])
def test_a_worker_that_dies_anywhere_leaves_each_question_with_one_end(
    tmp_path: Path, app: str, step: Step, nth: int
) -> None:
    """After each step of a transaction of either application; another worker takes over."""
    simulated = Simulated(loaded(tmp_path))
    seen = 0

    def step_ms(owner: Owner, at: Step) -> int:
        nonlocal seen
        if app in owner.spec.config.app_id and at is step:
            seen += 1
            if seen == nth:
                worker = simulated.cluster.workers[owner.worker]
                simulated.loop.at(simulated.loop.now_ms, lambda: _die(simulated, worker))
        return 5

    simulated.cluster.rules = Rules(step_ms=step_ms)
    everybody(simulated)
    simulated.later(HOUR)
    assert seen >= nth
    check(simulated)


def _die(simulated: Simulated, worker: Worker) -> None:
    simulated.cluster.crash(worker)
    simulated.cluster.balance()
    simulated.loop.at(simulated.loop.now_ms + 20_000, lambda: _rise(simulated, worker))


def _all_die_and_rise(simulated: Simulated) -> None:
    for worker in simulated.workers:
        simulated.cluster.crash(worker)
    for worker in simulated.workers:
        simulated.cluster.restart(worker)
    simulated.cluster.balance()


def _rise(simulated: Simulated, worker: Worker) -> None:
    simulated.cluster.restart(worker)
    simulated.cluster.balance()


@pytest.mark.parametrize("after_ms", [200, 700, 1_500])
def test_a_worker_that_dies_in_the_call_asks_again_and_pays_at_most_twice(
    tmp_path: Path, after_ms: int
) -> None:
    """Nobody knows whether the call counted; the budget counts it at its worst."""
    simulated = Simulated(loaded(tmp_path))
    everybody(simulated)
    simulated.later(after_ms)
    simulated.loop.at(simulated.loop.now_ms, lambda: _all_die_and_rise(simulated))
    simulated.later(HOUR)
    check(simulated)
    assert max(simulated.assistant.calls.values()) <= 3


@pytest.mark.parametrize("faults", [["429"] * 6, ["500", "lost"] * 5, ["lost"] * 4])
def test_faults_of_the_endpoint_delay_answers_and_lose_none(tmp_path: Path, faults: list[str]) -> None:
    """Each is asked again; lost answers are paid at their worst case."""
    simulated = Simulated(loaded(tmp_path))
    simulated.assistant.faults = list(faults)
    everybody(simulated)
    simulated.later(HOUR)
    check(simulated)


def test_an_endpoint_that_is_away_for_long_leads_everybody_to_the_fallback(tmp_path: Path) -> None:
    """Within the time that the step has; nobody waits for ever."""
    simulated = Simulated(loaded(tmp_path))
    simulated.assistant.faults = ["dead"] * 100
    everybody(simulated)
    simulated.later(HOUR)
    check(simulated, fallbacks=True)
    assert {one.outcome for one in simulated.decisions("llm")} == {"fallback"}
    assert {template for items in simulated.shown().values() for template, _ in items} == {"later"}


def test_a_days_budget_is_never_exceeded(tmp_path: Path) -> None:
    """What does not fit goes on with the fallback; what was spent is what the endpoint would bill."""
    cap = Decimal("0.0004")
    simulated = Simulated(loaded(tmp_path), per_day=cap)
    everybody(simulated)
    simulated.later(HOUR)
    check(simulated, fallbacks=True)
    assert 0 < sum(simulated.assistant.bill.values()) <= int(cap * 10**9)
    assert ("fallback", "cap_per_day") in {(one.outcome, one.reason) for one in simulated.decisions("llm")}
