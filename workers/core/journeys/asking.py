"""The LLM step: a question is put, the enrollment waits, and goes on with the answer or with the fallback.

The question leaves in the transaction in which the step is reached, and the answer comes as a record. What a
position waits for stands in it (``Position.asked``), so each question is answered at most once: a second
answer, one that comes late or after the enrollment ended, finds nobody who waits for it, and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from schemas import wire
from schemas.slots import slot_problem
from workers.core.commands import AskModel
from workers.core.decisions import llm_decision
from workers.core.ids import stable_id
from workers.core.journeys.progress import LlmSaid, asked_of
from workers.core.journeys.run import Go, Stay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.journeys.progress import Enrollment, Position
    from workers.core.journeys.run import Outcome, Run
    from workers.core.journeys.step_plans import LlmStepPlan
    from workers.core.plan import JourneyPlan

TEXT_MAX_CHARS: Final = 8_000
"""A longer text is cut before a model is shown it."""

DATA_MAX_BYTES: Final = 32_768
"""All that a model is shown, as JSON; beyond it the fallback counts (``too_much_data``)."""

ANSWER_MARGIN_MS: Final = 5_000
"""So long before the step goes on by itself nobody asks the model any more (a quarter of short timeouts):
the reason for the fallback then comes from who asked, and says more than that time ran out."""


def ask(run: Run, step: LlmStepPlan, position: Position) -> Outcome:
    """Put the question when the step is reached; when its time has come, go on with the fallback."""
    if position.asked is not None and position.since_ms is not None:
        return _wait(run, step, position, position.since_ms, position.asked)
    request = stable_id("llm", run.enrollment.id, step.path, str(position.visit))
    moment = run.moment
    read = {name: read(moment, run.enrollment.awaited) for name, read in step.data.items()}
    data = {name: _cut(value) for name, value in read.items() if value is not None and value != ""}
    reason = _why_not(run, step, data)
    if reason is not None:
        note(run, step, LlmSaid(step.fallback, fallback=reason), request, _outcome(reason), {"data": data})
        return Go(step.next)
    until_ms = run.now_ms + step.timeout_ms
    run.commands.append(AskModel(_question(run, step, request, data, until_ms)))
    asked = asked_of(step.connection, request)
    return Stay(replace(position, due_ms=until_ms, since_ms=run.now_ms, until_ms=until_ms, asked=asked))


def _wait(run: Run, step: LlmStepPlan, position: Position, since_ms: int, asked: str) -> Outcome:
    request = asked.partition(":")[2]
    said = run.enrollment.said.get(step.path)
    if said is not None and said.request == request:
        # It came while this version of the journey was not known here, and was recorded then.
        value = None if said.fallback is not None else said.value
        _keep(run, step, checked(step, value, request, said.fallback))
        return Go(step.next)
    until_ms = since_ms + step.timeout_ms if position.until_ms is None else position.until_ms
    if until_ms > run.now_ms:
        return Stay(replace(position, due_ms=until_ms, until_ms=until_ms))
    note(run, step, LlmSaid(step.fallback, request, "timed_out"), request, "fallback", {})
    return Go(step.next)


def _why_not(run: Run, step: LlmStepPlan, data: Mapping[str, Any]) -> str | None:
    """Why no model is asked; None where one is.

    A holdout goes the same way as everybody, so it is classified like everybody; what only shapes messages
    that it does not get is not asked for.
    """
    if run.journey.shadow and not step.in_shadow:
        return "shadow"
    if run.enrollment.holdout and step.task != "classify":
        return "holdout"
    if not data:
        return "no_data"
    return "too_much_data" if len(msgspec.json.encode(data)) > DATA_MAX_BYTES else None


def _outcome(reason: str) -> str:
    return "would_ask" if reason in ("shadow", "holdout") else "fallback"


def _question(
    run: Run, step: LlmStepPlan, request: str, data: Mapping[str, Any], until_ms: int
) -> wire.LlmAsked:
    rules, enrollment = step.rules, run.enrollment
    return wire.LlmAsked(
        id=request,
        connection=step.connection,
        model=step.model,
        subject_type=run.journey.subject,
        subject=run.progress.subject,
        journey=enrollment.journey,
        version=enrollment.version,
        enrollment=enrollment.id,
        step=step.path,
        task=step.task,
        instruction=step.instruction,
        options=dict(step.options) if step.options is not None else None,
        data=dict(data),
        max_chars=rules.max_chars if rules is not None else None,
        forbid=list(rules.forbid) or None if rules is not None else None,
        links=list(rules.links) or None if rules is not None else None,
        until_ms=until_ms - min(ANSWER_MARGIN_MS, step.timeout_ms // 4),
        at_ms=run.now_ms,
    )


def checked(step: LlmStepPlan, value: str | None, request: str, reason: str | None) -> LlmSaid:
    """What came of a question: the answer where this version of the journey approves of it, or the fallback.

    Who asked has checked the answer by the question; the journey may have changed since. ``reason`` says why
    there is none.
    """
    if value is None:
        return LlmSaid(step.fallback, request, reason or "no_answer")
    if step.options is not None:
        approved = value in step.options
    else:
        approved = step.rules is not None and slot_problem(value, step.rules) is None
    if not approved:
        return LlmSaid(step.fallback, request, "not_approved_any_more")
    return LlmSaid(value, request)


def note(
    run: Run, step: LlmStepPlan, said: LlmSaid, request: str, outcome: str, values: Mapping[str, Any]
) -> None:
    """Keep what came of a step, and record it."""
    _keep(run, step, said)
    decision = llm_decision(
        run.journey.subject,
        run.progress.subject,
        replace(run.enrollment, step=step.path),
        request,
        outcome=outcome,
        reason=said.fallback,
        values={"task": step.task, "value": said.value, "connection": step.connection, **values},
        now_ms=run.now_ms,
    )
    run.commands.append(decision)


def _keep(run: Run, step: LlmStepPlan, said: LlmSaid) -> None:
    run.enrollment = replace(run.enrollment, said={**run.enrollment.said, step.path: said})


def exchange_values(answer: wire.LlmAnswered) -> dict[str, Any]:
    """The exchange as a decision holds it; empty where nobody was asked."""
    return {} if answer.exchange is None else {"exchange": msgspec.to_builtins(answer.exchange)}


def shown_answers(journey: JourneyPlan, enrollment: Enrollment) -> dict[str, str]:
    """What templates see of the LLM steps, by their ids: of one that was not come by, its fallback."""
    fallbacks = journey.fallbacks
    said = {path: one.value for path, one in enrollment.said.items() if path in fallbacks}
    return {**fallbacks, **said}


def chosen_variant(
    journey: JourneyPlan, enrollment: Enrollment, chosen_by: str, variants: Mapping[str, str]
) -> str:
    """The variant that an LLM step chose; its fallback where that is none of them, or was not come by."""
    value = shown_answers(journey, enrollment).get(chosen_by, "")
    if value in variants:
        return value
    fallback = journey.fallbacks.get(chosen_by, "")
    return fallback if fallback in variants else next(iter(variants))


def _cut(value: Any) -> Any:
    return value[:TEXT_MAX_CHARS] if isinstance(value, str) else value
