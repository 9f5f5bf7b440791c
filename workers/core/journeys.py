"""What happens to those inside: timers that fire, events and traits that end a journey or reach its goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from schemas import wire
from workers.core.commands import RecordConversion, Transition
from workers.core.comparisons import compile_path, is_same
from workers.core.decisions import goal_decision
from workers.core.ids import stable_id
from workers.core.lineage import UNKNOWN, UNKNOWN_RETRY_MS, carry, governing
from workers.core.plan import WaitStepPlan
from workers.core.progress import pruned, with_enrollment
from workers.core.steps import end, run_steps, wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.commands import Command
    from workers.core.facts import Facts
    from workers.core.plan import JourneyPlan, SubjectPlan
    from workers.core.progress import Enrollment, Progress


@dataclass(frozen=True, slots=True)
class Happened:
    """A product event of the subject; of any member, where the subject is an account."""

    event: str
    properties: Mapping[str, Any]
    message_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Changed:
    """Traits of the subject that have another value now (see :func:`changed_traits`)."""

    traits: tuple[str, ...]
    message_id: str
    at_ms: int


def changed_traits(plan: SubjectPlan, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Those traits that some exit watches and whose value is not what it was, also from or to nothing."""
    return tuple(
        trait
        for trait, read in ((trait, compile_path(trait)) for trait in plan.trait_exits)
        if not is_same(read(before), read(after))
    )


def resume(
    plan: SubjectPlan, progress: Progress, enrollment_id: str, facts: Facts, now_ms: int
) -> Transition:
    """Go on after a timer. Does nothing where the enrollment is over, is not known, or is due later.

    The version that governs the enrollment now (:func:`workers.core.lineage.carry`) is followed, if it has
    the step: at a wait the enrollment goes on behind it, at any other step with that step. Otherwise the
    enrollment ends (``version_gone``). Of a version that is not known here yet it waits. A wait that became
    longer goes on; in a paused journey it is held.
    """
    enrollment = progress.enrollment(enrollment_id)
    if enrollment is None or enrollment.due_ms is None or now_ms < enrollment.due_ms:
        return Transition(progress)
    progress = pruned(progress, now_ms, plan.message_memory_ms)
    # The timer has fired: there is none to cancel.
    fired = replace(enrollment, timer_id=None)
    journey, enrollment, reason = carry(plan, fired)
    if reason == UNKNOWN:
        return wait(enrollment, progress, [], now_ms + UNKNOWN_RETRY_MS)
    if journey is None or journey.running.condition == "stopped":
        return end(plan.subject, enrollment, progress, reason or "stopped", values={}, now_ms=now_ms)
    if enrollment.due_ms is not None and enrollment.due_ms > now_ms:
        return wait(enrollment, progress, [], enrollment.due_ms)
    if journey.running.condition == "paused":
        return Transition(with_enrollment(progress, enrollment))
    return _go_on(journey, enrollment, facts, progress, now_ms)


def _go_on(
    journey: JourneyPlan, enrollment: Enrollment, facts: Facts, progress: Progress, now_ms: int
) -> Transition:
    """Behind the wait at the enrollment's step, or with the step."""
    step = journey.steps[enrollment.step]
    enrollment = replace(enrollment, due_ms=None, version=journey.version)
    following = step.next if isinstance(step, WaitStepPlan) else step.path
    if following is None:
        return end(journey.subject, enrollment, progress, "completed", values={}, now_ms=now_ms)
    return run_steps(journey, replace(enrollment, step=following), facts, progress, now_ms)


def observe(plan: SubjectPlan, happened: Happened | Changed, progress: Progress, now_ms: int) -> Transition:
    """Goals and exits that an event or a change of traits brings, at once, also during a wait.

    An event from before the trigger does not count; one of the same instant does, because producers whose
    clocks tell only seconds must not hide an upgrade. It may reach the goal and end the enrollment at the
    same time. Does nothing for who is in no journey and in no goal's window.
    """
    if not progress.enrollments:
        return Transition(progress)
    now = progress
    commands: list[Command] = []
    if isinstance(happened, Happened):
        concerned = plan.events.get(happened.event)
        if concerned is None:
            return Transition(progress)
        for journey in concerned.goals:
            now, reached = _goal(plan, journey, happened, now, now_ms)
            commands += reached
        for journey in concerned.exits:
            now, left = _exit_on_event(plan, journey, happened, now, now_ms)
            commands += left
    else:
        for trait in happened.traits:
            for journey in plan.trait_exits.get(trait, ()):
                values = {"message_id": happened.message_id}
                now, left = _exit(plan, journey, f"changed: {trait}", values, now, now_ms)
                commands += left
    if not commands:
        return Transition(progress)
    return Transition(pruned(now, now_ms, plan.message_memory_ms), tuple(commands))


def _exit_on_event(
    plan: SubjectPlan, journey: JourneyPlan, happened: Happened, progress: Progress, now_ms: int
) -> tuple[Progress, tuple[Command, ...]]:
    inside = _inside(plan, journey, progress)
    if inside is None or not _is_after(happened, inside):
        return progress, ()
    if not journey.exits_on(happened.event, happened.properties):
        return progress, ()
    values = {"message_id": happened.message_id, "event_at_ms": happened.at_ms}
    return _exit(plan, journey, f"event: {happened.event}", values, progress, now_ms)


def _is_after(happened: Happened, enrollment: Enrollment) -> bool:
    trigger = enrollment.trigger
    return happened.at_ms >= trigger.at_ms and happened.message_id != trigger.message_id


def _inside(plan: SubjectPlan, journey: JourneyPlan, progress: Progress) -> Enrollment | None:
    """The active enrollment that this version of a journey governs."""
    inside = progress.active_in(journey.name)
    return inside if inside is not None and governing(plan, inside) is journey else None


def _exit(
    plan: SubjectPlan,
    journey: JourneyPlan,
    reason: str,
    values: Mapping[str, Any],
    progress: Progress,
    now_ms: int,
) -> tuple[Progress, tuple[Command, ...]]:
    inside = _inside(plan, journey, progress)
    if inside is None:
        return progress, ()
    ended = end(journey.subject, inside, progress, reason, values=values, now_ms=now_ms)
    return ended.progress, ended.commands


def _goal(
    plan: SubjectPlan, journey: JourneyPlan, happened: Happened, progress: Progress, now_ms: int
) -> tuple[Progress, tuple[Command, ...]]:
    """Credit the event to the newest enrollment that began before it: once, inside its window, for ever."""
    goal = journey.goal
    begun = [
        held for held in progress.enrollments if held.journey == journey.name and _is_after(happened, held)
    ]
    if goal is None or not begun:
        return progress, ()
    newest = max(begun, key=lambda held: (held.trigger.at_ms, held.entered_at_ms, held.id))
    if governing(plan, newest) is not journey:
        return progress, ()
    if newest.converted_at_ms is not None or newest.goal_until_ms is None:
        return progress, ()
    if happened.at_ms >= newest.goal_until_ms:
        return progress, ()
    if goal.where is not None and not goal.where(happened.properties):
        return progress, ()
    converted = replace(newest, converted_at_ms=happened.at_ms)
    conversion = _conversion(journey, converted, happened, progress.subject)
    values = {"event": happened.event, "message_id": happened.message_id}
    decision = goal_decision(journey.subject, progress.subject, converted, values, now_ms)
    last_ms = max(happened.at_ms, progress.converted.get(journey.name, happened.at_ms))
    progress = replace(progress, converted={**progress.converted, journey.name: last_ms})
    commands: tuple[Command, ...] = (
        (decision,) if journey.shadow else (RecordConversion(conversion), decision)
    )
    return with_enrollment(progress, converted), commands


def _conversion(
    journey: JourneyPlan, enrollment: Enrollment, happened: Happened, subject: str
) -> wire.Conversion:
    sent_at_ms = enrollment.first_sent_at_ms
    return wire.Conversion(
        id=stable_id("conversion", enrollment.id),
        subject_type=journey.subject,
        subject=subject,
        account=enrollment.account,
        journey=enrollment.journey,
        version=enrollment.version,
        enrollment=enrollment.id,
        event=happened.event,
        message_id=happened.message_id,
        entered_at_ms=enrollment.entered_at_ms,
        converted_at_ms=happened.at_ms,
        # A producer's clock may lag behind ours: what came after the trigger is never before the entry.
        time_to_convert_ms=max(0, happened.at_ms - enrollment.entered_at_ms),
        attributed=sent_at_ms is not None and sent_at_ms <= happened.at_ms,
        holdout=enrollment.holdout,
        revenue=journey.goal.revenue_of(happened.properties) if journey.goal is not None else None,
    )
