"""From the workspace's models to the plan that the workers run."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, assert_never, get_args

from schemas.fields import SubjectType
from schemas.workspace import (
    Arm,
    BranchStep,
    ExitChange,
    ExitEvent,
    ReceivedCondition,
    ScoreCondition,
    SendStep,
    WaitStep,
)
from schemas.workspace.journeys import inner_steps
from schemas.workspace.spans import lookback_ms
from workers.core.comparisons import compile_path, compile_where
from workers.core.conditions import compile_condition, compile_conditions
from workers.core.gate_plan import compile_gate, compile_rank, compile_rules
from workers.core.ids import VERSION_CHARS, stable_id
from workers.core.layout import SlotCollisionError, SlotLayout
from workers.core.needs import needs
from workers.core.plan import (
    BranchStepPlan,
    EventPlan,
    GoalPlan,
    JourneyPlan,
    Plan,
    SegmentPlan,
    SegmentsPlan,
    SendStepPlan,
    StepPlan,
    SubjectPlan,
    WaitStepPlan,
)
from workers.core.score_plan import compile_scores
from workers.core.zones import Zones

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from schemas.workspace import Journey, Segment, Step, SustainedCondition, Where, Workspace
    from workers.core.conditions import Names
    from workers.core.gate_plan import GatePlan
    from workers.core.needs import Need
    from workers.core.scores import ScorePlans

__all__ = ["SlotCollisionError", "compile_workspace", "journey_version"]


class CircularSegmentsError(ValueError):
    """Segments that use each other; the message names them in a circle. Operator action: break it."""


def compile_workspace(workspace: Workspace) -> Plan:
    """The plan of a workspace: a function of its content alone.

    Raises:
        SlotCollisionError: once in some billion pairs of windows; the message names them.
    """
    version = _hash("workspace", workspace.model_dump(mode="json", exclude_defaults=True))
    zones = cache(lambda: Zones(workspace.timezone))
    gate = compile_gate(workspace.messages, zones)
    user, account = (_compile_subject(subject, workspace, zones, gate) for subject in get_args(SubjectType))
    return Plan(workspace.name, version, user, account, gate)


def journey_version(journey: Journey) -> str:
    """A hash of all that the journey says; writing out a default changes nothing."""
    return _hash("journey", journey.model_dump(mode="json", exclude_defaults=True))


def _compile_subject(
    subject: SubjectType, workspace: Workspace, zones: Callable[[], Zones], gate: GatePlan
) -> SubjectPlan:
    ours = sorted(
        (journey for journey in workspace.journeys if journey.subject == subject),
        key=lambda journey: (-_fixed_priority(journey), journey.journey),
    )
    groups = [segment for segment in workspace.segments if segment.subject == subject]
    slots = SlotLayout(ours, groups)
    scores = compile_scores(workspace.scores, subject)
    asking: tuple[Journey | Segment, ...] = (*ours, *groups)
    names = _Names(slots, ours, zones)
    plans = [_compile_journey(journey, names, slots, gate) for journey in ours]
    trait_exits: dict[str, list[JourneyPlan]] = defaultdict(list)
    for plan in plans:
        for trait in plan.exit_traits:
            trait_exits[trait].append(plan)
    memories_ms = [
        lookback_ms(condition.within) or 0
        for one in asking
        for condition in one.conditions()
        if isinstance(condition, ReceivedCondition)
    ]
    return SubjectPlan(
        subject,
        _events(plans, slots, scores),
        {trait: tuple(leaving) for trait, leaving in trait_exits.items()},
        {plan.name: plan for plan in plans},
        {slot.id: slot.retention_ms for slot in slots.plain},
        max([*memories_ms, gate.memory_ms]),
        {slot.id: slot for slot in slots.measures},
        slots.truths(names),
        compile_segments(groups, names, scores),
        scores,
    )


def _events(plans: list[JourneyPlan], slots: SlotLayout, scores: ScorePlans) -> dict[str, EventPlan]:
    concerned = {plan.entry_event for plan in plans} | {event for plan in plans for event in plan.exit_events}
    concerned |= {plan.goal.event for plan in plans if plan.goal is not None}
    concerned |= {slot.event for slot in slots.plain} | {slot.event for slot in slots.measures}
    concerned |= scores.events.keys()
    return {
        event: EventPlan(
            slots=tuple(slot for slot in slots.plain if slot.event == event),
            measures=tuple(slot for slot in slots.measures if slot.event == event),
            entries=tuple(plan for plan in plans if plan.entry_event == event),
            exits=tuple(plan for plan in plans if event in plan.exit_events),
            goals=tuple(plan for plan in plans if plan.goal is not None and plan.goal.event == event),
            scored=event in scores.events,
        )
        for event in sorted(concerned)
    }


def _fixed_priority(journey: Journey) -> int:
    """The journey's priority; 0 where it is a field, which is known of a subject only."""
    return journey.priority if isinstance(journey.priority, int) else 0


def _compile_journey(journey: Journey, names: Names, slots: SlotLayout, gate: GatePlan) -> JourneyPlan:
    entry, goal, recipients = journey.entry, journey.goal, journey.recipients
    exits = [leaving.when for leaving in journey.exit if isinstance(leaving.when, ExitEvent)]
    exit_events: dict[str, tuple[Any, ...]] = {}
    for leaving in exits:
        exit_events[leaving.event] = (*exit_events.get(leaving.event, ()), compile_where(leaving.where))
    steps: dict[str, StepPlan] = {}
    _compile_steps(journey.steps, "", None, names, steps, journey)
    return JourneyPlan(
        name=journey.journey,
        version=journey_version(journey),
        subject=journey.subject,
        tags=journey.tags,
        priority=_fixed_priority(journey),
        entry_event=entry.on.event,
        entry_where=compile_where(entry.on.where),
        require=compile_conditions(entry.require, names),
        exclude=compile_conditions(entry.exclude, names),
        again_after_ms=entry.again_after_ms(),
        exit_events=exit_events,
        exit_traits=tuple(
            dict.fromkeys(
                leaving.when.changed for leaving in journey.exit if isinstance(leaving.when, ExitChange)
            )
        ),
        exit_slots=tuple(dict.fromkeys(slots.slot_id(leaving.event, leaving.where) for leaving in exits)),
        goal=None
        if goal is None
        else GoalPlan(
            goal.event,
            compile_where(goal.where),
            goal.within,
            compile_path(path) if (path := goal.revenue_path()) is not None else None,
        ),
        holdout_bp=journey.holdout,
        roles=recipients.role if recipients is not None else (),
        recipient_limit=recipients.limit if recipients is not None else 0,
        first="0",
        steps=steps,
        gate=gate,
        rank=compile_rank(journey),
        rivals=names.journeys((), gate.lone_tags.intersection(journey.tags)) - {journey.journey},
    )


def _compile_steps(
    steps: tuple[Step, ...],
    prefix: str,
    after: str | None,
    names: Names,
    into: dict[str, StepPlan],
    journey: Journey,
) -> None:
    """Add ``steps`` to ``into``; the last goes on to ``after``."""
    for index, step in enumerate(steps):
        path = f"{prefix}{index}"
        following = f"{prefix}{index + 1}" if index + 1 < len(steps) else after
        match step:
            case SendStep():
                send = step.send
                rules = compile_rules(send, journey)
                into[path] = SendStepPlan(
                    path, following, send.channel, send.template, send.once == "user", rules
                )
            case WaitStep():
                into[path] = WaitStepPlan(path, following, step.wait)
            case BranchStep():
                into[path] = _compile_branch(step, path, following, names, into, journey)
            case _:
                assert_never(step)


def _compile_branch(
    step: BranchStep,
    path: str,
    following: str | None,
    names: Names,
    into: dict[str, StepPlan],
    journey: Journey,
) -> BranchStepPlan:
    arms: list[tuple[Any, str]] = []
    otherwise = following
    for index, arm in enumerate(step.branch):
        prefix = f"{path}.{index}."
        _compile_steps(inner_steps(arm), prefix, following, names, into, journey)
        if isinstance(arm, Arm):
            arms.append((compile_condition(arm.when, names), f"{prefix}0"))
        else:
            otherwise = f"{prefix}0"
    return BranchStepPlan(path, tuple(arms), otherwise)


class _Names:
    """What the conditions of journeys refer to (see :class:`workers.core.compiled.Names`)."""

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


def compile_segments(segments: Iterable[Segment], names: Names, scores: ScorePlans) -> SegmentsPlan:
    """The segments of one kind of subject; what others use comes before these.

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
    return SegmentsPlan(
        version=_hash("segments", sorted((one.name, one.version) for one in ordered)) if ordered else "",
        ordered=ordered,
        by_event={event: frozenset(concerned) for event, concerned in by_event.items()},
    )


def _compile_segment(segment: Segment, names: Names) -> SegmentPlan:
    return SegmentPlan(
        name=segment.segment,
        version=_hash("segment", segment.model_dump(mode="json", exclude_defaults=True)),
        static=segment.static,
        require=compile_conditions(segment.require, names),
        exclude=compile_conditions(segment.exclude, names),
        uses=segment.uses(),
    )


def _hash(kind: str, content: Any) -> str:
    return stable_id(kind, json.dumps(content, sort_keys=True, separators=(",", ":")))[:VERSION_CHARS]
