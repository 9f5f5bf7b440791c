"""Who enters a journey: decided where the event arrives, and again where the enrollment begins.

Between the two lies the scheduler topic, and a moment. Whatever happened meanwhile counts: at the
enrolment every rule is looked at again with the newest state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec.structs import replace

from schemas import wire
from workers.core.account_exits import LEFT_ACCOUNT
from workers.core.commands import RecordDecision, Transition
from workers.core.comparisons import compile_path, is_same
from workers.core.conditions import evaluate, evaluate_none
from workers.core.decisions import entry_decision, gone_decision
from workers.core.facts import Moment
from workers.core.ids import bucket, stable_id
from workers.core.lineage import is_shadow
from workers.core.outcome import Outcome
from workers.core.progress import (
    ACTIVE_MAX,
    ELIGIBLE_MAX_AGE_MS,
    ENTERED_MAX,
    Enrollment,
    TriggerFacts,
    pruned,
    with_enrollment,
)
from workers.core.steps import run_steps

if TYPE_CHECKING:
    from workers.core.facts import Facts
    from workers.core.plan import JourneyPlan, SubjectPlan
    from workers.core.progress import Progress

_TRAIT: Final = "trait "
"""Evidence of a trait has its name behind this, as conditions note it."""

_ACCOUNT_TRAIT: Final = "account trait "
"""The same of a trait of the user's account."""


@dataclass(frozen=True, slots=True)
class Eligible:
    """The subject may enter; ``evidence`` are the values that say so."""

    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Declined:
    """The subject may not enter.

    ``reason`` is paused, draining, stopped, already_enrolled, again, too_many_enrollments,
    too_many_journeys, exited, stale, left_account, or one of require, missing, exclude followed by ``: ``
    and the condition. ``values`` are those looked at.
    """

    reason: str
    values: dict[str, Any]


EntryVerdict: TypeAlias = Eligible | Declined


def decide_entry(journey: JourneyPlan, facts: Facts, progress: Progress, now_ms: int) -> EntryVerdict | None:
    """Whether an event named by the journey's entry makes the subject eligible, cheap checks first.

    ``facts.event_properties`` are the event's, and its windows hold the event already. None: the event's
    properties do not match, so that there is nothing to decide, nor to record.
    """
    if journey.entry_where is not None and not journey.entry_where(facts.event_properties):
        return None
    return _decide(journey, Moment(facts, progress, now_ms))


def eligible_record(
    journey: JourneyPlan,
    subject: str,
    account: str | None,
    trigger: wire.Trigger,
    eligible: Eligible,
    *,
    now_ms: int,
) -> wire.Eligible:
    """The record for the scheduler topic, keyed by ``subject``; a repeated event gives the same id."""
    return wire.Eligible(
        id=stable_id("eligible", journey.subject, subject, journey.name, trigger.message_id),
        journey=journey.name,
        version=journey.version,
        subject_type=journey.subject,
        subject=subject,
        account=account,
        trigger=trigger,
        evidence=eligible.evidence,
        at_ms=now_ms,
    )


def declined_decision(
    journey: JourneyPlan,
    subject: str,
    account: str | None,
    message_id: str,
    declined: Declined,
    *,
    now_ms: int,
) -> RecordDecision:
    """The decision record of a subject that may not enter."""
    return entry_decision(
        journey,
        subject,
        account,
        message_id,
        outcome="declined",
        reason=declined.reason,
        values=declined.values,
        now_ms=now_ms,
    )


def enroll(
    plan: SubjectPlan, record: wire.Eligible, facts: Facts, progress: Progress, now_ms: int
) -> Transition:
    """Begin an enrollment, if all that made the subject eligible still holds, and run it to its first wait.

    The version that the plan has now is the one that runs, or the pinned one that the subject was found
    eligible under. Who is of the holdout is decided only here,
    after all other rules, by the subject and the journey's name alone.
    """
    journey = plan.version(record.journey, record.version)
    if journey is not None and not journey.takes_entries:
        journey = plan.journeys.get(record.journey)
    if journey is None:
        return Transition(progress, (gone_decision(plan.subject, record, now_ms),))
    facts = facts.of_account(record.account)
    now = pruned(progress, now_ms, plan.message_memory_ms)
    enrollment_id = stable_id(
        "enrollment", journey.subject, record.subject, journey.name, record.trigger.message_id
    )
    verdict = _recheck(journey, record, enrollment_id, Moment(facts, now, now_ms, rechecking=True))
    if isinstance(verdict, Declined):
        decision = declined_decision(
            journey, record.subject, record.account, record.trigger.message_id, verdict, now_ms=now_ms
        )
        return Transition(progress, (decision,))
    enrollment = _new(journey, record, enrollment_id, now_ms)
    decision = entry_decision(
        journey,
        record.subject,
        enrollment.account,
        record.trigger.message_id,
        outcome="enrolled",
        reason=None,
        values=verdict.evidence,
        now_ms=now_ms,
        enrollment=enrollment,
    )
    now = replace(with_enrollment(now, enrollment), entered={**now.entered, journey.name: now_ms})
    ran = run_steps(journey, enrollment, facts, now, now_ms)
    return Transition(ran.progress, (decision, *ran.commands))


def is_held_out(journey: JourneyPlan, subject: str) -> bool:
    """Whether the subject is of the journey's holdout: the same for every version and every entry."""
    return bucket(f"holdout:{journey.name}", subject) < journey.holdout_bp


def _new(journey: JourneyPlan, record: wire.Eligible, enrollment_id: str, now_ms: int) -> Enrollment:
    trigger = record.trigger
    return Enrollment(
        id=enrollment_id,
        journey=journey.name,
        version=journey.version,
        entered_at_ms=now_ms,
        trigger=TriggerFacts(trigger.event, trigger.message_id, trigger.at_ms, trigger.properties),
        step=journey.first,
        holdout=is_held_out(journey, record.subject),
        account=record.subject if journey.subject == "account" else record.account,
        goal_until_ms=now_ms + journey.goal.within_ms if journey.goal is not None else None,
        hops=record.hops or 0,
    )


def _recheck(journey: JourneyPlan, record: wire.Eligible, enrollment_id: str, moment: Moment) -> EntryVerdict:
    since_ms = moment.now_ms - record.trigger.at_ms
    if since_ms > ELIGIBLE_MAX_AGE_MS:
        return Declined("stale", {"trigger_at_ms": record.trigger.at_ms})
    if moment.progress.enrollment(enrollment_id) is not None:
        return Declined("already_enrolled", {"enrollment": enrollment_id})
    # One of the trigger's own instant counts (see ``observe``), unless it may be the trigger itself.
    looked_ms = since_ms if journey.entry_event in journey.exit_events else since_ms + 1
    if looked_ms > 0 and any(moment.facts.count(slot_id, looked_ms) for slot_id in journey.exit_slots):
        return Declined("exited", {"events since": record.trigger.at_ms})
    return _changed_since(journey, record, moment) or _decide(journey, moment)


def _changed_since(journey: JourneyPlan, record: wire.Eligible, moment: Moment) -> Declined | None:
    """What an exit on a trait would have ended, had the subject been enrolled at once."""
    facts = moment.facts
    if not facts.in_account(record.account):
        return Declined(LEFT_ACCOUNT, {"account": record.account})
    watched = [(f"{_TRAIT}{trait}", trait, facts.traits) for trait in journey.exit_traits]
    watched += [
        (f"{_ACCOUNT_TRAIT}{trait}", trait, facts.account_traits) for trait in journey.exit_account_traits
    ]
    for name, trait, traits in watched:
        value = compile_path(trait)(traits)
        if name in record.evidence and not is_same(record.evidence[name], value):
            return Declined("exited", {name: value})
    return None


def _decide(journey: JourneyPlan, moment: Moment) -> EntryVerdict:
    """All rules but the event's own, the cheapest first."""
    held_back = _held_back(journey, moment.progress, moment.now_ms)
    if held_back is not None:
        return held_back
    required = evaluate(journey.require, moment)
    if not required.ok:
        reason = "missing" if required.outcome is Outcome.MISSING else "require"
        return Declined(f"{reason}: {required.failed}", required.values)
    excluded = evaluate_none(journey.exclude, moment)
    values = required.values | excluded.values
    if not excluded.ok:
        return Declined(f"exclude: {excluded.failed}", values)
    # The enrolment compares these with what holds then: a trait that changed in between is an exit.
    before = {f"{_TRAIT}{trait}": compile_path(trait)(moment.facts.traits) for trait in journey.exit_traits}
    # Of an account that has told nothing yet there is nothing to compare with.
    account = moment.facts.account_traits
    watched = journey.exit_account_traits if account else ()
    before |= {f"{_ACCOUNT_TRAIT}{trait}": compile_path(trait)(account) for trait in watched}
    return Eligible(before | values)


def _held_back(journey: JourneyPlan, progress: Progress, now_ms: int) -> Declined | None:
    """What the subject's own history says against an entry."""
    if (refused := journey.running.refuses) is not None:
        return Declined(refused, {})
    # A shadow takes no room from the journeys that people see.
    active = sum(
        1 for held in progress.enrollments if held.is_active and journey.shadow is is_shadow(held.journey)
    )
    if active and (inside := progress.active_in(journey.name)) is not None:
        return Declined("already_enrolled", {"enrollment": inside.id})
    entered_at_ms = progress.entered.get(journey.name)
    if entered_at_ms is not None:
        after_ms = journey.again_after_ms
        if after_ms is None or now_ms - entered_at_ms < after_ms:
            return Declined("again", {"entered_at_ms": entered_at_ms})
    elif len(progress.entered) >= ENTERED_MAX:
        return Declined("too_many_journeys", {"journeys": len(progress.entered)})
    if active >= ACTIVE_MAX:
        return Declined("too_many_enrollments", {"enrollments": active})
    return None
