"""Who enters a journey: decided where the event arrives, and again where the enrollment begins.

Between the two lies the scheduler topic, and a moment. Whatever happened meanwhile counts: at the
enrolment every rule is looked at again with the newest state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from schemas import wire
from workers.core.commands import RecordDecision, Transition
from workers.core.conditions.comparisons import compile_path, is_same
from workers.core.conditions.compile import evaluate, evaluate_none
from workers.core.conditions.outcome import Outcome
from workers.core.decisions import assignment_decisions, entry_decision, gone_decision
from workers.core.facts import Moment
from workers.core.ids import bucket, stable_id
from workers.core.journeys.account_exits import LEFT_ACCOUNT
from workers.core.journeys.evidence import kept
from workers.core.journeys.experiments import assignments, is_in_holdout
from workers.core.journeys.lineage import SHADOW_MARK, is_shadow
from workers.core.journeys.progress import (
    ACTIVE_MAX,
    ELIGIBLE_MAX_AGE_MS,
    ENTERED_MAX,
    KEYED_ACTIVE_MAX,
    Enrollment,
    TriggerFacts,
    key_hash,
    pruned,
    with_enrollment,
    with_key,
)
from workers.core.journeys.shadowing import seen_by
from workers.core.journeys.steps import run_steps
from workers.core.plan import key_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.facts import Facts
    from workers.core.journeys.progress import Progress
    from workers.core.journeys.triggers import EventTrigger
    from workers.core.plan import JourneyPlan, SubjectPlan

_TRAIT: Final = "trait "
"""Evidence of a trait has its name behind this, as conditions note it."""

_ACCOUNT_TRAIT: Final = "account trait "
"""The same of a trait of the user's account."""


class Eligible(msgspec.Struct, frozen=True):
    """The subject may enter; ``evidence`` are the values that say so."""

    evidence: dict[str, Any]


class Declined(msgspec.Struct, frozen=True):
    """The subject may not enter.

    ``reason`` is paused, draining, stopped, already_enrolled, exclusive, again, too_many_enrollments,
    too_many_journeys, too_many_keys, no_key, exited, stale, left_account, not_on_request, or one of require,
    missing, exclude followed by ``: `` and the condition. ``values`` are those looked at.
    """

    reason: str
    values: dict[str, Any]

    @property
    def is_unmet(self) -> bool:
        """Whether it is because of a condition."""
        return self.reason.startswith(("require: ", "missing: ", "exclude: "))


EntryVerdict: TypeAlias = Eligible | Declined


def decide_entry(journey: JourneyPlan, facts: Facts, progress: Progress, now_ms: int) -> EntryVerdict | None:
    """Whether a trigger of the journey's entry makes the subject eligible, cheap checks first.

    ``facts.event_properties`` are the trigger's. Where it is an event, ``facts.event`` names it, and its
    windows hold it already; None as a result: it does not match, so that there is nothing to decide, nor to
    record.
    """
    moment, reached = Moment(facts, seen_by(journey, progress), now_ms), dict[str, Any]()
    if facts.event is not None:
        triggers = journey.entry_events.get(facts.event[0], ())
        if not any(_comes(one, moment, reached) for one in triggers):
            return None
    verdict = _decide(journey, facts.event_properties, moment)
    return Eligible(reached | verdict.evidence) if reached and isinstance(verdict, Eligible) else verdict


def _comes(trigger: EventTrigger, moment: Moment, values: dict[str, Any]) -> bool:
    if trigger.where is not None and not trigger.where(moment.facts.event_properties):
        return False
    return trigger.reaches is None or trigger.reaches.test(moment, values) is Outcome.TRUE


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
    eligible under. Who is of a holdout, and of which variant of an experiment, is decided only here, after
    all other rules, by hashes alone.
    """
    journey = plan.version(record.journey, record.version)
    if journey is not None and not journey.takes_entries:
        journey = plan.journeys.get(record.journey)
    if journey is None:
        return Transition(progress, (gone_decision(plan.subject, record, now_ms),))
    facts = facts.of_account(record.account)
    now = pruned(progress, now_ms, plan.message_memory_ms, plan.shadows)
    enrollment_id = stable_id(
        "enrollment", journey.subject, record.subject, journey.name, record.trigger.message_id
    )
    moment = Moment(facts, seen_by(journey, now), now_ms, rechecking=True)
    verdict = _recheck(journey, record, enrollment_id, moment)
    if isinstance(verdict, Declined):
        decision = declined_decision(
            journey, record.subject, record.account, record.trigger.message_id, verdict, now_ms=now_ms
        )
        return Transition(progress, (decision,))
    enrollment = _new(plan, journey, record, enrollment_id, now_ms)
    # What it was found eligible by counts where that is no longer asked: an event that reached its number.
    enrollment = replace(enrollment, evidence=kept(journey.evidence, record.evidence | verdict.evidence))
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
    if journey.key is not None:
        now = replace(now, keys=with_key(now.keys, journey.name, enrollment.key, now_ms))
    assigned = assignment_decisions(journey, record.subject, enrollment, now_ms)
    ran = run_steps(journey, enrollment, facts, now, now_ms)
    return Transition(ran.progress, (decision, *assigned, *ran.commands))


def is_held_out(journey: JourneyPlan, subject: str) -> bool:
    """Whether the subject is of the journey's holdout: the same for every version, shadow and entry."""
    if not journey.holdout_bp:
        return False
    return bucket(f"holdout:{journey.name.removesuffix(SHADOW_MARK)}", subject) < journey.holdout_bp


def _new(
    plan: SubjectPlan, journey: JourneyPlan, record: wire.Eligible, enrollment_id: str, now_ms: int
) -> Enrollment:
    trigger = record.trigger
    account = record.subject if journey.subject == "account" else record.account
    held_out = is_in_holdout(plan.holdout, record.subject, account) or is_held_out(journey, record.subject)
    return Enrollment(
        id=enrollment_id,
        journey=journey.name,
        version=journey.version,
        entered_at_ms=now_ms,
        trigger=TriggerFacts(
            trigger.event, trigger.message_id, trigger.at_ms, trigger.properties, trigger.kind
        ),
        step=journey.first,
        holdout=held_out,
        account=account,
        goal_until_ms=now_ms + journey.goal.within_ms if journey.goal is not None else None,
        hops=record.hops or 0,
        key=_key(journey, trigger.properties) or "",
        variants=assignments(journey.experiments, record.subject, account),
    )


def _recheck(journey: JourneyPlan, record: wire.Eligible, enrollment_id: str, moment: Moment) -> EntryVerdict:
    since_ms = moment.now_ms - record.trigger.at_ms
    if since_ms > ELIGIBLE_MAX_AGE_MS:
        return Declined("stale", {"trigger_at_ms": record.trigger.at_ms})
    if moment.progress.enrollment(enrollment_id) is not None:
        return Declined("already_enrolled", {"enrollment": enrollment_id})
    # One of the trigger's own instant counts (see ``observe``), unless it may be what made the trigger.
    may_be_it = record.trigger.kind is not None or record.trigger.event in journey.exit_events
    looked_ms = since_ms if may_be_it else since_ms + 1
    if looked_ms > 0 and any(moment.facts.count(slot_id, looked_ms) for slot_id in journey.exit_slots):
        return Declined("exited", {"events since": record.trigger.at_ms})
    left_ms = moment.progress.left.get(journey.name, {}) if journey.key is not None else {}
    key = _key(journey, record.trigger.properties) if left_ms else None
    if key is not None and left_ms.get(key_hash(key), record.trigger.at_ms - 1) >= record.trigger.at_ms:
        return Declined("exited", {"events since": record.trigger.at_ms})
    return _changed_since(journey, record, moment) or _decide(journey, record.trigger.properties, moment)


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


def _decide(journey: JourneyPlan, properties: Mapping[str, Any], moment: Moment) -> EntryVerdict:
    """All rules but the trigger's own, the cheapest first; ``properties`` are the trigger's."""
    key = _key(journey, properties)
    if key is None:
        return Declined("no_key", {})
    held_back = _held_back(journey, key, moment.progress, moment.now_ms)
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


def _key(journey: JourneyPlan, properties: Mapping[str, Any]) -> str | None:
    """What there is one enrollment of, ``""`` where the journey has no key; None where it is missing."""
    return "" if journey.key is None else key_text(journey.key(properties))


def _held_back(  # noqa: PLR0911  one rule after the other
    journey: JourneyPlan, key: str, progress: Progress, now_ms: int
) -> Declined | None:
    """What the subject's own history says against an entry."""
    if (refused := journey.running.refuses) is not None:
        return Declined(refused, {})
    # A shadow takes no room from the journeys that people see.
    beside = [
        held for held in progress.enrollments if held.is_active and journey.shadow is is_shadow(held.journey)
    ]
    active = len(beside)
    if active and (inside := progress.active_in(journey.name, key)) is not None:
        return Declined("already_enrolled", {"enrollment": inside.id})
    rivals = sorted(held.journey for held in beside) if journey.rivals else ()
    if (rival := next((name for name in rivals if name in journey.rivals), None)) is not None:
        return Declined("exclusive", {"enrolled": rival})
    entered_at_ms = progress.entered.get(journey.name)
    if journey.key is not None and entered_at_ms is not None:
        entered_at_ms = progress.keys.get(journey.name, {}).get(key_hash(key))
        many = len(progress.all_active_in(journey.name))
        if many >= KEYED_ACTIVE_MAX:
            return Declined("too_many_keys", {"enrollments": many})
    if entered_at_ms is not None:
        after_ms = journey.again_after_ms
        if after_ms is None or now_ms - entered_at_ms < after_ms:
            return Declined("again", {"entered_at_ms": entered_at_ms})
    elif journey.name not in progress.entered and len(progress.entered) >= ENTERED_MAX:
        return Declined("too_many_journeys", {"journeys": len(progress.entered)})
    if active >= ACTIVE_MAX:
        return Declined("too_many_enrollments", {"enrollments": active})
    return None
