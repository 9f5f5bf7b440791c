"""What checks look at: the topics of a run and what producers sent, decoded once; no memory of workers."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from struct import Struct
from typing import TYPE_CHECKING, Any

import msgspec

from schemas import wire
from tests.simulation.actions import HOUR, MINUTE, Fault
from tests.simulation.evidence_gate import GateEvidence
from workers.core.compile import compile_workspace
from workers.core.ids import stable_id
from workers.stream.changelog import CLAIM
from workers.stream.partition import SEAL
from workers.stream.partitioner import partition_of
from workers.stream.store import META, POSITION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from schemas.workspace import Journey
    from tests.simulation.world import Run
    from workers.core.plan import Plan
    from workers.simulate.log import Record

APPS = ("brimful-engine", "brimful-senders", "brimful-insights")
_I64 = Struct(">q")

SLACK_MS = 10 * MINUTE
"""Clocks of workers may be this far behind; what is closer to a boundary is judged by no check."""


@dataclass(frozen=True, slots=True)
class Event:
    """A product event as the engine reads it: a record that lies where its subject's state is.

    ``at_ms`` is the producer's. ``applied`` is the order of the end of the transaction that took it in.
    """

    record: Record
    event: wire.ProductEvent
    subject: str
    at_ms: int
    applied: int

    @property
    def name(self) -> str:
        """What journeys call it."""
        return self.event.event or self.event.type


class Evidence:
    """A run, read from outside."""

    def __init__(self, left: Run) -> None:
        self.left = left
        self.scenario = left.scenario
        self.end_ms = left.cluster.loop.now_ms
        self._topics: dict[str, list[tuple[Record, Any]]] = {}
        self._changelogs: dict[str, list[Record]] = {}

    # -- topics

    def of(self, topic: str) -> list[tuple[Record, Any]]:
        """The records of a topic in their order, decoded; None for those without a value."""
        held = self._topics.get(topic)
        if held is None:
            decode = _DECODERS[topic]
            held = self._topics[topic] = [
                (record, None if record.value is None else decode(record.value))
                for record in self.left.log.committed(topic)
            ]
        return held

    @cached_property
    def messages(self) -> list[tuple[Record, wire.Message]]:
        """All messages over all channels, in their order; what takes messages back is none."""
        found = [
            one
            for topic in ("messages.email", "messages.in_app", "messages.webhook")
            for one in self.of(topic)
            if one[1] is not None and one[1].withdrawn is None
        ]
        return sorted(found, key=lambda one: one[0].order)

    def decisions(self, kind: str, *outcomes: str) -> list[tuple[Record, wire.Decision]]:
        """Decisions of a kind, with one of the outcomes where some are named."""
        return [
            (record, decision)
            for record, decision in self.of("decisions")
            if decision.kind == kind and (not outcomes or decision.outcome in outcomes)
        ]

    @cached_property
    def triggers(self) -> dict[str, wire.Trigger]:
        """What led to each enrollment that an eligible record asked for, by the enrollment's id."""
        found = {}
        for _, asked in self.of("scheduler"):
            if isinstance(asked, wire.Eligible):
                parts = (
                    "enrollment",
                    asked.subject_type,
                    asked.subject,
                    asked.journey,
                    asked.trigger.message_id,
                )
                found[stable_id(*parts)] = asked.trigger
        return found

    def key_of(self, decision: wire.Decision) -> str | None:
        """What there is one enrollment of in a journey; ``""`` without a key, None where it is not known."""
        journey = self.journeys.get(decision.journey)
        if journey is None or journey.entry.key is None:
            return None if journey is None else ""
        trigger = self.triggers.get(decision.enrollment or "")
        return None if trigger is None else str(trigger.properties.get("order"))

    @cached_property
    def gate(self) -> GateEvidence:
        """What is known of the messages to people, and of what they may get."""
        return GateEvidence(self)

    # -- transactions and state, from the changelogs

    @cached_property
    def _seals(self) -> dict[int, list[int]]:
        seals: dict[int, list[int]] = defaultdict(list)
        for record in self._changelog("brimful-engine"):
            if record.key == SEAL:
                seals[record.partition].append(record.order)
        return seals

    def _changelog(self, app: str) -> list[Record]:
        held = self._changelogs.get(app)
        if held is None:
            held = self._changelogs[app] = self.left.log.committed(f"{app}-changelog")
        return held

    def changelog(self, app: str, partition: int) -> list[Record]:
        """Every row that was ever committed, in order, with the ends of the transactions."""
        return [record for record in self._changelog(app) if record.partition == partition]

    def end_of(self, record: Record, partition: int | None = None) -> int:
        """The order of the end of the engine's transaction that wrote a record.

        ``partition`` is the engine's; None where the record lies in the one of its subject.
        """
        seals = self._seals[record.partition if partition is None else partition]
        return seals[bisect_left(seals, record.order)]

    @cached_property
    def _applied(self) -> dict[tuple[str, int], list[tuple[int, int]]]:
        """For each topic's partition: up to which offset it was applied (ascending), and by when."""
        found: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        for record in self._changelog("brimful-engine"):
            if (record.key or b"").startswith(POSITION):
                topic = (record.key or b"")[len(POSITION) :].decode()
                end = _I64.unpack(record.value or b"")[0]
                found[topic, record.partition].append((end, self.end_of(record)))
        return found

    def applied(self, record: Record) -> int | None:
        """The order of the end of the engine's transaction that took a record in; None where none did."""
        ends = self._applied[record.topic, record.partition]
        at = bisect_left(ends, (record.offset + 1, 0))
        return ends[at][1] if at < len(ends) else None

    @cached_property
    def _end_times(self) -> dict[int, int]:
        return {one.order: one.timestamp for one in self._changelog("brimful-engine") if one.key == SEAL}

    def end_time(self, order: int) -> int:
        """The true time (ms) of the end of a transaction of the engine."""
        return self._end_times[order]

    def last_account_ms(self, account: str) -> int:
        """When the partition of an account last took in something from its members, by true time."""
        ends = self._applied["account-events", partition_of(account.encode(), self.scenario.partitions)]
        return self.end_time(ends[-1][1]) if ends else 0

    def rows(self, app: str) -> dict[int, dict[bytes, bytes]]:
        """The state of each partition of an application: what its changelog comes to, with markers."""
        rows: dict[int, dict[bytes, bytes]] = defaultdict(dict)
        for record in self._changelog(app):
            key = record.key or b""
            if key in (SEAL, CLAIM):
                continue
            if record.value is None:
                rows[record.partition].pop(key, None)
            else:
                rows[record.partition][key] = record.value
        return rows

    @cached_property
    def engine_rows(self) -> dict[int, dict[bytes, bytes]]:
        """The rows of the engine."""
        return self.rows("brimful-engine")

    def row(self, table: Any, key: str) -> Any:
        """A row of the engine, decoded; None where there is none."""
        raw = key.encode()
        stored = self.engine_rows[partition_of(raw, self.scenario.partitions)].get(table.key(raw))
        return None if stored is None else table.decode(stored)

    # -- what was sent

    @cached_property
    def events(self) -> list[Event]:
        """The product events that can be used and lie where they belong, each id once, in their order."""
        found: dict[tuple[str, str], Event] = {}
        for record in self.left.log.committed("product-events"):
            event = _event(record.value)
            if event is None:
                continue
            key = wire.subject(event).encode()
            placed = record.key == key and record.partition == partition_of(key, self.scenario.partitions)
            applied = self.applied(record)
            if placed and applied is not None and (key.decode(), event.message_id) not in found:
                taken = Event(record, event, key.decode(), wire.at_ms(event), applied)
                found[key.decode(), event.message_id] = taken
        return list(found.values())

    def events_of(self, subject: str) -> list[Event]:
        """Those of one id, in the order in which they were taken in."""
        return self._by_subject[subject]

    @cached_property
    def _by_subject(self) -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = defaultdict(list)
        for event in sorted(self.events, key=lambda one: (one.applied, one.record.offset)):
            found[event.subject].append(event)
        return found

    @cached_property
    def repeats(self) -> Counter[tuple[str, str]]:
        """How often a subject's event was sent again, by subject and message id."""
        events = (_event(action.value) for action, _ in self.left.sent if action.note == "again")
        return Counter((wire.subject(event), event.message_id) for event in events if event is not None)

    @cached_property
    def entangled(self) -> frozenset[str]:
        """Ids that were erased, or said to be someone else's: simple models do not fit them."""
        found: set[str] = set()
        for action, _ in self.left.sent:
            event = _event(action.value) if action.topic == "product-events" else None
            if event is not None and event.type == "alias":
                found |= {event.user_id or "", event.previous_id or ""}
            elif event is not None and event.user_id and event.anonymous_id:
                found |= {event.user_id, event.anonymous_id}
        return frozenset(found | self.erased)

    @cached_property
    def erased(self) -> frozenset[str]:
        """Ids that were erased, with those that came into them."""
        return frozenset(one.subject for _, one in self.of("identity") if isinstance(one, wire.PersonErased))

    @cached_property
    def persons(self) -> dict[str, str]:
        """For each id that was said to be someone else's, one id that stands for all of the person's."""
        group: dict[str, set[str]] = {}
        for action, _ in self.left.sent:
            event = _event(action.value) if action.topic == "product-events" else None
            if event is None:
                continue
            other = (
                event.previous_id if event.type == "alias" else event.anonymous_id if event.user_id else None
            )
            if other and event.user_id:
                joined = group.get(other, {other}) | group.get(event.user_id, {event.user_id})
                group.update(dict.fromkeys(joined, joined))
        return {one: min(joined) for one, joined in group.items()}

    # -- workspaces

    @cached_property
    def stable(self) -> dict[str, Journey]:
        """The journeys that every workspace of the run has just so."""
        first, *others = (
            {journey.journey: journey for journey in loaded.workspace.journeys}
            for loaded in self.scenario.versions.loaded
        )
        return {name: one for name, one in first.items() if all(other.get(name) == one for other in others)}

    @cached_property
    def plans(self) -> list[Plan]:
        """The workspaces, compiled."""
        return [compile_workspace(loaded.workspace) for loaded in self.scenario.versions.loaded]

    @cached_property
    def journeys(self) -> dict[str, Journey]:
        """The journeys of all workspaces; edits change their steps alone."""
        return {
            one.journey: one for loaded in self.scenario.versions.loaded for one in loaded.workspace.journeys
        }

    @property
    def edited(self) -> bool:
        """Whether there was more than one workspace."""
        return len(self.scenario.versions.loaded) > 1

    @property
    def disturbed(self) -> bool:
        """Whether anything went wrong, or was done to the workers."""
        return any(isinstance(action, Fault) for action in self.scenario.actions)

    @property
    def long_stall(self) -> bool:
        """Whether the workers stood still so long that repeated events may have been counted anew."""
        return self.scenario.stalls_ms > 8 * HOUR


def _event(value: bytes | None) -> wire.ProductEvent | None:
    """A usable product event, or None."""
    try:
        event = wire.decode_product_event(value or b"")
    except msgspec.DecodeError:
        return None
    return event if wire.problem(event) is None else None


_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "decisions": wire.decode_decision,
    "deliveries": wire.decode_delivery,
    "conversions": wire.decode_conversion,
    "messages.email": wire.decode_message,
    "messages.in_app": wire.decode_message,
    "messages.webhook": wire.decode_message,
    "scores": wire.decode_score_crossed,
    "scheduler": wire.decode_scheduler,
    "segments": wire.decode_segment_change,
    "identity": wire.decode_identity,
    "feeds": wire.decode_feed,
    "engagement": wire.decode_engagement,
    "dead-letters": wire.decode_dead_letter,
}


def live(rows: dict[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The rows that are no markers."""
    return ((key, row) for key, row in rows.items() if not key.startswith(META))
