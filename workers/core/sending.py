"""From the gate's verdict to commands: what is sent, what is only recorded, what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from schemas import wire
from workers.core.commands import RequestMessage, SendMessage, Transition
from workers.core.decisions import send_decision
from workers.core.gate import SendRequest, Skip, decide_send, once_key
from workers.core.ids import stable_id
from workers.core.progress import SentMessage, pruned, was_sent, with_message, with_once

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.facts import Facts
    from workers.core.plan import JourneyPlan, Plan, SendStepPlan
    from workers.core.progress import Enrollment, Progress

    Properties: TypeAlias = Mapping[str, Any]


def request_of(
    journey: JourneyPlan, enrollment: Enrollment, step: SendStepPlan, subject: str, now_ms: int
) -> SendRequest:
    """The message that a step wants to send; its id is the same whenever the step runs on this visit."""
    return SendRequest(
        # With the template: in another version of the journey the same path may be another message.
        id=stable_id("message", journey.name, enrollment.id, step.path, step.template, str(enrollment.visit)),
        subject_type=journey.subject,
        subject=subject,
        account=enrollment.account,
        journey=journey.name,
        version=journey.version,
        enrollment=enrollment.id,
        step=step.path,
        channel=step.channel,
        template=step.template,
        tags=journey.tags,
        once=step.once,
        holdout=enrollment.holdout,
        requested_at_ms=now_ms,
        shadow=journey.shadow,
    )


def send_to_person(
    request: SendRequest, context: wire.MessageContext, facts: Facts, progress: Progress, now_ms: int
) -> Transition:
    """Put one message to a person through the gate. Someone of the holdout gets a decision and no message."""
    verdict = decide_send(request, facts, progress, now_ms)
    if isinstance(verdict, Skip):
        return Transition(progress, (send_decision(request, "skip", verdict.reason, verdict.values, now_ms),))
    if request.shadow:
        return Transition(progress, (send_decision(request, "would_send", "shadow", verdict.values, now_ms),))
    progress = with_once(progress, once_key(request))
    if request.holdout:
        return Transition(progress, (send_decision(request, "would_send", None, verdict.values, now_ms),))
    message = _message(request, verdict.to, context, now_ms)
    progress = with_message(progress, _remember(request, now_ms))
    decision = send_decision(request, "send", None, verdict.values, now_ms)
    return Transition(progress, (SendMessage(message), decision))


def ask_members(
    request: SendRequest, journey: JourneyPlan, context: wire.MessageContext, progress: Progress, now_ms: int
) -> Transition:
    """Ask for a message to members of an account. Each member's gate decides on its own later."""
    if was_sent(progress, request.id):
        return Transition(progress, (send_decision(request, "skip", "already_sent", {}, now_ms),))
    if request.holdout or request.shadow:
        reason = "shadow" if request.shadow else None
        return Transition(progress, (send_decision(request, "would_request", reason, {}, now_ms),))
    command = RequestMessage(
        id=request.id,
        account=request.subject,
        journey=request.journey,
        version=request.version,
        enrollment=request.enrollment,
        step=request.step,
        message=wire.RequestedMessage(
            channel=request.channel,
            template=request.template,
            tags=list(request.tags),
            variant=request.variant,
        ),
        context=context,
        roles=journey.roles,
        limit=journey.recipient_limit,
        at_ms=now_ms,
    )
    progress = with_message(progress, _remember(request, now_ms))
    return Transition(progress, (command, send_decision(request, "request", None, {}, now_ms)))


def call_webhook(
    request: SendRequest, context: wire.MessageContext, progress: Progress, now_ms: int
) -> Transition:
    """Ask for a call to another system, once, also for an account. Nobody is written to: no gate is asked.

    It counts as no message that the person received.
    """
    if was_sent(progress, request.id):
        return Transition(progress, (send_decision(request, "skip", "already_sent", {}, now_ms),))
    if request.holdout or request.shadow:
        reason = "shadow" if request.shadow else None
        return Transition(progress, (send_decision(request, "would_send", reason, {}, now_ms),))
    message = _message(request, None, context, now_ms)
    called = SentMessage(request.id, request.channel, (), now_ms)
    decision = send_decision(request, "send", None, {}, now_ms)
    return Transition(with_message(progress, called), (SendMessage(message), decision))


def answer_request(
    plan: Plan, record: wire.MessageRequest, facts: Facts, progress: Progress, now_ms: int
) -> Transition:
    """Decide, on the partition of the person, on a message that an account's journey asks for.

    ``facts`` and ``progress`` are the person's. Templates see the person's traits as they are now, and the
    account's and the event's as they were when the step ran.
    """
    journey = plan.account.version(record.journey, record.version)
    step = journey.steps.get(record.step) if journey is not None else None
    request = SendRequest(
        id=record.id,
        subject_type="user",
        subject=record.subject,
        account=record.account,
        journey=record.journey,
        version=record.version,
        enrollment=record.enrollment,
        step=record.step,
        channel=record.message.channel,
        template=record.message.template,
        tags=tuple(record.message.tags),
        once=bool(getattr(step, "once", False)),
        holdout=False,
        requested_at_ms=record.at_ms,
        asked=record.request,
        variant=record.message.variant,
    )
    context = replace(record.context, user=dict(facts.traits))
    progress = pruned(progress, now_ms, plan.user.message_memory_ms)
    return send_to_person(request, context, facts, progress, now_ms)


def _message(request: SendRequest, to: str | None, context: wire.MessageContext, now_ms: int) -> wire.Message:
    return wire.Message(
        id=request.id,
        channel=request.channel,
        person=request.subject,
        account=request.account,
        journey=request.journey,
        version=request.version,
        enrollment=request.enrollment,
        step=request.step,
        template=request.template,
        tags=list(request.tags),
        variant=request.variant,
        to=to,
        context=context,
        requested_at_ms=now_ms,
    )


def _remember(request: SendRequest, now_ms: int) -> SentMessage:
    # Of an account's request the part that two ids of one person have in common: merged, they had it once.
    return SentMessage(request.asked or request.id, request.channel, request.tags, now_ms)
