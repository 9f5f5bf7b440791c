"""Where journeys, segments and templates do not fit the types of objects, and the types each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schemas.workspace import ObjectCondition, OnObject, RelatedCondition, Segment, SendStep
from schemas.workspace.objects import MAX_KEPT_IN_ALL
from schemas.workspace.steps import walk
from workers.core.lint.workspace import Finding, finding, listed, located_conditions
from workers.core.objects.plan import relationships_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from schemas.workspace import Journey, ObjectType, Related, Relationship, Workspace
    from workers.core.lint.workspace import Location

    Types = Mapping[str, ObjectType]

_REFERENCED: Final = 2
"""Names of a path that leads from an object to one that it refers to."""


def lint_objects(workspace: Workspace) -> Iterator[Finding]:
    """Everything found; only errors make a workspace unusable."""
    types = {one.object: one for one in workspace.objects}
    for one in types.values():
        yield from _references(one, types)
    yield from _room(types)
    asking: tuple[Journey | Segment, ...] = (*workspace.journeys, *workspace.segments)
    for asked in asking:
        yield from _conditions(asked, types)
    for journey in workspace.journeys:
        for place, on in journey.entry.located_triggers():
            for where, detail in _entry(on, journey.subject, types) if isinstance(on, OnObject) else ():
                yield finding(journey, "error", ("entry", *place, *where), detail)
        yield from _shown(journey, workspace.templates, types)


def _conditions(asked: Journey | Segment, types: Types) -> Iterator[Finding]:
    """Conditions name what is declared."""
    for location, condition in located_conditions(asked):
        found: Iterable[tuple[Location, str]] = ()
        place = location
        if isinstance(condition, RelatedCondition):
            place, found = (*location, "related"), _related(condition.related, asked.subject, types)
        elif isinstance(condition, ObjectCondition):
            found = _object(condition, types)
            if isinstance(asked, Segment):
                detail = "a segment is not about one object: say related, with id or where"
                yield finding(asked, "error", (*location, "object"), detail)
        for where, detail in found:
            yield finding(asked, "error", (*place, *where), detail)


def _references(one: ObjectType, types: Types) -> Iterator[Finding]:
    """Types that attributes name are there."""
    for name, reference in one.references().items():
        if reference.type not in types:
            key = "object" if reference.object_ is not None else "objects"
            detail = f"there is no type {reference.type!r} of objects; there are {listed(types)}"
            yield Finding("objects", one.object, "error", ("attributes", name, key), detail)


def _room(types: Types) -> Iterator[Finding]:
    """All that is kept of a subject fits into a row."""
    for subject in ("user", "account"):
        kept = 0
        for kind, one in types.items():
            for name, relationship in one.relationships.items():
                if relationship.of == subject:
                    kept += relationship.keep
                    if kept > MAX_KEPT_IN_ALL:
                        detail = (
                            f"all relationships of {subject}s would keep {kept} objects, and at most "
                            f"{MAX_KEPT_IN_ALL} are kept: make `keep` smaller"
                        )
                        yield Finding("objects", kind, "error", ("relationships", name, "keep"), detail)
                        return


def _related(which: Related, subject: str, types: Types) -> Iterator[tuple[Location, str]]:
    kind = types.get(which.object_)
    if kind is None:
        yield ("object",), _no_type(which.object_, types)
        return
    ours = {name: one for name, one in kind.relationships.items() if one.of == subject}
    if which.relationship is None:
        asked = ours
        if not ours:
            yield (
                ("object",),
                f"no {which.object_} is related to {subject}s: declare how",
            )
    elif which.relationship not in ours:
        yield ("relationship",), _no_relationship(which.relationship, kind, subject, ours)
        asked = {}
    else:
        asked = {which.relationship: ours[which.relationship]}
    yield from _kinds(which, asked)
    yield from _paths(which.object_, which.where or {}, types)


def _kinds(which: Related, asked: Mapping[str, Relationship]) -> Iterator[tuple[Location, str]]:
    """Statuses are asked of what has them, quantities of what is counted."""
    statuses = frozenset[str]().union(*(one.statuses() for one in asked.values()))
    for index, status in enumerate(which.status or ()):
        if asked and status not in statuses:
            detail = f"it never has the status {status!r}; it may have {listed(statuses)}"
            yield ("status", index) if len(which.status or ()) > 1 else ("status",), detail
    if which.quantity is not None and asked and not any(one.counted for one in asked.values()):
        yield ("quantity",), "this relationship has a status and no quantity"


def _object(condition: ObjectCondition, types: Types) -> Iterator[tuple[Location, str]]:
    if condition.object_ not in types:
        yield ("object",), _no_type(condition.object_, types)
        return
    yield from _paths(condition.object_, condition.where, types)


def _paths(kind: str, paths: Iterable[str], types: Types) -> Iterator[tuple[Location, str]]:
    """Attributes that are compared are declared, also those of objects that are referred to."""
    for path in paths:
        detail = _path(types[kind], path.split("."), types)
        if detail is not None:
            yield ("where", path), detail


def _path(kind: ObjectType, names: list[str], types: Types) -> str | None:
    first = names[0]
    if first not in kind.attributes:
        return f"a {kind.object} has no attribute {first!r}; it has {listed(kind.attributes)}"
    if len(names) == 1:
        return None
    reference = kind.references().get(first)
    if reference is None:
        return f"{first!r} names no other object, so nothing is behind the dot"
    other = types.get(reference.type)
    if len(names) > _REFERENCED:
        return f"one step leads from {first!r} to an attribute of a {reference.type}: {'.'.join(names[:2])}"
    return None if other is None else _path(other, names[1:], types)


def _entry(on: OnObject, subject: str, types: Types) -> Iterator[tuple[Location, str]]:
    kind = types.get(on.object_)
    if kind is None:
        yield ("object",), _no_type(on.object_, types)
        return
    ours = {name: one for name, one in kind.relationships.items() if one.of == subject}
    if on.relationship not in ours:
        yield ("relationship",), _no_relationship(on.relationship, kind, subject, ours)
    if on.changed not in kind.attributes:
        detail = f"a {kind.object} has no attribute {on.changed!r}; it has {listed(kind.attributes)}"
        yield ("changed",), detail
    elif on.moved is not None and kind.attributes[on.changed] != "number":
        yield ("moved",), f"{on.changed!r} is no number, and only numbers go up or down"
    yield from _paths(on.object_, (path for path in on.where or () if "." not in path), types)
    for path in on.where or ():
        if "." in path:
            yield ("where", path), "an entry compares attributes of the object itself: no dots"


def _shown(journey: Journey, templates: Mapping[str, Mapping[str, Any]], types: Types) -> Iterator[Finding]:
    """Relationships that templates show are declared, for the journey's kind of subject."""
    ours = {
        name
        for one in types.values()
        for name, relationship in one.relationships.items()
        if relationship.of == journey.subject
    }
    for location, step in walk(journey.steps, ("steps",)):
        if not isinstance(step, SendStep):
            continue
        send = step.send
        for name in sorted(relationships_in(templates.get(send.template, {})) - ours):
            detail = (
                f"the template {send.template!r} shows related.{name}, and no object is related to "
                f"{journey.subject}s by {name!r}; there are {listed(ours)}"
            )
            yield finding(journey, "error", (*location, "send", send.channel), detail)


def _no_type(name: str, types: Types) -> str:
    return f"there is no type {name!r} of objects; there are {listed(types)} (objects/*.yaml)"


def _no_relationship(name: str, kind: ObjectType, subject: str, ours: Mapping[str, Any]) -> str:
    other = kind.relationships.get(name)
    if other is not None:
        return f"{name!r} is a relationship of {other.of}s, and this is about {subject}s"
    return f"a {kind.object} has no relationship {name!r} of {subject}s; there are {listed(ours)}"
