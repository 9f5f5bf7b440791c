"""Which objects are related to a subject, kept so that the order of arrival does not matter.

A relation is a few dated lines, and what it amounts to is computed from them whenever it is asked: so a
refund may arrive before its order, and a cancellation before its subscription.

- **Counted** relations keep a line for each order (``key``), or each occurrence without one. The same order
  told twice counts once; what was taken back is taken off its order, or, without an order, off the newest
  before it. :data:`LINES_MAX` lines are kept singly. Older ones are folded into one number with the time of
  the newest of them: then what is taken back of so old an order is not taken off, and a span that begins
  before that time has the folded ones either all or not at all.
- Relations **with a status** keep the latest status for each subscription (``key``). Of two at the same
  moment, the one that ends counts, else the one that is later in the alphabet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from schemas.workspace.objects import Does
    from workers.core.conditions.comparisons import Getter, Predicate

LINES_MAX: Final = 16
"""Lines kept singly of one relation."""

GROUPS_MAX: Final = 64
"""Whole orders or subscriptions that are remembered as taken back or ended, so that what arrives late knows.
Of more the oldest is given up."""

ITEMS_MAX: Final = 500
"""Items of one event that are read."""

ID_MAX_BYTES: Final = 256
ALL: Final = -1.0
"""As ``taken``: everything."""


class Line(msgspec.Struct, array_like=True):
    """Something that happened to one relation, or (in ``Kept.groups``) to all with the key.

    Counted: ``added`` at ``at_ms``, of which ``taken`` (:data:`ALL`: all of it) was taken back; with nothing
    added, ``at_ms`` is when it was taken back. With a status: the latest one, since ``at_ms``.
    """

    key: str
    at_ms: int
    added: float = 0
    taken: float = 0
    status: str = ""
    ended: bool = False


class Relation(msgspec.Struct, array_like=True):
    """One object. ``folded``: how much is left of the older lines, the newest of them at ``folded_at_ms``."""

    lines: list[Line] = msgspec.field(default_factory=list)
    folded: float = 0
    folded_at_ms: int = 0


class Kept(msgspec.Struct, array_like=True):
    """All of one relationship: objects by their ids, and what happened to whole orders, by their keys."""

    objects: dict[str, Relation] = msgspec.field(default_factory=dict)
    groups: dict[str, Line] = msgspec.field(default_factory=dict)


class Relations(msgspec.Struct, array_like=True):
    """State row of a subject: what is kept, by relationship (``product.purchased``).

    ``followed`` are the objects whose changes concern the subject, by key (``product:17``), with the values
    that the subject knows of them.
    """

    kept: dict[str, Kept] = msgspec.field(default_factory=dict)
    followed: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class FillPlan:
    """What an event does to a relationship. A tuple of getters: the first that finds something counts.

    ``each`` empty: the event speaks of one object. ``ids`` empty: of all with the key.
    """

    relationship: RelationshipPlan
    where: Predicate | None
    does: Does
    each: tuple[Getter, ...]
    ids: tuple[Getter, ...]
    quantity: Getter | None
    key: tuple[Getter, ...]
    status: str


@dataclass(frozen=True, slots=True)
class RelationshipPlan:
    """A relationship that some definition needs. ``name`` is unique among those of a type."""

    type: str
    name: str
    counted: bool
    keep: int
    single: bool

    @property
    def path(self) -> str:
        """As rows name it."""
        return f"{self.type}.{self.name}"


class Amount(NamedTuple):
    """So much is left of what was added at a time."""

    at_ms: int
    quantity: float


@dataclass(frozen=True, slots=True)
class Held:
    """One related object, as it is now.

    Counted: ``amounts`` in order of time, none of them 0. With a status: ``status`` since ``at_ms``, and
    whether it has ``ended``. ``at_ms`` of a counted one is that of its newest amount.
    """

    type: str
    relationship: str
    id: str
    amounts: tuple[Amount, ...]
    status: str
    at_ms: int
    ended: bool

    @property
    def quantity(self) -> float:
        """How much there is in all."""
        return sum(amount.quantity for amount in self.amounts)


def object_key(kind: str, object_id: str) -> str:
    """What an object is known by everywhere: ``product:17``. Types have no colon."""
    return f"{kind}:{object_id}"


# -- what events do


def fill(plan: FillPlan, relations: Relations, properties: Mapping[str, Any], at_ms: int) -> bool:
    """Take an event in (changes ``relations``); False where it says nothing that can be used."""
    if plan.where is not None and not plan.where(properties):
        return False
    key = _text(_first(plan.key, properties))
    told = _told(plan, properties)
    if not told and not (told is None and key and plan.does != "add"):
        return False
    kept = relations.kept.setdefault(plan.relationship.path, Kept())
    if told is None:
        _fill_group(plan, kept, key, at_ms)
    for object_id, quantity in (told or {}).items():
        relation = kept.objects.setdefault(object_id, Relation())
        _fill_one(plan, kept, relation, key, at_ms, quantity)
        _fold(relation, plan.relationship)
    _bound(kept, plan.relationship)
    return True


def _told(plan: FillPlan, properties: Mapping[str, Any]) -> dict[str, float | None] | None:
    """The objects that the event speaks of, and how much of each (None: all); None: it names none."""
    items: Any = [properties]
    if plan.each:
        items = _first(plan.each, properties)
        if items is None:
            return None
        items = items[:ITEMS_MAX] if isinstance(items, list) else []
    elif _first(plan.ids, properties) is None:
        return None
    told: dict[str, float | None] = {}
    for item in items:
        # A list may hold the ids themselves instead of items.
        object_id = _text(_first(plan.ids, item) if isinstance(item, dict) else item)
        quantity = _amount(plan, item)
        if object_id and quantity != 0:
            before = told.get(object_id, 0)
            told[object_id] = None if quantity is None or before is None else before + quantity
    return told


def _amount(plan: FillPlan, item: Any) -> float | None:
    """How much an item says: 0 of what is none; None: all there is, because it does not say."""
    value = plan.quantity(item) if plan.quantity is not None and isinstance(item, dict) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and value < float("inf"):
        return max(0, value)
    return 1 if plan.does == "add" else None


def _fill_one(
    plan: FillPlan, kept: Kept, relation: Relation, key: str, at_ms: int, quantity: float | None
) -> None:
    if plan.does in {"set", "end"}:
        _set_status(relation, Line(key, at_ms, status=plan.status, ended=plan.does == "end"))
        if key in kept.groups:
            _set_status(relation, kept.groups[key])
        return
    line = _line(relation, key) if key else None
    if line is None:
        line = Line(key, at_ms)
        relation.lines.append(line)
    if plan.does == "add":
        added = quantity or 0
        line.at_ms = min(line.at_ms, at_ms) if line.added else at_ms
        line.added = max(line.added, added)
        if key in kept.groups:
            line.taken = ALL
    elif quantity is None or line.taken == ALL:
        line.taken = ALL
    else:
        line.taken += quantity


def _fill_group(plan: FillPlan, kept: Kept, key: str, at_ms: int) -> None:
    """Something happened to everything with the key, also to what arrives later."""
    group = Line(key, at_ms, taken=ALL if plan.relationship.counted else 0)
    group.status, group.ended = plan.status, plan.does == "end"
    known = kept.groups.get(key)
    if known is None or _rank(known) < _rank(group):
        kept.groups[key] = group
    _settle_groups(kept, plan.relationship)


def _settle_groups(kept: Kept, plan: RelationshipPlan) -> None:
    for relation in kept.objects.values():
        for line in [line for line in relation.lines if line.key and line.key in kept.groups]:
            if plan.counted:
                line.taken = ALL
            else:
                _set_status(relation, kept.groups[line.key])


def _set_status(relation: Relation, line: Line) -> None:
    known = _line(relation, line.key)
    if known is None:
        relation.lines.append(Line(line.key, line.at_ms, status=line.status, ended=line.ended))
    elif _rank(known) < _rank(line):
        known.at_ms, known.status, known.ended = line.at_ms, line.status, line.ended


def _rank(line: Line) -> tuple[int, bool, str]:
    return line.at_ms, line.ended, line.status


def _line(relation: Relation, key: str) -> Line | None:
    return next((line for line in relation.lines if line.key == key), None)


# -- bounds


def _fold(relation: Relation, plan: RelationshipPlan) -> None:
    if len(relation.lines) <= LINES_MAX:
        return
    relation.lines.sort(key=_in_time)
    while len(relation.lines) > LINES_MAX:
        oldest = relation.lines.pop(0)
        if not plan.counted:
            continue
        if oldest.added:
            relation.folded += 0 if oldest.taken == ALL else max(0.0, oldest.added - oldest.taken)
            relation.folded_at_ms = max(relation.folded_at_ms, oldest.at_ms)
        elif not oldest.key:
            relation.folded = 0 if oldest.taken == ALL else max(0.0, relation.folded - oldest.taken)


def _bound(kept: Kept, plan: RelationshipPlan) -> None:
    """What had nothing happen to it for longest is given up."""
    while len(kept.objects) > plan.keep:
        del kept.objects[min(kept.objects, key=lambda one: (_last_ms(kept.objects[one]), one))]
    while len(kept.groups) > GROUPS_MAX:
        del kept.groups[min(kept.groups, key=lambda key: (kept.groups[key].at_ms, key))]


def _last_ms(relation: Relation) -> int:
    return max((line.at_ms for line in relation.lines), default=relation.folded_at_ms)


def _in_time(line: Line) -> tuple[int, str, float, float]:
    return line.at_ms, line.key, line.added, line.taken


# -- what it amounts to


def held(relations: Relations, plan: RelationshipPlan) -> Iterator[Held]:
    """The objects of a relationship: counted ones while something is left, others also when they ended."""
    kept = relations.kept.get(plan.path)
    found = [] if kept is None else [_held(plan, one, kept.objects[one]) for one in sorted(kept.objects)]
    present = [one for one in found if one is not None]
    if plan.single:
        present = [max(present, key=lambda one: (one.at_ms, one.id))] if present else []
    yield from present


def _held(plan: RelationshipPlan, object_id: str, relation: Relation) -> Held | None:
    if plan.counted:
        left = amounts(relation)
        if not left:
            return None
        return Held(plan.type, plan.name, object_id, left, "", left[-1].at_ms, ended=False)
    over_ms = max((line.at_ms for line in relation.lines if line.ended and not line.key), default=None)
    going = [
        line
        for line in relation.lines
        if not line.ended and (over_ms is None or line.at_ms > over_ms or not line.key)
    ]
    newest = max(going or relation.lines, key=_rank)
    return Held(plan.type, plan.name, object_id, (), newest.status, newest.at_ms, ended=not going)


def amounts(relation: Relation) -> tuple[Amount, ...]:
    """What is left of a counted relation, in order of time."""
    lines = sorted(relation.lines, key=_in_time)
    left = [[relation.folded_at_ms, relation.folded]] if relation.folded else []
    left += [
        [line.at_ms, max(0.0, line.added - line.taken)]
        for line in lines
        if line.added and line.taken != ALL and line.added > line.taken
    ]
    left.sort(key=lambda one: one[0])
    for line in lines:
        if not line.added and not line.key:
            _take_off(left, line)
    return tuple(Amount(int(at_ms), quantity) for at_ms, quantity in left if quantity > 0)


def _take_off(left: list[list[float]], line: Line) -> None:
    """Take back without an order: off the newest before it."""
    rest = float("inf") if line.taken == ALL else line.taken
    for one in reversed(left):
        if one[0] <= line.at_ms and rest > 0:
            off = min(one[1], rest)
            one[1] -= off
            rest -= off


# -- two subjects that are one


def merge_relations(mine: Relations, theirs: Relations, plans: Mapping[str, RelationshipPlan]) -> Relations:
    """One row of what both have, as if all events had been theirs; ``plans`` by path.

    Relationships that the plan has no more are kept from ``mine`` alone. What is followed is ``mine``'s: who
    stores the row sees to the rest.
    """
    kept = dict(mine.kept)
    for path, other in theirs.kept.items():
        plan = plans.get(path)
        if plan is not None:
            kept[path] = _merge_kept(kept.get(path, Kept()), other, plan)
    return Relations(kept, mine.followed)


def _merge_kept(mine: Kept, theirs: Kept, plan: RelationshipPlan) -> Kept:
    groups = dict(mine.groups)
    for key, group in theirs.groups.items():
        if key not in groups or _rank(groups[key]) < _rank(group):
            groups[key] = group
    objects = dict(mine.objects)
    for object_id, relation in theirs.objects.items():
        objects[object_id] = _merge_relation(objects.get(object_id, Relation()), relation, plan)
    kept = Kept(objects, groups)
    _settle_groups(kept, plan)
    for relation in objects.values():
        _fold(relation, plan)
    _bound(kept, plan)
    return kept


def _merge_relation(mine: Relation, theirs: Relation, plan: RelationshipPlan) -> Relation:
    one = Relation(
        [msgspec.structs.replace(line) for line in mine.lines],
        mine.folded + theirs.folded,
        max(mine.folded_at_ms, theirs.folded_at_ms),
    )
    for line in theirs.lines:
        known = _line(one, line.key) if line.key or not plan.counted else None
        if not plan.counted:
            _set_status(one, line)
        elif known is None:
            one.lines.append(msgspec.structs.replace(line))
        else:
            known.at_ms = _first_ms(known, line)
            known.taken = ALL if ALL in (known.taken, line.taken) else known.taken + line.taken
            known.added = max(known.added, line.added)
    return one


def _first_ms(mine: Line, theirs: Line) -> int:
    """When an order was placed: lines without it only know when something was taken back."""
    dated = [line.at_ms for line in (mine, theirs) if line.added]
    return min(dated) if dated else mine.at_ms


# -- reading events


def _first(getters: Iterable[Getter], values: Mapping[str, Any]) -> Any:
    return next((value for get in getters if (value := get(values)) is not None), None)


def _text(value: Any) -> str:
    """An id as text; "" where it is none that can be kept."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and 0 < len(value.encode()) <= ID_MAX_BYTES else ""
