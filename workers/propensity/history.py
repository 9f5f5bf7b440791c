"""The event history by subject: what was done when, by whom, and which traits held from when on.

Everything is kept with its event time, and every question names a cut: the answer is made of what happened
strictly before it. That is the whole defence against leakage, so it stands here once, in :class:`Record`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from sys import intern
from typing import TYPE_CHECKING, Any, Final

from xxhash import xxh3_64_intdigest

from schemas.wire import ABSENT, account, at_ms, problem, subject, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.fields import SubjectType
    from schemas.wire import ProductEvent

USAGE_PROPERTY: Final = "usage_percentage"
"""The property by which a product's own limit events say how much of a limit is used, in percent."""

TRAIT_PREFIX: Final = "trait:"
"""Before the name of a trait whose change is the target."""

OWN_PREFIX: Final = "upgrade_propensity"
"""Traits that scoring writes; never a feature, or the model would feed on itself."""


@dataclass(slots=True)
class Record:
    """One subject's history, sorted by time.

    ``times`` are those of each event by its name, ``all_times`` of all of them, ``actors`` who did each:
    indexes into ``people``, in the order in which they were first seen. ``traits`` are the changes.
    """

    times: dict[str, array[int]] = field(default_factory=dict)
    all_times: array[int] = field(default_factory=lambda: array("q"))
    actors: array[int] = field(default_factory=lambda: array("q"))
    usage_times: array[int] = field(default_factory=lambda: array("q"))
    usage_ratios: array[float] = field(default_factory=lambda: array("d"))
    traits: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    people: list[str] = field(default_factory=list)

    def first_ms(self) -> int | None:
        """When the subject first did something; None where it never did."""
        return self.all_times[0] if self.all_times else None

    def targets(self, target: str) -> array[int]:
        """When the target happened: an event's name, or ``trait:NAME`` for a change of a known value."""
        if not target.startswith(TRAIT_PREFIX):
            return self.times.get(target, array("q"))
        name = target.removeprefix(TRAIT_PREFIX)
        values_at = [(when_ms, traits[name]) for when_ms, traits in self.traits if name in traits]
        pairs = pairwise(values_at)
        return array("q", [at for (_, was), (at, now) in pairs if was is not None and now is not None])

    def last_actor(self, cut_ms: int) -> str | None:
        """Who last did something before the cut."""
        found = bisect_left(self.all_times, cut_ms)
        return self.people[self.actors[found - 1]] if found else None

    def count(self, name: str, from_ms: int, cut_ms: int) -> int:
        """How often ``name`` happened in ``[from_ms, cut_ms)``."""
        held = self.times.get(name)
        return 0 if held is None else bisect_left(held, cut_ms) - bisect_left(held, from_ms)

    def span(self, from_ms: int, cut_ms: int) -> slice:
        """The part of ``all_times`` and ``actors`` in ``[from_ms, cut_ms)``."""
        return slice(bisect_left(self.all_times, from_ms), bisect_left(self.all_times, cut_ms))

    def usage(self, from_ms: int, cut_ms: int) -> float | None:
        """The highest usage ratio that was reported in ``[from_ms, cut_ms)``; None without a report."""
        found = slice(bisect_left(self.usage_times, from_ms), bisect_left(self.usage_times, cut_ms))
        return max(self.usage_ratios[found], default=None)

    def traits_before(self, cut_ms: int) -> dict[str, Any]:
        """The traits as they stood just before the cut; a null took a trait away."""
        held: dict[str, Any] = {}
        for when_ms, traits in self.traits:
            if when_ms >= cut_ms:
                break
            held.update(traits)
        return {name: value for name, value in held.items() if value is not None}


@dataclass(frozen=True, slots=True)
class History:
    """All subjects of one kind; the events cover ``[start_ms, end_ms)``. ``left_out`` counts by reason."""

    subject: SubjectType
    records: Mapping[str, Record]
    start_ms: int
    end_ms: int
    left_out: Mapping[str, int]


def read_history(events: Iterable[ProductEvent], subject_type: SubjectType) -> History:
    """The history of all subjects of a kind, from events in any order; repeated message ids count once.

    An account's event is one with ``context.groupId``, or of a user whose last group call, in the order of
    the events, named the account. Aliases are not followed: an event counts for the id that it carries.
    """
    builders: dict[str, _Builder] = defaultdict(_Builder)
    accounts: dict[str, str] = {}
    left_out: dict[str, int] = defaultdict(int)
    first_ms, last_ms = None, None
    for event in events:
        if problem(event) is not None:
            left_out["invalid"] += 1
            continue
        person = subject(event)
        group = account(event)
        if group is not None:
            accounts[person] = group
        key = person if subject_type == "user" else group or accounts.get(person)
        if key is None:
            left_out["without account"] += 1
            continue
        when_ms = at_ms(event)
        first_ms = when_ms if first_ms is None else min(first_ms, when_ms)
        last_ms = when_ms if last_ms is None else max(last_ms, when_ms)
        builders[key].add(event, when_ms, person, "identify" if subject_type == "user" else "group")
    records = {key: builder.build() for key, builder in sorted(builders.items())}
    left_out["repeated"] += sum(builder.repeated for builder in builders.values())
    return History(
        subject_type, records, first_ms or 0, 0 if last_ms is None else last_ms + 1, dict(left_out)
    )


class _Builder:
    """Collects one subject's events in compact columns."""

    def __init__(self) -> None:
        self._times = array("q")
        self._digests = array("Q")
        self._names: list[str] = []
        self._people: list[str] = []
        self._usage: dict[int, float] = {}
        self._traits: list[tuple[int, dict[str, Any]]] = []
        self.repeated = 0

    def add(self, event: ProductEvent, when_ms: int, person: str, traits_of: str) -> None:
        digest = xxh3_64_intdigest(event.message_id.encode())
        if event.type == traits_of and event.traits is not ABSENT:
            self._traits.append((when_ms, _own_traits(values(event.traits), traits_of)))
        if event.type not in {"track", "page", "screen"}:
            return
        if event.properties is not ABSENT and USAGE_PROPERTY.encode() in bytes(event.properties):
            percent = values(event.properties).get(USAGE_PROPERTY)
            if isinstance(percent, (int, float)) and not isinstance(percent, bool):
                self._usage[digest] = float(percent) / 100
        self._times.append(when_ms)
        self._digests.append(digest)
        self._names.append(intern(event.event if event.type == "track" and event.event else event.type))
        self._people.append(intern(person))

    def build(self) -> Record:
        """The record; the order in which events came leaves no trace in it."""
        record = Record()
        order = sorted(range(len(self._times)), key=lambda index: (self._times[index], self._digests[index]))
        seen: set[int] = set()
        numbers: dict[str, int] = {}
        for index in order:
            digest, when_ms, name = self._digests[index], self._times[index], self._names[index]
            if digest in seen:
                self.repeated += 1
                continue
            seen.add(digest)
            record.times.setdefault(name, array("q")).append(when_ms)
            record.all_times.append(when_ms)
            record.actors.append(numbers.setdefault(self._people[index], len(numbers)))
            if digest in self._usage:
                record.usage_times.append(when_ms)
                record.usage_ratios.append(self._usage[digest])
        record.people = list(numbers)
        record.traits = _changes(self._traits)
        return record


def _changes(traits: list[tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, Any]]]:
    """Only what each call changed; calls of the same millisecond keep the order in which they came."""
    held: dict[str, Any] = {}
    changes: list[tuple[int, dict[str, Any]]] = []
    for when_ms, sent in sorted(traits, key=lambda call: call[0]):
        changed = {name: value for name, value in sent.items() if name not in held or held[name] != value}
        if changed:
            held |= changed
            changes.append((when_ms, changed))
    return changes


def _own_traits(traits: dict[str, Any], traits_of: str) -> dict[str, Any]:
    """A group call's ``role`` is its member's, not the account's; what scoring wrote is left out."""
    return {
        name: value
        for name, value in traits.items()
        if not name.startswith(OWN_PREFIX) and not (name == "role" and traits_of == "group")
    }
