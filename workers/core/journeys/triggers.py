"""What makes candidates, compiled: which journeys an event, a crossing, a change or a schedule concerns."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from cronsim import CronSim

from schemas import wire
from schemas.workspace import (
    OnChange,
    OnEvent,
    OnObject,
    OnReaching,
    OnRequest,
    OnSchedule,
    OnScore,
    OnSegment,
    PerformedCondition,
)
from workers.core.conditions.comparisons import compile_path, compile_where, is_same
from workers.core.conditions.compile import compile_condition
from workers.core.ids import stable_id
from workers.core.journeys.lineage import plan_name
from workers.core.zones import from_ms, to_ms, zone_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TypeAlias
    from zoneinfo import ZoneInfo

    from schemas.fields import SubjectType, TriggerKind
    from schemas.workspace import Journey
    from workers.core.conditions.comparisons import Getter, Predicate
    from workers.core.conditions.compiled import CompiledCondition, Names

    SegmentKey: TypeAlias = tuple[str, str]
    ScoreKey: TypeAlias = tuple[str, str, str]

_BACK_MS: Final = (3_600_000, 86_400_000, 40 * 86_400_000)
"""How far back the last time of a schedule is looked for, before it is counted on from one that is known."""


@dataclass(frozen=True, slots=True, eq=False)
class EventTrigger:
    """A product event: its properties must match ``where``, and it must make a count reach its number."""

    where: Predicate | None
    reaches: CompiledCondition | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ChangeTrigger:
    """Another value of a trait; None as ``before`` or ``after``: whatever the value."""

    journey: str
    trait: str
    read: Getter
    before: tuple[Any, ...] | None
    after: tuple[Any, ...] | None

    def matches(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        """Whether the traits differ in this one, from and to what is asked."""
        old, new = self.read(before), self.read(after)
        if is_same(old, new):
            return False
        return _is_one(old, self.before) and _is_one(new, self.after)


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """A time at which everybody, or who is in ``segment``, is looked at, ``rate`` a second and partition.

    ``id`` changes with anything that the times depend on.
    """

    id: str
    journey: str
    cron: str
    zone: ZoneInfo
    segment: str | None
    rate: int
    catch_up: bool

    def after_ms(self, at_ms: int) -> int:
        """The first time after an instant."""
        start = from_ms(at_ms, self.zone)
        for found in CronSim(self.cron, start):
            # Where a clock is set back, local times come twice; each run comes once, at the first.
            found_ms = to_ms(found if found.tzinfo is not None else found.replace(tzinfo=UTC))
            if found_ms > at_ms:
                return found_ms
        raise ValueError(f"{self.cron!r} never comes")  # pragma: no cover - the model has seen that it does

    def last_ms(self, until_ms: int, due_ms: int) -> int:
        """The last time up to an instant, ``due_ms`` being one of the times, and not after it."""
        last_ms = due_ms
        for back_ms in _BACK_MS:
            # Not through every minute of a month in which no worker was up.
            if due_ms < until_ms - back_ms and (near_ms := self.after_ms(until_ms - back_ms)) <= until_ms:
                last_ms = near_ms
                break
        while (next_ms := self.after_ms(last_ms)) <= until_ms:
            last_ms = next_ms
        return last_ms


@dataclass(frozen=True, slots=True)
class ExistingPlan:
    """Who is in a segment already enters a journey when it is published."""

    journey: str
    segment: str
    rate: int


@dataclass(frozen=True, slots=True, eq=False)
class EntryPlans:
    """What makes candidates apart from events, of users or of accounts; journeys are named in their order.

    ``by_segment`` is keyed by segment and change, ``by_score`` by score, threshold and direction.
    """

    by_segment: Mapping[SegmentKey, tuple[str, ...]] = field(default_factory=dict)
    by_score: Mapping[ScoreKey, tuple[str, ...]] = field(default_factory=dict)
    changes: tuple[ChangeTrigger, ...] = ()
    schedules: tuple[SchedulePlan, ...] = ()
    existing: tuple[ExistingPlan, ...] = ()
    on_request: frozenset[str] = frozenset()


NO_ENTRIES: Final = EntryPlans()


def compile_events(journey: Journey, names: Names) -> dict[str, tuple[EventTrigger, ...]]:
    """The events that make a candidate, each with what is asked of it."""
    found: dict[str, list[EventTrigger]] = defaultdict(list)
    for one in journey.entry.event_triggers():
        if isinstance(one, OnEvent):
            found[one.event].append(EventTrigger(compile_where(one.where)))
        else:
            reaches = compile_condition(reaching(one), names)
            found[one.performed].append(EventTrigger(compile_where(one.where), reaches))
    return {event: tuple(triggers) for event, triggers in found.items()}


def reaching(trigger: OnReaching) -> PerformedCondition:
    """The condition that the event of a trigger has to meet."""
    return PerformedCondition.model_validate(trigger.model_dump(mode="json", exclude_none=True))


def compile_entries(journeys: Iterable[Journey], timezone: str) -> EntryPlans:
    """What makes candidates apart from events; ``timezone`` is that of schedules that name none."""
    by_segment: dict[SegmentKey, list[str]] = defaultdict(list)
    by_score: dict[ScoreKey, list[str]] = defaultdict(list)
    changes, schedules, existing, on_request = [], [], [], set()
    for journey in journeys:
        name = plan_name(journey)
        for one in journey.entry.triggers():
            match one:
                case OnSegment():
                    by_segment[one.segment, one.change].append(name)
                    if one.existing:
                        existing.append(ExistingPlan(name, one.segment, one.rate))
                case OnScore():
                    by_score[one.score, one.threshold, one.direction].append(name)
                case OnChange():
                    read = compile_path(one.changed)
                    changes.append(ChangeTrigger(name, one.changed, read, one.before(), one.after()))
                case OnSchedule():
                    schedules.append(_schedule(name, one, timezone))
                case OnRequest():
                    on_request.add(name)
                case OnEvent() | OnReaching() | OnObject():
                    pass
    return EntryPlans(
        {key: tuple(named) for key, named in by_segment.items()},
        {key: tuple(named) for key, named in by_score.items()},
        tuple(changes),
        tuple(schedules),
        tuple(existing),
        frozenset(on_request),
    )


def trigger(
    kind: TriggerKind, name: str, cause: tuple[str, ...], at_ms: int, properties: Mapping[str, Any]
) -> wire.Trigger:
    """A trigger that is no event. The same ``kind``, ``name`` and ``cause`` are the same trigger."""
    return wire.Trigger(
        event=name,
        message_id=stable_id("trigger", kind, name, *cause),
        at_ms=at_ms,
        properties=dict(properties),
        kind=kind,
    )


def segment_trigger(
    kind: SubjectType, subject: str, segment: str, change: str, since_ms: int, at_ms: int
) -> wire.Trigger:
    """A subject came into a segment at ``since_ms``, or left it, having been in it since then."""
    cause = (kind, subject, change, str(since_ms))
    return trigger("segment", segment, cause, at_ms, {"segment": segment, "change": change})


def changed(
    plans: EntryPlans, before: Mapping[str, Any], after: Mapping[str, Any], message_id: str, at_ms: int
) -> Iterator[tuple[str, wire.Trigger]]:
    """The journeys that a change of traits makes a candidate for, with the trigger."""
    for one in plans.changes:
        if one.matches(before, after):
            values = {"trait": one.trait, "from": one.read(before), "to": one.read(after)}
            yield one.journey, trigger("changed", one.trait, (message_id,), at_ms, values)


def _schedule(journey: str, one: OnSchedule, timezone: str) -> SchedulePlan:
    zone = one.timezone or timezone
    return SchedulePlan(
        id=stable_id("schedule", journey, one.schedule, zone, one.segment or ""),
        journey=journey,
        cron=one.schedule,
        zone=zone_table()[zone],
        segment=one.segment,
        rate=one.rate,
        catch_up=one.missed == "once",
    )


def _is_one(value: Any, allowed: tuple[Any, ...] | None) -> bool:
    return allowed is None or any(is_same(value, one) for one in allowed)
