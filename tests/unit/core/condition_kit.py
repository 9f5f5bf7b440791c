"""A subject in few words, kept as the agents keep it, for tests of what conditions mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.unit.core.kit import START, journey, plan_of
from workers.core.activity import slots, windows
from workers.core.facts import Moment, SubjectFacts
from workers.core.journeys.progress import Progress, SentMessage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.conditions.compiled import CompiledCondition
    from workers.core.conditions.outcome import Outcome
    from workers.core.plan import SubjectPlan


@dataclass(frozen=True)
class Did:
    """Something that happened so long before START, to whom; the last of a subject is the trigger."""

    event: str
    age_ms: int = 0
    properties: Mapping[str, Any] = field(default_factory=dict)
    member: str = "u1"


@dataclass
class Someone:
    """A subject at START: what it did in the order of arrival, and what is known of it."""

    did: tuple[Did, ...] = ()
    traits: Mapping[str, Any] = field(default_factory=dict)
    account: Mapping[str, Any] = field(default_factory=dict)
    received: tuple[tuple[str, int], ...] = ()
    """Tag and age of each message."""
    entered: Mapping[str, int] = field(default_factory=dict)
    """Age of the last entry into each journey."""


def times(
    number: int, event: str, *, every: int = 1_000, first: int = 0, **properties: Any
) -> tuple[Did, ...]:
    """So many events, the last of them ``first`` before START."""
    return tuple(Did(event, first + back * every, properties) for back in reversed(range(number)))


def compiled(plain: Mapping[str, Any], *, subject: str = "user") -> tuple[SubjectPlan, CompiledCondition]:
    """A condition, required by a journey, and the plan that serves it."""
    entry = {"on": {"event": "limit"}, "require": [plain]}
    named = journey("prior", subject=subject, tags=["upsell"])
    plan = plan_of(journey("asking", subject=subject, entry=entry), named)
    ours = plan.user if subject == "user" else plan.account
    return ours, ours.journeys["asking"].require[0]


def moment(plan: SubjectPlan, who: Someone, *, later_ms: int = 0) -> Moment:
    """What the engine would know of someone at START, or later."""
    held: dict[int, bytes] = {}
    for did in who.did:
        at_ms = START - did.age_ms
        concerned = plan.events.get(did.event)
        for slot in concerned.slots if concerned else ():
            if slot.where is None or slot.where(did.properties):
                held[slot.id] = windows.add(held.get(slot.id), at_ms, START, slot.retention_ms)
        for measure in concerned.measures if concerned else ():
            kept = slots.record(measure, held.get(measure.id), at_ms, START, did.properties, did.member)
            if kept is not None:
                held[measure.id] = kept
    now_ms = START + later_ms
    last = who.did[-1] if who.did else None
    facts = SubjectFacts(
        now_ms=now_ms,
        traits=who.traits,
        account_traits=who.account if plan.subject == "user" else who.traits,
        event_properties=last.properties if last else {},
        event=(last.event, START - last.age_ms) if last else None,
        windows=held,
        retentions_ms=plan.retentions_ms,
    )
    messages = sorted((START - age_ms, tag) for tag, age_ms in who.received)
    progress = Progress(
        "u1",
        entered={name: START - age_ms for name, age_ms in who.entered.items()},
        messages=tuple(SentMessage(str(at), "email", (tag,), at) for at, tag in messages),
    )
    return Moment(facts, progress, now_ms)


def outcome(plain: Mapping[str, Any], who: Someone, *, subject: str = "user", later_ms: int = 0) -> Outcome:
    """What a condition says of someone."""
    plan, condition = compiled(plain, subject=subject)
    return condition.test(moment(plan, who, later_ms=later_ms), {})
