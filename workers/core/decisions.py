"""The decision records: one for every candidate entry and send, for every split, exit and goal.

Their ids are made of what was decided about, so a decision taken again has the same id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from schemas import wire
from workers.core.commands import RecordDecision
from workers.core.ids import stable_id
from workers.core.journeys.experiments import unit_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.fields import SubjectType
    from workers.core.gate.verdict import SendRequest
    from workers.core.journeys.progress import Enrollment, Waiting
    from workers.core.plan import JourneyPlan

UNKNOWN_VERSION: Final = "unknown"
"""The version in decisions on a journey that the workspace does not have."""


def entry_decision(
    journey: JourneyPlan,
    subject: str,
    account: str | None,
    message_id: str,
    *,
    outcome: str,
    reason: str | None,
    values: Mapping[str, Any],
    now_ms: int,
    enrollment: Enrollment | None = None,
) -> RecordDecision:
    """About a candidate entry: ``outcome`` is enrolled or declined."""
    decision = wire.Decision(
        id=stable_id("decision", "entry", journey.subject, subject, journey.name, message_id, outcome),
        kind="entry",
        subject_type=journey.subject,
        subject=subject,
        account=account,
        journey=journey.name,
        version=journey.version,
        enrollment=enrollment.id if enrollment is not None else None,
        outcome=outcome,
        reason=reason,
        values=dict(values),
        holdout=enrollment.holdout if enrollment is not None else None,
        at_ms=now_ms,
    )
    return RecordDecision(decision)


def assignment_decisions(
    journey: JourneyPlan, subject: str, enrollment: Enrollment, now_ms: int
) -> tuple[RecordDecision, ...]:
    """One for each experiment of the journey: ``outcome`` is the variant, the same at every entry."""
    units = {
        name: (one.name, unit_of(one.unit, subject, enrollment.account))
        for one in journey.experiments
        for name in one.weights
    }
    return tuple(
        RecordDecision(
            wire.Decision(
                id=stable_id("decision", "assignment", name, subject, enrollment.id),
                kind="assignment",
                subject_type=journey.subject,
                subject=subject,
                account=enrollment.account,
                journey=journey.name,
                version=journey.version,
                enrollment=enrollment.id,
                outcome=variant,
                values={"experiment": units[name][0], "assigned": name, "unit": units[name][1]},
                variant=variant,
                holdout=enrollment.holdout,
                at_ms=now_ms,
            )
        )
        for name, variant in enrollment.variants.items()
    )


def gone_decision(subject_type: SubjectType, record: wire.Eligible, now_ms: int) -> RecordDecision:
    """About a candidate of a journey that the workspace has no more."""
    return RecordDecision(_refused(subject_type, record, "journey_gone", now_ms))


def _refused(subject_type: SubjectType, record: wire.Eligible, reason: str, now_ms: int) -> wire.Decision:
    message_id = record.trigger.message_id
    return wire.Decision(
        id=stable_id(
            "decision", "entry", subject_type, record.subject, record.journey, message_id, "declined"
        ),
        kind="entry",
        subject_type=subject_type,
        subject=record.subject,
        account=record.account,
        journey=record.journey,
        version=record.version,
        outcome="declined",
        reason=reason,
        values=record.evidence,
        at_ms=now_ms,
    )


def refused_decision(
    request: wire.EnrollRequest, trigger: wire.Trigger, journey: JourneyPlan | None, now_ms: int
) -> RecordDecision:
    """About a request to enter a journey that is not there, or that nobody enters on request."""
    about = (request.subject_type, request.subject, request.journey, trigger.message_id, "declined")
    decision = wire.Decision(
        id=stable_id("decision", "entry", *about),
        kind="entry",
        subject_type=request.subject_type,
        subject=request.subject,
        journey=request.journey,
        version=journey.version if journey is not None else UNKNOWN_VERSION,
        outcome="declined",
        reason="journey_gone" if journey is None else "not_on_request",
        values={"request": request.id},
        at_ms=now_ms,
    )
    return RecordDecision(decision)


def send_decision(
    request: SendRequest, outcome: str, reason: str | None, values: Mapping[str, Any], now_ms: int
) -> RecordDecision:
    """About a candidate send.

    ``outcome`` is send, would_send (holdout), request, would_request, skip, drop or exit; or defer,
    which one of those follows.
    """
    decision = wire.Decision(
        id=stable_id("decision", "defer" if outcome == "defer" else "send", request.id),
        kind="send",
        subject_type=request.subject_type,
        subject=request.subject,
        account=request.account,
        journey=request.journey,
        version=request.version,
        enrollment=request.enrollment,
        step=request.step,
        outcome=outcome,
        reason=reason,
        values={"channel": request.channel, "template": request.template, **values},
        variant=request.variant,
        holdout=request.holdout,
        at_ms=now_ms,
    )
    return RecordDecision(decision)


def given_up_decision(
    subject_type: SubjectType,
    subject: str,
    enrollment: Enrollment,
    held: Waiting,
    reason: str,
    now_ms: int,
) -> RecordDecision:
    """About a message that the gate held, and that its journey does not want to send any more."""
    decision = wire.Decision(
        id=stable_id("decision", "send", held.id),
        kind="send",
        subject_type=subject_type,
        subject=subject,
        account=enrollment.account,
        journey=enrollment.journey,
        version=enrollment.version,
        enrollment=enrollment.id,
        step=held.step,
        outcome="skip",
        reason=reason,
        values={
            "channel": held.channel,
            "template": held.template,
            "waited for": held.reason,
            "since_ms": held.since_ms,
        },
        holdout=enrollment.holdout,
        at_ms=now_ms,
    )
    return RecordDecision(decision)


def split_decision(
    subject_type: SubjectType, subject: str, enrollment: Enrollment, experiment: str, arm: str, now_ms: int
) -> RecordDecision:
    """About which way of a split an enrollment goes; ``variant`` is the way's name."""
    decision = _about(
        "split",
        subject_type,
        subject,
        enrollment,
        outcome="assigned",
        reason=None,
        values={"experiment": experiment},
        variant=arm,
        at_ms=now_ms,
    )
    each = stable_id("decision", "split", enrollment.id, enrollment.step, str(enrollment.visit))
    return RecordDecision(replace(decision, id=each))


def llm_decision(
    subject_type: SubjectType,
    subject: str,
    enrollment: Enrollment,
    request: str,
    *,
    outcome: str,
    reason: str | None,
    values: Mapping[str, Any],
    now_ms: int,
) -> RecordDecision:
    """About a question to a model at the enrollment's step.

    ``outcome`` is answered, fallback, would_ask (a holdout or a shadow, with the fallback) or late (nobody
    waited for it any more).
    """
    decision = _about(
        "llm",
        subject_type,
        subject,
        enrollment,
        outcome=outcome,
        reason=reason,
        values=dict(values),
        at_ms=now_ms,
    )
    name = "late" if outcome == "late" else "llm"
    return RecordDecision(replace(decision, id=stable_id("decision", name, request)))


def would_enroll_decision(
    subject_type: SubjectType, subject: str, enrollment: Enrollment, target: str, now_ms: int
) -> RecordDecision:
    """About a shadow whose journey would have asked for the subject to enter ``target``."""
    decision = _about(
        "entry",
        subject_type,
        subject,
        enrollment,
        outcome="would_enroll",
        reason="shadow",
        values={"journey": target},
        at_ms=now_ms,
    )
    each = stable_id("decision", "enroll", enrollment.id, enrollment.step, str(enrollment.visit), target)
    return RecordDecision(replace(decision, id=each))


def chain_decision(record: wire.Eligible) -> RecordDecision:
    """About a candidate entry that is refused because too many journeys enrolled one another."""
    refused = _refused(record.subject_type, record, "too_many_hops", record.at_ms)
    return RecordDecision(replace(refused, values={"hops": record.hops}))


def exit_decision(
    subject_type: SubjectType, subject: str, enrollment: Enrollment, values: Mapping[str, Any], now_ms: int
) -> RecordDecision:
    """About an enrollment that has ended: ``outcome`` is completed or exited, with the reason."""
    completed = enrollment.end_reason == "completed"
    return RecordDecision(
        _about(
            "exit",
            subject_type,
            subject,
            enrollment,
            outcome="completed" if completed else "exited",
            reason=None if completed else enrollment.end_reason,
            values=dict(values),
            at_ms=now_ms,
        )
    )


def put_off_decision(
    subject_type: SubjectType, subject: str, enrollment: Enrollment, due_ms: int, now_ms: int
) -> RecordDecision:
    """About an enrollment that stays at its step because going on with it raised; it is tried again later.

    ``due_ms`` is when its timer was due. ``kind`` is problem, ``outcome`` put_off.
    """
    decision = _about(
        "problem",
        subject_type,
        subject,
        enrollment,
        outcome="put_off",
        reason="handler_error",
        values={"due_ms": due_ms},
        at_ms=now_ms,
    )
    each = stable_id("decision", "problem", enrollment.id, str(due_ms))
    return RecordDecision(replace(decision, id=each))


def goal_decision(
    subject_type: SubjectType, subject: str, enrollment: Enrollment, values: Mapping[str, Any], now_ms: int
) -> RecordDecision:
    """About an enrollment that has reached its goal."""
    return RecordDecision(
        _about(
            "goal",
            subject_type,
            subject,
            enrollment,
            outcome="converted",
            reason=None,
            values=dict(values),
            at_ms=now_ms,
        )
    )


def _about(
    kind: Any, subject_type: SubjectType, subject: str, enrollment: Enrollment, **rest: Any
) -> wire.Decision:
    return wire.Decision(
        id=stable_id("decision", kind, enrollment.id),
        kind=kind,
        subject_type=subject_type,
        subject=subject,
        account=enrollment.account,
        journey=enrollment.journey,
        version=enrollment.version,
        enrollment=enrollment.id,
        step=enrollment.step,
        holdout=enrollment.holdout,
        **rest,
    )
