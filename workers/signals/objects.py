"""What objects are like: told on the topic ``objects``, known in every partition, told to who follows them.

The partition of an object's key keeps all that is known of it. When something changes that a definition
reads, it tells every other partition: one bundle for each, per transaction. There the subjects who follow the
object hear of it, :data:`TELL_MAX` in a transaction and the next ones by a timer: so an object with a million
followers neither makes a transaction large nor keeps the others of a partition waiting. When it changes again
meanwhile, the round goes on from where it is and ends there: nobody is left out, and none waits for ever. Who
is told compares with what they knew, so each sees a change once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from schemas import wire
from workers.core.ids import stable_id
from workers.core.journeys.triggers import trigger
from workers.core.objects.row import Relations, object_key
from workers.core.objects.values import declared_values, problem_of
from workers.errors import Refused
from workers.relations import facts_of, followers_of, keep
from workers.shell import Subject
from workers.signals.intake import FUTURE_TOLERANCE_MS
from workers.state import FOLLOWERS, OBJECTS, TABLES, ObjectRow
from workers.stream.decoding import decoded
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workers.core.objects.plan import ChangePlan
    from workers.shell import EngineParts
    from workers.state import Follower
    from workers.stream.batch import TP, Batch
    from workers.stream.store import PartitionStore, Timer
    from workers.stream.view import View

TELL_MAX: Final = 500
"""Followers that are told in one transaction: some 50 ms."""

BUNDLE_MAX: Final = 500
BUNDLE_BYTES_MAX: Final = 500_000
SOURCES_MAX: Final = 64
"""Sources kept of one object: who said something last stays."""

SEEN_MAX: Final = 16
ATTRIBUTES_MAX_BYTES: Final = 16_000
"""What is known of one object, as JSON: enrollments keep it with their trigger, messages carry several."""

_TELLING: Final = b"objects:"
"""Payloads of timers that go on telling followers begin so; those of journeys are msgpack arrays."""


class Told(NamedTuple):
    """One record of ``objects``."""

    record: Any
    told: wire.ObjectAttributes


class ObjectSignals:
    """What one partition does with objects. ``store`` is set when the partition is opened."""

    def __init__(self, partition: int, parts: EngineParts) -> None:
        self._partition = partition
        self._parts = parts
        self._types = parts.plan.types
        self.store: PartitionStore | None = None

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[list[Told], list[bytes]]:
        """The usable records, and their objects' rows."""
        taken: list[Told] = []
        for record, told in decoded(batch, view, wire.decode_object_attributes):
            problem = problem_of(told, self._types)
            if told.at_ms > now_ms + FUTURE_TOLERANCE_MS:
                # Kept as the source's last word it would silence the source until then.
                ahead_s = (told.at_ms - now_ms) // 1000
                view.dead_letter(
                    batch.tp, record, "future", f"at_ms is {ahead_s} s ahead of the engine's clock"
                )
            elif problem is not None:
                view.dead_letter(batch.tp, record, "invalid", problem)
            else:
                taken.append(Told(record, told))
        return taken, [OBJECTS.key(_key(told)) for _, told in taken]

    def apply(self, tp: TP, items: Sequence[Told], view: View, now_ms: int) -> None:
        """Merge what is news; tell all partitions what they need of it."""
        changed: list[wire.ObjectValues] = []
        for record, told in items:
            key = _key(told)
            right = partition_of(key, self._parts.partitions)
            if right != self._partition:
                view.send(tp.topic, key, record.value, right)
                self._parts.metrics.rekeyed("partition")
                continue
            values = self._learn(told, key, view, now_ms)
            if values is not None:
                changed.append(values)
        self.spread(changed, view, now_ms)

    def spread(self, changed: Sequence[wire.ObjectValues], view: View, now_ms: int) -> None:
        """Tell every other partition; the newest of each object only."""
        newest = {(one.object, one.object_id): one for one in changed}
        others = [number for number in range(self._parts.partitions) if number != self._partition]
        for objects in _bundles(list(newest.values())) if others else ():
            first = objects[0]
            name = stable_id("objects", str(now_ms), object_key(first.object, first.object_id))
            record = wire.encode(wire.ObjectsChanged(id=name, objects=objects, at_ms=now_ms))
            for number in others:
                view.send(self._parts.topics("scheduler"), None, record, number)

    def take(self, changed: wire.ObjectsChanged, view: View, now_ms: int) -> None:
        """Another partition tells what objects of its own are like now."""
        for one in changed.objects:
            key = object_key(one.object, one.object_id).encode()
            row = view.table(OBJECTS).get(key) or ObjectRow()
            self._put(one.object, key, row, one.attributes, view, now_ms)

    def _learn(
        self, told: wire.ObjectAttributes, key: bytes, view: View, now_ms: int
    ) -> wire.ObjectValues | None:
        """Merge a statement; what other partitions need of the object, if that changed."""
        row = view.table(OBJECTS).get(key) or ObjectRow()
        if told.id in row.seen:
            self._parts.metrics.object_told("duplicate")
            return None
        row.seen = [*row.seen[1 - SEEN_MAX :], told.id]
        if not _is_news(row, told):
            view.table(OBJECTS).put(key, row)
            self._parts.metrics.object_told("late")
            return None
        said = declared_values(told, self._types)
        attributes = {name: value for name, value in {**row.attributes, **said}.items() if value is not None}
        if len(msgspec.json.encode(attributes)) > ATTRIBUTES_MAX_BYTES:
            raise Refused("too_large", f"an object's attributes take at most {ATTRIBUTES_MAX_BYTES} bytes")
        before = _needed(row.attributes, self._types.needed.get(told.object, ()))
        self._put(told.object, key, row, attributes, view, now_ms)
        self._parts.metrics.object_told("taken")
        after = _needed(attributes, self._types.needed.get(told.object, ()))
        if after == before:
            return None
        return wire.ObjectValues(object=told.object, object_id=told.object_id, attributes=after)

    def values_of(self, kind: str, object_id: str, row: ObjectRow) -> wire.ObjectValues | None:
        """What other partitions need of an object of this one; None: nothing."""
        needed = _needed(row.attributes, self._types.needed.get(kind, ()))
        return wire.ObjectValues(object=kind, object_id=object_id, attributes=needed) if needed else None

    def is_home(self, key: bytes) -> bool:
        """Whether the object is one of this partition."""
        return partition_of(key, self._parts.partitions) == self._partition

    def _put(
        self, kind: str, key: bytes, row: ObjectRow, attributes: dict[str, Any], view: View, now_ms: int
    ) -> None:
        """Store what is known now, and begin to tell followers of what they watch."""
        watched = self._watched(kind)
        changed = _needed(row.attributes, watched) != _needed(attributes, watched)
        row.attributes = attributes
        if changed and row.followed:
            if row.told_from is None:
                row.told_from = followers_of(key.decode())
                view.set_timer(_timer_id(key), now_ms, _TELLING + key)
            else:
                row.told_until, row.told_again = row.told_from, False
        view.table(OBJECTS).put(key, row)

    def _watched(self, kind: str) -> frozenset[str]:
        plan = self._parts.plan
        none: frozenset[str] = frozenset()
        return plan.user.objects.watched.get(kind, none) | plan.account.objects.watched.get(kind, none)

    # -- telling followers

    def fire(self, timers: Iterable[Timer], view: View, now_ms: int) -> None:
        """Tell the next followers of each object."""
        for timer in timers:
            self._tell(timer.payload[len(_TELLING) :], view, now_ms)

    def _tell(self, key: bytes, view: View, now_ms: int) -> None:
        row = view.table(OBJECTS).get(key)
        if row is None or row.told_from is None:
            return
        found = self._next(key, row)
        view.table(OBJECTS).put(key, row)
        if row.told_from is not None:
            view.set_timer(_timer_id(key), now_ms, _TELLING + key)
        for stored_key, _ in found:
            follower = view.table(FOLLOWERS).get(stored_key[1:])
            if follower is not None:
                self._hear(follower, key.decode(), view, now_ms)

    def _next(self, key: bytes, row: ObjectRow) -> list[tuple[bytes, bytes]]:
        """The next followers to tell; where to go on afterwards is noted in the row."""
        assert self.store is not None, "the partition is open"
        assert row.told_from is not None, "somebody is to be told"
        first = followers_of(key.decode())
        found = self.store.scan(FOLLOWERS.prefix + first, FOLLOWERS.prefix + row.told_from, TELL_MAX)
        full = len(found) == TELL_MAX
        until = row.told_until
        if row.told_again and until is not None:
            before = len(found)
            found = [one for one in found if one[0] < FOLLOWERS.prefix + until]
            full = full and len(found) == before
        if full:
            row.told_from = found[-1][0][len(FOLLOWERS.prefix) :] + b"\0"
        elif row.told_again or until in (None, first):
            if not found and row.told_from == first:
                row.followed = False
            row.told_from = row.told_until = None
            row.told_again = False
        else:
            row.told_from, row.told_again = first, True
        return found

    def _hear(self, follower: Follower, name: str, view: View, now_ms: int) -> None:
        """A follower compares with what it knew: entries on the change, and segments."""
        subject = Subject(follower.subject_type, follower.subject.encode(), view, self._parts)
        table = view.table(TABLES[follower.subject_type].relations)
        relations = table.get(subject.key) or Relations()
        if name not in relations.followed:
            return
        kind, _, object_id = name.partition(":")
        facts = facts_of(follower.subject_type, subject.key, view, self._parts)
        assert facts is not None, "who follows objects has a workspace with objects"
        before, now = relations.followed[name], facts.told(kind, object_id)
        if before == now:
            return
        relations.followed[name] = now
        # What it refers to may be another object now.
        keep(relations, follower.subject_type, subject.key, view, self._parts)
        self._parts.metrics.followers_told()
        subject.segments.settle(now_ms, subject.plan.objects.segments)
        for change in subject.plan.objects.changes.get(kind, ()):
            old = before.get(change.attribute)
            if change.fits(old, facts.known(kind, object_id)):
                _enter(change, object_id, old, subject, view, self._parts, now_ms)


def tells(timer: Timer) -> bool:
    """Whether a timer goes on telling an object's followers."""
    return timer.payload.startswith(_TELLING)


def _enter(
    change: ChangePlan,
    object_id: str,
    old: Any,
    subject: Subject,
    view: View,
    parts: EngineParts,
    now_ms: int,
) -> None:
    """Whoever is still related so is a candidate for the journey."""
    plan = change.relationship
    facts = facts_of(subject.kind, subject.key, view, parts)
    assert facts is not None
    related = next((one for one in facts.related(plan.type, plan.name) if one.id == object_id), None)
    if related is None or related.ended:
        return
    journey = subject.plan.journeys[change.journey]
    properties = {
        "object": facts.described(related),
        "relationship": plan.name,
        "changed": change.attribute,
        "old": old,
        "new": facts.known(plan.type, object_id)[change.attribute],
    }
    cause = (subject.kind, subject.id, object_id, str(now_ms))
    came = trigger("object", f"{plan.type} changed", cause, now_ms, properties)
    subject.propose((journey,), came, now_ms)


def _is_news(row: ObjectRow, told: wire.ObjectAttributes) -> bool:
    """Whether it is not older than what its source said last, which it becomes then."""
    last_ms = row.at_ms.pop(told.source, None)
    if last_ms is not None and told.at_ms < last_ms:
        row.at_ms[told.source] = last_ms
        return False
    if len(row.at_ms) >= SOURCES_MAX:
        del row.at_ms[next(iter(row.at_ms))]
    row.at_ms[told.source] = told.at_ms
    return True


def _needed(attributes: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: attributes[name] for name in sorted(names) if name in attributes}


def _bundles(objects: list[wire.ObjectValues]) -> list[list[wire.ObjectValues]]:
    """Objects as records can carry them."""
    if not objects:
        return []
    size = len(msgspec.json.encode(objects))
    if len(objects) == 1 or (len(objects) <= BUNDLE_MAX and size <= BUNDLE_BYTES_MAX):
        return [objects]
    half = len(objects) // 2
    return _bundles(objects[:half]) + _bundles(objects[half:])


def _key(told: wire.ObjectAttributes) -> bytes:
    return object_key(told.object, told.object_id).encode()


def _timer_id(key: bytes) -> bytes:
    return bytes.fromhex(stable_id("objects", key.decode()))
