"""Where subjects stand in their journeys, as plain values for people and JSON. Reads nothing by itself.

Times are integer UTC milliseconds in keys that end in ``_ms``; None is what has not happened or is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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
    from workers.core.plan import JourneyPlan, SubjectPlan

RECEIVED_MOST: Final = 50
"""Messages that are shown of a subject: the latest."""


def enrollment_item(
    kind: SubjectType, progress: Progress, held: Enrollment, plan: SubjectPlan | None, now_ms: int
) -> dict[str, Any]:
    """One enrollment with its positions. ``plan`` tells what steps wait for; None: nobody knows."""
    journey = plan.journeys.get(held.journey) if plan is not None else None
    positions = [
        {
            "step": position.step,
            "since_ms": position.since_ms,
            "due_ms": position.due_ms,
            "until_ms": position.until_ms,
            "rounds": position.rounds,
            "waits_for": waits_for(position, held, progress, journey, known=plan is not None),
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


def waits_for(
    position: Position, held: Enrollment, progress: Progress, journey: JourneyPlan | None, *, known: bool
) -> str:
    """What takes a position on beside its time, in words; ``known``: there is a workspace to ask."""
    step = journey.steps.get(position.step) if journey is not None else None
    if step is None or isinstance(step, SendStepPlan):
        for one in progress.waiting:
            if one.enrollment == held.id and one.until_ms == position.due_ms:
                return f"the gate: {one.reason}"
    if step is not None:
        return _of_step(step)
    if not known:
        return "unknown: no workspace is named"
    return f"nothing: the workspace has no such {'journey' if journey is None else 'step'}"


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
