"""Running the steps of an enrollment until it waits, or is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, assert_never

from msgspec.structs import replace

from schemas import wire
from workers.core.commands import CancelTimer, SetTimer, Transition
from workers.core.decisions import exit_decision
from workers.core.facts import Moment
from workers.core.ids import stable_id
from workers.core.outcome import Outcome
from workers.core.plan import BranchStepPlan, SendStepPlan, WaitStepPlan
from workers.core.progress import with_enrollment
from workers.core.sending import ask_members, request_of, send_to_person

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.fields import SubjectType
    from workers.core.commands import Command
    from workers.core.facts import Facts
    from workers.core.plan import JourneyPlan
    from workers.core.progress import Enrollment, Progress

STEPS_PER_ACTIVATION_MAX: Final = 50
"""Steps that run in one go. The rest follows by a timer that is due at once, so that one subject with a long
journey neither makes a transaction large nor keeps the others of its partition waiting."""


def run_steps(
    journey: JourneyPlan, enrollment: Enrollment, facts: Facts, progress: Progress, now_ms: int
) -> Transition:
    """Run an active enrollment from ``enrollment.step`` on, until it waits or the journey is over.

    ``enrollment`` stands in ``progress`` already, or is put there in its newest form.
    """
    commands: list[Command] = []
    path: str | None = enrollment.step
    ran = 0
    while path is not None:
        enrollment = replace(enrollment, step=path)
        step = journey.steps[path]
        if isinstance(step, WaitStepPlan):
            return wait(enrollment, progress, commands, now_ms + step.wait_ms)
        # A wait never comes here: a timer that is due at a wait's path means that the wait is over.
        if ran == STEPS_PER_ACTIVATION_MAX:
            return wait(enrollment, progress, commands, now_ms)
        if journey.running.condition == "paused":
            parked = replace(enrollment, timer_id=None, due_ms=now_ms)
            return Transition(with_enrollment(progress, parked), tuple(commands))
        ran += 1
        match step:
            case SendStepPlan():
                enrollment, sent = _send(journey, enrollment, step, Moment(facts, progress, now_ms))
                progress = sent.progress
                commands += sent.commands
                path = step.next
            case BranchStepPlan():
                trigger = enrollment.trigger.properties
                path = _way(step, Moment(facts, progress, now_ms, properties=trigger))
            case _:
                assert_never(step)
    ended = end(journey.subject, enrollment, progress, "completed", values={}, now_ms=now_ms)
    return Transition(ended.progress, (*commands, *ended.commands))


def end(
    subject_type: SubjectType,
    enrollment: Enrollment,
    progress: Progress,
    reason: str,
    *,
    values: Mapping[str, Any],
    now_ms: int,
) -> Transition:
    """End an active enrollment: its timer is cancelled, and no step of it runs any more.

    What its templates needed is forgotten; what its goal needs is kept.
    """
    ended = replace(
        enrollment,
        state="ended",
        end_reason=reason,
        ended_at_ms=now_ms,
        timer_id=None,
        due_ms=None,
        trigger=replace(enrollment.trigger, properties={}),
    )
    cancelled = () if enrollment.timer_id is None else (CancelTimer(enrollment.timer_id),)
    decision = exit_decision(subject_type, progress.subject, ended, values, now_ms)
    return Transition(with_enrollment(progress, ended), (*cancelled, decision))


def wait(enrollment: Enrollment, progress: Progress, commands: list[Command], due_ms: int) -> Transition:
    """Wait at the enrollment's step until ``due_ms``; ``commands`` come first."""
    timer_id = stable_id("timer", enrollment.id, enrollment.step, str(enrollment.visit))
    waiting = replace(enrollment, timer_id=timer_id, due_ms=due_ms)
    timer = SetTimer(timer_id, due_ms, enrollment.id)
    return Transition(with_enrollment(progress, waiting), (*commands, timer))


def _send(
    journey: JourneyPlan,
    enrollment: Enrollment,
    step: SendStepPlan,
    moment: Moment,
) -> tuple[Enrollment, Transition]:
    facts, progress, now_ms = moment.facts, moment.progress, moment.now_ms
    request = request_of(journey, enrollment, step, progress.subject, now_ms)
    context = wire.MessageContext(
        user=dict(facts.traits) if journey.subject == "user" else {},
        account=dict(facts.account_traits if journey.subject == "user" else facts.traits),
        event=enrollment.trigger.properties,
    )
    if journey.subject == "user":
        sent = send_to_person(request, context, facts, progress, now_ms)
    else:
        sent = ask_members(request, journey, context, progress, now_ms)
    went_out = len(sent.progress.messages) > len(progress.messages)
    if went_out and enrollment.first_sent_at_ms is None:
        enrollment = replace(enrollment, first_sent_at_ms=now_ms)
    return enrollment, sent


def _way(step: BranchStepPlan, moment: Moment) -> str | None:
    """The path that a branch goes on to; None where the journey is over."""
    for condition, target in step.arms:
        if condition.test(moment, {}) is Outcome.TRUE:
            return target
    return step.otherwise
