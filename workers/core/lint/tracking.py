"""Where journeys and the tracking plan do not fit together: names that no producer is expected to send."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, get_args

from schemas.fields import Channel, EngagementType
from schemas.workspace import Journey, OnObject
from schemas.workspace.base import Model
from workers.core.lint.workspace import Finding, finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from schemas.workspace import Fill, Segment, TrackingPlan, Workspace
    from schemas.workspace.tracking_plan import PlannedEvent, PlannedTraits, Property
    from workers.core.lint.workspace import Location

_EVENT_FIELDS: Final = ("event", "performed", "count", "members", "of", "first", "last")
"""Fields of a journey's models that hold the name of an event."""

_AGGREGATED: Final = ("sum", "average", "min", "max", "distinct")
"""Fields that hold the path of a property of the event that stands beside them."""

_TRAIT_FIELDS: Final = ("trait", "changed")
"""Fields that hold the path of a trait."""

_OF_EVENT: Final = "properties."

_ENGAGEMENTS: Final = frozenset(
    f"{channel}_{kind}" for channel in get_args(Channel) for kind in get_args(EngagementType)
)
"""What people do with messages, ``email_clicked``: no producer's, so in no plan."""

_REPEATED_GROUP: Final = re.compile(r"[*+}]\)+(?:[*+]|\{[0-9]*,)")
"""A group that ends in a repetition and is itself repeated: ``(a+)+``. Most slow patterns have one."""


def lint_tracking(workspace: Workspace) -> Iterator[Finding]:
    """Warnings of events, properties and traits that the plan does not have, or calls deprecated.

    Nothing is said of the properties of an event that has none in the plan, nor of traits where the plan does
    not have the call that brings them (identify for users, group for accounts).
    """
    plan = workspace.tracking_plan
    if plan is None:
        return
    asking: tuple[Journey | Segment, ...] = (*workspace.journeys, *workspace.segments)
    for one in asking:
        for location, model in _models(one, ()):
            for place, detail in _of_model(model, one, plan, location):
                yield finding(one, "warning", place, detail)
    for kind in workspace.objects:
        for name, relationship in kind.relationships.items():
            for index, fill in enumerate(relationship.filled_by):
                for place, detail in _of_fill(fill, plan):
                    location = ("relationships", name, "filled_by", index, *place)
                    yield Finding("objects", kind.object, "warning", location, detail)


def lint_plan(plan: TrackingPlan) -> Iterator[tuple[Location, str]]:
    """What looks wrong in the plan itself, with its place in the file."""
    described: list[tuple[Location, PlannedEvent | PlannedTraits]] = []
    described += [(("events", name), planned) for name, planned in plan.events.items()]
    described += [((call,), planned) for call, planned in plan.calls().items()]
    for location, planned in described:
        part = "traits" if hasattr(planned, "traits") else "properties"
        for place, rules in _properties(plan.rules(planned), (*location, part)):
            if rules.pattern is not None and _REPEATED_GROUP.search(rules.pattern):
                detail = (
                    "a repetition inside a repeated group can take very long on some texts, in the engine: "
                    "write it without, or make sure that what they repeat cannot be the same text"
                )
                yield (*place, "pattern"), detail


def _of_model(
    model: Model, one: Journey | Segment, plan: TrackingPlan, location: Location
) -> Iterator[tuple[Location, str]]:
    """What one model names, by the fields that its file has: journeys come to say more with every version."""
    fields = {info.alias or name: getattr(model, name) for name, info in type(model).model_fields.items()}
    said = {name: value for name, value in fields.items() if isinstance(value, str)}
    for field in _EVENT_FIELDS:
        if field in said:
            for place, detail in _event(said[field], field, fields, plan):
                yield (*location, *place), detail
    if "property" in said and "where" not in location and isinstance(one, Journey):
        path = said["property"]
        found = (detail for event in one.entry.events() for detail in _property(path, event, plan))
        yield from (((*location, "property"), detail) for detail in found)
    for field in (*_TRAIT_FIELDS, "account"):
        if field in said and not isinstance(model, OnObject):
            of_account = field == "account" or "account" in location or one.subject == "account"
            call = "group" if of_account else "identify"
            planned = plan.calls().get(call)
            if planned is not None and plan.rules(planned):
                for detail in path_problems(said[field], plan.rules(planned), f"{call} call", "trait"):
                    yield (*location, field), detail


def _of_fill(fill: Fill, plan: TrackingPlan) -> Iterator[tuple[Location, str]]:
    """An event that fills a relationship, and its properties: of several names one has to be there."""
    yield from _event(fill.event, "event", {"where": fill.where}, plan)
    named = {"each": fill.each, "key": fill.key, "id": None if fill.each is not None else fill.id}
    for field, paths in named.items():
        wrong = [list(_property(path, fill.event, plan)) for path in paths or ()]
        if wrong and all(wrong):
            yield (field,), wrong[0][0]


def _event(
    event: str, field: str, beside: Mapping[str, Any], plan: TrackingPlan
) -> Iterator[tuple[Location, str]]:
    """What is wrong with an event, and with its properties in the fields ``beside`` it."""
    planned = plan.events.get(event)
    if planned is None:
        if event not in _ENGAGEMENTS and event not in plan.calls():
            yield (field,), f"the tracking plan has no event {event!r}{_nearest(event, plan.events)}"
        return
    if planned.deprecated:
        yield (field,), f"the tracking plan calls the event {event!r} deprecated"
    for place, path in _paths(beside):
        for detail in _property(path, event, plan):
            yield place, detail


def _paths(beside: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """The properties of an event that the fields beside its name ask for."""
    for path in beside.get("where") or ():
        yield ("where", path), path
    for path in beside.get("match") or ():
        yield ("match", path), path
    for name in ("revenue", *_AGGREGATED):
        if isinstance(beside.get(name), str):
            yield (name,), beside[name].removeprefix(_OF_EVENT)


def _property(path: str, event: str, plan: TrackingPlan) -> Iterator[str]:
    planned = plan.events.get(event)
    if planned is not None and planned.properties:
        yield from path_problems(path, planned.properties, f"event {event!r}", "property")


def path_problems(path: str, rules: Mapping[str, Property], owner: str, word: str) -> Iterator[str]:
    """What is wrong with a dotted path; it may go on inside an object that the plan does not describe."""
    walked = ""
    for name in path.split("."):
        if path[len(walked) :] in rules:
            # A name with a dot in it, as producers may send it.
            name = path[len(walked) :]  # noqa: PLW2901  the rest of the path is one name
        found = rules.get(name)
        if found is None:
            near = _nearest(name, rules, walked)
            yield f"the tracking plan's {owner} has no {word} {walked + name!r}{near}"
            return
        if found.deprecated:
            yield f"the tracking plan calls the {word} {walked + name!r} of its {owner} deprecated"
        walked += f"{name}."
        rules = found.properties
        if not rules or walked.startswith(path):
            return


def _nearest(name: str, known: Iterable[str], before: str = "") -> str:
    """``; did you mean 'x'?`` where a known name is near, else the names that there are."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean {before + near[0]!r}?"
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")  # noqa: PLR2004
    return f"; it has {shown or 'none'}"


def _models(value: Any, location: Location) -> Iterator[tuple[Location, Model]]:
    """Every model inside a journey, with its place in the file."""
    if isinstance(value, Model):
        yield location, value
        for name, info in type(value).model_fields.items():
            yield from _models(getattr(value, name), (*location, info.alias or name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _models(item, (*location, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _models(item, (*location, key))


def _properties(rules: Mapping[str, Property], location: Location) -> Iterator[tuple[Location, Property]]:
    """Every described property, those inside objects and lists included."""
    for name, rule in rules.items():
        yield from _inner((*location, name), rule)


def _inner(place: Location, rule: Property) -> Iterator[tuple[Location, Property]]:
    yield place, rule
    yield from _properties(rule.properties, (*place, "properties"))
    if rule.items is not None:
        yield from _inner((*place, "items"), rule.items)
