"""Conditions on objects: how many are related to the subject, and what one is like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.workspace import FieldRef
from schemas.workspace.spans import span_text
from workers.core.conditions.compiled import SEARCH, CompiledCondition, earliest
from workers.core.conditions.dates import compile_check
from workers.core.conditions.labels import bounds_text, operators_text, where_label
from workers.core.conditions.outcome import Outcome, all_of
from workers.core.conditions.spans import compile_field, compile_span, needs_zones

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from schemas.workspace import ObjectCondition, RelatedCondition
    from schemas.workspace.relations import Attributes, ObjectIds, Related
    from workers.core.conditions.compiled import Names, Values
    from workers.core.conditions.dates import Check
    from workers.core.conditions.spans import Span
    from workers.core.facts import Moment
    from workers.core.objects.row import Held


@dataclass(frozen=True, slots=True, eq=False)
class _Where:
    """Comparisons of the attributes of objects of a type."""

    kind: str
    checks: tuple[tuple[tuple[str, ...], Check], ...]

    def test(self, object_id: str, moment: Moment) -> Outcome:
        read, kind = moment.facts.attribute, self.kind
        return all_of(check.test(read(kind, object_id, path), moment) for path, check in self.checks)

    def changes_at_ms(self, object_id: str, moment: Moment) -> int | None:
        read, kind = moment.facts.attribute, self.kind
        return earliest(
            (
                check.changes_at_ms(read(kind, object_id, path), moment)
                for path, check in self.checks
                if check.changes_at_ms is not None
            ),
            moment.now_ms,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Which:
    """What of an object's relation has to be so, its attributes aside."""

    statuses: frozenset[str] | None
    quantity: Check | None
    span: Span | None

    def test(self, held: Held, bounds: tuple[int, int] | None, moment: Moment) -> bool:
        if self.statuses is not None and held.status not in self.statuses:
            return False
        if held.amounts:
            amounts = (one for one in held.amounts if bounds is None or _inside(one.at_ms, bounds, moment))
            quantity = sum(one.quantity for one in amounts)
            if self.quantity is None:
                return quantity > 0
            return self.quantity.test(quantity, moment) is Outcome.TRUE
        if held.ended and self.statuses is None:
            return False
        return bounds is None or _inside(held.at_ms, bounds, moment)


def related(  # noqa: C901  one closure beside the other, as all conditions have them
    condition: RelatedCondition, names: Names
) -> CompiledCondition:
    """How many objects are related to the subject so."""
    which = condition.related
    kind, relationship, ids = which.object_, which.relationship, _ids(which.id)
    span = None
    if condition.within is not None:
        span = compile_span(condition.within, names.zones() if needs_zones(condition.within) else None)
    statuses = None if which.status is None else frozenset(which.status)
    quantity = None if which.quantity is None else compile_check(which.quantity, names)
    asked, where = _Which(statuses, quantity, span), _where(kind, which.where, names)
    least, most = condition.bounds()
    name = _name(which) + (f" within {span_text(condition.within)}" if condition.within is not None else "")

    def found(moment: Moment, wanted: frozenset[str] | None) -> Iterable[Held]:
        objects = moment.facts.related(kind, relationship)
        return (one for one in objects if wanted is None or one.id in wanted)

    def test(moment: Moment, values: Values) -> Outcome:
        wanted = None if ids is None else ids(moment)
        bounds = None if span is None else span.bounds(moment, 0)
        if (ids is not None and wanted is None) or (span is not None and bounds is None):
            values[name] = None
            return Outcome.MISSING
        sure: set[str] = set()
        perhaps: set[str] = set()
        for one in found(moment, wanted):
            if asked.test(one, bounds, moment):
                outcome = Outcome.TRUE if where is None else where.test(one.id, moment)
                if outcome is not Outcome.FALSE:
                    (sure if outcome is Outcome.TRUE else perhaps).add(one.id)
        values[name] = len(sure)
        return _counted(len(sure), len(sure | perhaps), least, most)

    def changes_at_ms(moment: Moment) -> int | None:
        wanted = None if ids is None else ids(moment)
        objects = tuple(found(moment, wanted))
        instants: list[int | None] = []
        if span is not None and span.sliding_ms is None:
            instants.append(span.edge_ms(moment))
        elif span is not None and span.sliding_ms is not None:
            instants += [at_ms + span.sliding_ms for one in objects for at_ms in _times(one)]
        if where is not None:
            instants += [where.changes_at_ms(one.id, moment) for one in objects]
        return earliest(instants, moment.now_ms)

    return CompiledCondition(f"{name} {bounds_text(least, most)}", SEARCH, test, changes_at_ms)


def object_is(condition: ObjectCondition, names: Names) -> CompiledCondition:
    """What one object is like."""
    kind, ids, where = (
        condition.object_,
        _ids(condition.id),
        _where(condition.object_, condition.where, names),
    )
    assert ids is not None
    assert where is not None
    name = f"object {kind} {_ids_text(condition.id)}{where_label(condition.where)}"

    def test(moment: Moment, values: Values) -> Outcome:
        wanted = ids(moment)
        if wanted is None or len(wanted) != 1:
            values[name] = None
            return Outcome.MISSING
        (object_id,) = wanted
        values[name] = object_id
        return where.test(object_id, moment)

    def changes_at_ms(moment: Moment) -> int | None:
        instants = (where.changes_at_ms(one, moment) for one in ids(moment) or ())
        return earliest(instants, moment.now_ms)

    return CompiledCondition(name, SEARCH, test, changes_at_ms)


def _counted(sure: int, possible: int, least: int, most: int | None) -> Outcome:
    """Whether the number of objects lies between the bounds, whatever those are that are not known."""
    if sure >= least and (most is None or possible <= most):
        return Outcome.TRUE
    if possible < least or (most is not None and sure > most):
        return Outcome.FALSE
    return Outcome.MISSING


def _inside(at_ms: int, bounds: tuple[int, int], moment: Moment) -> bool:
    return bounds[0] <= at_ms < bounds[1] and at_ms <= moment.now_ms


def _times(held: Held) -> tuple[int, ...]:
    return tuple(one.at_ms for one in held.amounts) or (held.at_ms,)


def _where(kind: str, where: Attributes | None, names: Names) -> _Where | None:
    if where is None:
        return None
    checks = ((tuple(path.split(".")), compile_check(one, names)) for path, one in where.items())
    return _Where(kind, tuple(checks))


def _ids(which: ObjectIds | None) -> Callable[[Moment], frozenset[str] | None] | None:
    """The ids that are meant; None as their value: the field holds none."""
    if which is None:
        return None
    if isinstance(which, FieldRef):
        read = compile_field(which)
        return lambda moment: _as_ids(read(moment))
    fixed = frozenset(which)
    return lambda _: fixed


def _as_ids(value: Any) -> frozenset[str] | None:
    """What a field holds, as ids: a text, a whole number, or a list of them."""
    some = value if isinstance(value, list) else [value]
    ids = {str(one) for one in some if isinstance(one, str | int) and not isinstance(one, bool) and one != ""}
    return frozenset(ids) if ids else None


def _ids_text(which: ObjectIds) -> str:
    return which.label if isinstance(which, FieldRef) else ", ".join(which)


def _name(which: Related) -> str:
    parts = [f"related {which.object_}"]
    parts += [_ids_text(which.id)] if which.id is not None else []
    parts += [f"by {which.relationship}"] if which.relationship else []
    parts += [" or ".join(which.status)] if which.status else []
    parts += [f"quantity {operators_text(which.quantity)}"] if which.quantity is not None else []
    return " ".join(parts) + where_label(which.where)
