"""A journey's steps as a graph of nested lanes, each step with the path by which everything else knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from schemas.workspace import (
    Arm,
    BranchStep,
    EnrollStep,
    ExitStep,
    LlmStep,
    ParallelStep,
    RepeatStep,
    SendStep,
    SplitStep,
    UpdateStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
)
from schemas.workspace.base import format_duration
from schemas.workspace.values import FieldRef
from workers.core.journeys.step_plans import BranchStepPlan, WaitUntilStepPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.workspace import Step
    from schemas.workspace.waits import WaitTime
    from workers.core.journeys.step_plans import StepPlan


@dataclass(frozen=True, slots=True)
class Lane:
    """Steps that follow one another, and when they run; none: it goes on behind the step at once."""

    label: str
    steps: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A step. ``kind`` is its key in the file; in a ``parallel`` all lanes run, elsewhere one of them."""

    path: str
    kind: str
    title: str
    lanes: tuple[Lane, ...] = ()


def graph_of(steps: tuple[Step, ...], plans: Mapping[str, StepPlan], prefix: str = "") -> tuple[Node, ...]:
    """The steps with their paths, as :mod:`workers.core.journeys.compile_steps` gives them.

    ``plans`` are the compiled steps, whose conditions tell themselves in words.
    """
    return tuple(_node(step, step.id or f"{prefix}{at}", plans) for at, step in enumerate(steps))


def paths_of(nodes: tuple[Node, ...]) -> list[str]:
    """All paths, in the order in which they stand in the file."""
    found: list[str] = []
    for node in nodes:
        found.append(node.path)
        for lane in node.lanes:
            found += paths_of(lane.steps)
    return found


def _node(step: Step, path: str, plans: Mapping[str, StepPlan]) -> Node:  # noqa: C901, PLR0911, PLR0912  one per kind
    match step:
        case SendStep():
            variants = f", {len(step.variants)} variants" if step.variants else ""
            return Node(path, "send", f"{step.send.channel.replace('_', '-')} {step.send.template}{variants}")
        case WaitStep():
            told = format_duration(step.wait) if isinstance(step.wait, int) else _until(step.wait)
            return Node(path, "wait", told)
        case WaitUntilStep():
            plan = plans.get(path)
            label = plan.condition.label if isinstance(plan, WaitUntilStepPlan) else "a condition"
            lanes = _timed_out(step.timed_out, f"{path}.0.", plans)
            return Node(
                path, "wait_until", f"{label}, {format_duration(step.wait_until.timeout)} at most", lanes
            )
        case WaitForStep():
            return _wait_for(step, path, plans)
        case BranchStep():
            return _branch(step, path, plans)
        case SplitStep():
            lanes = tuple(
                Lane(f"{arm.name}, {arm.weight:g} %", graph_of(arm.steps, plans, f"{path}.{at}."))
                for at, arm in enumerate(step.split)
            )
            return Node(path, "split", step.experiment or "by chance", lanes)
        case ParallelStep():
            lanes = tuple(
                Lane(f"part {at + 1}", graph_of(part.steps, plans, f"{path}.{at}."))
                for at, part in enumerate(step.parallel)
            )
            ends = "until all are done" if step.join == "all" else "until one is done"
            return Node(path, "parallel", f"side by side, {ends}", lanes)
        case RepeatStep():
            lane = Lane("each round", graph_of(step.repeat.steps, plans, f"{path}."))
            return Node(path, "repeat", f"{step.repeat.times} rounds at most", (lane,))
        case UpdateStep():
            names = [*(step.update.traits or {}), *(f"account {name}" for name in step.update.account or {})]
            return Node(path, "update", ", ".join(names))
        case EnrollStep():
            return Node(path, "enroll", step.enroll)
        case ExitStep():
            return Node(path, "exit", step.exit)
        case LlmStep():
            return Node(path, "llm", f"over {step.llm.connection}")
        case _:
            assert_never(step)


def _timed_out(steps: tuple[Step, ...], prefix: str, plans: Mapping[str, StepPlan]) -> tuple[Lane, ...]:
    return (Lane("not in time", graph_of(steps, plans, prefix)),) if steps else ()


def _wait_for(step: WaitForStep, path: str, plans: Mapping[str, StepPlan]) -> Node:
    awaited = step.wait_for.awaited()
    lanes = tuple(
        Lane(one.event, graph_of(one.steps, plans, f"{path}.{at}."))
        for at, one in enumerate(awaited)
        if one.steps or len(awaited) > 1
    )
    lanes += _timed_out(step.timed_out, f"{path}.{len(awaited)}.", plans)
    events = " or ".join(one.event for one in awaited)
    return Node(path, "wait_for", f"{events}, {format_duration(step.wait_for.timeout)} at most", lanes)


def _branch(step: BranchStep, path: str, plans: Mapping[str, StepPlan]) -> Node:
    plan, lanes = plans.get(path), list[Lane]()
    for at, arm in enumerate(step.branch):
        prefix = f"{path}.{at}."
        if isinstance(arm, Arm):
            known = isinstance(plan, BranchStepPlan) and at < len(plan.arms)
            label = plan.arms[at][0].label if known and isinstance(plan, BranchStepPlan) else f"arm {at + 1}"
            lanes.append(Lane(label, graph_of(arm.steps, plans, prefix)))
        else:
            lanes.append(Lane("otherwise", graph_of(arm.otherwise, plans, prefix)))
    if isinstance(step.branch[-1], Arm):
        lanes.append(Lane("otherwise", ()))
    return Node(path, "branch", "the first that is true", tuple(lanes))


def _until(wait: WaitTime) -> str:
    parts = []
    if wait.for_ is not None:
        parts.append(format_duration(wait.for_))
    if wait.until is not None:
        named = wait.until.model_dump(exclude_none=True) if isinstance(wait.until, FieldRef) else wait.until
        parts.append(f"until {' '.join(map(str, named.values())) if isinstance(named, dict) else named}")
    if wait.offset:
        parts.append(f"{'less' if wait.offset < 0 else 'plus'} {format_duration(abs(wait.offset))}")
    if wait.on is not None:
        parts.append(f"on {', '.join(wait.on)}")
    if wait.at is not None:
        parts.append(f"at {wait.at}")
    return ", ".join(parts)
