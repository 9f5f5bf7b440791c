"""From the workspace's models to the plan that the workers run."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, replace
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Final, assert_never, get_args

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
from workers.core.ids import VERSION_CHARS, stable_id
from workers.core.layout import SlotCollisionError, SlotLayout
from workers.core.lineage import RUNNING, SHADOW_MARK, Lines
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
    from workers.core.needs import Need
    from workers.core.scores import ScorePlans

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
    user, account = (_compile_subject(subject, workspace, lines, zones) for subject in get_args(SubjectType))
    return Plan(workspace.name, version, user, account)


def journey_version(journey: Journey) -> str:
    """A hash of all that the journey does; writing out a default changes nothing.

    How those inside are treated when it changes, and whether it is a shadow, is nothing that it does.
    """
    return _hash("journey", journey.model_dump(mode="json", exclude_defaults=True, exclude=_NOT_DONE))


def _compile_subject(
    subject: SubjectType, workspace: Workspace, lines: Lines | None, zones: Callable[[], Zones]
) -> SubjectPlan:
    more = lines or Lines()
    ours = _ordered(
        journey for journey in workspace.journeys if journey.subject == subject and not journey.shadow
    )
    shadows = _ordered(
        journey
        for journey in (*(one for one in workspace.journeys if one.shadow), *more.shadows)
        if journey.subject == subject
    )
    pins = [pin for pin in more.pinned if pin.journey.subject == subject]
    everything = (*ours, *shadows, *(pin.journey for pin in pins))
    groups = [segment for segment in workspace.segments if segment.subject == subject]
    slots = SlotLayout(everything, groups)
    scores = compile_scores(workspace.scores, subject)
    asking: tuple[Journey | Segment, ...] = (*everything, *groups)
    names = _Names(slots, (*ours, *(pin.journey for pin in pins)), zones)
    plans = [
        replace(
            _compile_journey(journey, names, slots),
            version=more.versions.get(journey.journey) or journey_version(journey),
            running=more.running.get(journey.journey, RUNNING),
        )
        for journey in ours
    ]
    plans += [
        replace(_compile_journey(journey, names, slots), name=journey.journey + SHADOW_MARK, shadow=True)
        for journey in shadows
    ]
    pinned = {
        (pin.journey.journey, pin.version): replace(
            _compile_journey(pin.journey, names, slots),
            version=pin.version,
            running=more.running.get(pin.journey.journey, RUNNING),
            takes_entries=pin.takes_entries,
        )
        for pin in pins
    }
    trait_exits: dict[str, list[JourneyPlan]] = defaultdict(list)
    for plan in (*plans, *pinned.values()):
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
        _events(plans, [*plans, *pinned.values()], slots, scores),
        {trait: tuple(leaving) for trait, leaving in trait_exits.items()},
        {plan.name: plan for plan in plans},
        {slot.id: slot.retention_ms for slot in slots.plain},
        max(memories_ms, default=0),
        {slot.id: slot for slot in slots.measures},
        slots.truths(names),
        compile_segments(groups, names, scores),
        scores,
        pinned,
        more.moves,
        "" if lines is None else _inside(plans, lines),
    )


def _ordered(journeys: Iterable[Journey]) -> list[Journey]:
    """By priority, the highest first, then by name."""
    return sorted(journeys, key=lambda journey: (-journey.priority, journey.journey))


def _inside(plans: Iterable[JourneyPlan], lines: Lines) -> str:
    """A hash of all that those inside are to be brought in line with."""
    newest = sorted((plan.name, plan.version) for plan in plans)
    pinned = sorted((pin.journey.journey, pin.version) for pin in lines.pinned)
    moves = {
        name: {version: asdict(move) for version, move in of.items()} for name, of in lines.moves.items()
    }
    running = {name: asdict(state) for name, state in lines.running.items()}
    return _hash("inside", [newest, pinned, moves, running])


def _events(
    plans: list[JourneyPlan], everyone: list[JourneyPlan], slots: SlotLayout, scores: ScorePlans
) -> dict[str, EventPlan]:
    """``plans`` take entries; ``everyone`` has those too whose people only leave or reach their goal."""
    concerned = {plan.entry_event for plan in plans}
    concerned |= {event for plan in everyone for event in plan.exit_events}
    concerned |= {plan.goal.event for plan in everyone if plan.goal is not None}
    concerned |= {slot.event for slot in slots.plain} | {slot.event for slot in slots.measures}
    concerned |= scores.events.keys()
    return {
        event: EventPlan(
            slots=tuple(slot for slot in slots.plain if slot.event == event),
            measures=tuple(slot for slot in slots.measures if slot.event == event),
            entries=tuple(plan for plan in plans if plan.entry_event == event),
            exits=tuple(plan for plan in everyone if event in plan.exit_events),
            goals=tuple(plan for plan in everyone if plan.goal is not None and plan.goal.event == event),
            scored=event in scores.events,
        )
        for event in sorted(concerned)
    }


def _compile_journey(journey: Journey, names: Names, slots: SlotLayout) -> JourneyPlan:
    entry, goal, recipients = journey.entry, journey.goal, journey.recipients
    exits = [leaving.when for leaving in journey.exit if isinstance(leaving.when, ExitEvent)]
    exit_events: dict[str, tuple[Any, ...]] = {}
    for leaving in exits:
        exit_events[leaving.event] = (*exit_events.get(leaving.event, ()), compile_where(leaving.where))
    steps: dict[str, StepPlan] = {}
    _compile_steps(journey.steps, "", None, names, steps)
    return JourneyPlan(
        name=journey.journey,
        version=journey_version(journey),
        subject=journey.subject,
        tags=journey.tags,
        priority=journey.priority,
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
    )


def _compile_steps(
    steps: tuple[Step, ...], prefix: str, after: str | None, names: Names, into: dict[str, StepPlan]
) -> None:
    """Add ``steps`` to ``into``; the last goes on to ``after``."""
    for index, step in enumerate(steps):
        path = f"{prefix}{index}"
        following = f"{prefix}{index + 1}" if index + 1 < len(steps) else after
        match step:
            case SendStep():
                send = step.send
                into[path] = SendStepPlan(path, following, send.channel, send.template, send.once == "user")
            case WaitStep():
                into[path] = WaitStepPlan(path, following, step.wait)
            case BranchStep():
                into[path] = _compile_branch(step, path, following, names, into)
            case _:
                assert_never(step)


def _compile_branch(
    step: BranchStep, path: str, following: str | None, names: Names, into: dict[str, StepPlan]
) -> BranchStepPlan:
    arms: list[tuple[Any, str]] = []
    otherwise = following
    for index, arm in enumerate(step.branch):
        prefix = f"{path}.{index}."
        _compile_steps(inner_steps(arm), prefix, following, names, into)
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
