"""What a decision may know about objects: those that are related to the subject, and what each is like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workers.core.objects.plan import SHOWN_MAX
from workers.core.objects.row import Kept, held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from workers.core.objects.plan import ObjectsPlan, TypesPlan
    from workers.core.objects.row import Held, Relations

_NOTHING: Final = Kept()


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """Made of a subject's row. ``known`` gives what is known of an object; empty where nothing is."""

    relations: Relations
    plan: ObjectsPlan
    types: TypesPlan
    known: Callable[[str, str], Mapping[str, Any]]

    def related(self, kind: str, relationship: str | None) -> Iterator[Held]:
        """The objects of a type that are related so (None: in any way), by way; see :func:`held`."""
        for plan in self.plan.relationships.values():
            if plan.type == kind and relationship in (None, plan.name):
                yield from held(self.relations, plan)

    def attribute(self, kind: str, object_id: str, path: tuple[str, ...]) -> Any:
        """An attribute; behind one that names other objects, theirs: of a list of them, a list of values.

        None where it is not known.
        """
        first, *rest = path
        value = self.known(kind, object_id).get(first)
        other = self.types.references.get(kind, {}).get(first)
        if not rest or other is None or value is None:
            return value if not rest else None
        if isinstance(value, list):
            values = [self.known(other, one).get(rest[0]) for one in value]
            return [one for one in values if one is not None] or None
        return self.known(other, value).get(rest[0])

    def follows(self) -> frozenset[tuple[str, str]]:
        """Type and id of the objects whose changes concern the subject."""
        watched = self.plan.watched
        if not watched:
            return frozenset()
        found: set[tuple[str, str]] = set()
        for plan in self.plan.relationships.values():
            references = self.types.references.get(plan.type, {})
            if plan.type not in watched and watched.keys().isdisjoint(references.values()):
                continue
            for one in self.relations.kept.get(plan.path, _NOTHING).objects:
                if plan.type in watched:
                    found.add((plan.type, one))
                for name, other in references.items():
                    if other in watched:
                        found.update(
                            (other, named) for named in _listed(self.known(plan.type, one).get(name))
                        )
        return frozenset(found)

    def told(self, kind: str, object_id: str) -> dict[str, Any]:
        """The values of an object that the subject has to know, to see them change."""
        known = self.known(kind, object_id)
        return {name: known[name] for name in sorted(self.plan.watched.get(kind, ())) if name in known}

    def shown(self) -> dict[str, list[dict[str, Any]]]:
        """What templates see: by relationship the newest objects, at most :data:`SHOWN_MAX`.

        Each has its attributes, its ``object`` (the type), ``id``, ``at_ms``, and ``quantity`` or ``status``.
        """
        found: dict[str, list[dict[str, Any]]] = {}
        for name, plans in self.plan.shown.items():
            some = [one for plan in plans for one in held(self.relations, plan) if not one.ended]
            some.sort(key=lambda one: (-one.at_ms, one.type, one.id))
            found[name] = [self.described(one) for one in some[:SHOWN_MAX]]
        return found

    def described(self, one: Held) -> dict[str, Any]:
        """A related object as templates see it."""
        relation: dict[str, Any] = {"object": one.type, "id": one.id, "at_ms": one.at_ms}
        if one.amounts:
            quantity = one.quantity
            relation["quantity"] = int(quantity) if quantity == int(quantity) else quantity
        else:
            relation["status"] = one.status
        return {**self.known(one.type, one.id), **relation}


def _listed(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(one for one in value if isinstance(one, str))
    return (value,) if isinstance(value, str) else ()
