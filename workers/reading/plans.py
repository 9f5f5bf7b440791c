"""What the commands of ``brimful plan`` make of a stream: a proposal, violations, counts per hour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas import wire
from workers.core.tracking.health import HOUR_MS, Source, observe
from workers.core.tracking.inference import StreamSeen
from workers.core.tracking.plan import WITH_TRAITS, library_of, producer_of

if TYPE_CHECKING:
    from schemas.wire import ProductEvent
    from workers.core.tracking.health import Counts
    from workers.core.tracking.plan import TrackingPlanChecks
    from workers.core.tracking.rules import Violation
    from workers.reading.events import Events
    from workers.reading.topics import Found

MAX_LINES: Final = 10_000
"""Different violations, and different sources of counts, that are kept apart; more go under one name."""

MORE: Final = "(more)"


@dataclass(slots=True)
class ViolationLine:
    """One rule that events of one producer break at one property: how often, and where first."""

    event: str
    producer: str
    rule: str
    property: str
    detail: str
    dead_letter: bool
    first: str
    count: int = 0


@dataclass(slots=True)
class CheckReport:
    """What a stream breaks of a plan."""

    events: int = 0
    violating: int = 0
    """Events that break something."""
    refused: int = 0
    """Events of these that the plan wants dead-lettered."""
    deprecated: dict[str, int] = field(default_factory=dict)
    """Events that the plan calls deprecated, by name."""
    lines: dict[tuple[str, str, str, str], ViolationLine] = field(default_factory=dict)

    def add(self, event: str, producer: str, found: Found, violations: tuple[Violation, ...]) -> None:
        """Take in what one event breaks."""
        self.violating += 1
        self.refused += any(violation.dead_letter for violation in violations)
        for violation in violations:
            key = (event, producer, violation.rule, violation.property)
            if key not in self.lines and len(self.lines) >= MAX_LINES:
                key = (MORE, MORE, violation.rule, "")
            line = self.lines.get(key)
            if line is None:
                line = self.lines[key] = ViolationLine(
                    *key, violation.detail, violation.dead_letter, found.place
                )
            line.count += 1

    def sorted(self) -> list[ViolationLine]:
        """The lines by event and producer, the most frequent first."""
        return sorted(
            self.lines.values(),
            key=lambda line: (line.event, line.producer, -line.count, line.rule, line.property),
        )


def named(event: ProductEvent) -> str:
    """The name of a track event; of another call its type, marked as one."""
    return (event.event or "") if event.type == "track" else f"({event.type})"


def infer(events: Events) -> tuple[StreamSeen, tuple[int, int] | None]:
    """What was seen of a stream, and the times of its earliest and latest event (ms)."""
    seen = StreamSeen()
    first_ms = last_ms = None
    for _, event in events:
        at_ms = wire.at_ms(event)
        first_ms = at_ms if first_ms is None else min(first_ms, at_ms)
        last_ms = at_ms if last_ms is None else max(last_ms, at_ms)
        if event.type == "alias":
            continue
        fields = seen.event(event.event or "") if event.type == "track" else seen.call(event.type)
        if fields is not None:
            fields.observe(_values(event), wire.subject(event))
    return seen, None if first_ms is None or last_ms is None else (first_ms, last_ms)


def check(events: Events, checks: TrackingPlanChecks) -> CheckReport:
    """What a stream breaks of a plan."""
    report = CheckReport()
    for found, event in events:
        report.events += 1
        name = named(event)
        if event.type == "track" and name in checks.deprecated:
            report.deprecated[name] = report.deprecated.get(name, 0) + 1
        violations = checks.check_event(event)
        if violations:
            report.add(name, producer_of(found.value), found, violations)
    return report


def count(events: Events, until_ms: int | None) -> tuple[Counts, int]:
    """Counts per hour by event and producer, and the time of the latest event (ms), 0 without any.

    Producers are taken without their version: a new version of one is no other producer. What is dated after
    ``until_ms``, None for no end, is left out: it had not happened, or a clock is off.
    """
    counts: Counts = {}
    last_ms = 0
    for found, event in events:
        at_ms = wire.at_ms(event)
        if event.type == "alias" or (until_ms is not None and at_ms > until_ms):
            continue
        last_ms = max(last_ms, at_ms)
        producer = library_of(found.value)[0]
        is_call = event.type != "track"
        source = Source(event.type if is_call else event.event or "", is_call, producer)
        if source not in counts and len(counts) >= MAX_LINES:
            source = Source(MORE, is_call=False, producer=MORE)
        values = _values(event)
        filled = [name for name, value in values.items() if value is not None]
        nulls = [name for name, value in values.items() if value is None]
        observe(counts, source, at_ms, filled, nulls)
    return counts, last_ms


def end_of_hour_ms(at_ms: int) -> int:
    """The last instant of the hour of a time."""
    return at_ms - at_ms % HOUR_MS + HOUR_MS - 1


def _values(event: ProductEvent) -> dict[str, Any]:
    """The properties, or the traits of an identify or group call; those that cannot be read count as none."""
    try:
        return wire.values(event.traits if event.type in WITH_TRAITS else event.properties)
    except msgspec.DecodeError:
        return {}
