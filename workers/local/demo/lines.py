"""What a person watching the demo reads: one line per record worth telling, and the counts of all of them.

Pure: records in, text and numbers out. Lines name people and accounts by id, never by address.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workers.local.demo.mapping import DemoEvent

Record = dict[str, Any]

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
LONGEST_LINE = 200  # characters; a record's values are bounded only by the size of a record
CHANNELS = {"email": "e-mail", "in_app": "in-app message", "sms": "SMS", "push": "push", "webhook": "webhook"}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened: when (simulated time), its kind for colour, and what to say."""

    at_ms: int
    kind: str
    text: str


@dataclass(slots=True)
class Tally:
    """Counts over all records that were given to ``add``.

    ``waiting`` holds the enrollments between the decision that let them in and the decision that ended them.
    """

    eligible: int = 0
    converted: int = 0
    revenue: float = 0.0
    sent: Counter[str] = field(default_factory=Counter)
    not_sent: Counter[str] = field(default_factory=Counter)
    waiting: set[str] = field(default_factory=set)

    def add(self, topic: str, record: Record) -> None:
        """Counts one record of ``topic`` (its name without prefix); other topics and types count nothing."""
        if topic == "scheduler" and record.get("type") == "eligible":
            self.eligible += 1
        elif topic == "decisions":
            self._decision(record)
        elif topic == "deliveries":
            channel = str(record.get("channel"))
            (self.sent if record.get("outcome") == "sent" else self.not_sent)[channel] += 1
        elif topic == "conversions":
            self.converted += 1
            self.revenue += record.get("revenue") or 0.0

    def _decision(self, record: Record) -> None:
        enrollment = record.get("enrollment")
        if enrollment is None:
            return
        if record.get("kind") == "entry":
            self.waiting.add(enrollment)
        elif record.get("kind") == "exit":
            self.waiting.discard(enrollment)


def goal_details(events: Iterable[DemoEvent], names: Iterable[str] = ("plan_upgraded",)) -> dict[str, Record]:
    """Properties of the events called ``names``, by message id: what a conversion record only refers to."""
    wanted = frozenset(names)
    return {
        event.message["messageId"]: event.message["properties"]
        for event in events
        if event.message.get("event") in wanted
    }


def line_for(topic: str, record: Record, details: Mapping[str, Record]) -> Line | None:
    """The line about one record of ``topic`` (without prefix), None when it is not worth one.

    ``details`` gives the properties of goal events by message id. A field that the record lacks reads ``?``.
    """
    if topic == "scheduler" and record.get("type") == "eligible":
        return _line(record, "eligible", _eligible(record))
    if topic == "deliveries":
        return _line(record, *_delivery(record))
    if topic == "conversions":
        return _line({"at_ms": record.get("converted_at_ms")}, "converted", _conversion(record, details))
    if topic == "decisions" and record.get("kind") == "exit":
        reason = record.get("reason") or record.get("outcome", "?")
        return _line(record, "exit", f"{_get(record, 'subject')} left {_get(record, 'journey')}: {reason}")
    return None


def moment(at_ms: int) -> str:
    """A simulated time as people read it: ``14 Mar 10:02``, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%d %b %H:%M")


def span(length_ms: int) -> str:
    """A length of time in the largest unit that fits: ``2.1 d``, ``3.0 h``, ``12 min``."""
    if length_ms >= DAY_MS:
        return f"{length_ms / DAY_MS:.1f} d"
    if length_ms >= HOUR_MS:
        return f"{length_ms / HOUR_MS:.1f} h"
    return f"{length_ms / 60_000:.0f} min"


def printable(text: str) -> str:
    """``text`` on one line, without control characters (a record must not steer the terminal), bounded."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= LONGEST_LINE else clean[: LONGEST_LINE - 1] + "…"


def _line(record: Record, kind: str, text: str) -> Line:
    at_ms = record.get("at_ms")
    return Line(at_ms if isinstance(at_ms, int) else 0, kind, printable(text))


def _eligible(record: Record) -> str:
    trigger = record.get("trigger") or {}
    plan = (trigger.get("properties") or {}).get("current_plan")
    who = f"{_get(record, 'subject')} ({plan})" if plan else _get(record, "subject")
    evidence = ", ".join(f"{name} = {value}" for name, value in (record.get("evidence") or {}).items())
    return f"{who} became eligible for {_get(record, 'journey')}: {evidence or trigger.get('event', '?')}"


def _delivery(record: Record) -> tuple[str, str]:
    """Kind and text of a delivery."""
    channel = CHANNELS.get(_get(record, "channel"), _get(record, "channel"))
    what, person = f"{channel} {_get(record, 'template')}", _get(record, "person")
    outcome = _get(record, "outcome")
    if outcome == "sent":
        return "sent", f"{what} sent to {person}"
    reason = f": {record['reason']}" if record.get("reason") else ""
    return "not_sent", f"{what} to {person} {outcome}{reason}"


def _conversion(record: Record, details: Mapping[str, Record]) -> str:
    took = record.get("time_to_convert_ms")
    after = f" {span(took)} after entry" if isinstance(took, int) else ""
    event = details.get(record.get("message_id", ""), {})
    if {"from_plan", "to_plan"} <= event.keys():
        did = f"upgraded {event['from_plan']} -> {event['to_plan']}"
    else:
        did = f"did {_get(record, 'event')}"
    holdout = ", held out" if record.get("holdout") else ""
    return f"{_get(record, 'subject')} {did}{after} ({_get(record, 'journey')}{holdout})"


def _get(record: Record, name: str) -> str:
    return str(record.get(name, "?"))
