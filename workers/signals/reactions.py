"""What an event that decides brings: goals and exits at once, and candidates for journeys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import wire
from workers.core.entry import Declined, Eligible, decide_entry, declined_decision, eligible_record
from workers.core.journeys import Happened, observe
from workers.core.watching import hear

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from workers.core.plan import EventPlan
    from workers.shell import EngineParts, Subject
    from workers.stream.view import View


def react(
    happened: Happened, plan: EventPlan, subject: Subject, parts: EngineParts, view: View, now_ms: int
) -> None:
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
    account = subject.account_for(happened.account)
    facts = subject.facts(now_ms, happened.properties, (happened.event, happened.at_ms)).of_account(account)
    trigger = wire.Trigger(
        event=happened.event,
        message_id=happened.message_id,
        at_ms=happened.at_ms,
        properties=dict(happened.properties),
    )
    progress = subject.progress
    for journey in plan.entries:
        verdict = decide_entry(journey, facts, progress, now_ms)
        match verdict:
            case None:
                continue
            case Eligible():
                record = eligible_record(journey, subject.id, account, trigger, verdict, now_ms=now_ms)
                view.send(parts.topics("scheduler"), subject.key, wire.encode(record))
                parts.metrics.entry(journey.name, "eligible")
            case Declined():
                decision = declined_decision(
                    journey, subject.id, account, happened.message_id, verdict, now_ms=now_ms
                )
                subject.execute(decision)


def traits_changed(
    before: Mapping[str, Any], message_id: str, at_ms: int, subject: Subject, now_ms: int
) -> None:
    """What changed traits bring: exits, and segments; ``before`` are the traits as they were."""
    subject.traits_changed(before, message_id, at_ms, now_ms)
