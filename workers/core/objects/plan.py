"""From the types of objects to the plan that the workers run: only what some definition needs."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from schemas.workspace import Journey, ObjectCondition, RelatedCondition
from workers.core.conditions.comparisons import compile_path, compile_where, is_number, is_same
from workers.core.ids import VERSION_CHARS, stable_id
from workers.core.journeys.lineage import plan_name
from workers.core.objects.row import FillPlan, RelationshipPlan
from workers.core.templates.texts import texts_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from schemas.fields import SubjectType
    from schemas.workspace import Condition, Fill, ObjectType, OnObject, Relationship, Segment, Workspace
    from schemas.workspace.objects import AttributeType
    from workers.core.conditions.comparisons import Predicate

SHOWN_MAX: Final = 10
"""Objects of one relationship that a template sees, the newest first."""

_SHOWN: Final = re.compile(r"\brelated\s*(?:\.\s*|\[\s*[\"'])([a-z][a-z0-9_]*)")


@dataclass(frozen=True, slots=True, eq=False)
class ChangePlan:
    """An entry on a change of an object: which change, of objects that are related how."""

    journey: str
    relationship: RelationshipPlan
    attribute: str
    old: Any
    new: Any
    moved: str | None
    by_bp: int
    where: Predicate | None

    def fits(self, old: Any, attributes: Mapping[str, Any]) -> bool:
        """Whether the attribute's change from ``old`` is the one that is meant."""
        new = attributes.get(self.attribute)
        if old is None or new is None or is_same(old, new):
            return False
        if (self.old is not None and not is_same(self.old, old)) or (
            self.new is not None and not is_same(self.new, new)
        ):
            return False
        return self._moved(old, new) and (self.where is None or self.where(attributes))

    def _moved(self, old: Any, new: Any) -> bool:
        if self.moved is None:
            return True
        if not is_number(old) or not is_number(new):
            return False
        rise = new - old if self.moved == "up" else old - new
        return bool(rise > 0 and rise * 10_000 >= self.by_bp * abs(old))


@dataclass(frozen=True, slots=True, eq=False)
class ObjectsPlan:
    """What subjects of one kind have to do with objects.

    ``relationships`` are those that are kept, by path; ``fills`` what an event does to them. ``watched`` are
    the attributes, by type, on whose change something has to be done: ``changes`` of entries, by type, and
    ``segments`` that ask for attributes. ``shown`` are the relationships that templates show, by name.
    """

    relationships: Mapping[str, RelationshipPlan] = field(default_factory=dict)
    fills: Mapping[str, tuple[FillPlan, ...]] = field(default_factory=dict)
    watched: Mapping[str, frozenset[str]] = field(default_factory=dict)
    changes: Mapping[str, tuple[ChangePlan, ...]] = field(default_factory=dict)
    segments: frozenset[str] = frozenset()
    shown: Mapping[str, tuple[RelationshipPlan, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class TypesPlan:
    """The types of objects.

    ``attributes`` are those declared, by type. ``needed`` are those that every partition knows, because a
    definition reads them. ``references`` are attributes that name objects, with the type of these.
    ``version`` is a hash of all that decides what is kept where.
    """

    version: str = ""
    attributes: Mapping[str, Mapping[str, AttributeType]] = field(default_factory=dict)
    needed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    references: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


NO_OBJECTS = ObjectsPlan()
NO_TYPES = TypesPlan()


def compile_objects(workspace: Workspace, subject: SubjectType, older: Sequence[Journey] = ()) -> ObjectsPlan:
    """What the subjects of one kind have to do with objects.

    ``older`` are versions that people are inside of: their conditions ask too, and nobody enters them.
    """
    types = {one.object: one for one in workspace.objects}
    if not types:
        return NO_OBJECTS
    journeys = [one for one in workspace.journeys if one.subject == subject]
    groups = [one for one in workspace.segments if one.subject == subject]
    shown = shown_in(workspace)
    models = {
        (kind, name): relationship
        for kind, one in types.items()
        for name, relationship in one.relationships.items()
        if relationship.of == subject
    }
    asked = _asked((*journeys, *(one for one in older if one.subject == subject), *groups), models)
    wanted = {*asked, *((k, n) for k, n in models if n in shown)}
    plans = {
        (kind, name): RelationshipPlan(kind, name, one.counted, one.keep, one.single)
        for (kind, name), one in models.items()
        if (kind, name) in wanted
    }
    fills: dict[str, list[FillPlan]] = defaultdict(list)
    for place, plan in plans.items():
        for one in models[place].filled_by:
            fills[one.event].append(fill_plan(one, plan))
    changes: dict[str, list[ChangePlan]] = defaultdict(list)
    for journey in sorted(journeys, key=lambda one: (-one.fixed_priority, one.journey)):
        for on in journey.entry.object_triggers():
            if (on.object_, on.relationship) in plans:
                changes[on.object_].append(
                    _change(plan_name(journey), on, plans[on.object_, on.relationship])
                )
    asking = {one.segment: tuple(_attributes(one.conditions(), types)) for one in groups}
    by_name: dict[str, list[RelationshipPlan]] = defaultdict(list)
    for plan in plans.values():
        if plan.name in shown:
            by_name[plan.name].append(plan)
    return ObjectsPlan(
        relationships={plan.path: plan for plan in plans.values()},
        fills={event: tuple(held) for event, held in fills.items()},
        watched=_gathered(
            (*(one for some in asking.values() for one in some), *_of_entries(journeys, types))
        ),
        changes={kind: tuple(held) for kind, held in changes.items()},
        segments=frozenset(name for name, some in asking.items() if some),
        shown={name: tuple(held) for name, held in by_name.items()},
    )


def compile_types(workspace: Workspace, older: Sequence[Journey] = ()) -> TypesPlan:
    """What is known of objects, and where. ``older``: see :func:`compile_objects`."""
    types = {one.object: one for one in workspace.objects}
    if not types:
        return NO_TYPES
    asking: tuple[Journey | Segment, ...] = (*workspace.journeys, *older, *workspace.segments)
    read = [place for one in asking for place in _attributes(one.conditions(), types)]
    changing = {on.object_ for one in workspace.journeys for on in one.entry.object_triggers()}
    shown = shown_in(workspace)
    whole = changing | {kind for kind, one in types.items() if not shown.isdisjoint(one.relationships)}
    read += [(kind, name) for kind in whole & types.keys() for name in types[kind].attributes]
    needed = _gathered(read)
    content = {
        "needed": {kind: sorted(names) for kind, names in needed.items()},
        "subjects": {
            subject: _content(compile_objects(workspace, subject, older)) for subject in ("user", "account")
        },
    }
    return TypesPlan(
        version=stable_id("objects", json.dumps(content, sort_keys=True))[:VERSION_CHARS],
        attributes={kind: dict(one.attributes) for kind, one in types.items()},
        needed=needed,
        references={
            kind: {name: reference.type for name, reference in one.references().items()}
            for kind, one in types.items()
        },
    )


def filled_by(plan: ObjectsPlan, condition: RelatedCondition) -> frozenset[str]:
    """The events that may change what a condition says."""
    which = condition.related
    return frozenset(
        event
        for event, fills in plan.fills.items()
        for fill in fills
        if fill.relationship.type == which.object_ and which.relationship in (None, fill.relationship.name)
    )


def shown_in(workspace: Workspace) -> frozenset[str]:
    """The relationships that templates name."""
    return frozenset[str]().union(*map(relationships_in, workspace.templates.values()))


def relationships_in(template: Mapping[str, Any]) -> frozenset[str]:
    """The relationships that a template names: ``related.purchased``."""
    return frozenset(name for text in texts_in(template) for name in _SHOWN.findall(text))


def _content(plan: ObjectsPlan) -> Any:
    return [
        sorted(plan.relationships),
        {kind: sorted(names) for kind, names in plan.watched.items()},
        sorted(plan.segments),
    ]


def _asked(
    ours: Iterable[Journey | Segment], models: Mapping[tuple[str, str], Relationship]
) -> Iterator[tuple[str, str]]:
    """The relationships that conditions and entries ask for."""
    for one in ours:
        for condition in one.conditions():
            if isinstance(condition, RelatedCondition):
                which = condition.related
                yield from (
                    (kind, name)
                    for kind, name in models
                    if kind == which.object_ and which.relationship in (None, name)
                )
        for on in one.entry.object_triggers() if isinstance(one, Journey) else ():
            yield on.object_, on.relationship


def _attributes(
    conditions: Iterable[Condition], types: Mapping[str, ObjectType]
) -> Iterator[tuple[str, str]]:
    """Type and attribute of all that conditions read, those of referred objects included."""
    for condition in conditions:
        if isinstance(condition, RelatedCondition):
            kind, where = condition.related.object_, condition.related.where
        elif isinstance(condition, ObjectCondition):
            kind, where = condition.object_, condition.where
        else:
            continue
        for path in where or ():
            yield from reads(kind, path, types)


def reads(kind: str, path: str, types: Mapping[str, ObjectType]) -> Iterator[tuple[str, str]]:
    """Type and attribute of what a path reads: of the object, and of one that it refers to."""
    first, _, rest = path.partition(".")
    yield kind, first
    reference = types[kind].references().get(first) if kind in types else None
    if reference is not None and rest:
        yield reference.type, rest.partition(".")[0]


def _of_entries(journeys: Iterable[Journey], types: Mapping[str, ObjectType]) -> Iterator[tuple[str, str]]:
    for journey in journeys:
        yield from ((on.object_, on.changed) for on in journey.entry.object_triggers() if on.object_ in types)


def _gathered(places: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for kind, name in places:
        found[kind].add(name)
    return {kind: frozenset(names) for kind, names in sorted(found.items())}


def fill_plan(one: Fill, plan: RelationshipPlan) -> FillPlan:
    """What an event does, compiled."""
    return FillPlan(
        relationship=plan,
        where=compile_where(one.where),
        does=one.does,
        each=tuple(map(compile_path, one.each or ())),
        ids=tuple(map(compile_path, one.id or ())),
        quantity=compile_path(one.quantity) if one.quantity is not None else None,
        key=tuple(map(compile_path, one.key or ())),
        status="" if one.counted else one.status_set,
    )


def _change(journey: str, on: OnObject, plan: RelationshipPlan) -> ChangePlan:
    where = compile_where(on.where)
    return ChangePlan(journey, plan, on.changed, on.from_, on.to, on.moved, on.by or 0, where)
