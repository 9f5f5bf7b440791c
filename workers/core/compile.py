"""From the workspace's models to the plan that the workers run."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, assert_never, get_args

from schemas.fields import SubjectType
from schemas.workspace import (
    Arm,
    BranchStep,
    ExitChange,
    ExitEvent,
    PerformedCondition,
    ReceivedCondition,
    SendStep,
    WaitStep,
)
from schemas.workspace.journeys import inner_steps
from workers.core.comparisons import compile_path, compile_where
from workers.core.conditions import compile_condition, compile_conditions
from workers.core.ids import stable_id
from workers.core.plan import (
    BranchStepPlan,
    EventPlan,
    GoalPlan,
    JourneyPlan,
    Plan,
    SendStepPlan,
    Slot,
    StepPlan,
    SubjectPlan,
    WaitStepPlan,
)
from workers.core.progress import ELIGIBLE_MAX_AGE_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.workspace import Journey, Step, Where, Workspace
    from workers.core.conditions import Names

VERSION_CHARS: Final = 16
"""Length of a version: 64 bits, enough to tell the versions of one journey apart and short enough to read."""


class SlotCollisionError(ValueError):
    """Two windows hash to the same id. Operator action: change the length of one of them, by a minute say."""


def compile_workspace(workspace: Workspace) -> Plan:
    """The plan of a workspace: a function of its content alone.

    Raises:
        SlotCollisionError: once in some billion pairs of windows; the message names them.
    """
    version = _hash("workspace", workspace.model_dump(mode="json", exclude_defaults=True))
    user, account = (_compile_subject(subject, workspace.journeys) for subject in get_args(SubjectType))
    return Plan(workspace.name, version, user, account)


def journey_version(journey: Journey) -> str:
    """A hash of all that the journey says; writing out a default changes nothing."""
    return _hash("journey", journey.model_dump(mode="json", exclude_defaults=True))


def _compile_subject(subject: SubjectType, journeys: Iterable[Journey]) -> SubjectPlan:
    ours = sorted(
        (journey for journey in journeys if journey.subject == subject),
        key=lambda journey: (-journey.priority, journey.journey),
    )
    slots = _Slots(ours)
    names = _Names(slots, ours)
    plans = [_compile_journey(journey, names, slots) for journey in ours]
    trait_exits: dict[str, list[JourneyPlan]] = defaultdict(list)
    for plan in plans:
        for trait in plan.exit_traits:
            trait_exits[trait].append(plan)
    memories_ms = [
        condition.within
        for journey in ours
        for condition in journey.conditions()
        if isinstance(condition, ReceivedCondition)
    ]
    return SubjectPlan(
        subject,
        _events(plans, slots.all()),
        {trait: tuple(leaving) for trait, leaving in trait_exits.items()},
        {plan.name: plan for plan in plans},
        {slot.id: slot.retention_ms for slot in slots.all()},
        max(memories_ms, default=0),
    )


def _events(plans: list[JourneyPlan], slots: Iterable[Slot]) -> dict[str, EventPlan]:
    recorded: dict[str, list[Slot]] = defaultdict(list)
    for slot in slots:
        recorded[slot.event].append(slot)
    concerned = {plan.entry_event for plan in plans} | {event for plan in plans for event in plan.exit_events}
    concerned |= {plan.goal.event for plan in plans if plan.goal is not None} | set(recorded)
    return {
        event: EventPlan(
            slots=tuple(recorded.get(event, ())),
            entries=tuple(plan for plan in plans if plan.entry_event == event),
            exits=tuple(plan for plan in plans if event in plan.exit_events),
            goals=tuple(plan for plan in plans if plan.goal is not None and plan.goal.event == event),
        )
        for event in sorted(concerned)
    }


def _compile_journey(journey: Journey, names: Names, slots: _Slots) -> JourneyPlan:
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


class _Slots:
    """The windows that journeys need: one for each event and ``where``, as long as the longest use."""

    def __init__(self, journeys: Iterable[Journey]) -> None:
        longest_ms: dict[tuple[str, str], int] = defaultdict(int)
        wheres: dict[tuple[str, str], Where | None] = {}
        for event, where, within_ms in _window_uses(journeys):
            key = (event, _where_text(where))
            longest_ms[key] = max(longest_ms[key], within_ms)
            wheres[key] = where
        self._slots: dict[tuple[str, str], Slot] = {}
        ids: dict[int, tuple[str, str]] = {}
        for key in sorted(longest_ms):
            retention_ms = longest_ms[key]
            slot_id = int(stable_id("slot", *key, str(retention_ms))[:8], 16)
            if slot_id in ids:
                raise SlotCollisionError(
                    f"the windows of {ids[slot_id]} and {key} have the same id {slot_id:08x}"
                )
            ids[slot_id] = key
            self._slots[key] = Slot(slot_id, key[0], compile_where(wheres[key]), retention_ms)

    def slot_id(self, event: str, where: Where | None) -> int:
        return self._slots[event, _where_text(where)].id

    def all(self) -> tuple[Slot, ...]:
        return tuple(self._slots.values())


def _window_uses(journeys: Iterable[Journey]) -> Iterable[tuple[str, Where | None, int]]:
    """Event, ``where`` and length of each window that is asked for."""
    for journey in journeys:
        for condition in journey.conditions():
            if isinstance(condition, PerformedCondition):
                yield condition.performed, condition.where, condition.within
        for leaving in journey.exit:
            if isinstance(leaving.when, ExitEvent):
                yield leaving.when.event, leaving.when.where, ELIGIBLE_MAX_AGE_MS + 1


class _Names:
    """What the conditions of journeys refer to (see :class:`workers.core.conditions.Names`)."""

    def __init__(self, slots: _Slots, journeys: Iterable[Journey]) -> None:
        self.slot_id = slots.slot_id
        self._by_tag: dict[str, set[str]] = defaultdict(set)
        for journey in journeys:
            for tag in journey.tags:
                self._by_tag[tag].add(journey.journey)

    def journeys(self, names: Iterable[str], tags: Iterable[str]) -> frozenset[str]:
        tagged = (self._by_tag.get(tag, set()) for tag in tags)
        return frozenset(names).union(*tagged)


def _where_text(where: Where | None) -> str:
    """A text that two ``where`` share only if they mean the same."""
    if where is None:
        return ""
    plain = {
        path: comparison.model_dump(mode="json", exclude_defaults=True) for path, comparison in where.items()
    }
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def _hash(kind: str, content: Any) -> str:
    return stable_id(kind, json.dumps(content, sort_keys=True, separators=(",", ":")))[:VERSION_CHARS]
