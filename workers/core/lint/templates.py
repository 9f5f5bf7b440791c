"""Where templates and the rest of the workspace do not fit together: values that no message will have."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from schemas.workspace import SendStep, WaitForStep
from schemas.workspace.steps import walk
from workers.core.lint.tracking import path_problems
from workers.core.templates.compile import TemplateProblem, reads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schemas.workspace import Journey, TrackingPlan, Workspace
    from schemas.workspace.tracking_plan import Property
    from workers.core.templates.compile import Read, Templates, TemplateSource

_EVIDENCE: Final = ("count", "threshold", "within", "days", "conditions", "events")
_TRAITS: Final = {"user": "identify", "account": "group"}
"""Roots whose values a call of the tracking plan brings."""

_READ_BY_PEOPLE: Final = frozenset(
    {"subject", "preheader", "html", "mjml", "text", "title", "body", "cta_label", "steps", "image_alt"}
)


def lint_templates(workspace: Workspace, templates: Templates) -> Iterator[TemplateProblem]:
    """Warnings, each with the file and line on which the value is read.

    Of an event's properties it is enough that one of the events has it that begin one of the journeys that
    send the template. Nothing is said of events and calls that the tracking plan does not describe.
    """
    sent_by = senders(workspace)
    for source in (*templates.sources.values(), *templates.variants.values()):
        yield from _untranslated(source)
        journeys = sent_by.get(source.name, [])
        for read in reads(source):
            for detail in _problems(read, journeys, workspace.tracking_plan):
                yield TemplateProblem(source.name, read.file, read.line, read.field, detail)


def _untranslated(source: TemplateSource) -> Iterator[TemplateProblem]:
    """Texts that a variant leaves out, so that people read them in another language."""
    for name in sorted(source.inherited & _READ_BY_PEOPLE):
        detail = f"it has no {name}: who gets this variant reads that of {source.files[name]}"
        yield TemplateProblem(source.name, source.file, 1, name, detail)


def senders(workspace: Workspace) -> Mapping[str, list[Journey]]:
    """The journeys that send each template, also as a variant or as the fallback of another."""
    found: dict[str, list[Journey]] = defaultdict(list)
    for journey in workspace.journeys:
        names: list[str] = []
        for _, step in walk(journey.steps, ("steps",)):
            if isinstance(step, SendStep):
                arms = (step.variants or {}).values()
                names += [step.send.template, *(arm.template for arm in arms if arm.template is not None)]
        for name in names:
            fallback = workspace.templates.get(name, {}).get("fields", {}).get("fallback")
            if fallback is not None and fallback not in names:
                names.append(fallback)
        for name in dict.fromkeys(names):
            found[name].append(journey)
    return found


def _problems(read: Read, journeys: list[Journey], plan: TrackingPlan | None) -> Iterator[str]:
    root, _, path = read.variable.name.partition(".")
    if not path or "\u2026" in path:
        return
    if root == "evidence":
        yield from _of_evidence(path)
    if plan is None or not journeys:
        return
    if root == "event":
        yield from _of_events(path, {name for one in journeys for name in one.entry.events()}, plan)
    elif root == "awaited":
        yield from _of_awaited(path, journeys, plan)
    elif root in _TRAITS:
        call = _TRAITS[root]
        planned = plan.calls().get(call)
        rules: Mapping[str, Property] = {} if planned is None else plan.rules(planned)
        if rules:
            yield from path_problems(path, rules, f"{call} call", "trait")


def _of_evidence(path: str) -> Iterator[str]:
    name = path.split(".", maxsplit=1)[0]
    if name not in _EVIDENCE:
        yield f"evidence has no {name!r}; it has {', '.join(_EVIDENCE)}"


def _of_events(path: str, events: set[str], plan: TrackingPlan) -> Iterator[str]:
    """What is wrong with a property of one of several events; nothing where one of them may have it."""
    found: list[str] = []
    for event in sorted(events):
        planned = plan.events.get(event)
        problems = (
            list(path_problems(path, planned.properties, f"event {event!r}", "property"))
            if planned is not None and planned.properties
            else []
        )
        if not problems:
            return
        found += problems
    yield from found[:1]


def _of_awaited(path: str, journeys: list[Journey], plan: TrackingPlan) -> Iterator[str]:
    waited = {
        one.event
        for journey in journeys
        for _, step in walk(journey.steps, ("steps",))
        if isinstance(step, WaitForStep)
        for one in step.wait_for.awaited()
    }
    if not waited:
        yield "no journey that sends this template waits for an event (wait_for)"
    yield from _of_events(path, waited, plan)
