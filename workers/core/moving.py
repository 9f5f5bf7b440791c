"""After a publication, or a word about a journey: everybody inside is brought in line, a subject at a time.

Whoever is not reached yet is carried over when their timer fires; the outcome is the same. What only this
does is to act before a timer would: waits that became shorter, journeys that were stopped or resumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from workers.core.commands import SetTimer, Transition
from workers.core.ids import stable_id
from workers.core.lineage import UNKNOWN, carry, is_held
from workers.core.progress import with_enrollment
from workers.core.steps import end

if TYPE_CHECKING:
    from workers.core.commands import Command
    from workers.core.plan import SubjectPlan
    from workers.core.progress import Progress


def realign(plan: SubjectPlan, progress: Progress, now_ms: int) -> Transition:
    """Carry every active enrollment of a subject over to the version that governs it now.

    Ends those that cannot be carried over (journey_gone, version_gone) or whose journey was stopped
    (stopped); gives those that were held by a pause, which is over, their time. Twice changes nothing.
    """
    now = progress
    commands: list[Command] = []
    for before in progress.enrollments:
        if not before.is_active:
            continue
        journey, enrollment, reason = carry(plan, before)
        if reason == UNKNOWN:
            continue
        if journey is None or journey.running.condition == "stopped":
            ended = end(plan.subject, before, now, reason or "stopped", values={}, now_ms=now_ms)
            now, commands = ended.progress, [*commands, *ended.commands]
            continue
        due_ms = enrollment.due_ms
        if due_ms is not None and is_held(enrollment) and journey.running.condition != "paused":
            timer_id = stable_id("timer", enrollment.id, enrollment.step, str(enrollment.visit))
            enrollment = replace(enrollment, timer_id=timer_id, due_ms=journey.running.released_ms(due_ms))
        if enrollment == before:
            continue
        now = with_enrollment(now, enrollment)
        if enrollment.timer_id is not None and enrollment.due_ms is not None:
            commands.append(SetTimer(enrollment.timer_id, enrollment.due_ms, enrollment.id))
    return Transition(now, tuple(commands))
