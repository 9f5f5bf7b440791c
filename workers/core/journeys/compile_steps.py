"""Steps of a journey's file into the steps that run, linked by their paths."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any, assert_never

from schemas.workspace import (
    Arm,
    BranchStep,
    EnrollStep,
    ExitStep,
    FieldRef,
    LlmStep,
    Now,
    ParallelStep,
    RepeatStep,
    SendStep,
    SplitStep,
    UpdateStep,
    WaitForStep,
    WaitStep,
    WaitTime,
    WaitUntilStep,
)
from schemas.workspace.waits import WEEKDAYS
from workers.core.conditions.comparisons import compile_path, compile_where
from workers.core.conditions.compile import compile_condition
from workers.core.conditions.spans import compile_field
from workers.core.gate.plan import compile_rules
from workers.core.journeys.compile_llm import compile_llm
from workers.core.journeys.step_plans import (
    AgainStepPlan,
    BranchStepPlan,
    Choice,
    EnrollStepPlan,
    ExitStepPlan,
    HeardPlan,
    JoinStepPlan,
    ParallelStepPlan,
    RepeatStepPlan,
    SendStepPlan,
    SplitStepPlan,
    UpdateStepPlan,
    WaitForStepPlan,
    WaitStepPlan,
    WaitUntilStepPlan,
)
from workers.core.local_time import next_local_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.workspace import Heard, Journey, Step
    from workers.core.conditions.compiled import Names
    from workers.core.facts import Moment
    from workers.core.journeys.step_plans import Read, StepPlan, Until

NO_DATE, PAST = "wait: no date", "wait: the date is past"
"""Reasons of an exit by a step that waits for a date."""

_BASIS_POINTS = 100
"""In a percent."""


def compile_steps(journey: Journey, names: Names) -> dict[str, StepPlan]:
    """All steps of a journey by their paths; the first of the file is :func:`first_path`."""
    compiler = _Compiler(journey, names)
    compiler.sequence(journey.steps, "", None)
    return compiler.plans


def first_path(steps: tuple[Step, ...], prefix: str = "") -> str:
    """The path of the first of some steps."""
    return steps[0].id or f"{prefix}0"


class _Compiler:
    def __init__(self, journey: Journey, names: Names) -> None:
        self.plans: dict[str, StepPlan] = {}
        self._journey = journey
        self._names = names

    def sequence(self, steps: tuple[Step, ...], prefix: str, after: str | None) -> str | None:
        """Add steps, of which the last goes on to ``after``; the path of the first, or ``after``."""
        paths = [step.id or f"{prefix}{index}" for index, step in enumerate(steps)]
        for at, step in enumerate(steps):
            following = paths[at + 1] if at + 1 < len(paths) else after
            self.plans[paths[at]] = self._step(step, paths[at], following)
        return paths[0] if paths else after

    def _step(self, step: Step, path: str, following: str | None) -> StepPlan:  # noqa: C901, PLR0911, PLR0912  one per kind
        match step:
            case SendStep():
                return self._send(step, path, following)
            case WaitStep():
                follows = isinstance(step.wait, WaitTime) and isinstance(step.wait.until, FieldRef)
                return WaitStepPlan(path, following, _until(step.wait, self._names), follows)
            case WaitUntilStep():
                timed_out = self.sequence(step.timed_out, f"{path}.0.", following)
                condition = compile_condition(step.wait_until.when, self._names)
                return WaitUntilStepPlan(path, following, condition, step.wait_until.timeout, timed_out)
            case WaitForStep():
                return self._wait_for(step, path, following)
            case BranchStep():
                return self._branch(step, path, following)
            case SplitStep():
                return self._split(step, path, following)
            case ParallelStep():
                return self._parallel(step, path, following)
            case RepeatStep():
                return self._repeat(step, path, following)
            case UpdateStep():
                traits = _readers(step.update.traits or {})
                return UpdateStepPlan(path, following, traits, _readers(step.update.account or {}))
            case EnrollStep():
                return EnrollStepPlan(path, following, step.enroll)
            case ExitStep():
                return ExitStepPlan(path, f"exit: {step.exit}")
            case LlmStep():
                return compile_llm(step.llm, path, following)
            case _:
                assert_never(step)

    def _send(self, step: SendStep, path: str, following: str | None) -> SendStepPlan:
        return SendStepPlan(
            path,
            following,
            step.send.channel,
            step.send.template,
            step.send.once is not None,
            self._variants(step, path),
            compile_rules(step.send, self._journey),
            step.chosen_by,
            _chosen(step),
        )

    def _variants(self, step: SendStep, path: str) -> Choice | None:
        if step.variants is None or step.chosen_by is not None:
            return None
        arms = [
            (name, variant.weight, variant.template or step.send.template)
            for name, variant in step.variants.items()
        ]
        return self._choice(step, path, arms)

    def _choice(
        self, step: SendStep | SplitStep, path: str, arms: Iterable[tuple[str, float, str]]
    ) -> Choice:
        ends, upper = [], 0
        for name, weight, stands_for in arms:
            upper += round(weight * _BASIS_POINTS)
            ends.append((name, upper, stands_for))
        experiment = step.experiment or f"{self._journey.journey}:{path}"
        return Choice(experiment, step.by == "account", tuple(ends))

    def _wait_for(self, step: WaitForStep, path: str, following: str | None) -> WaitForStepPlan:
        asked, since_entry = step.wait_for, step.wait_for.since == "entry"
        heard = []
        for at, one in enumerate(asked.awaited()):
            target = self.sequence(one.steps, f"{path}.{at}.", following)
            # What compares with the trigger cannot be found in a window, which keeps times alone.
            kept = since_entry and one.match is None
            slot_id = self._names.slot_id(one.event, one.where) if kept else None
            heard.append(_heard(one, target, slot_id))
        timed_out = self.sequence(step.timed_out, f"{path}.{len(heard)}.", following)
        restart = _heard(asked.restart_on) if asked.restart_on is not None else None
        return WaitForStepPlan(path, tuple(heard), asked.timeout, timed_out, since_entry, restart)

    def _branch(self, step: BranchStep, path: str, following: str | None) -> BranchStepPlan:
        arms, otherwise = [], following
        for at, arm in enumerate(step.branch):
            prefix = f"{path}.{at}."
            if isinstance(arm, Arm):
                self.sequence(arm.steps, prefix, following)
                arms.append((compile_condition(arm.when, self._names), first_path(arm.steps, prefix)))
            else:
                otherwise = self.sequence(arm.otherwise, prefix, following)
        return BranchStepPlan(path, tuple(arms), otherwise)

    def _split(self, step: SplitStep, path: str, following: str | None) -> SplitStepPlan:
        choice = self._choice(step, path, [(arm.name, arm.weight, arm.name) for arm in step.split])
        targets = {
            arm.name: self.sequence(arm.steps, f"{path}.{at}.", following)
            for at, arm in enumerate(step.split)
        }
        return SplitStepPlan(path, choice, targets)

    def _parallel(self, step: ParallelStep, path: str, following: str | None) -> ParallelStepPlan:
        join, before = f"{path}.join", set(self.plans)
        for at, part in enumerate(step.parallel):
            self.sequence(part.steps, f"{path}.{at}.", join)
        inside = frozenset(self.plans.keys() - before) | {join}
        self.plans[join] = JoinStepPlan(join, following, inside, step.join == "any")
        starts = (first_path(part.steps, f"{path}.{at}.") for at, part in enumerate(step.parallel))
        return ParallelStepPlan(path, tuple(starts))

    def _repeat(self, step: RepeatStep, path: str, following: str | None) -> RepeatStepPlan:
        again, asked, before = f"{path}.again", step.repeat, set(self.plans)
        self.sequence(asked.steps, f"{path}.", again)
        self.plans[again] = AgainStepPlan(again, path)
        until = compile_condition(asked.until, self._names) if asked.until is not None else None
        inside = frozenset(self.plans.keys() - before)
        return RepeatStepPlan(
            path, following, first_path(asked.steps, f"{path}."), asked.times, until, inside
        )


def _chosen(step: SendStep) -> dict[str, str]:
    """The templates by the variants that an LLM step chooses among."""
    if step.chosen_by is None or step.variants is None:
        return {}
    return {name: variant.template or step.send.template for name, variant in step.variants.items()}


def _heard(one: Heard, target: str | None = None, slot_id: int | None = None) -> HeardPlan:
    match = tuple((compile_path(here), compile_path(there)) for here, there in (one.match or {}).items())
    return HeardPlan(one.event, compile_where(one.where), match, target, slot_id)


def _readers(values: Mapping[str, Any]) -> dict[str, Read]:
    return {name: _reader(value) for name, value in values.items()}


def _reader(value: Any) -> Read:
    if isinstance(value, FieldRef):
        return compile_field(value)
    if isinstance(value, Now):
        return lambda moment: f"{datetime.fromtimestamp(moment.now_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return lambda moment: value  # noqa: ARG005  a constant


def _until(wait: int | WaitTime, names: Names) -> Until:
    """When a wait is over; see :class:`WaitStepPlan`."""
    if isinstance(wait, int):
        return lambda moment, since_ms: since_ms + wait  # noqa: ARG005  for one who waits, it stays so
    begin = _beginning(wait, names)
    if wait.at is None and wait.on is None:
        return begin
    zones, zone_name = names.zones(), wait.zone
    at = time.fromisoformat(wait.at) if wait.at is not None else None
    weekdays = frozenset(WEEKDAYS.index(day) for day in wait.on) if wait.on is not None else None

    def until(moment: Moment, since_ms: int) -> int | str:
        begins_ms = begin(moment, since_ms)
        if isinstance(begins_ms, str):
            return begins_ms
        found = next_local_ms(begins_ms, at, weekdays, zones.named(zone_name, moment))
        return NO_DATE if found is None else found

    return until


def _beginning(wait: WaitTime, names: Names) -> Until:
    """From when on the time of day and the weekday are looked for."""
    if wait.until is None:
        for_ms = wait.for_ or 0
        return lambda moment, since_ms: since_ms + for_ms  # noqa: ARG005  as above
    zones, zone_name, offset_ms = names.zones(), wait.zone, wait.offset or 0
    read = compile_field(wait.until) if isinstance(wait.until, FieldRef) else None
    constant, missing, past = wait.until, wait.if_missing, wait.if_past

    def begins(moment: Moment, since_ms: int) -> int | str:
        value = constant if read is None else read(moment)
        date_ms = zones.date_ms(value, moment, zones.named(zone_name, moment))
        if date_ms is None:
            return NO_DATE if missing == "exit" else since_ms
        if date_ms + offset_ms < since_ms:
            return PAST if past == "exit" else since_ms
        return date_ms + offset_ms

    return begins
