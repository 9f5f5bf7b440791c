"""Questions on their way: their rows, and what each result of a call means for what happens next. Pure.

A question's row is committed before the endpoint is called, with what the call may cost at most: a worker
that dies in the call leaves a row that says so. To ask again does no harm but to the budget, so a lost answer
is asked for again, and counts at its worst case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from schemas.wire import LlmAnswered, LlmAsked, LlmExchange
from workers.core.ids import bucket, stable_id
from workers.core.llm.check import take
from workers.core.llm.money import Spending
from workers.core.llm.prompt import prompt_of
from workers.senders.channels.base import Accepted, Misconfigured, Refused, RetryAfter, Unknown
from workers.senders.limits import MISCONFIGURED_MS
from workers.stream.tables import Table

if TYPE_CHECKING:
    from workers.senders.llm.endpoint import Called, Said

RETRY_MIN_MS: Final = 500
RETRY_MAX_MS: Final = 60_000

BAD_ANSWERS_MAX: Final = 2
"""An answer that cannot be taken is asked for once more: models that no schema holds slip now and then."""


class Question(msgspec.Struct, array_like=True):
    """State row of a question. ``asked`` is None once it ended or was taken back: then its id alone is kept.

    ``calling`` is True between the commit before a call and the commit of its result, ``queued`` while it
    waits for its turn; where both are False a timer brings it back. ``reserved_nanos`` is what the call under
    way may cost at most; costs and tokens are sums over its calls. ``spared`` calls are no tries.
    """

    connection: str
    journey: str
    until_ms: int
    asked: LlmAsked | None
    calls: int = 0
    bad_answers: int = 0
    calling: bool = False
    queued: bool = False
    reserved_nanos: int = 0
    cost_nanos: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    answer: str | None = None
    model: str | None = None
    spared: int = 0

    @property
    def tries(self) -> int:
        """Calls, without those that the endpoint told to come later, or that no key was good for."""
        return self.calls - self.spared


QUESTIONS = Table("llm_questions", b"y", Question)
SPENDING = Table("llm_spending", b"z", Spending)


@dataclass(frozen=True, slots=True)
class Value:
    """The question is answered."""

    value: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is no answer, and will be none."""

    reason: str


@dataclass(frozen=True, slots=True)
class Again:
    """To be asked again after ``delay_ms``."""

    delay_ms: int
    reason: str


def next_step(question: Question, called: Called, attempts: int, now_ms: int) -> Value | Nothing | Again:
    """What follows from a call, which the row has counted. Nothing is waited for beyond the deadline."""
    asked = question.asked
    assert asked is not None, "a question that was taken back has no next step"
    match called.result:
        case Accepted():
            assert called.said is not None, "who accepts says something"
            return _of_answer(question, asked, called.said, attempts, now_ms)
        case Refused(reason):
            return Nothing(reason)
        case RetryAfter(delay_ms, reason, "rate"):
            return _again(question, asked, delay_ms, reason, now_ms)
        case RetryAfter(delay_ms, reason):
            return _bounded(question, asked, delay_ms, reason, attempts, now_ms)
        case Misconfigured(reason):
            return _again(question, asked, MISCONFIGURED_MS, reason, now_ms)
        case Unknown(reason):
            return _bounded(question, asked, RETRY_MIN_MS, reason, attempts, now_ms)
        case _:
            assert_never(called.result)


def _of_answer(
    question: Question, asked: LlmAsked, said: Said, attempts: int, now_ms: int
) -> Value | Nothing | Again:
    if said.problem == "refusal":
        # It was understood, and declined: the same question gets the same answer.
        return Nothing("refusal")
    taken = take(asked, said.text)
    if said.problem is None and taken.value is not None:
        return Value(taken.value)
    reason = said.problem or taken.problem or "not_json"
    if question.bad_answers + 1 >= BAD_ANSWERS_MAX or question.tries >= attempts:
        return Nothing(reason)
    return _again(question, asked, RETRY_MIN_MS, reason, now_ms)


def _bounded(
    question: Question, asked: LlmAsked, delay_ms: int, reason: str, attempts: int, now_ms: int
) -> Nothing | Again:
    if question.tries >= attempts:
        return Nothing(f"gave_up:{reason}")
    doubled_ms = min(max(delay_ms, RETRY_MIN_MS) * 2 ** (question.tries - 1), RETRY_MAX_MS)
    return _again(question, asked, max(delay_ms, doubled_ms), reason, now_ms)


def _again(question: Question, asked: LlmAsked, delay_ms: int, reason: str, now_ms: int) -> Nothing | Again:
    delay_ms = max(delay_ms, RETRY_MIN_MS)
    jitter_ms = delay_ms * bucket(f"llm-{question.calls}", asked.id) // 20_000
    if now_ms + delay_ms + jitter_ms >= question.until_ms:
        return Nothing(f"gave_up:{reason}")
    return Again(delay_ms + jitter_ms, reason)


def counted(question: Question, called: Called) -> int:
    """Add a call to its row, and give what it cost: as the endpoint told, or at most where nobody knows."""
    said = called.said
    cost = {"told": called.cost_nanos, "nothing": 0, "unknown": question.reserved_nanos}[called.charged]
    question.calling = False
    question.spared += isinstance(called.result, Misconfigured) or (
        isinstance(called.result, RetryAfter) and called.result.about == "rate"
    )
    question.cost_nanos += cost
    if said is not None:
        question.input_tokens += said.input_tokens
        question.output_tokens += said.output_tokens
        question.answer, question.model = said.text, said.model
    return cost


def answer_of(
    question: Question, asked: LlmAsked, value: str | None, reason: str | None, now_ms: int
) -> LlmAnswered:
    """The record for the journey; with the exchange where anything was asked."""
    exchange = None
    if question.calls:
        exchange = LlmExchange(
            connection=asked.connection,
            model=question.model,
            prompt=prompt_of(asked),
            answer=question.answer,
            calls=question.calls,
            input_tokens=question.input_tokens,
            output_tokens=question.output_tokens,
            cost_nanos=question.cost_nanos,
            latency_ms=max(0, now_ms - asked.at_ms),
        )
    return LlmAnswered(
        id=stable_id("llm answered", asked.id),
        request=asked.id,
        subject_type=asked.subject_type,
        subject=asked.subject,
        journey=asked.journey,
        version=asked.version,
        enrollment=asked.enrollment,
        step=asked.step,
        task=asked.task,
        value=value,
        reason=reason,
        exchange=exchange,
        at_ms=now_ms,
    )
