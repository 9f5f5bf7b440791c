"""A tracking plan proposed from events: types as seen, required where always there, enums of few values.

What is proposed accepts every event that it was inferred from. Values go into the proposal only as an enum,
and only where each of them was seen of at least :data:`ENUM_PEOPLE` people, under a name that does not sound
like personal data: a plan is a file that many read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from schemas.workspace.tracking_plan import MAX_DEPTH, MAX_EVENTS, MAX_PROPERTIES, is_moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schemas.workspace.tracking_plan import PropertyType

ENUM_VALUES: Final = 12
"""Most values of an enum; a property with more is open."""

ENUM_VALUES_MIN: Final = 2
"""A property that had one value so far is no enum: the second one will come."""

ENUM_PEOPLE: Final = 3
"""People of whom a value must have been seen before it may stand in a plan."""

ENUM_SAMPLES_PER_VALUE: Final = 5
"""Occurrences for each value: few values among few samples prove nothing."""

ENUM_CHARS: Final = 60
OPEN_FIELDS: Final = 50
"""An object with more different fields is keyed by data, such as ids: its fields are no properties."""

_PERSONAL: Final = re.compile(
    r"name|mail|phone|mobile|address|street|city|zip|postal|postcode|birth|gender|(?:^|_)age$|(?:^|_)ip$|ssn|passport|"
    r"latitude|longitude|geo|token|secret|password|key$|iban|card",
    re.IGNORECASE,
)
_MAYBE_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")


@dataclass(slots=True)
class ValueSeen:
    """What was seen of one property, null included in ``count``."""

    count: int = 0
    nulls: int = 0
    kinds: set[PropertyType] = field(default_factory=set)
    people_of: dict[str, set[str]] | None = field(default_factory=dict)
    """Texts, each with some of the people it was seen of; None where there are too many."""
    fields: FieldsSeen | None = None
    items: ValueSeen | None = None

    def observe(self, value: Any, person: str, depth: int = 1) -> None:
        """Take in one value that ``person`` sent."""
        self.count += 1
        if value is None:
            self.nulls += 1
        elif isinstance(value, str):
            moment = _MAYBE_MOMENT.match(value) is not None and is_moment(value)
            self.kinds.add("date-time" if moment else "string")
            self._text(value, person)
        elif isinstance(value, bool):
            self.kinds.add("boolean")
        elif isinstance(value, int):
            self.kinds.add("integer")
        elif isinstance(value, float):
            self.kinds.add("number")
        elif isinstance(value, dict):
            self.kinds.add("object")
            if depth < MAX_DEPTH:
                self.fields = self.fields or FieldsSeen()
                self.fields.observe(value, person, depth + 1)
        else:
            self.kinds.add("array")
            if depth < MAX_DEPTH:
                self.items = self.items or ValueSeen()
                for item in value:
                    self.items.observe(item, person, depth + 1)

    def _text(self, value: str, person: str) -> None:
        known = self.people_of
        if known is None:
            return
        people = known.get(value)
        if people is None:
            if len(known) >= ENUM_VALUES or len(value) > ENUM_CHARS:
                self.people_of = None
                return
            people = known[value] = set()
        if len(people) < ENUM_PEOPLE:
            people.add(person)


@dataclass(slots=True)
class FieldsSeen:
    """What was seen of the properties of an event, or of the fields of an object."""

    count: int = 0
    by_name: dict[str, ValueSeen] = field(default_factory=dict)
    left_out: int = 0
    """Values of properties that were one too many, or whose name is no name."""

    def observe(self, values: Mapping[str, Any], person: str, depth: int = 1) -> None:
        """Take in the properties of one event."""
        self.count += 1
        by_name = self.by_name
        for name, value in values.items():
            seen = by_name.get(name)
            if seen is None:
                if len(by_name) >= MAX_PROPERTIES or not 0 < len(name) <= 200:  # noqa: PLR2004  as the model
                    self.left_out += 1
                    continue
                seen = by_name[name] = ValueSeen()
            seen.observe(value, person, depth)


@dataclass(slots=True)
class StreamSeen:
    """What was seen of a stream: track events by name, other calls by type."""

    events: dict[str, FieldsSeen] = field(default_factory=dict)
    calls: dict[str, FieldsSeen] = field(default_factory=dict)
    left_out: int = 0
    """Events of names beyond what a plan may hold."""

    def event(self, name: str) -> FieldsSeen | None:
        """Where to note a track event; None where there are too many names."""
        found = self.events.get(name)
        if found is None:
            if len(self.events) >= MAX_EVENTS or not 0 < len(name) <= 200:  # noqa: PLR2004  as the model
                self.left_out += 1
                return None
            found = self.events[name] = FieldsSeen()
        return found

    def call(self, event_type: str) -> FieldsSeen:
        """Where to note another call."""
        return self.calls.setdefault(event_type, FieldsSeen())


@dataclass(frozen=True, slots=True)
class Proposed:
    """One property of a proposal: its rules as a plan writes them, and in how many of how many it was."""

    name: str
    rules: dict[str, Any]
    present: int
    of: int
    nulls: int
    fields: tuple[Proposed, ...] = ()


def propose(seen: FieldsSeen, samples: int) -> tuple[Proposed, ...]:
    """The properties of an event or object, in the order of first sight.

    ``samples``: so many must have been seen before a property that is always there is required, or a property
    with few values has an enum.
    """
    return tuple(_property(name, value, seen.count, samples) for name, value in seen.by_name.items())


def _property(name: str, seen: ValueSeen, of: int, samples: int) -> Proposed:
    rules, fields = _rules(name, seen, samples)
    if seen.count == of >= samples:
        rules = {**rules, "required": True}
    if seen.nulls:
        rules = {**rules, "nullable": True}
    return Proposed(name, rules, seen.count, of, seen.nulls, fields)


def _rules(name: str, seen: ValueSeen, samples: int) -> tuple[dict[str, Any], tuple[Proposed, ...]]:
    rules: dict[str, Any] = {}
    fields: tuple[Proposed, ...] = ()
    kinds = sorted(_kinds(seen.kinds))
    if kinds:
        rules["type"] = kinds[0] if len(kinds) == 1 else kinds
    if kinds == ["string"] and (values := _enum(name, seen, samples)):
        rules["enum"] = values
    if seen.items is not None and seen.items.count:
        inner, inner_fields = _rules(name, seen.items, samples)
        if seen.items.nulls:
            inner = {**inner, "nullable": True}
        if inner_fields:
            inner = {**inner, "properties": _plain(inner_fields)}
        if inner:
            rules["items"] = inner
    if seen.fields is not None and 0 < len(seen.fields.by_name) <= OPEN_FIELDS:
        fields = propose(seen.fields, samples)
    return rules, fields


def _kinds(kinds: set[PropertyType]) -> Iterator[PropertyType]:
    """A type that another one contains is not named beside it."""
    for kind in kinds:
        wider = {"integer": "number", "date-time": "string"}.get(kind)
        if wider not in kinds:
            yield kind


def _enum(name: str, seen: ValueSeen, samples: int) -> list[str] | None:
    known, texts = seen.people_of, seen.count - seen.nulls
    if (
        known is None
        or len(known) < ENUM_VALUES_MIN
        or _PERSONAL.search(name)
        or texts < max(samples, ENUM_SAMPLES_PER_VALUE * len(known))
    ):
        return None
    if any(len(people) < ENUM_PEOPLE for people in known.values()):
        return None
    return sorted(known)


def _plain(fields: tuple[Proposed, ...]) -> dict[str, Any]:
    """Properties as a plan writes them, without what was counted."""
    return {
        one.name: one.rules | ({"properties": _plain(one.fields)} if one.fields else {}) for one in fields
    }
