"""What happens to those inside: timers that fire, events and traits that end a journey or reach its goal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from schemas import wire
from workers.core.commands import RecordConversion, Transition
from workers.core.conditions.comparisons import compile_path, is_same
from workers.core.decisions import goal_decision
from workers.core.ids import stable_id
from workers.core.journeys.actions import enroll_elsewhere
from workers.core.journeys.holding import follow
from workers.core.journeys.lineage import UNKNOWN, UNKNOWN_RETRY_MS, carry, governing
from workers.core.journeys.progress import ELIGIBLE_MAX_AGE_MS, pruned, with_enrollment, with_key
from workers.core.journeys.reasons import change_reason, event_reason
from workers.core.journeys.run import Run, end, retry
from workers.core.journeys.steps import go_on
from workers.core.journeys.withdrawing import withdraw
from workers.core.plan import key_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.commands import Command
    from workers.core.facts import Facts
    from workers.core.journeys.progress import Enrollment, Progress
    from workers.core.plan import JourneyPlan, SubjectPlan


class Happened(msgspec.Struct, frozen=True):
    """A product event of the subject; of any member, where the subject is an account.

    ``account`` is the one that the event names, None where it names none.
    """

    event: str
    properties: Mapping[str, Any]
    message_id: str
    at_ms: int
    account: str | None = None


class Changed(msgspec.Struct, frozen=True):
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
    plan: SubjectPlan,
    progress: Progress,
    enrollment_id: str,
    facts: Facts,
    now_ms: int,
    *,
    fired: bool = True,
) -> Transition:
    """Go on after a timer, or (``fired`` False) before it, with what is due.

    Does nothing where the enrollment is over, is not known, or is due later. The version that governs it now
    (:func:`workers.core.journeys.lineage.carry`) is followed, if it still has the steps that it stands at: a
    step that waits is asked whether its wait is over, any other runs. Otherwise the enrollment ends
    (``version_gone``, ``journey_gone``). Of a version that is not known here yet it waits; in a paused
    journey it is held.
    """
    enrollment = progress.enrollment(enrollment_id)
    if enrollment is None or enrollment.due_ms is None or now_ms < enrollment.due_ms:
        return Transition(progress)
    progress = pruned(progress, now_ms, plan.message_memory_ms, plan.shadows)
    if fired:
        # There is no timer to cancel.
        enrollment = replace(enrollment, timer_id=None)
    before = enrollment
    journey, enrollment, reason = carry(plan, enrollment)
    if reason == UNKNOWN:
        return retry(enrollment, progress, now_ms + UNKNOWN_RETRY_MS)
    if journey is None:
        return end(plan.subject, enrollment, progress, reason, values={}, now_ms=now_ms)
    followed = follow(plan, before, journey, enrollment, progress, now_ms)
    progress = followed.progress
    places = sorted(enrollment.places, key=lambda position: position.due_ms)
    due = [position for position in places if position.due_ms <= now_ms]
    waiting = [position for position in places if position.due_ms > now_ms]
    run = Run(journey, enrollment, facts, progress, now_ms, ready=due, waiting=waiting)
    run.commands += followed.commands
    return go_on(run)


def observe(plan: SubjectPlan, happened: Happened | Changed, progress: Progress, now_ms: int) -> Transition:
    """Goals and exits that an event or a change of traits brings, at once, also during a wait.

    An event from before the trigger does not count; one of the same instant does, because producers whose
    clocks tell only seconds must not hide an upgrade. It may reach the goal and end the enrollment at the
    same time. Does nothing for who is in no journey and in no goal's window.
    """
    now = _noted(plan, happened, progress, now_ms) if isinstance(happened, Happened) else progress
    noted = now is not progress
    if not progress.enrollments:
        return Transition(now, noted=noted)
    commands: list[Command] = []
    if isinstance(happened, Happened):
        concerned = plan.events.get(happened.event)
        if concerned is None:
            return Transition(now, noted=noted)
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
                now, left = _exit(plan, journey, change_reason(trait), values, now, now_ms)
                commands += left
    if not commands:
        return Transition(now, noted=noted)
    return Transition(pruned(now, now_ms, plan.message_memory_ms, plan.shadows), tuple(commands))


def _noted(plan: SubjectPlan, happened: Happened, progress: Progress, now_ms: int) -> Progress:
    """The row that remembers which keys an exit was for: the enrolment of a candidate may be under way."""
    concerned = plan.events.get(happened.event)
    for journey in concerned.exits if concerned is not None else ():
        keys = journey.exit_keys(happened.event, happened.properties) if journey.key is not None else None
        for key in sorted(keys or ()):
            if progress.active_in(journey.name, key) is None:
                left = with_key(progress.left, journey.name, key, happened.at_ms)
                fresh = {
                    name: at_ms
                    for name, at_ms in left[journey.name].items()
                    if at_ms > now_ms - ELIGIBLE_MAX_AGE_MS
                }
                progress = replace(progress, left={**left, journey.name: fresh})
    return progress


def _exit_on_event(
    plan: SubjectPlan, journey: JourneyPlan, happened: Happened, progress: Progress, now_ms: int
) -> tuple[Progress, tuple[Command, ...]]:
    if not journey.exits_on(happened.event, happened.properties):
        return progress, ()
    keys = journey.exit_keys(happened.event, happened.properties)
    values = {"message_id": happened.message_id, "event_at_ms": happened.at_ms}
    commands: list[Command] = []
    for inside in _inside(plan, journey, progress):
        if is_after(happened, inside) and (keys is None or inside.key in keys):
            left = exited(journey, inside, event_reason(happened.event), values, progress, now_ms)
            progress = left.progress
            commands += left.commands
    return progress, tuple(commands)


def is_after(happened: Happened, enrollment: Enrollment) -> bool:
    """Whether an event came after the trigger, by its own time; the trigger itself did not."""
    trigger = enrollment.trigger
    return happened.at_ms >= trigger.at_ms and happened.message_id != trigger.message_id


def _inside(plan: SubjectPlan, journey: JourneyPlan, progress: Progress) -> list[Enrollment]:
    """The active enrollments that this version of a journey governs."""
    return [one for one in progress.all_active_in(journey.name) if governing(plan, one) is journey]


def _exit(
    plan: SubjectPlan,
    journey: JourneyPlan,
    reason: str,
    values: Mapping[str, Any],
    progress: Progress,
    now_ms: int,
) -> tuple[Progress, tuple[Command, ...]]:
    commands: list[Command] = []
    for inside in _inside(plan, journey, progress):
        left = exited(journey, inside, reason, values, progress, now_ms)
        progress = left.progress
        commands += left.commands
    return progress, tuple(commands)


def exited(
    journey: JourneyPlan,
    inside: Enrollment,
    reason: str,
    values: Mapping[str, Any],
    progress: Progress,
    now_ms: int,
) -> Transition:
    """End an enrollment for a reason of its journey's exits, and enter where that exit says."""
    ended = end(journey.subject, inside, progress, reason, values=values, now_ms=now_ms)
    commands = (*ended.commands, *withdraw(journey, inside, progress.subject, reason, now_ms))
    then = journey.then_enroll.get(reason)
    if then is None:
        return Transition(ended.progress, commands)
    asked = enroll_elsewhere(journey, inside, ended.progress, then, now_ms)
    return Transition(ended.progress, (*commands, asked))


def _goal(
    plan: SubjectPlan, journey: JourneyPlan, happened: Happened, progress: Progress, now_ms: int
) -> tuple[Progress, tuple[Command, ...]]:
    """Credit the event to the newest enrollment that began before it: once, inside its window, for ever."""
    goal = journey.goal
    key = key_text(goal.match(happened.properties)) if goal is not None and goal.match is not None else None
    begun = [
        held
        for held in progress.enrollments
        if held.journey == journey.name and is_after(happened, held) and key in (None, held.key)
    ]
    if goal is not None and goal.match is not None and key is None:
        return progress, ()
    if goal is None or not begun:
        return progress, ()
    newest = max(begun, key=lambda held: (held.trigger.at_ms, held.entered_at_ms, held.id))
    is_over = newest.converted_at_ms is not None or newest.goal_until_ms is None
    if is_over or governing(plan, newest) is not journey:
        return progress, ()
    if happened.at_ms >= (newest.goal_until_ms or 0):
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
    # Who has reached the goal is not asked for it any more, also when the journey's steps are over.
    taken_back = withdraw(journey, converted, progress.subject, f"goal:{happened.event}", now_ms)
    return with_enrollment(progress, converted), (*commands, *taken_back)


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
