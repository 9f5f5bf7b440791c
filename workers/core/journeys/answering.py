"""An answer of a model arrives: who waits for it goes on at once; nobody else is moved by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from schemas import wire
from workers.core.commands import RecordDecision, Transition
from workers.core.ids import stable_id
from workers.core.journeys.asking import checked, exchange_values, note
from workers.core.journeys.lineage import UNKNOWN, carry
from workers.core.journeys.progress import LlmSaid, with_enrollment
from workers.core.journeys.run import COMPLETED, Run
from workers.core.journeys.step_plans import LlmStepPlan
from workers.core.journeys.steps import go_on

if TYPE_CHECKING:
    from workers.core.facts import Facts
    from workers.core.journeys.progress import Enrollment, Position, Progress
    from workers.core.plan import SubjectPlan


def answer(
    plan: SubjectPlan, answered: wire.LlmAnswered, facts: Facts, progress: Progress, now_ms: int
) -> Transition:
    """Take an answer in.

    The enrollment that waits for it goes on with it, in the version that governs it now, which may approve of
    the answer no more: then with the fallback. The same answer again does nothing. One that nobody waits for
    (the time was over, the enrollment ended) is recorded as ``late``, because it was paid for.
    """
    held = progress.enrollment(answered.enrollment)
    if held is None or not held.is_active:
        return _late(held, answered, progress, now_ms)
    journey, carried, reason = carry(plan, held)
    position = _waiting(carried, answered)
    if position is None:
        return _late(held, answered, progress, now_ms)
    if journey is None and reason == UNKNOWN:
        return _keep(held, answered, progress, now_ms)
    step = journey.steps.get(position.step) if journey is not None else None
    if journey is None or not isinstance(step, LlmStepPlan):
        # Its timer, or who brings all in line, ends it or takes it on.
        return _late(held, answered, progress, now_ms)
    others = [one for one in carried.places if one is not position]
    run = Run(journey, carried, facts, progress, now_ms, ready=[], waiting=others)
    said = checked(step, answered.value, answered.request, answered.reason)
    outcome = "answered" if said.fallback is None else "fallback"
    note(run, step, said, answered.request, outcome, exchange_values(answered))
    if step.next is None:
        run.enrollment = replace(run.enrollment, step=position.step)
        return run.ended(COMPLETED)
    onward = replace(position, step=step.next, due_ms=now_ms, since_ms=None, until_ms=None, asked=None)
    run.ready.append(onward)
    return go_on(run)


def _waiting(enrollment: Enrollment, answered: wire.LlmAnswered) -> Position | None:
    """The position that waits for the answer; over which connection it came makes no difference."""
    return next(
        (
            one
            for one in enrollment.places
            if one.asked is not None and one.asked.partition(":")[2] == answered.request
        ),
        None,
    )


def _keep(held: Enrollment, answered: wire.LlmAnswered, progress: Progress, now_ms: int) -> Transition:
    """Keep the answer until the enrollment's version is known here: this worker is behind for a moment."""
    reason = answered.reason or "no_answer" if answered.value is None else None
    kept = replace(
        held, said={**held.said, answered.step: LlmSaid(answered.value or "", answered.request, reason)}
    )
    outcome = "answered" if reason is None else "fallback"
    decision = _decision(answered, progress.subject, outcome, reason, now_ms)
    return Transition(with_enrollment(progress, kept), (decision,))


def _late(held: Enrollment | None, answered: wire.LlmAnswered, progress: Progress, now_ms: int) -> Transition:
    known = held.said.values() if held is not None else ()
    if any(said.request == answered.request and said.fallback != "timed_out" for said in known):
        return Transition(progress)
    return Transition(progress, (_decision(answered, progress.subject, "late", answered.reason, now_ms),))


def _decision(
    answered: wire.LlmAnswered, subject: str, outcome: str, reason: str | None, now_ms: int
) -> RecordDecision:
    decision = wire.Decision(
        id=stable_id("decision", "late" if outcome == "late" else "llm", answered.request),
        kind="llm",
        subject_type=answered.subject_type,
        subject=subject,
        journey=answered.journey,
        version=answered.version,
        enrollment=answered.enrollment,
        step=answered.step,
        outcome=outcome,
        reason=reason,
        values={"task": answered.task, "value": answered.value, **exchange_values(answered)},
        at_ms=now_ms,
    )
    return RecordDecision(decision)
