"""Taking messages back: what an exit or a goal makes pointless leaves the person's feed at once.

What an exit makes pointless is not called any more either.

A withdrawal goes the way that the messages went, so that it never overtakes one: straight to the person for
a journey of their own, by the members' partitions for a journey of their account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import wire
from workers.core.commands import RequestMessage, SendMessage
from workers.core.gate.plan import CALL
from workers.core.ids import stable_id
from workers.core.journeys.step_plans import SendStepPlan

if TYPE_CHECKING:
    from schemas.fields import SubjectType
    from workers.core.commands import Command
    from workers.core.journeys.progress import Enrollment, Progress
    from workers.core.plan import JourneyPlan

STEP = "withdraw"
"""What stands where a message names its step and its template: a withdrawal comes of none."""

CALLS_TRIED_MS = 90_000_000
"""25 hours: the senders give up after a day (``MESSAGE_AGE_MAX_MS``), by a clock that may be another."""


def withdraw(
    journey: JourneyPlan, enrollment: Enrollment, subject: str, reason: str, now_ms: int
) -> tuple[Command, ...]:
    """What takes the in-app messages of an enrollment back; nothing where it cannot have sent any."""
    if journey.shadow or enrollment.holdout or enrollment.first_sent_at_ms is None or not _shows(journey):
        return ()
    id_ = stable_id("withdraw", enrollment.id, reason)
    context = wire.MessageContext(user={}, account={}, event={})
    if journey.subject == "account":
        request = RequestMessage(
            id=id_,
            account=subject,
            journey=journey.name,
            version=enrollment.version,
            enrollment=enrollment.id,
            step=STEP,
            message=wire.RequestedMessage(channel="in_app", template=STEP, tags=[], withdrawn=reason),
            context=context,
            roles=journey.roles,
            limit=journey.recipient_limit,
            at_ms=now_ms,
        )
        return (request,)
    message = wire.Message(
        id=id_,
        channel="in_app",
        person=subject,
        account=enrollment.account,
        journey=journey.name,
        version=enrollment.version,
        enrollment=enrollment.id,
        step=STEP,
        template=STEP,
        tags=[],
        context=context,
        requested_at_ms=now_ms,
        withdrawn=reason,
    )
    return (SendMessage(message),)


def stop_calls(
    subject_type: SubjectType, enrollment: Enrollment, progress: Progress, reason: str, now_ms: int
) -> tuple[Command, ...]:
    """What stops the calls of an enrollment that its receivers have not taken yet; nothing without any.

    Told for as long as the senders try to deliver what was asked for.
    """
    asked = any(
        one.channel == CALL and one.journey == enrollment.journey and one.at_ms > now_ms - CALLS_TRIED_MS
        for one in progress.messages
    )
    if enrollment.holdout or not asked:
        return ()
    message = wire.Message(
        id=stable_id("stop_calls", enrollment.id, reason),
        channel=CALL,
        person=progress.subject,
        account=enrollment.account,
        journey=enrollment.journey,
        version=enrollment.version,
        enrollment=enrollment.id,
        step=STEP,
        template=STEP,
        tags=[],
        context=wire.MessageContext(user={}, account={}, event={}),
        requested_at_ms=now_ms,
        withdrawn=reason,
        subject_type="account" if subject_type == "account" else None,
    )
    return (SendMessage(message),)


def answer(record: wire.MessageRequest, now_ms: int) -> tuple[Command, ...]:
    """On the partition of a member: hand on the withdrawal that their account's journey asks for."""
    message = wire.Message(
        id=record.id,
        channel="in_app",
        person=record.subject,
        account=record.account,
        journey=record.journey,
        version=record.version,
        enrollment=record.enrollment,
        step=STEP,
        template=STEP,
        tags=[],
        context=record.context,
        requested_at_ms=now_ms,
        withdrawn=record.message.withdrawn,
    )
    return (SendMessage(message),)


def _shows(journey: JourneyPlan) -> bool:
    steps = journey.steps.values()
    return any(isinstance(step, SendStepPlan) and step.channel == "in_app" for step in steps)
