"""What an event that decides brings: goals and exits at once, and candidates for journeys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import wire
from workers.core import triggers
from workers.core.journeys import Changed, Happened, changed_traits, observe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from workers.core.plan import EventPlan
    from workers.shell import Subject


def react(happened: Happened, plan: EventPlan, subject: Subject, now_ms: int) -> None:
    """Goals and exits first: what an event ends, it does not begin in the same breath unless it may."""
    if plan.goals or plan.exits:
        subject.take(observe(subject.plan, happened, subject.progress, now_ms), now_ms)
    if not plan.entries:
        return
    trigger = wire.Trigger(
        event=happened.event,
        message_id=happened.message_id,
        at_ms=happened.at_ms,
        properties=dict(happened.properties),
    )
    subject.propose(plan.entries, trigger, now_ms, (happened.event, happened.at_ms))


def traits_changed(
    before: Mapping[str, Any], message_id: str, at_ms: int, subject: Subject, now_ms: int
) -> None:
    """What changed traits bring: exits, segments, candidates; ``before`` are the traits as they were."""
    subject.follow(at_ms, now_ms)
    subject.rescore(now_ms)
    changed = changed_traits(subject.plan, before, subject.profile.traits)
    if changed:
        happened = Changed(changed, message_id, at_ms)
        subject.take(observe(subject.plan, happened, subject.progress, now_ms), now_ms)
    subject.settle_all(now_ms)
    after = subject.profile.traits
    for journey, trigger in triggers.changed(subject.plan.entering, before, after, message_id, at_ms):
        subject.propose(subject.named((journey,)), trigger, now_ms)
