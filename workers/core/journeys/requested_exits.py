"""Exits that somebody asks for: whoever is in the journey leaves it now, also where its file is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.core.commands import Transition
from workers.core.journeys.progress import pruned
from workers.core.journeys.reasons import request_reason
from workers.core.journeys.run import end

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.commands import Command
    from workers.core.journeys.progress import Progress
    from workers.core.plan import SubjectPlan


def exit_on_request(
    plan: SubjectPlan,
    journey: str,
    why: str | None,
    values: Mapping[str, Any],
    progress: Progress,
    now_ms: int,
    *,
    entered_by_ms: int | None = None,
) -> Transition:
    """End all enrollments of the subject in a journey, those of all its keys.

    Who is not inside, or came in after ``entered_by_ms`` (None: whenever), stays as they are, so that
    asking again changes nothing. ``values`` stand in the decision beside the reason. Where the journey
    declares another one to enter on an exit, that is for its own exits: nobody enters it by request.
    """
    inside = [
        held
        for held in progress.all_active_in(journey)
        if entered_by_ms is None or held.entered_at_ms <= entered_by_ms
    ]
    if not inside:
        return Transition(progress)
    commands: list[Command] = []
    for held in inside:
        ended = end(plan.subject, held, progress, request_reason(why), values=values, now_ms=now_ms)
        progress = ended.progress
        commands += ended.commands
    return Transition(pruned(progress, now_ms, plan.message_memory_ms, plan.shadows), tuple(commands))
