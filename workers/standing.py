"""Where subjects stand in their journeys, as plain values for people and JSON. Reads nothing by itself.

Times are integer UTC milliseconds in keys that end in ``_ms``; None is what has not happened or is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workers.core.journeys.lineage import UNKNOWN, carry, step_now, version_now
from workers.core.journeys.step_plans import (
    LlmStepPlan,
    SendStepPlan,
    WaitForStepPlan,
    WaitStepPlan,
    WaitUntilStepPlan,
)

if TYPE_CHECKING:
    from schemas.fields import SubjectType
    from workers.core.journeys.progress import Enrollment, Position, Progress, SentMessage, Waiting
    from workers.core.journeys.step_plans import StepPlan
    from workers.core.plan import SubjectPlan

RECEIVED_MOST: Final = 50
"""Messages that are shown of a subject: the latest."""


def enrollment_item(
    kind: SubjectType, progress: Progress, held: Enrollment, plan: SubjectPlan | None, now_ms: int
) -> dict[str, Any]:
    """One enrollment with its positions. ``plan`` tells what steps wait for; None: nobody knows.

    Of the version that the enrollment is on, or of the one that follows it: see :func:`waits_for`.
    """
    positions = [
        {
            "step": position.step,
            "since_ms": position.since_ms,
            "due_ms": position.due_ms,
            "until_ms": position.until_ms,
            "rounds": position.rounds,
            "waits_for": waits_for(position, held, progress, plan),
        }
        for position in held.places
    ]
    return {
        "subject_type": kind,
        "subject": progress.subject,
        "journey": held.journey,
        "version": held.version,
        "enrollment": held.id,
        "key": held.key or None,
        "state": held.state,
        "step": held.step,
        "positions": positions,
        "entered_at_ms": held.entered_at_ms,
        "due_ms": held.due_ms,
        "late_ms": now_ms - held.due_ms if held.due_ms is not None and held.due_ms < now_ms else None,
        "holdout": held.holdout,
        "variants": held.variants,
        "account": held.account,
        "trigger": {"event": held.trigger.event, "at_ms": held.trigger.at_ms},
        "first_sent_at_ms": held.first_sent_at_ms,
        "converted_at_ms": held.converted_at_ms,
        "ended_at_ms": held.ended_at_ms,
        "end_reason": held.end_reason,
    }


def waits_for(position: Position, held: Enrollment, progress: Progress, plan: SubjectPlan | None) -> str:
    """What takes a position on beside its time, in words; ``plan`` None: there is no workspace to ask.

    The engine decides by the version that the enrollment is on where its people finish that, else by the one
    that they follow to, and so does this. Where a plan does not have that version, the answer says so.
    """
    journey = version_now(plan, held.journey, held.version) if plan is not None else None
    path = step_now(plan, held.journey, held.version, position.step) if plan is not None else None
    step = journey.steps.get(path) if journey is not None and path is not None else None
    if step is None or isinstance(step, SendStepPlan):
        for one in progress.waiting:
            if one.enrollment == held.id and one.until_ms == position.due_ms:
                return f"the gate: {one.reason}"
    if plan is None:
        return "unknown: no workspace is named"
    if carry(plan, held).reason == UNKNOWN:
        return f"unknown: the workspace does not have version {held.version}, which it is on"
    if journey is None:
        return "nothing: the workspace has no such journey"
    is_guess = journey.version != held.version and held.version not in plan.moves.get(held.journey, {})
    said = "nothing: the workspace has no such step" if step is None else _of_step(step)
    if not is_guess:
        return said
    return f"{said} (by version {journey.version}; {held.version}, which it is on, is not known)"


def _of_step(step: StepPlan) -> str:
    match step:
        case WaitStepPlan():
            return "time, or a field that changes" if step.follows else "time"
        case WaitUntilStepPlan():
            return f"condition: {step.condition.label}"
        case WaitForStepPlan():
            return "event: " + " or ".join(one.event for one in step.awaited)
        case LlmStepPlan():
            return f"a model's answer over {step.connection}"
        case SendStepPlan():
            return f"to send {step.channel} {step.template}"
        case _:
            return "its turn"


def stands_at(held: Enrollment) -> tuple[str, ...]:
    """The steps where it stands; where it is over, the last that ran."""
    return tuple(one.step for one in held.places) if held.is_active and held.places else (held.step,)


def since_ms(held: Enrollment) -> int:
    """Since when it has been where it is: the longest of its positions; the end of one that is over."""
    if not held.is_active:
        return held.ended_at_ms or held.entered_at_ms
    return min((one.since_ms or held.entered_at_ms for one in held.places), default=held.entered_at_ms)


def subject_item(
    kind: SubjectType, progress: Progress, plan: SubjectPlan | None, now_ms: int
) -> dict[str, Any]:
    """All journeys of a subject, what the gate holds, and the messages that count for caps and exclusions."""
    return {
        "subject_type": kind,
        "subject": progress.subject,
        "enrollments": [
            enrollment_item(kind, progress, held, plan, now_ms)
            for held in sorted(progress.enrollments, key=lambda one: (one.state, one.entered_at_ms))
        ],
        "held": [_held(one) for one in progress.waiting],
        "received": [_message(one) for one in progress.messages[-RECEIVED_MOST:]],
        "withheld": [_message(one) for one in progress.withheld[-RECEIVED_MOST:]],
        "entered_ms": progress.entered,
        "converted_ms": progress.converted,
    }


def _held(one: Waiting) -> dict[str, Any]:
    return {
        "message": one.id,
        "journey": one.journey,
        "enrollment": one.enrollment,
        "of_an_account": one.requested,
        "reason": one.reason,
        "since_ms": one.since_ms,
        "until_ms": one.until_ms,
    }


def _message(one: SentMessage) -> dict[str, Any]:
    return {
        "message": one.id,
        "channel": one.channel,
        "journey": one.journey or None,
        "tags": list(one.tags),
        "at_ms": one.at_ms,
    }
