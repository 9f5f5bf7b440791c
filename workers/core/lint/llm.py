"""What is wrong, or looks wrong, in questions to language models, and in the use of what comes of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from schemas.workspace import (
    Arm,
    BranchStep,
    Journey,
    LlmCondition,
    LlmStep,
    SendStep,
    WaitForStep,
)
from schemas.workspace.conditions import children
from schemas.workspace.steps import conditions_of, walk
from workers.core.lint.workspace import finding, listed, located_conditions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schemas.workspace import Llm, Workspace
    from workers.core.lint.workspace import Finding

_CODE: Final = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)
_READ: Final = re.compile(r"\bllm\s*(?:\.\s*|\[\s*['\"])([A-Za-z_][A-Za-z0-9_]*)")


def lint_llm(workspace: Workspace) -> Iterator[Finding]:
    """Everything found, segments first, then journey by journey."""
    for segment in workspace.segments:
        for location, condition in located_conditions(segment):
            if isinstance(condition, LlmCondition):
                detail = "an answer is of an enrollment: ask for it in a branch of its journey"
                yield finding(segment, "error", (*location, "llm"), detail)
    for journey in workspace.journeys:
        asked = {step.id: step.llm for step in journey.all_steps() if isinstance(step, LlmStep)}
        named = {name: llm for name, llm in asked.items() if name is not None}
        yield from _conditions(journey, named)
        yield from _choices(journey, named)
        yield from _unread(journey, named, workspace.templates)
        yield from _data(journey)


def _conditions(journey: Journey, asked: Mapping[str, Llm]) -> Iterator[Finding]:
    """Conditions name steps of the journey, and outcomes that these can come to."""
    for location, condition in located_conditions(journey):
        if not isinstance(condition, LlmCondition):
            continue
        step = asked.get(condition.llm)
        if location[0] == "entry":
            detail = "nobody was asked before the entry: ask for it in a branch"
            yield finding(journey, "error", (*location, "llm"), detail)
        elif step is None:
            detail = f"the journey has no llm step {condition.llm!r}; it has {listed(asked)}"
            yield finding(journey, "error", (*location, "llm"), detail)
        elif step.options is None:
            detail = f"{condition.llm!r} writes a text, which no condition can ask about"
            yield finding(journey, "error", (*location, "llm"), detail)
        else:
            for name in condition.is_:
                if name not in step.options:
                    detail = f"{condition.llm!r} never comes to {name!r}, but to {listed(step.options)}"
                    yield finding(journey, "error", (*location, "is"), detail)


def _choices(journey: Journey, asked: Mapping[str, Llm]) -> Iterator[Finding]:
    """Who chooses a variant chooses among variants, and each that can be chosen is there."""
    for location, step in walk(journey.steps, ("steps",)):
        if not isinstance(step, SendStep) or step.chosen_by is None or step.variants is None:
            continue
        place, chooses = (*location, "chosen_by"), asked.get(step.chosen_by)
        if chooses is None:
            detail = f"the journey has no llm step {step.chosen_by!r}; it has {listed(asked)}"
            yield finding(journey, "error", place, detail)
        elif chooses.options is None:
            detail = f"{step.chosen_by!r} writes a text; a variant is chosen by choose or classify"
            yield finding(journey, "error", place, detail)
        else:
            for name in chooses.options.keys() - step.variants.keys():
                detail = f"{step.chosen_by!r} may choose {name!r}, and there is no such variant"
                yield finding(journey, "error", (*location, "variants"), detail)
            for name in step.variants.keys() - chooses.options.keys():
                detail = f"{step.chosen_by!r} never chooses {name!r}: nobody gets this variant"
                yield finding(journey, "warning", (*location, "variants", name), detail)


def _unread(
    journey: Journey, asked: Mapping[str, Llm], templates: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    """Templates read steps of their journey, and what is paid for is used."""
    read: set[str] = set()
    for location, step in walk(journey.steps, ("steps",)):
        if not isinstance(step, SendStep):
            continue
        sent = {step.send.template} | {one.template for one in (step.variants or {}).values() if one.template}
        for template in sorted(sent & templates.keys()):
            names = read_by(templates[template])
            read |= names
            for name in sorted(names - asked.keys()):
                detail = f"the template {template!r} shows llm.{name}, and the journey has no such llm step"
                yield finding(journey, "error", (*location, "send", step.send.channel), detail)
    chosen = {step.chosen_by for step in journey.all_steps() if isinstance(step, SendStep)}
    for location, step in walk(journey.steps, ("steps",)):
        if not isinstance(step, LlmStep) or step.id is None or step.id in read | chosen:
            continue
        place = (*location, "llm", step.llm.task)
        if step.llm.options is None:
            yield finding(journey, "warning", place, f"no message of the journey shows llm.{step.id}")
            continue
        left = _not_asked_about(journey, step.id, step.llm.options)
        if left == set(step.llm.options):
            yield finding(journey, "warning", place, f"nothing asks what {step.id!r} came to")
        elif left:
            detail = f"no branch is for {', '.join(sorted(left))}: add arms, or otherwise"
            yield finding(journey, "warning", place, detail)


def _not_asked_about(journey: Journey, name: str, options: Mapping[str, str]) -> set[str]:
    """The labels that no branch leads on from; none where a branch has an ``otherwise``."""
    left = set(options)
    for step in journey.all_steps():
        labels = {
            label
            for _, top in conditions_of(step)
            for condition in _all_inside(top)
            if isinstance(condition, LlmCondition) and condition.llm == name
            for label in condition.is_
        }
        left -= labels
        if labels and isinstance(step, BranchStep) and not isinstance(step.branch[-1], Arm):
            return set()
    ends = (one for _, one in located_conditions(journey) if isinstance(one, LlmCondition))
    return left - {label for one in ends if one.llm == name for label in one.is_}


def _all_inside(condition: Any) -> Iterator[Any]:
    yield condition
    for inner in children(condition):
        yield from _all_inside(inner)


def _data(journey: Journey) -> Iterator[Finding]:
    waits = any(isinstance(step, WaitForStep) for step in journey.all_steps())
    for location, step in walk(journey.steps, ("steps",)):
        for name, shown in step.llm.data.items() if isinstance(step, LlmStep) else ():
            place = (*location, "llm", "data", name)
            if shown.awaited is not None and not waits:
                detail = "no step waits for an event (wait_for): there is nothing to show"
                yield finding(journey, "warning", (*place, "awaited"), detail)
            if shown.account is not None and journey.subject == "account":
                detail = "in an account's journey `trait` is the account's: leave out `account:`"
                yield finding(journey, "error", (*place, "account"), detail)


def read_by(template: Mapping[str, Any]) -> set[str]:
    """The LLM steps that a template reads."""
    return {
        name[1]
        for text in _texts(template)
        for code in _CODE.finditer(text)
        for name in _READ.finditer(code[0])
    }


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)
