"""Subjects and objects inside one partition: who is related to what, and who is to hear of which change.

Each partition knows what definitions read of each object, so a decision reads it without asking anybody, and
knows which of its own subjects follow an object. Both lie in the subject's own partition, so merging and
erasing a person touch no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.core.objects.facts import ObjectFacts
from workers.core.objects.row import Relations, fill, merge_relations, object_key
from workers.state import FOLLOWERS, OBJECTS, TABLES, Follower, ObjectRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.fields import SubjectType
    from workers.core.objects.row import FillPlan
    from workers.shell import EngineParts
    from workers.stream.view import View


def facts_of(kind: SubjectType, key: bytes, view: View, parts: EngineParts) -> ObjectFacts | None:
    """What decisions on a subject may know of objects; None where the workspace has none."""
    if not parts.plan.types.attributes:
        return None
    return _facts(view.table(TABLES[kind].relations).get(key) or Relations(), kind, view, parts)


def relate(
    fills: Iterable[FillPlan],
    properties: Mapping[str, Any],
    at_ms: int,
    kind: SubjectType,
    key: bytes,
    view: View,
    parts: EngineParts,
) -> None:
    """Take in what an event does to a subject's relationships."""
    table = view.table(TABLES[kind].relations)
    relations = table.get(key) or Relations()
    filled = [fill(plan, relations, properties, at_ms) for plan in fills]
    parts.metrics.related("filled", sum(filled))
    parts.metrics.related("unused", len(filled) - sum(filled))
    if any(filled):
        keep(relations, kind, key, view, parts)


def join(theirs: Relations, key: bytes, view: View, parts: EngineParts) -> None:
    """Another id turns out to be this user: what it had is the user's."""
    mine = view.table(TABLES["user"].relations).get(key) or Relations()
    plans = parts.plan.user.objects.relationships
    keep(merge_relations(mine, theirs, plans), "user", key, view, parts)


def leave(kind: SubjectType, key: bytes, view: View) -> int:
    """A subject's rows are to go: it follows nothing any more. How many rows went."""
    relations = view.table(TABLES[kind].relations).get(key)
    for followed in relations.followed if relations is not None else ():
        view.table(FOLLOWERS).delete(follower_key(followed, kind, key))
    return len(relations.followed) if relations is not None else 0


def tidy(kind: SubjectType, key: bytes, view: View, parts: EngineParts) -> None:
    """After other definitions came: what they do not need is forgotten, and what they watch is followed."""
    table = view.table(TABLES[kind].relations)
    relations = table.get(key)
    if relations is None:
        return
    plan = parts.plan.user if kind == "user" else parts.plan.account
    relations.kept = {
        path: kept for path, kept in relations.kept.items() if path in plan.objects.relationships
    }
    keep(relations, kind, key, view, parts)


def keep(relations: Relations, kind: SubjectType, key: bytes, view: View, parts: EngineParts) -> None:
    """Store a subject's relations, and follow what they lead to, no more and no less."""
    table, followers = view.table(TABLES[kind].relations), view.table(FOLLOWERS)
    facts = _facts(relations, kind, view, parts)
    wanted = {object_key(*one): one for one in facts.follows()}
    for gone in relations.followed.keys() - wanted.keys():
        del relations.followed[gone]
        followers.delete(follower_key(gone, kind, key))
    for name in sorted(wanted.keys() - relations.followed.keys()):
        relations.followed[name] = facts.told(*wanted[name])
        followers.put(follower_key(name, kind, key), Follower(kind, key.decode()))
        row = view.table(OBJECTS).get(name.encode()) or ObjectRow()
        if not row.followed:
            row.followed = True
            view.table(OBJECTS).put(name.encode(), row)
    if relations.kept:
        table.put(key, relations)
    else:
        table.delete(key)


def known_of(kind: str, object_id: str, view: View) -> Mapping[str, Any]:
    """What this partition knows of an object."""
    row = view.table(OBJECTS).get(object_key(kind, object_id).encode())
    return {} if row is None else row.attributes


def followers_of(name: str) -> bytes:
    """What the keys of an object's followers begin with. The length keeps ids apart that begin alike."""
    key = name.encode()
    return len(key).to_bytes(2, "big") + key


def follower_key(name: str, kind: SubjectType, key: bytes) -> bytes:
    """The key of a subject among an object's followers."""
    return followers_of(name) + kind[:1].encode() + key


def _facts(relations: Relations, kind: SubjectType, view: View, parts: EngineParts) -> ObjectFacts:
    plan = parts.plan.user if kind == "user" else parts.plan.account

    def known(object_type: str, object_id: str) -> Mapping[str, Any]:
        return known_of(object_type, object_id, view)

    return ObjectFacts(relations, plan.objects, parts.plan.types, known)
