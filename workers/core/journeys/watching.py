"""What those inside wait for: events that they listen for, and anything that makes a condition true.

The shell calls :func:`hear` for an event that some step of the subject's journeys listens for, and
:func:`look` after anything about the subject has changed. Exits and goals come before both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from workers.core.commands import Transition
from workers.core.journeys.holding import follow
from workers.core.journeys.inside import is_after
from workers.core.journeys.lineage import carry
from workers.core.journeys.run import COMPLETED, Run, Stay
from workers.core.journeys.step_plans import WaitForStepPlan, WaitStepPlan, WaitUntilStepPlan
from workers.core.journeys.steps import exit_if_due, go_on, hold
from workers.core.journeys.waits import (
    heard_at,
    is_heard,
    is_in_time,
    kept_properties,
    note_early,
    wait,
    wait_until,
)

if TYPE_CHECKING:
    from workers.core.commands import Command
    from workers.core.facts import Facts
    from workers.core.journeys.inside import Happened
    from workers.core.journeys.progress import Enrollment, Position, Progress
    from workers.core.plan import JourneyPlan, SubjectPlan


def hear(plan: SubjectPlan, happened: Happened, facts: Facts, progress: Progress, now_ms: int) -> Transition:
    """An event: who waits for it goes on at once; of those who will wait for it, some remember it.

    An event from before the trigger is not heard, nor the trigger itself. One event takes each position one
    step on.
    """
    concerned = plan.events.get(happened.event)
    commands: list[Command] = []
    now = progress
    for journey in concerned.waits if concerned is not None else ():
        for held in now.enrollments:
            if held.journey != journey.name or not held.is_active or not is_after(happened, held):
                continue
            governs, carried, _ = carry(plan, held)
            if governs is journey:
                # What is held goes along with who goes along: not where nothing is heard, and all stays.
                followed = follow(plan, held, journey, carried, now, now_ms)
                run = Run(journey, carried, facts, followed.progress, now_ms, [], [])
                heard = _hear(journey, carried, happened, run)
                if heard.progress is not followed.progress:
                    now = heard.progress
                    commands += (*followed.commands, *heard.commands)
    return Transition(now, tuple(commands))


def look(plan: SubjectPlan, facts: Facts, progress: Progress, now_ms: int) -> Transition:
    """Look at everybody who waits for a condition or a date, and at conditions that end a journey.

    Does nothing, and costs little, where nobody inside does.
    """
    commands: list[Command] = []
    now = progress
    for held in progress.enrollments:
        if not held.is_active or held.journey not in plan.looked_at:
            continue
        journey, carried, _ = carry(plan, held)
        if journey is None:
            continue  # Its timer, or who brings all in line, ends it.
        followed = follow(plan, held, journey, carried, now, now_ms)
        looked = _look(journey, carried, facts, followed.progress, now_ms)
        if looked.progress is not followed.progress:
            now = looked.progress
            commands += (*followed.commands, *looked.commands)
    return Transition(now, tuple(commands))


def _hear(journey: JourneyPlan, held: Enrollment, happened: Happened, run: Run) -> Transition:
    paths = journey.listening[happened.event]
    standing: set[str] = set()
    changed = False
    for position in held.places:
        step = journey.steps.get(position.step)
        if position.step not in paths or not isinstance(step, WaitForStepPlan):
            run.waiting.append(position)
            continue
        in_time = is_in_time(position, happened, since_entry=step.since_entry)
        at = heard_at(step, held, happened) if in_time else None
        target = step.awaited[at].target if at is not None else None
        if at is None:
            again = _restarted(position, step, held, happened, run.now_ms)
            changed = changed or again is not position
            run.waiting.append(again)
        elif target is None:
            run.enrollment = replace(run.enrollment, step=position.step)
            return run.ended(COMPLETED)
        else:
            awaited = kept_properties(happened.properties)
            run.enrollment = replace(run.enrollment, awaited=awaited)
            standing.add(position.step)
            run.ready.append(replace(position, step=target, due_ms=run.now_ms, since_ms=None, until_ms=None))
    for path in paths:
        if path not in standing and not any(position.step == path for position in held.places):
            run.enrollment = note_early(journey, run.enrollment, path, happened)
    if run.ready:
        return go_on(run)
    if changed or run.enrollment is not held:
        return run.waits()
    return Transition(run.progress)


def _restarted(
    position: Position, step: WaitForStepPlan, held: Enrollment, happened: Happened, now_ms: int
) -> Position:
    """The position whose timeout begins anew; the very one where the event is not that of ``restart_on``."""
    restart = step.restart
    if restart is None or not is_heard(restart, held, happened):
        return position
    if not is_in_time(position, happened, since_entry=False):
        return position
    until_ms = min(happened.at_ms, now_ms) + step.timeout_ms
    if position.until_ms is None or until_ms <= position.until_ms:
        return position
    return replace(position, due_ms=until_ms, until_ms=until_ms)


def _look(
    journey: JourneyPlan, held: Enrollment, facts: Facts, progress: Progress, now_ms: int
) -> Transition:
    run = Run(journey, held, facts, progress, now_ms, ready=[], waiting=[])
    left = exit_if_due(run)
    if left is not None:
        return left
    sooner = _is_sooner(run.look_ms(), held.look_ms)
    for position in held.places:
        step = journey.steps[position.step]
        # A wait that another version made longer or shorter is asked in its turn, when the position is due.
        in_turn = isinstance(step, WaitStepPlan) and position.until_ms is None
        if position.step not in journey.looking or position.since_ms is None or in_turn:
            run.waiting.append(position)
            continue
        if journey.running.condition == "paused":
            standing = hold(run, position)
            if standing is None:
                return run.ended(COMPLETED)
            sooner = sooner or standing != position
            run.waiting.append(standing)
            continue
        outcome = None
        if isinstance(step, WaitUntilStepPlan):
            outcome = wait_until(run, step, position)
        elif isinstance(step, WaitStepPlan):
            outcome = wait(run, step, position)
        if isinstance(outcome, Stay):
            # A later instant may stay as it is: to look too early changes nothing, and writes nothing now.
            moved = isinstance(step, WaitStepPlan) or outcome.position.due_ms < position.due_ms
            changed = moved and outcome.position.due_ms != position.due_ms
            sooner = sooner or changed
            run.waiting.append(outcome.position if changed else position)
        else:
            run.ready.append(position)
    if run.ready:
        return go_on(run)
    return run.waits() if sooner else Transition(progress)


def _is_sooner(look_ms: int | None, held_ms: int | None) -> bool:
    return look_ms is not None and (held_ms is None or look_ms < held_ms)
