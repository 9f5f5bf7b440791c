"""Running the steps of an enrollment until it waits, or is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from msgspec.structs import replace

from workers.core.commands import Transition
from workers.core.conditions.outcome import Outcome as Truth
from workers.core.decisions import split_decision
from workers.core.journeys.actions import choose, enroll_elsewhere, send, update
from workers.core.journeys.asking import ask
from workers.core.journeys.progress import Position
from workers.core.journeys.run import COMPLETED, Fork, Go, Leave, Run, Stay, end
from workers.core.journeys.step_plans import (
    AgainStepPlan,
    BranchStepPlan,
    EnrollStepPlan,
    ExitStepPlan,
    JoinStepPlan,
    LlmStepPlan,
    ParallelStepPlan,
    RepeatStepPlan,
    SendStepPlan,
    SplitStepPlan,
    UpdateStepPlan,
    WaitForStepPlan,
    WaitStepPlan,
    WaitUntilStepPlan,
)
from workers.core.journeys.waits import begin_early, wait, wait_for, wait_until

if TYPE_CHECKING:
    from workers.core.facts import Facts
    from workers.core.journeys.progress import Enrollment, Progress
    from workers.core.journeys.run import Outcome
    from workers.core.journeys.step_plans import StepPlan
    from workers.core.plan import JourneyPlan

__all__ = ["STEPS_PER_ACTIVATION_MAX", "end", "go_on", "hold", "run_steps"]

STEPS_PER_ACTIVATION_MAX: Final = 50
"""Steps that run in one go. The rest follows by a timer that is due at once, so that one subject with a long
journey neither makes a transaction large nor keeps the others of its partition waiting."""


def run_steps(
    journey: JourneyPlan, enrollment: Enrollment, facts: Facts, progress: Progress, now_ms: int
) -> Transition:
    """Begin an enrollment at ``enrollment.step``, and run it until it waits or the journey is over.

    ``enrollment`` stands in ``progress`` already, or is put there in its newest form. Conditions and
    templates look at the account that the enrollment is about.
    """
    enrollment = begin_early(journey, enrollment, facts)
    first = Position(enrollment.step, now_ms)
    return go_on(Run(journey, enrollment, facts, progress, now_ms, ready=[first], waiting=[]))


def go_on(run: Run) -> Transition:
    """Run the positions that are ready, one after the other; those that wait stay where they are.

    Where a condition holds that ends the journey, no step runs; nor does one in a journey that is paused, or
    was stopped.
    """
    left = exit_if_due(run)
    if left is not None:
        return left
    if run.journey.running.condition == "stopped":
        return run.ended("stopped")
    return _hold_all(run) if run.journey.running.condition == "paused" else _run(run)


def _run(run: Run) -> Transition:
    while run.ready:
        position: Position | None = run.ready.pop(0)
        while position is not None:
            if run.halted or run.ran == STEPS_PER_ACTIVATION_MAX:
                run.waiting.append(replace(position, due_ms=run.now_ms))
                break
            run.ran += 1
            run.enrollment = replace(run.enrollment, step=position.step, visit=position.visit)
            outcome, position = _step(run, run.journey.steps[position.step], position)
            match outcome:
                case Go(None):
                    return run.ended(COMPLETED)
                case Leave(reason, values):
                    return run.ended(reason, values, by_step=True)
                case Go(str() as path):
                    position = _at(position, path, run.now_ms)
                case Stay(standing):
                    run.waiting.append(standing)
                    position = None
                case Fork(paths):
                    run.ready += [_at(position, path, run.now_ms) for path in paths]
                    position = None
    return run.waits()


def _hold_all(run: Run) -> Transition:
    """Let the positions of a paused journey stand where they are to go on after the pause."""
    for position in run.ready:
        standing = hold(run, position)
        if standing is None:
            return run.ended(COMPLETED)
        run.waiting.append(standing)
    run.ready = []
    return run.waits()


def hold(run: Run, position: Position) -> Position | None:
    """Where a position of a paused journey is held. None: what it waited for came true, and nothing follows.

    A condition that comes true takes it on to the step that follows, as an event does: it may be over after
    the pause. A time that is over does not: when the pause is, the step is asked again.
    """
    step = run.journey.steps[position.step]
    if position.since_ms is None or not isinstance(step, WaitStepPlan | WaitUntilStepPlan | WaitForStepPlan):
        return position
    if isinstance(step, WaitUntilStepPlan) and step.condition.test(run.moment, {}) is Truth.TRUE:
        return _at(position, step.next, run.now_ms) if step.next is not None else None
    outcome, _ = _step(run, step, position)
    if isinstance(outcome, Stay):
        return outcome.position
    return replace(position, due_ms=min(position.due_ms, run.now_ms))


def exit_if_due(run: Run) -> Transition | None:
    """The end of an enrollment of which a condition holds that ends it; None where none does."""
    moment = run.moment
    for leaving in run.journey.exit_conditions:
        if leaving.condition.test(moment, {}) is Truth.TRUE:
            left = run.ended(f"condition: {leaving.condition.label}")
            if leaving.enroll is None:
                return left
            asked = enroll_elsewhere(run.journey, run.enrollment, left.progress, leaving.enroll, run.now_ms)
            return Transition(left.progress, (*left.commands, asked))
    return None


def _at(position: Position, path: str, now_ms: int) -> Position:
    """About to run another step, in the same rounds."""
    return Position(path, now_ms, rounds=position.rounds)


def _step(run: Run, step: StepPlan, position: Position) -> tuple[Outcome, Position]:  # noqa: C901, PLR0911, PLR0912  one per kind
    """What a step says, and the position with its rounds as they are then."""
    match step:
        case SendStepPlan():
            return send(run, step, position), position
        case WaitStepPlan():
            return wait(run, step, position), position
        case WaitUntilStepPlan():
            return wait_until(run, step, position), position
        case WaitForStepPlan():
            return wait_for(run, step, position), position
        case BranchStepPlan():
            return Go(_way(run, step)), position
        case SplitStepPlan():
            return Go(_share(run, step)), position
        case ParallelStepPlan():
            return Fork(step.parts), position
        case JoinStepPlan():
            return _join(run, step), position
        case RepeatStepPlan():
            return _repeat(run, step, position)
        case AgainStepPlan():
            return Go(step.loop), position
        case UpdateStepPlan():
            update(run, step)
            return Go(step.next), position
        case EnrollStepPlan():
            run.commands.append(
                enroll_elsewhere(run.journey, run.enrollment, run.progress, step.journey, run.now_ms)
            )
            return Go(step.next), position
        case ExitStepPlan():
            return Leave(step.reason), position
        case LlmStepPlan():
            return ask(run, step, position), position
        case _:
            assert_never(step)


def _way(run: Run, step: BranchStepPlan) -> str | None:
    """The path that a branch goes on to; None where the journey is over."""
    moment = run.moment
    for condition, target in step.arms:
        if condition.test(moment, {}) is Truth.TRUE:
            return target
    return step.otherwise


def _share(run: Run, step: SplitStepPlan) -> str | None:
    name, _ = choose(step.choice, run.enrollment, run.progress.subject)
    run.commands.append(
        split_decision(
            run.journey.subject,
            run.progress.subject,
            run.enrollment,
            step.choice.experiment,
            name,
            run.now_ms,
        )
    )
    return step.targets[name]


def _join(run: Run, step: JoinStepPlan) -> Outcome:
    if step.on_first:
        run.ready = [one for one in run.ready if one.step not in step.inside]
        run.waiting = [one for one in run.waiting if one.step not in step.inside]
        return Go(step.next)
    others = any(one.step in step.inside for one in (*run.ready, *run.waiting))
    return Fork() if others else Go(step.next)


def _repeat(run: Run, step: RepeatStepPlan, position: Position) -> tuple[Outcome, Position]:
    begun = position.rounds.get(step.path, 0)
    over = begun >= step.times or (step.until is not None and step.until.test(run.moment, {}) is Truth.TRUE)
    rounds = {path: number for path, number in position.rounds.items() if path != step.path}
    if over:
        return Go(step.next), replace(position, rounds=rounds)
    # The path stays where it was among them: the outermost loop comes first.
    rounds = {**position.rounds, step.path: begun + 1}
    return Go(step.body), replace(position, rounds=rounds)
