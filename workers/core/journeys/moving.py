"""After a publication, or a word about a journey: everybody inside is brought in line, a subject at a time.

Whoever is not reached yet is carried over when their timer fires; the outcome is the same. What only this
does is to act before a timer would: waits that became shorter, journeys that were stopped or resumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.core.commands import Transition
from workers.core.journeys.holding import follow
from workers.core.journeys.lineage import UNKNOWN, carry
from workers.core.journeys.progress import with_enrollment, without_ended
from workers.core.journeys.run import end, with_timer

if TYPE_CHECKING:
    from workers.core.commands import Command
    from workers.core.journeys.progress import Progress
    from workers.core.plan import SubjectPlan


def realign(plan: SubjectPlan, progress: Progress, now_ms: int) -> Transition:
    """Carry every active enrollment of a subject over to the version that governs it now.

    Ends those that cannot be carried over (journey_gone, version_gone) or whose journey was stopped
    (stopped); gives what was held by a pause, which is over, its time. Twice changes nothing.
    """
    now = without_ended(progress, plan.shadows) if progress.shadows else progress
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
        followed = follow(plan, before, journey, enrollment, now, now_ms)
        now, commands = followed.progress, [*commands, *followed.commands]
        enrollment, timers = with_timer(journey, enrollment, now_ms)
        if enrollment == before:
            continue
        now = with_enrollment(now, enrollment)
        commands += timers
    return Transition(now, tuple(commands))
