"""Whether an event is as the tracking plan says, and if not, in what.

A plan is compiled once. The usual good event is decoded by msgspec straight into the shape that the plan asks
for (:mod:`workers.core.tracking.shapes`), which builds no dictionary; only what that refuses is decoded in
full and looked at rule by rule. Where no shape can say what the plan says, every event is looked at so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from schemas import wire
from workers.core.tracking.rules import MAX_VIOLATIONS, Rule, Violation, compile_object
from workers.core.tracking.shapes import compile_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.fields import EventType
    from schemas.wire import ProductEvent
    from schemas.workspace.tracking_plan import OnUnknown, PlannedEvent, PlannedTraits, TrackingPlan

UNKNOWN_PRODUCER: Final = "unknown"
"""The producer of an event that names none."""

MAX_PRODUCER_CHARS: Final = 80
MAX_SHOWN: Final = 5
"""Violations that a sentence names; a dead letter is read by people."""

WITH_TRAITS: Final = frozenset({"identify", "group"})
"""Calls of which the plan describes the traits; of all others it describes the properties."""

Check: TypeAlias = "Callable[[msgspec.Raw], tuple[Violation, ...]]"
Part: TypeAlias = Literal["properties", "traits"]


class TrackingPlanChecks:
    """A compiled plan."""

    __slots__ = ("_calls", "_tracks", "_unknown", "deprecated")

    def __init__(self, plan: TrackingPlan) -> None:
        self._tracks: dict[str, Check | None] = {
            name: _compile_planned(planned, plan) for name, planned in plan.events.items()
        }
        self._calls: dict[str, Check | None] = {
            call: _compile_planned(planned, plan) for call, planned in plan.calls().items()
        }
        self._unknown = _compile_unknown(plan.unknown_events)
        self.deprecated = frozenset(name for name, planned in plan.events.items() if planned.deprecated)
        """Names of the track events that no producer should send any more."""

    def check(
        self, event_type: EventType, name: str | None, values: msgspec.Raw = wire.ABSENT
    ) -> tuple[Violation, ...]:
        """What an event breaks, once for each rule and property; ``()`` for a good one.

        ``name`` is that of a track event. ``values`` are the undecoded traits of an identify or group call
        (:data:`WITH_TRAITS`), the undecoded properties of all others.
        """
        if event_type == "track":
            found = self._tracks.get(name or "", self._unknown)
        else:
            found = self._calls.get(event_type)
        return () if found is None else found(values)

    def check_event(self, event: ProductEvent) -> tuple[Violation, ...]:
        """:meth:`check` of a decoded event."""
        event_type = event.type
        if event_type == "track":
            found = self._tracks.get(event.event or "", self._unknown)
            return () if found is None else found(event.properties)
        found = self._calls.get(event_type)
        if found is None:
            return ()
        return found(event.traits if event_type in WITH_TRAITS else event.properties)


def compile_tracking_plan(plan: TrackingPlan) -> TrackingPlanChecks:
    """The checks of a plan."""
    return TrackingPlanChecks(plan)


def is_refused(violations: Sequence[Violation]) -> bool:
    """Whether an event with these violations is to be dead-lettered."""
    return any(violation.dead_letter for violation in violations)


def sentence(violations: Sequence[Violation]) -> str:
    """What is wrong, for the detail of a dead letter: names and types, never a value."""
    shown = "; ".join(violation.detail for violation in violations[:MAX_SHOWN])
    more = len(violations) - MAX_SHOWN
    return f"against the tracking plan: {shown}" + (f"; and {more} more" if more > 0 else "")


class _Library(msgspec.Struct, gc=False):
    name: str | None = None
    version: str | None = None


class _Context(msgspec.Struct, gc=False):
    library: _Library | None = None


class _Origin(msgspec.Struct, gc=False):
    context: _Context | None = None


_decode_origin: Final = msgspec.json.Decoder(_Origin).decode


def library_of(payload: bytes) -> tuple[str, str]:
    """Name and version of the library that sent an event: ``context.library``.

    The name is :data:`UNKNOWN_PRODUCER`, the version empty, where the event does not say. ``payload`` is the
    whole record: it is decoded here, for the few events that break the plan, and not for all.
    """
    try:
        context = _decode_origin(payload).context
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNKNOWN_PRODUCER, ""
    library = context.library if context is not None else None
    if library is None or not library.name:
        return UNKNOWN_PRODUCER, ""
    return library.name[:MAX_PRODUCER_CHARS], (library.version or "")[:MAX_PRODUCER_CHARS]


def producer_of(payload: bytes) -> str:
    """The producer of an event as ``name/version``, or the name alone; see :func:`library_of`."""
    name, version = library_of(payload)
    return f"{name}/{version}" if version else name


@dataclass(frozen=True, slots=True)
class _PlannedCheck:
    """One planned event: accepted by its shape, else looked at rule by rule."""

    part: Part
    accept: Callable[[Any], Any] | None
    inspect: Callable[[dict[str, Any]], list[Violation]]
    absent: tuple[Violation, ...]
    dead_letter: bool

    def __call__(self, values: msgspec.Raw) -> tuple[Violation, ...]:
        if values is wire.ABSENT:
            return self.absent
        if self.accept is not None:
            try:
                self.accept(values)
            except (msgspec.DecodeError, RecursionError):
                pass
            else:
                return ()
        try:
            decoded = wire.values(values)
        except (msgspec.DecodeError, RecursionError) as error:
            detail = f"{self.part} cannot be read: {error}"
            return (Violation("type_mismatch", "", detail, self.dead_letter),)
        return tuple(self.inspect(decoded)[:MAX_VIOLATIONS])


def _compile_planned(planned: PlannedEvent | PlannedTraits, plan: TrackingPlan) -> Check | None:
    """The check of one planned event; None where the plan says nothing that could be broken."""
    rules = plan.rules(planned)
    unknown = planned.unknown_properties or plan.unknown_properties
    if unknown == "allow" and not rules:
        return None
    dead_letter = (planned.on_violation or plan.on_violation) == "dead_letter"
    part: Part = "traits" if hasattr(planned, "traits") else "properties"
    inspect = compile_object(rules, part, dead_letter=dead_letter, unknown=unknown)
    return _PlannedCheck(
        part=part,
        accept=compile_shape(rules, closed=unknown != "allow"),
        inspect=inspect,
        absent=tuple(inspect({})),
        dead_letter=dead_letter,
    )


def _compile_unknown(unknown: OnUnknown) -> Check | None:
    """What becomes of a track event that is not planned."""
    if unknown == "allow":
        return None
    rule: Rule = "unknown_event"
    found = (Violation(rule, "", "the event is not in the plan", unknown == "dead_letter"),)
    return lambda _: found
