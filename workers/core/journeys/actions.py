"""Steps that do something: send a message, set traits, ask for another journey; and who chance chose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from schemas import wire
from workers.core.commands import Enroll, SetTraits, TellAccount
from workers.core.conditions.comparisons import is_same
from workers.core.decisions import UNKNOWN_VERSION, chain_decision, would_enroll_decision
from workers.core.gate.plan import CALL
from workers.core.gate.sending import ask_members, request_of, send_through
from workers.core.gate.verdict import Defer, Exit
from workers.core.ids import bucket, stable_id
from workers.core.journeys.asking import chosen_variant, shown_answers
from workers.core.journeys.evidence import shown
from workers.core.journeys.holding import held_at
from workers.core.journeys.run import Go, Leave, Stay

if TYPE_CHECKING:
    from workers.core.commands import Command
    from workers.core.journeys.progress import Enrollment, Position, Progress
    from workers.core.journeys.run import Outcome, Run
    from workers.core.journeys.step_plans import Choice, SendStepPlan, UpdateStepPlan
    from workers.core.plan import JourneyPlan

HOPS_MAX: Final = 10
"""Journeys that may enroll one another in a row, each within :data:`HOP_MS`: no circle runs without end."""

HOP_MS: Final = 3_600_000
"""An enrollment that has lasted longer than this begins a new row."""

SOURCE: Final = "journey"
"""The source of an account's traits that steps of its members' journeys set, with journey and enrollment:
what one member's journey says does not make another's late."""


def choose(choice: Choice, enrollment: Enrollment, subject: str) -> tuple[str, str]:
    """The arm of the subject, or of its account, and what it stands for: always the same."""
    unit = (enrollment.account if choice.by_account else None) or subject
    drawn = bucket(f"experiment:{choice.experiment}", unit)
    return next((name, stands_for) for name, upper, stands_for in choice.arms if drawn < upper)


def send(run: Run, step: SendStepPlan, position: Position) -> Outcome:
    """Put the step's message through the gate, and go on; the gate may hold it here, or end the journey."""
    journey, enrollment, facts, progress = run.journey, run.enrollment, run.facts, run.progress
    request = request_of(journey, enrollment, step, progress.subject, run.now_ms, facts)
    if step.variants is not None:
        variant, template = choose(step.variants, enrollment, progress.subject)
        request = replace(request, variant=variant, template=template)
    elif step.chosen_by is not None:
        variant = chosen_variant(journey, enrollment, step.chosen_by, step.chosen)
        request = replace(request, variant=variant, template=step.chosen[variant])
    held = held_at(progress, enrollment.id, step.path)
    if held is not None and held.template == request.template:
        # In another version the step may have another path; what is held is one message all the same.
        request = replace(request, id=held.id)
    context = wire.MessageContext(
        user=dict(facts.traits) if journey.subject == "user" else {},
        account=dict(facts.account_traits if journey.subject == "user" else facts.traits),
        event=enrollment.trigger.properties,
        awaited=enrollment.awaited or None,
        related=facts.shown() or None,
        evidence=shown(journey.evidence, enrollment.evidence),
        llm=shown_answers(journey, enrollment) or None,
    )
    outcome: Outcome = Go(step.next)
    if journey.subject == "user" or step.channel == CALL:
        gated = send_through(request, context, facts, progress, run.now_ms, journey.gate)
        run.take(gated.transition)
        match gated.verdict:
            case Defer(waiting=waiting):
                since_ms = run.now_ms if position.since_ms is None else position.since_ms
                outcome = Stay(replace(position, since_ms=since_ms, due_ms=waiting.until_ms))
            case Exit(reason=reason, values=values):
                outcome = Leave(f"gate: {reason}", values)
    else:
        run.take(ask_members(request, journey, context, progress, run.now_ms))
    went_out = len(run.progress.messages) > len(progress.messages) and step.channel != CALL
    if went_out and enrollment.first_sent_at_ms is None:
        run.enrollment = replace(enrollment, first_sent_at_ms=run.now_ms)
    return outcome


def update(run: Run, step: UpdateStepPlan) -> None:
    """Set traits. Where that changes something, no other step runs before what follows from it.

    A shadow passes the step by.
    """
    if run.journey.shadow:
        return
    moment, enrollment = run.moment, run.enrollment
    name = stable_id("update", enrollment.id, step.path, str(enrollment.visit))
    values = {trait: read(moment) for trait, read in step.traits.items()}
    changed = {
        trait: value for trait, value in values.items() if not is_same(run.facts.traits.get(trait), value)
    }
    if changed:
        run.commands.append(SetTraits(changed, name, enrollment.id))
        run.halted = True
    told = {trait: read(moment) for trait, read in step.account.items()}
    if told and enrollment.account is not None:
        record = wire.AccountTraits(
            id=name,
            account=enrollment.account,
            traits=told,
            source=f"{SOURCE}:{run.journey.name}:{enrollment.id}",
            at_ms=run.now_ms,
        )
        run.commands.append(TellAccount(record))


def enroll_elsewhere(
    journey: JourneyPlan, enrollment: Enrollment, progress: Progress, target: str, now_ms: int
) -> Command:
    """Ask for the subject to enter another journey; its entry decides. Refused where it goes round.

    A shadow only records that it would have asked.
    """
    if journey.shadow:
        return would_enroll_decision(journey.subject, progress.subject, enrollment, target, now_ms)
    hops = enrollment.hops + 1 if now_ms - enrollment.entered_at_ms < HOP_MS else 1
    name = stable_id("enroll", enrollment.id, enrollment.step, str(enrollment.visit), target)
    trigger = enrollment.trigger
    record = wire.Eligible(
        id=stable_id("eligible", journey.subject, progress.subject, target, name),
        journey=target,
        version=journey.versions.get(target, UNKNOWN_VERSION),
        subject_type=journey.subject,
        subject=progress.subject,
        account=enrollment.account,
        trigger=wire.Trigger(
            event=trigger.event, message_id=name, at_ms=now_ms, properties=trigger.properties
        ),
        evidence={"enrolled by": journey.name},
        at_ms=now_ms,
        hops=hops,
    )
    return Enroll(record) if hops <= HOPS_MAX else chain_decision(record)
