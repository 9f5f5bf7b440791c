"""From the gate's verdict to commands: what is sent, what is only recorded, what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from schemas import wire
from workers.core.commands import RequestMessage, SendMessage, Tell, Transition
from workers.core.conditions.comparisons import compile_path
from workers.core.decisions import send_decision
from workers.core.gate.plan import NO_RULES
from workers.core.gate.verdict import (
    OF_ACCOUNT,
    Defer,
    Drop,
    Exit,
    Send,
    SendRequest,
    Skip,
    decide_send,
    is_capped_by_account,
    once_key,
)
from workers.core.ids import stable_id
from workers.core.journeys.experiments import is_in_holdout
from workers.core.journeys.holding import asked_by
from workers.core.journeys.progress import (
    SentMessage,
    pruned,
    was_sent,
    with_message,
    with_once,
    with_waiting,
    with_withheld,
    without_waiting,
)
from workers.core.journeys.shadowing import seen, seen_by, with_hidden, with_shadowed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from workers.core.commands import Command
    from workers.core.facts import Facts
    from workers.core.gate.plan import GatePlan
    from workers.core.gate.verdict import Verdict
    from workers.core.journeys.progress import Enrollment, Progress
    from workers.core.plan import JourneyPlan, Plan, SendStepPlan

_OUTCOMES: Final = {Skip: "skip", Drop: "drop", Exit: "exit"}


class Gated(msgspec.Struct, frozen=True):
    """What became of one message: the gate's verdict, the person's row after it, and what to do."""

    verdict: Verdict
    transition: Transition


SHADOW: Final = "shadow"
"""The reason of what would be sent, were the journey no shadow."""


def request_of(
    journey: JourneyPlan,
    enrollment: Enrollment,
    step: SendStepPlan,
    subject: str,
    now_ms: int,
    facts: Facts | None = None,
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
        rules=step.rules,
        rank=_rank(journey, facts, enrollment.trigger.properties) if facts is not None else 0.0,
        shadow=journey.shadow,
        shadow_since_ms=journey.shadow_since_ms,
    )


def send_through(
    request: SendRequest,
    context: wire.MessageContext,
    facts: Facts,
    progress: Progress,
    now_ms: int,
    gate: GatePlan,
) -> Gated:
    """Put one message to a person, or one call, through the gate. A holdout has a decision and no message.

    A call is of the subject of its journey: for an account it is one, whatever members there are. Where it is
    deferred, the caller sees to it that it comes again when ``verdict.waiting`` says.
    """
    if request.shadow:
        row = seen(progress, request.journey, request.shadow_since_ms or 0)
        return _shadowed(request, decide_send(request, facts, row, now_ms, gate), progress, now_ms, gate)
    verdict = decide_send(request, facts, progress, now_ms, gate)
    told = _settle(request, verdict, progress, now_ms, gate)
    if isinstance(verdict, Defer):
        now, commands = _hold(request, verdict, progress, now_ms, gate)
        return Gated(verdict, Transition(now, (*told, *commands)))
    progress = without_waiting(progress, request.key)
    if isinstance(verdict, (Skip, Drop, Exit)):
        if isinstance(verdict, Drop):
            progress = _had(request, progress)
        decision = send_decision(request, _OUTCOMES[type(verdict)], verdict.reason, verdict.values, now_ms)
        return Gated(verdict, Transition(progress, (*told, decision)))
    progress = _had(request, progress)
    if request.holdout:
        progress = with_withheld(progress, _remember(request, now_ms, gate))
        decision = send_decision(request, "would_send", None, verdict.values, now_ms)
        return Gated(verdict, Transition(progress, (*told, decision)))
    # What an account granted is sent as of then: before any exit that it did not know of yet.
    sent_ms = now_ms if verdict.granted_at_ms is None else verdict.granted_at_ms
    message = _message(request, verdict.to, context, sent_ms)
    progress = with_message(progress, _remember(request, now_ms, gate))
    decision = send_decision(request, "send", None, verdict.values, now_ms)
    return Gated(verdict, Transition(progress, (*told, SendMessage(message), decision)))


def _had(request: SendRequest, progress: Progress) -> Progress:
    """The row in which what may come once was had; a shadow beside the journey does not see that."""
    key = once_key(request)
    if key is None or key in progress.once:
        return progress
    if request.shadow_since_ms is not None:
        progress = with_hidden(progress, request.journey, request.shadow_since_ms, key)
    return with_once(progress, key)


def _shadowed(
    request: SendRequest, verdict: Verdict, progress: Progress, now_ms: int, gate: GatePlan
) -> Gated:
    """What a shadow would do is recorded; it holds nothing, asks nobody, and goes on at once.

    What it would have sent it remembers, as of when the gate would have looked at it again.
    """
    if isinstance(verdict, (Send, Defer)):
        held = isinstance(verdict, Defer) and verdict.waiting.reason != OF_ACCOUNT
        at_ms = verdict.waiting.until_ms if isinstance(verdict, Defer) and held else now_ms
        progress = _shadow_had(request, progress, _remember(request, at_ms, gate))
        decision = send_decision(request, "would_send", SHADOW, verdict.values, now_ms)
        return Gated(Skip(SHADOW, verdict.values), Transition(progress, (decision,)))
    if isinstance(verdict, Drop):
        progress = _shadow_had(request, progress, None)
    decision = send_decision(request, _OUTCOMES[type(verdict)], verdict.reason, verdict.values, now_ms)
    return Gated(verdict, Transition(progress, (decision,)))


def _shadow_had(request: SendRequest, progress: Progress, message: SentMessage | None) -> Progress:
    key = once_key(request)
    if message is None and key is None:
        return progress
    sent, withheld = (None, message) if request.holdout else (message, None)
    return with_shadowed(
        progress, request.journey, request.shadow_since_ms or 0, message=sent, withheld=withheld, once=key
    )


def ask_members(
    request: SendRequest, journey: JourneyPlan, context: wire.MessageContext, progress: Progress, now_ms: int
) -> Transition:
    """Ask for a message to members of an account. Each member's gate decides on its own later.

    Members of an account of the holdout are asked too, so that it is known what they would have had. Of a
    shadow's request nobody hears: its decision is made where its recipients are known.
    """
    row = seen_by(journey, progress)
    if was_sent(row, request.id) or any(one.id == request.id for one in row.withheld):
        return Transition(progress, (send_decision(request, "skip", "already_sent", {}, now_ms),))
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
        by=journey.by,
        fallback=journey.fallback,
        holdout=request.holdout,
        shadow=request.shadow,
    )
    if request.shadow:
        remembered = _remember(request, now_ms, journey.gate)
        return Transition(_shadow_had(request, progress, remembered), (command,))
    remember = with_withheld if request.holdout else with_message
    progress = remember(progress, _remember(request, now_ms, journey.gate))
    outcome = "would_request" if request.holdout else "request"
    return Transition(progress, (command, send_decision(request, outcome, None, {}, now_ms)))


def answer_request(
    plan: Plan,
    record: wire.MessageRequest,
    facts: Facts,
    progress: Progress,
    now_ms: int,
    *,
    room: bool = True,
) -> Gated:
    """Decide, on the partition of the person, on a message that an account's journey asks for.

    ``facts`` and ``progress`` are the person's. Templates see the person's traits as they are now, and the
    account's and the event's as they were when the step ran. Without ``room`` to hold it, it is skipped
    where it would be held (``too_many_held``).
    """
    request = _requested(plan, record, facts)
    context = replace(record.context, user=dict(facts.traits))
    progress = pruned(progress, now_ms, plan.user.message_memory_ms, plan.user.shadows)
    gated = send_through(request, context, facts, progress, now_ms, plan.gate)
    if room or not isinstance(gated.verdict, Defer) or progress.held_message(request.key) is not None:
        return gated
    skip = Skip("too_many_held", gated.verdict.values)
    return Gated(
        skip, Transition(progress, (send_decision(request, "skip", skip.reason, skip.values, now_ms),))
    )


def _requested(plan: Plan, record: wire.MessageRequest, facts: Facts) -> SendRequest:
    journey, step, gone = asked_by(plan.account, record)
    account = record.context.account
    return SendRequest(
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
        once=step is not None and step.once,
        holdout=bool(record.holdout) or is_in_holdout(plan.user.holdout, record.subject, record.account),
        requested_at_ms=record.at_ms,
        asked=record.request or record.id,
        variant=record.message.variant,
        rules=step.rules if step is not None else NO_RULES,
        rank=_rank(journey, facts, record.context.event, account) if journey is not None else 0.0,
        watched=_watched(journey, account) if journey is not None else None,
        gone=gone,
        paused=journey is not None and journey.running.condition == "paused",
    )


def _message(
    request: SendRequest, to: str | None, context: wire.MessageContext, requested_at_ms: int
) -> wire.Message:
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
        requested_at_ms=requested_at_ms,
        subject_type="account" if request.subject_type == "account" else None,
    )


def _watched(journey: JourneyPlan, account: Mapping[str, Any]) -> dict[str, Any]:
    return {trait: compile_path(trait)(account) for trait in journey.exit_traits}


def _rank(
    journey: JourneyPlan,
    facts: Facts,
    properties: Mapping[str, Any],
    account: Mapping[str, Any] | None = None,
) -> float:
    """The priority of a journey's messages; in an account's journey ``traits`` are the account's."""
    if account is not None:
        return journey.rank(account, account, properties)
    return journey.rank(facts.traits, facts.account_traits, properties)


def _hold(
    request: SendRequest, verdict: Defer, progress: Progress, now_ms: int, gate: GatePlan
) -> tuple[Progress, tuple[Command, ...]]:
    """The row that holds the message; its first deferral is recorded, and the account is asked if need be."""
    waiting = verdict.waiting
    commands: list[Command] = []
    if verdict.ask:
        ask = wire.SendAsk(
            id=stable_id("ask", request.id, str(now_ms)),
            message=request.key,
            subject=request.account or "",
            user=request.subject,
            journey=request.journey,
            enrollment=request.enrollment if request.asked is not None else None,
            channel=request.channel,
            tags=list(request.tags),
            capped=is_capped_by_account(request, gate),
            watched=dict(request.watched) if request.watched else None,
            on_cap=request.rules.on_cap,
            at_ms=now_ms,
        )
        waiting = replace(waiting, ask=ask.id)
        commands.append(Tell(ask))
    if not waiting.recorded and waiting.reason != OF_ACCOUNT:
        waiting = replace(waiting, recorded=True)
        commands.append(send_decision(request, "defer", waiting.reason, verdict.values, now_ms))
    return with_waiting(progress, waiting), tuple(commands)


def _settle(
    request: SendRequest, verdict: Verdict, progress: Progress, now_ms: int, gate: GatePlan
) -> tuple[Command, ...]:
    """Tell the account what became of what it granted and counts."""
    held = progress.held_message(request.key)
    if held is None or held.ask is None or held.answer is None or not held.answer.granted:
        return ()
    if not is_capped_by_account(request, gate):
        return ()
    sent_at_ms = verdict.granted_at_ms if isinstance(verdict, Send) else None
    return (Tell(settled(held.ask, request.account or "", sent_at_ms, now_ms)),)


def settled(ask: str, account: str, sent_at_ms: int | None, now_ms: int) -> wire.SendSettled:
    """What became of a message that an account granted; None: it was not sent."""
    return wire.SendSettled(
        id=stable_id("settled", ask), ask=ask, subject=account, sent_at_ms=sent_at_ms, at_ms=now_ms
    )


def _remember(request: SendRequest, now_ms: int, gate: GatePlan) -> SentMessage:
    # Of an account's request the part that two ids of one person have in common: merged, they had it once.
    uncapped = "caps" in gate.exempt_of(request.tags)
    return SentMessage(request.key, request.channel, request.tags, now_ms, request.counted_as, uncapped)
