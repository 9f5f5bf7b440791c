"""What is known of messages to people: with their decisions, and with what people said before."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from schemas import wire
from tests.simulation.actions import HOUR
from workers.core.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.workspace import MessageSettings
    from tests.simulation.evidence import Evidence
    from workers.simulate.log import Record


@dataclass(frozen=True, slots=True)
class Sent:
    """A message to a person, the record that it is, and the decision to send it."""

    record: Record
    message: wire.Message
    decision: wire.Decision


@dataclass(frozen=True, slots=True)
class Word:
    """A yes (True), a no, or None, which takes a word back. ``applied``: by the end of which transaction."""

    channel: str | None
    topic: str | None
    opted_in: bool | None
    applied: int


_STATES: dict[str, bool | None] = {"opted_in": True, "opted_out": False, "unknown": None}


class GateEvidence:
    """The part of the evidence that is about the gate."""

    def __init__(self, found: Evidence) -> None:
        self._found = found

    @cached_property
    def rules(self) -> MessageSettings:
        """The rules for all messages; edits leave them as they are."""
        return self._found.scenario.versions.loaded[0].workspace.messages

    def exempt(self, tags: Iterable[str]) -> frozenset[str]:
        """What does not apply to messages with these tags."""
        told = self.rules.transactional
        return frozenset(told.exempt_from if told is not None and set(told.tags) & set(tags) else ())

    @cached_property
    def sent(self) -> list[Sent]:
        """All messages to people in their order; calls of webhooks are none."""
        decided = {decision.id: decision for _, decision in self._found.decisions("send", "send")}
        pairs = [
            (record, message, decided.get(stable_id("decision", "send", message.id)))
            for record, message in self._found.messages
            if message.channel != "webhook"
        ]
        return [Sent(record, message, one) for record, message, one in pairs if one is not None]

    @cached_property
    def sent_by_person(self) -> dict[str, list[Sent]]:
        """Those of each person."""
        found: dict[str, list[Sent]] = defaultdict(list)
        for one in self.sent:
            found[one.message.person].append(one)
        return found

    @cached_property
    def answers(self) -> list[tuple[Record, wire.SendAnswer]]:
        """What accounts said to messages to their members."""
        return [
            (record, one) for record, one in self._found.of("scheduler") if isinstance(one, wire.SendAnswer)
        ]

    @cached_property
    def workspace_zone(self) -> ZoneInfo:
        """The zone of whom nothing else is known; no account says one."""
        return ZoneInfo(self._found.scenario.versions.loaded[0].workspace.timezone)

    def zone_of(self, person: str) -> ZoneInfo | None:
        """The zone of a person, who says it when the run begins or never; None: it came on a detour."""
        return self._zones.get(person, self.workspace_zone)

    @cached_property
    def _zones(self) -> dict[str, ZoneInfo | None]:
        found: dict[str, ZoneInfo | None] = {}
        for action, _ in self._found.left.sent:
            if action.topic == "product-events" and b'"timezone"' in (action.value or b""):
                event = wire.decode_product_event(action.value or b"")
                zone = ZoneInfo(wire.values(event.traits)["timezone"])
                found[wire.subject(event)] = zone if action.note == "" else None
        return found

    @cached_property
    def consent_words(self) -> dict[str, list[Word]]:
        """What each person said of messages, by whatever way."""
        found: dict[str, list[Word]] = defaultdict(list)
        for record, one in self._found.of("scheduler"):
            applied = self._found.applied(record)
            if isinstance(one, wire.ConsentChange) and applied is not None:
                topic = one.topic if one.channel else None
                found[one.subject].append(Word(one.channel, topic, _STATES[one.state], applied))
        for event in self._found.events:
            told = wire.values(event.event.traits).get("consent") if event.name == "identify" else None
            if told and event.at_ms > event.record.timestamp + HOUR // 2:
                # It may have been refused as dated ahead: then nothing was said.
                found[event.subject].append(Word(None, None, None, event.applied))
                continue
            for channel, said in (told or {}).items():
                words = said.items() if isinstance(said, dict) else [(None, said)]
                found[event.subject] += [
                    Word(channel, topic, opted_in, event.applied) for topic, opted_in in words
                ]
        return found
