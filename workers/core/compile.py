"""From the workspace's models to the plan that the workers run."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, replace
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Final, get_args

from schemas.fields import SubjectType
from schemas.workspace import (
    ExitChange,
    ExitEvent,
    ReceivedCondition,
    RelatedCondition,
    ScoreCondition,
    SegmentCondition,
)
from schemas.workspace.conditions import children
from schemas.workspace.spans import lookback_ms
from schemas.workspace.steps import conditions_of
from workers.core.activity.layout import SlotCollisionError, SlotLayout
from workers.core.activity.needs import needs
from workers.core.conditions.comparisons import compile_path, compile_where
from workers.core.conditions.compile import compile_condition, compile_conditions
from workers.core.conditions.compiled import never
from workers.core.gate.plan import compile_gate, compile_rank
from workers.core.ids import VERSION_CHARS, stable_id
from workers.core.journeys.compile_steps import compile_steps, first_path
from workers.core.journeys.evidence import evidence_plans
from workers.core.journeys.experiments import compile_experiments, compile_holdout
from workers.core.journeys.lineage import RUNNING, SHADOW_MARK, Lines
from workers.core.journeys.reasons import exit_reason
from workers.core.journeys.step_plans import WaitForStepPlan, WaitStepPlan, WaitUntilStepPlan
from workers.core.journeys.triggers import compile_entries, compile_events
from workers.core.objects.plan import NO_OBJECTS, compile_objects, compile_types, filled_by
from workers.core.plan import (
    EventPlan,
    ExitPlan,
    GoalPlan,
    JourneyPlan,
    Plan,
    SegmentPlan,
    SegmentsPlan,
    SubjectPlan,
)
from workers.core.scoring.plan import compile_scores
from workers.core.segments import at_rest, lineages
from workers.core.told import told_segments
from workers.core.zones import Zones

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from schemas.workspace import Goal, Journey, Segment, SustainedCondition, Where, Workspace
    from workers.core.activity.needs import Need
    from workers.core.conditions.comparisons import Getter
    from workers.core.conditions.compile import Names
    from workers.core.gate.plan import GatePlan
    from workers.core.journeys.experiments import ExperimentPlan
    from workers.core.journeys.step_plans import StepPlan
    from workers.core.objects.plan import ObjectsPlan
    from workers.core.scoring.row import ScorePlans

_NOT_DONE: Final = {"on_edit", "moves", "shadow"}
"""Fields of a journey that say nothing of what it does."""

__all__ = ["SlotCollisionError", "compile_workspace", "journey_version"]


class CircularSegmentsError(ValueError):
    """Segments that use each other; the message names them in a circle. Operator action: break it."""


def compile_workspace(workspace: Workspace, lines: Lines | None = None) -> Plan:
    """The plan of a workspace: a function of its content, and of the older versions that go on beside it.

    ``lines`` is None for a workspace that was not published: every journey runs in the version it has here.

    Raises:
        SlotCollisionError: once in some billion pairs of windows; the message names them.
    """
    version = _hash("workspace", workspace.model_dump(mode="json", exclude_defaults=True))
    zones = cache(lambda: Zones(workspace.timezone))
    gate = compile_gate(workspace.messages, zones)
    more = lines or Lines()
    everything = _with_shadows(workspace, more)
    user, account = (
        _compile_subject(subject, everything, more, zones, gate) for subject in get_args(SubjectType)
    )
    if lines is not None:
        user, account = (replace(one, inside=_inside(one, lines)) for one in (user, account))
    older = tuple(pin.journey for pin in more.pinned)
    return Plan(workspace.name, version, user, account, compile_types(everything, older), gate)


def journey_version(journey: Journey) -> str:
    """A hash of all that the journey does; writing out a default changes nothing.

    How those inside are treated when it changes, and whether it is a shadow, is nothing that it does.
    """
    return _hash("journey", journey.model_dump(mode="json", exclude_defaults=True, exclude=_NOT_DONE))


def _with_shadows(workspace: Workspace, lines: Lines) -> Workspace:
    """The workspace with the shadows that run beside its own journeys."""
    shadows = (journey.model_copy(update={"shadow": True}) for journey in lines.shadows)
    return workspace.model_copy(update={"journeys": (*workspace.journeys, *shadows)})


def _compile_subject(
    subject: SubjectType, workspace: Workspace, lines: Lines, zones: Callable[[], Zones], gate: GatePlan
) -> SubjectPlan:
    journeys = _ordered(journey for journey in workspace.journeys if journey.subject == subject)
    pins = [pin for pin in lines.pinned if pin.journey.subject == subject]
    older = tuple(pin.journey for pin in pins)
    groups = [segment for segment in workspace.segments if segment.subject == subject]
    slots = SlotLayout((*journeys, *older), groups)
    scores = compile_scores(workspace.scores, subject)
    objects = compile_objects(workspace, subject, older)
    asking: tuple[Journey | Segment, ...] = (*journeys, *older, *groups)
    names = _Names(slots, (*(one for one in journeys if not one.shadow), *older), zones)
    experiments = compile_experiments(workspace.experiments)
    shared = (names, slots, experiments, gate, workspace.templates)
    plans = [_newest(_compile_journey(one, *shared), one, lines) for one in journeys]
    # Journeys come before shadows, whatever the priority of these.
    plans.sort(key=lambda plan: plan.shadow)
    versions = {plan.name: plan.version for plan in plans}
    plans = [replace(plan, versions=versions) for plan in plans]
    pinned = {
        (pin.journey.journey, pin.version): replace(
            _compile_journey(pin.journey, *shared),
            version=pin.version,
            running=lines.running.get(pin.journey.journey, RUNNING),
            takes_entries=pin.takes_entries,
            shadow_since_ms=lines.shadows_since_ms.get(pin.journey.journey),
            versions=versions,
        )
        for pin in pins
    }
    everyone = [*plans, *pinned.values()]
    trait_exits: dict[str, list[JourneyPlan]] = defaultdict(list)
    account_exits: dict[str, list[JourneyPlan]] = defaultdict(list)
    for plan in everyone:
        for trait in plan.exit_traits:
            trait_exits[trait].append(plan)
        for trait in plan.exit_account_traits:
            account_exits[trait].append(plan)
    memories_ms = [
        lookback_ms(condition.within) or 0
        for one in asking
        for condition in one.conditions()
        if isinstance(condition, ReceivedCondition)
    ]
    looked_at = _looked_at_events((*journeys, *older), groups, scores)
    return SubjectPlan(
        subject,
        _events(plans, everyone, slots, scores, looked_at, objects),
        {trait: tuple(leaving) for trait, leaving in trait_exits.items()},
        {plan.name: plan for plan in plans},
        {slot.id: slot.retention_ms for slot in slots.plain},
        max([*memories_ms, gate.memory_ms]),
        {slot.id: slot for slot in slots.measures},
        slots.truths(names),
        compile_segments(groups, names, scores, objects, told_segments(subject, workspace, lines.pinned)),
        scores,
        frozenset(plan.name for plan in everyone if plan.looking or plan.exit_conditions),
        {trait: tuple(leaving) for trait, leaving in account_exits.items()},
        objects,
        slots.parts,
        compile_entries(journeys, workspace.timezone),
        compile_holdout(workspace.holdout),
        _told_scores((*workspace.journeys, *(pin.journey for pin in lines.pinned)))
        if subject == "user"
        else frozenset(),
        pinned,
        lines.moves,
        shadows={plan.name: plan.shadow_since_ms or 0 for plan in plans if plan.shadow},
    )


def _told_scores(journeys: Iterable[Journey]) -> frozenset[str]:
    """The scores of users that some account's journey chooses its recipients by."""
    chosen = (one.recipients.by for one in journeys if one.recipients is not None)
    return frozenset(score for score in chosen if score is not None)


def _newest(plan: JourneyPlan, journey: Journey, lines: Lines) -> JourneyPlan:
    """The plan of a journey that is in force, or of a shadow."""
    # What is said about a journey holds for its shadow: paused alone, the two would go apart by that.
    running, since_ms = lines.running.get(plan.name, RUNNING), lines.shadows_since_ms.get(plan.name)
    if journey.shadow:
        name = plan.name + SHADOW_MARK
        return replace(plan, name=name, shadow=True, running=running, shadow_since_ms=since_ms or 0)
    version = lines.versions.get(plan.name) or plan.version
    return replace(plan, version=version, running=running, shadow_since_ms=since_ms)


def _ordered(journeys: Iterable[Journey]) -> list[Journey]:
    """By priority, the highest first, then by name."""
    return sorted(journeys, key=lambda journey: (-journey.fixed_priority, journey.journey))


def _inside(plan: SubjectPlan, lines: Lines) -> str:
    """A hash of all that those inside are to be brought in line with."""
    newest = sorted((one.name, one.version) for one in plan.journeys.values())
    pinned = sorted((pin.journey.journey, pin.version) for pin in lines.pinned)
    moves = {
        name: {version: asdict(move) for version, move in of.items()} for name, of in lines.moves.items()
    }
    running = {name: asdict(state) for name, state in lines.running.items()}
    return _hash("inside", [newest, pinned, moves, running])


def _events(
    plans: list[JourneyPlan],
    everyone: list[JourneyPlan],
    slots: SlotLayout,
    scores: ScorePlans,
    looked_at: set[str],
    objects: ObjectsPlan,
) -> dict[str, EventPlan]:
    """``plans`` take entries; ``everyone`` has those too that people are only inside of."""
    concerned = {event for plan in plans for event in plan.entry_events}
    concerned |= {event for plan in everyone for event in (*plan.exit_events, *plan.listening)}
    concerned |= {plan.goal.event for plan in everyone if plan.goal is not None}
    concerned |= {slot.event for slot in slots.plain} | {slot.event for slot in slots.measures}
    concerned |= scores.events.keys() | objects.fills.keys()
    return {
        event: EventPlan(
            slots=tuple(slot for slot in slots.plain if slot.event == event),
            measures=tuple(slot for slot in slots.measures if slot.event == event),
            entries=tuple(plan for plan in plans if event in plan.entry_events),
            exits=tuple(plan for plan in everyone if event in plan.exit_events),
            goals=tuple(plan for plan in everyone if plan.goal is not None and plan.goal.event == event),
            scored=event in scores.events,
            waits=tuple(plan for plan in everyone if event in plan.listening),
            looks=event in looked_at,
            fills=objects.fills.get(event, ()),
        )
        for event in sorted(concerned)
    }


def _compile_journey(
    journey: Journey,
    names: Names,
    slots: SlotLayout,
    experiments: Mapping[str, ExperimentPlan],
    gate: GatePlan,
    templates: Mapping[str, Mapping[str, Any]],
) -> JourneyPlan:
    entry, recipients = journey.entry, journey.recipients
    exits = [leaving.when for leaving in journey.exit if isinstance(leaving.when, ExitEvent)]
    changes = [leaving.when for leaving in journey.exit if isinstance(leaving.when, ExitChange)]
    exit_events: dict[str, tuple[Any, ...]] = {}
    for leaving in exits:
        ending = (compile_where(leaving.where), _getter(leaving.match_path()))
        exit_events[leaving.event] = (*exit_events.get(leaving.event, ()), ending)
    steps = compile_steps(journey, names)
    return JourneyPlan(
        name=journey.journey,
        version=journey_version(journey),
        subject=journey.subject,
        tags=journey.tags,
        priority=journey.fixed_priority,
        entry_events=compile_events(journey, names),
        require=compile_conditions(entry.require, names),
        exclude=compile_conditions(entry.exclude, names),
        again_after_ms=entry.again_after_ms(),
        exit_events=exit_events,
        exit_traits=tuple(dict.fromkeys(one.trait for one in changes if one.trait is not None)),
        exit_account_traits=tuple(
            dict.fromkeys(one.account_trait for one in changes if one.account_trait is not None)
        ),
        exit_slots=tuple(
            dict.fromkeys(
                slots.slot_id(leaving.event, leaving.where) for leaving in exits if leaving.match is None
            )
        ),
        goal=None if journey.goal is None else _goal(journey.goal),
        holdout_bp=journey.holdout,
        roles=(recipients.role or ()) if recipients is not None else (),
        recipient_limit=recipients.limit if recipients is not None else 0,
        first=first_path(journey.steps),
        steps=steps,
        exit_conditions=tuple(
            ExitPlan(compile_condition(leaving.when, names), leaving.then.enroll if leaving.then else None)
            for leaving in journey.exit
            if not isinstance(leaving.when, (ExitEvent, ExitChange))
        ),
        then_enroll={
            exit_reason(leaving.when): leaving.then.enroll
            for leaving in reversed(journey.exit)
            if isinstance(leaving.when, (ExitEvent, ExitChange)) and leaving.then is not None
        },
        listening=_listening(steps),
        looking=frozenset(
            path
            for path, step in steps.items()
            if isinstance(step, WaitUntilStepPlan) or (isinstance(step, WaitStepPlan) and step.follows)
        ),
        key=_getter(entry.key_path()),
        experiments=tuple(experiments[name] for name in journey.experiments if name in experiments),
        by=recipients.by if recipients is not None else None,
        fallback=recipients.fallback if recipients is not None else (),
        gate=gate,
        rank=compile_rank(journey),
        rivals=names.journeys((), gate.lone_tags.intersection(journey.tags)) - {journey.journey},
        evidence=evidence_plans(journey, names, templates),
    )


def _goal(goal: Goal) -> GoalPlan:
    where, revenue, match = compile_where(goal.where), goal.revenue_path(), goal.match_path()
    return GoalPlan(goal.event, where, goal.within, _getter(revenue), _getter(match))


def _getter(path: str | None) -> Getter | None:
    return None if path is None else compile_path(path)


def _listening(steps: Mapping[str, StepPlan]) -> dict[str, tuple[str, ...]]:
    """By event, the steps that wait for it or begin to wait anew."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for path, step in steps.items():
        if isinstance(step, WaitForStepPlan):
            for one in (*step.awaited, *((step.restart,) if step.restart is not None else ())):
                found[one.event][path] = None
    return {event: tuple(paths) for event, paths in found.items()}


def _looked_at_events(
    journeys: Iterable[Journey], segments: Iterable[Segment], scores: ScorePlans
) -> set[str]:
    """The events that may change a condition that somebody waits for, or that ends a journey."""
    by_name = {segment.segment: segment for segment in segments}
    waited = [
        condition
        for journey in journeys
        for condition in (
            *journey.exit_conditions(),
            *(one for step in journey.all_steps() for _, one in conditions_of(step)),
        )
    ]
    events: set[str] = set()
    seen: set[str] = set()
    while waited:
        condition = waited.pop()
        events.update(need.event for need in needs(condition))
        waited.extend(children(condition))
        if isinstance(condition, ScoreCondition) and condition.score in scores.scores:
            events.update(scores.scores[condition.score].events)
        if isinstance(condition, SegmentCondition) and condition.in_segment not in seen:
            seen.add(condition.in_segment)
            segment = by_name.get(condition.in_segment)
            waited.extend(segment.top_conditions() if segment is not None else ())
    return events


class _Names:
    """What the conditions of journeys refer to (see :class:`workers.core.conditions.compiled.Names`)."""

    def __init__(self, slots: SlotLayout, journeys: Iterable[Journey], zones: Callable[[], Zones]) -> None:
        self._slots = slots
        self.zones = zones
        self._by_tag: dict[str, set[str]] = defaultdict(set)
        for journey in journeys:
            for tag in journey.tags:
                self._by_tag[tag].add(journey.journey)

    def slot_id(self, event: str, where: Where | None) -> int:
        return self._slots.slot_id(event, where)

    def measure_id(self, need: Need) -> int:
        return self._slots.measure_id(need)

    def truth_id(self, condition: SustainedCondition) -> int:
        return self._slots.truth_id(condition)

    def journeys(self, names: Iterable[str], tags: Iterable[str]) -> frozenset[str]:
        tagged = (self._by_tag.get(tag, set()) for tag in tags)
        return frozenset(names).union(*tagged)


def compile_segments(
    segments: Iterable[Segment],
    names: Names,
    scores: ScorePlans,
    objects: ObjectsPlan = NO_OBJECTS,
    told: frozenset[str] = frozenset(),
) -> SegmentsPlan:
    """The segments of one kind of subject; what others use comes before these. ``told``: to members.

    Raises:
        CircularSegmentsError: segments that use each other have no order in which they could be decided.
    """
    by_name = {segment.segment: segment for segment in segments}
    graph = {name: segment.uses() & by_name.keys() for name, segment in sorted(by_name.items())}
    try:
        order = tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise CircularSegmentsError(" -> ".join(error.args[1])) from error
    ordered = tuple(_compile_segment(by_name[name], names) for name in order)
    by_event: dict[str, set[str]] = defaultdict(set)
    for name, segment in by_name.items():
        for condition in segment.top_conditions():
            for need in needs(condition):
                by_event[need.event].add(name)
        for condition in segment.conditions():
            if isinstance(condition, ScoreCondition) and condition.score in scores.scores:
                for event in scores.scores[condition.score].events:
                    by_event[event].add(name)
            if isinstance(condition, RelatedCondition):
                for event in filled_by(objects, condition):
                    by_event[event].add(name)
    by_slot, standing = at_rest(ordered)
    used = frozenset[str]().union(*(segment.uses for segment in ordered))
    return SegmentsPlan(
        version=_segments_version(ordered, told),
        ordered=ordered,
        places={name: place for place, name in enumerate(order)},
        used_by={
            name: tuple(place for place, user in enumerate(ordered) if name in user.uses) for name in order
        },
        by_event={event: frozenset(concerned) for event, concerned in by_event.items()},
        lineages=lineages(ordered),
        told=told,
        by_slot=by_slot,
        standing=standing,
        plain=frozenset(one.name for one in ordered if one.slots is not None) - used,
    )


def _segments_version(ordered: tuple[SegmentPlan, ...], told: frozenset[str]) -> str:
    """With every other version everybody is looked at once; so all accounts tell what is asked anew."""
    if not ordered:
        return ""
    each: list[Any] = sorted((one.name, one.version) for one in ordered)
    return _hash("segments", [each, sorted(told)] if told else each)


def _compile_segment(segment: Segment, names: Names) -> SegmentPlan:
    require, exclude = (compile_conditions(some, names) for some in (segment.require, segment.exclude))
    return SegmentPlan(
        name=segment.segment,
        version=_hash("segment", segment.model_dump(mode="json", exclude_defaults=True)),
        static=segment.static,
        require=require,
        exclude=exclude,
        uses=segment.uses(),
        changing=tuple(one for one in (*require, *exclude) if one.changes_at_ms is not never),
    )


def _hash(kind: str, content: Any) -> str:
    return stable_id(kind, json.dumps(content, sort_keys=True, separators=(",", ":")))[:VERSION_CHARS]
