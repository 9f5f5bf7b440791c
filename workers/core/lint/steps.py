"""What is wrong with the steps of journeys: messages that nobody delivers, ways that nobody can go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.workspace import (
    EnrollStep,
    ExitEvent,
    ExitStep,
    SendStep,
    SplitStep,
    UpdateStep,
    WaitForStep,
)
from schemas.workspace.steps import blocks, walk
from workers.core.lint.workspace import finding, listed
from workers.core.templates.text_messages import foreign, without_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schemas.workspace import Journey, Step, Workspace
    from workers.core.lint.workspace import Finding, Location


def lint_steps(workspace: Workspace) -> Iterator[Finding]:
    """Everything found, journey by journey."""
    journeys = {journey.journey: journey for journey in workspace.journeys}
    arms: dict[str, dict[str, float]] = {}
    for journey in workspace.journeys:
        for location, step in walk(journey.steps, ("steps",)):
            yield from _message(journey, step, location, workspace.templates)
            yield from _experiment(journey, step, location, arms)
            yield from _account(journey, step, location)
            yield from _once(journey, step, location)
            yield from _never_heard(journey, step, location)
        yield from _unreachable(journey, journey.steps, ("steps",))
        for location, target in _enrolled(journey):
            yield from _other_journey(journey, location, target, journeys)
    yield from _circles(journeys)


def _message(
    journey: Journey, step: Step, location: Location, templates: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    """Each message's template is there, for the step's channel."""
    if not isinstance(step, SendStep):
        return
    channel = step.send.channel
    place = (*location, "send", channel)
    named = [(place, step.send.template)]
    for name, variant in (step.variants or {}).items():
        if variant.template is not None:
            named.append(((*location, "variants", name, "template"), variant.template))
    for where, name in named:
        template = templates.get(name)
        if template is None:
            detail = f"there is no template {name!r}; there are {listed(templates)}"
            yield finding(journey, "error", where, detail)
        elif template.get("channel") != channel:
            detail = f"the template {name!r} is for {template.get('channel')}, not for {channel}"
            yield finding(journey, "error", where, detail)
        elif channel == "sms" and (dear := foreign(without_code(_text(template)))):
            detail = (
                f"the text message {name!r} has {dear}, which the GSM alphabet has not: "
                "a segment holds 70 characters then, not 160"
            )
            yield finding(journey, "warning", where, detail)


def _text(template: Mapping[str, Any]) -> str:
    return str(template.get("fields", {}).get("text", ""))


def _experiment(
    journey: Journey, step: Step, location: Location, known: dict[str, dict[str, float]]
) -> Iterator[Finding]:
    """Steps of the same experiment divide alike, or who is in which arm would mean nothing."""
    if not isinstance(step, (SendStep, SplitStep)) or step.experiment is None:
        return
    if isinstance(step, SplitStep):
        arms = {arm.name: float(arm.weight) for arm in step.split}
    else:
        arms = {name: float(variant.weight) for name, variant in (step.variants or {}).items()}
    first = known.setdefault(step.experiment, arms)
    if list(first.items()) != list(arms.items()):
        detail = (
            f"the experiment {step.experiment!r} has other arms elsewhere: {_shown(first)}. Give them the "
            "same names, weights and order, or call it something else"
        )
        yield finding(journey, "error", (*location, "experiment"), detail)


def _account(journey: Journey, step: Step, location: Location) -> Iterator[Finding]:
    if isinstance(step, UpdateStep) and step.update.account is not None and journey.subject == "account":
        detail = "in an account's journey the traits are the account's: say `traits`"
        yield finding(journey, "error", (*location, "update", "account"), detail)


def _once(journey: Journey, step: Step, location: Location) -> Iterator[Finding]:
    """A call is once for the subject of its journey."""
    if not isinstance(step, SendStep) or step.send.webhook is None or step.send.once is None:
        return
    if step.send.once != journey.subject:
        detail = f"this journey is of {journey.subject}s, and so are its calls: say `once: {journey.subject}`"
        yield finding(journey, "error", (*location, "send", "once"), detail)


def _never_heard(journey: Journey, step: Step, location: Location) -> Iterator[Finding]:
    """An event that ends the journey comes to no step."""
    if not isinstance(step, WaitForStep):
        return
    ends = {
        leaving.when.event
        for leaving in journey.exit
        if isinstance(leaving.when, ExitEvent) and leaving.when.where is None
    }
    for at, awaited in enumerate(step.wait_for.awaited()):
        if awaited.event in ends:
            way = () if step.wait_for.first_of is None else ("first_of", at)
            detail = f"{awaited.event!r} ends the journey (see exit), so that no step ever hears of it"
            yield finding(journey, "error", (*location, "wait_for", *way, "event"), detail)


def _unreachable(journey: Journey, steps: tuple[Step, ...], location: Location) -> Iterator[Finding]:
    for index, step in enumerate(steps):
        if index and isinstance(steps[index - 1], ExitStep):
            detail = "this never runs: the step before it ends the journey"
            yield finding(journey, "error", (*location, index), detail)
        for way, inner in blocks(step):
            yield from _unreachable(journey, inner, (*location, index, *way))


def _enrolled(journey: Journey) -> Iterator[tuple[Location, str]]:
    """The journeys that a journey enrolls in, each with its place."""
    for index, leaving in enumerate(journey.exit):
        if leaving.then is not None:
            yield ("exit", index, "then", "enroll"), leaving.then.enroll
    for location, step in walk(journey.steps, ("steps",)):
        if isinstance(step, EnrollStep):
            yield (*location, "enroll"), step.enroll


def _other_journey(
    journey: Journey, location: Location, target: str, journeys: Mapping[str, Journey]
) -> Iterator[Finding]:
    other = journeys.get(target)
    if other is None:
        detail = f"there is no journey {target!r}; there are {listed(journeys)}"
        yield finding(journey, "error", location, detail)
    elif other.subject != journey.subject:
        detail = f"{target!r} is a journey of {other.subject}s, and this one is of {journey.subject}s"
        yield finding(journey, "error", location, detail)


def _circles(journeys: Mapping[str, Journey]) -> Iterator[Finding]:
    """Journeys that enroll one another go on until an entry says no; one of them has to, sometime."""
    for name, journey in sorted(journeys.items()):
        for location, target in _enrolled(journey):
            if journey.entry.again == "always" and name in _reached(target, journeys):
                detail = (
                    "this leads back into this very journey, which lets everybody in again at once: say "
                    "`again: {after: ...}`, or who goes round is stopped after ten times in a row"
                )
                yield finding(journey, "warning", location, detail)


def _reached(start: str, journeys: Mapping[str, Journey]) -> set[str]:
    found: set[str] = set()
    stack = [start]
    while stack:
        name = stack.pop()
        if name in found or name not in journeys:
            continue
        found.add(name)
        stack.extend(target for _, target in _enrolled(journeys[name]))
    return found


def _shown(arms: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in arms.items())
