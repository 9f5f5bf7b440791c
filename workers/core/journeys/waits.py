"""Steps that wait: what they say when they are reached, when their time has come, and when something happens.

A position that waits has ``since_ms``, and ``until_ms`` once that is known: in another version of the
journey it may be to be found anew. The same function answers a step that is reached and one that is asked
again: so a timer that comes too early, or twice, changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from workers.core.conditions.comparisons import is_same
from workers.core.conditions.outcome import Outcome as Truth
from workers.core.journeys.progress import Early
from workers.core.journeys.run import Go, Leave, Stay
from workers.core.journeys.step_plans import WaitForStepPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.facts import Facts
    from workers.core.journeys.inside import Happened
    from workers.core.journeys.progress import Enrollment, Position
    from workers.core.journeys.run import Outcome, Run
    from workers.core.journeys.step_plans import HeardPlan, WaitStepPlan, WaitUntilStepPlan
    from workers.core.plan import JourneyPlan

AWAITED_MAX_BYTES: Final = 4_096
"""Properties of an awaited event that are kept, as JSON: a subject's row must stay small."""

EARLY_MAX: Final = 20
"""Events of an enrollment that are remembered because they came before the step that waits for them."""

CLOCK_MS: Final = 1_000
"""Producers' clocks may tell only seconds: what came in the second in which a step was reached came after."""


def wait(run: Run, step: WaitStepPlan, position: Position) -> Outcome:
    """Wait for a time; where a field says when, its value of now counts."""
    chosen_ms = None if step.follows else position.until_ms
    if chosen_ms is not None and position.due_ms <= run.now_ms:
        return Go(step.next)
    begun_ms = _begun_ms(run, position)
    until = step.until(run.moment, begun_ms)
    if isinstance(until, str):
        return Leave(until)
    if until <= run.now_ms:
        return Go(step.next)
    return Stay(replace(position, due_ms=until, since_ms=begun_ms, until_ms=until))


def wait_until(run: Run, step: WaitUntilStepPlan, position: Position) -> Outcome:
    """Wait for a condition; where it becomes true as the time runs out, it has become true in time."""
    moment = run.moment
    if step.condition.test(moment, {}) is Truth.TRUE:
        return Go(step.next)
    begun_ms = _begun_ms(run, position)
    until_ms = begun_ms + step.timeout_ms if position.until_ms is None else position.until_ms
    if until_ms <= run.now_ms:
        # Of a wait that became shorter, whose time is over, the time has come when the position is due.
        return Go(step.timed_out) if position.due_ms <= run.now_ms else Stay(position)
    changes_ms = step.condition.changes_at_ms(moment)
    due_ms = until_ms if changes_ms is None else min(until_ms, max(changes_ms, run.now_ms + 1))
    return Stay(replace(position, due_ms=due_ms, since_ms=begun_ms, until_ms=until_ms))


def wait_for(run: Run, step: WaitForStepPlan, position: Position) -> Outcome:
    """Wait for an event; what came since the entry counts where the step says so."""
    if position.since_ms is None:
        came = _earliest(run.enrollment, step)
        if came is not None:
            return Go(_heard_early(run, step, came))
    begun_ms = _begun_ms(run, position)
    due_ms = begun_ms + step.timeout_ms if position.until_ms is None else position.due_ms
    if due_ms <= run.now_ms:
        return Go(step.timed_out)
    until_ms = due_ms if position.until_ms is None else position.until_ms
    return Stay(replace(position, due_ms=due_ms, since_ms=begun_ms, until_ms=until_ms))


def _begun_ms(run: Run, position: Position) -> int:
    return run.now_ms if position.since_ms is None else position.since_ms


def begin_early(journey: JourneyPlan, enrollment: Enrollment, facts: Facts) -> Enrollment:
    """A new enrollment, with what its steps wait for noted that came between its trigger and now."""
    if not journey.listening:
        return enrollment
    trigger, early = enrollment.trigger, dict(enrollment.early)
    since_ms = enrollment.entered_at_ms - trigger.at_ms
    for path, step in journey.steps.items():
        for at, one in enumerate(step.awaited if isinstance(step, WaitForStepPlan) else ()):
            # One of the trigger's own instant counts (see ``observe``), unless it may be the trigger itself.
            looked_ms = since_ms if one.event == trigger.event else since_ms + 1
            counted = one.slot_id is not None and looked_ms > 0 and facts.count(one.slot_id, looked_ms)
            if counted and len(early) < EARLY_MAX:
                early[_key(path, at)] = Early(trigger.at_ms, {})
    return replace(enrollment, early=early) if early else enrollment


def note_early(journey: JourneyPlan, enrollment: Enrollment, path: str, happened: Happened) -> Enrollment:
    """An event came before the step that waits for it: the first is remembered, where the step says so."""
    step = journey.steps[path]
    if not isinstance(step, WaitForStepPlan) or not step.since_entry:
        return enrollment
    at = heard_at(step, enrollment, happened)
    if at is None or _key(path, at) in enrollment.early or len(enrollment.early) >= EARLY_MAX:
        return enrollment
    came = Early(happened.at_ms, kept_properties(happened.properties))
    return replace(enrollment, early={**enrollment.early, _key(path, at): came})


def heard_at(step: WaitForStepPlan, enrollment: Enrollment, happened: Happened) -> int | None:
    """Which of the events that a step waits for this is, by its place there; None where it is none."""
    return next(
        (at for at, one in enumerate(step.awaited) if is_heard(one, enrollment, happened)),
        None,
    )


def is_heard(one: HeardPlan, enrollment: Enrollment, happened: Happened) -> bool:
    """Whether an event is the one that is listened for, with the trigger's values where it asks for them."""
    if one.event != happened.event or (one.where is not None and not one.where(happened.properties)):
        return False
    for read, read_trigger in one.match:
        value = read(happened.properties)
        if value is None or not is_same(value, read_trigger(enrollment.trigger.properties)):
            return False
    return True


def is_in_time(position: Position, happened: Happened, *, since_entry: bool) -> bool:
    """Whether an event came while a step waited, by the event's own time."""
    if position.since_ms is None:
        return False
    if position.until_ms is not None and happened.at_ms >= position.until_ms:
        return False
    return since_entry or happened.at_ms >= position.since_ms - position.since_ms % CLOCK_MS


def kept_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of an awaited event for templates; none of them where they are too large."""
    return dict(properties) if len(msgspec.json.encode(properties)) <= AWAITED_MAX_BYTES else {}


def _key(path: str, at: int) -> str:
    return f"{path}#{at}"


def _earliest(enrollment: Enrollment, step: WaitForStepPlan) -> int | None:
    """Which of a step's events came first, of those that came before it."""
    came = [
        (enrollment.early[key].at_ms, at)
        for at in range(len(step.awaited))
        if (key := _key(step.path, at)) in enrollment.early
    ]
    return min(came)[1] if came else None


def _heard_early(run: Run, step: WaitForStepPlan, at: int) -> str | None:
    """Go on with what came early; it is used up, so that in a loop each round waits for another."""
    held = run.enrollment
    properties = held.early[_key(step.path, at)].properties
    mine = {_key(step.path, number) for number in range(len(step.awaited))}
    early = {key: came for key, came in held.early.items() if key not in mine}
    run.enrollment = replace(held, early=early, awaited=properties)
    return step.awaited[at].target
