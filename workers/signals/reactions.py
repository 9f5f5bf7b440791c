"""What an event that decides brings: goals and exits at once, and candidates for journeys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import wire
from workers.core.journeys.inside import Happened, observe
from workers.core.journeys.watching import hear

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from workers.core.plan import EventPlan, SubjectPlan
    from workers.shell import Subject


def react(happened: Happened, plan: EventPlan, subject: Subject, now_ms: int) -> None:
    """Goals and exits first: what an event ends, it does not begin in the same breath unless it may.

    Then those who wait for the event go on, then new ones may enter. Whoever waits for a condition that it
    changes goes on when the subject is looked at (``Subject.look``), which is up to the caller.
    """
    if plan.goals or plan.exits:
        subject.take(observe(subject.plan, happened, subject.progress, now_ms), now_ms)
    if plan.waits and subject.progress.enrollments:
        heard = hear(subject.plan, happened, subject.facts(now_ms, {}), subject.progress, now_ms)
        subject.take(heard, now_ms)
    if not plan.entries:
        return
    trigger = wire.Trigger(
        event=happened.event,
        message_id=happened.message_id,
        at_ms=happened.at_ms,
        properties=dict(happened.properties),
    )
    named = (happened.event, happened.at_ms)
    subject.propose(plan.entries, trigger, now_ms, named, account=happened.account)


def traits_changed(
    before: Mapping[str, Any], message_id: str, at_ms: int, subject: Subject, now_ms: int
) -> None:
    """What changed traits bring: exits, segments, candidates; ``before`` are the traits as they were."""
    subject.traits_changed(before, message_id, at_ms, now_ms)


def only_counts(concerned: frozenset[str], plan: SubjectPlan) -> bool:
    """Whether to settle these segments takes no other rows than those of windows and of memberships.

    Of who is seen for the first time all segments are looked at, and who crosses one may enter a journey.
    """
    entered = {segment for segment, _ in plan.entering.by_segment}
    return not plan.segments.standing and concerned <= plan.segments.plain - entered
