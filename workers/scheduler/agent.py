"""The scheduler of one partition: eligible subjects enrol, timers advance them, people get messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from schemas import wire
from workers import telling, telling_traits
from workers.core.consent import STATES, Said
from workers.core.decisions import refused_decision
from workers.core.gate.held import HELD
from workers.core.journeys.answering import answer
from workers.core.journeys.entry import enroll
from workers.core.journeys.inside import resume
from workers.core.journeys.requested_exits import exit_on_request
from workers.core.journeys.triggers import trigger
from workers.core.objects.row import object_key
from workers.core.segments import due_segments
from workers.identity.places import elsewhere, forward_record, move_member
from workers.scheduler import account_facts, holds
from workers.shell import Subject
from workers.state import OBJECTS, TABLES, USERS, rows_of_gate
from workers.stream.decoding import decoded
from workers.timers import SCORES, SEGMENTS, TELLING, TELLING_TRAITS, decode_payload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.fields import SubjectType
    from workers.shell import EngineParts
    from workers.stream.batch import TP, Batch
    from workers.stream.store import Timer
    from workers.stream.view import View


class Asked(NamedTuple):
    """One record of the scheduler topic."""

    record: Any
    asked: wire.SchedulerRecord


class Scheduler:
    """What one partition does with scheduler records and due timers."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[list[Asked], list[bytes]]:
        """Decode the records; their subjects' rows are worth reading ahead."""
        del now_ms
        taken = [Asked(*pair) for pair in decoded(batch, view, wire.decode_scheduler)]
        keys: list[bytes] = []
        for _, asked in taken:
            if isinstance(asked, wire.ObjectsChanged):
                keys += [OBJECTS.key(object_key(one.object, one.object_id).encode()) for one in asked.objects]
            if isinstance(asked, wire.ObjectsChanged | wire.EnrollSegment | wire.ExitBatch):
                continue
            kind, key = _kind(asked), asked.subject.encode()
            keys += TABLES[kind].rows_of(key) + rows_of_gate(kind, key)
        return taken, keys

    def apply(self, tp: TP, items: Sequence[Asked], view: View, now_ms: int) -> None:
        """Decide each record; of an id that was merged, it is for the person it belongs to."""
        del tp
        for _, asked in items:
            if _kind(asked) == "user" and self._is_away(asked, view, now_ms):
                continue
            match asked:
                case wire.Eligible():
                    subject = Subject(asked.subject_type, asked.subject.encode(), view, self._parts)
                    facts = subject.facts(now_ms, asked.trigger.properties)
                    subject.take(enroll(subject.plan, asked, facts, subject.progress, now_ms), now_ms)
                case wire.AccountFacts() | wire.AccountSegments():
                    account_facts.learn(asked, view, self._parts, now_ms)
                case wire.LlmAnswered():
                    self._answered(asked, view, now_ms)
                case wire.EnrollRequest():
                    self._request(asked, view, now_ms)
                case wire.ExitRequest():
                    self._exit(asked, view, now_ms)
                case wire.ListEntry():
                    subject = Subject(asked.subject_type, asked.subject.encode(), view, self._parts)
                    subject.enlist(asked.segment, now_ms, member=asked.member)
                case wire.ConsentChange():
                    subject = Subject("user", asked.subject.encode(), view, self._parts)
                    said = Said(asked.channel, asked.topic if asked.channel else None, STATES[asked.state])
                    subject.note_consent((said,), asked.at_ms, asked.source, now_ms)
                case _:
                    holds.decide(asked, view, self._parts, now_ms)

    def _is_away(self, asked: Any, view: View, now_ms: int) -> bool:
        """Whether the user has no row because they were merged or erased; the account then hears of it."""
        key = asked.subject.encode()
        if view.table(USERS.activity).get(key) is not None:
            return False
        # An account speaks of a membership from before the erasure, whenever it does so.
        happened_ms = 0
        if isinstance(asked, wire.Eligible):
            happened_ms = asked.trigger.at_ms
        elif isinstance(asked, wire.EnrollRequest | wire.ExitRequest | wire.ConsentChange):
            happened_ms = asked.at_ms
        away = elsewhere(view, self._parts, key, happened_ms, now_ms)
        if away is None:
            return False
        if away.into is not None:
            forward_record(view, self._parts, asked, away.into)
        elif isinstance(asked, wire.SendAnswer):
            holds.drop_member(asked, view, self._parts, now_ms)
        if isinstance(asked, wire.AccountFacts | wire.AccountSegments | wire.MessageRequest):
            move_member(view, self._parts, asked.account, asked.subject, away.into, now_ms)
        return True

    def _request(self, asked: wire.EnrollRequest, view: View, now_ms: int) -> None:
        """Someone asks that the subject enters a journey: the same rules as for any other trigger."""
        subject = Subject(asked.subject_type, asked.subject.encode(), view, self._parts)
        came = trigger("api", "api", (asked.id,), asked.at_ms, asked.properties)
        journey = subject.plan.journeys.get(asked.journey)
        if journey is None or asked.journey not in subject.plan.entering.on_request:
            self._parts.metrics.entry(asked.journey if journey is not None else "unknown", "declined")
            subject.execute(refused_decision(asked, came, journey, now_ms))
            return
        subject.propose((journey,), came, now_ms)

    def _exit(self, asked: wire.ExitRequest, view: View, now_ms: int) -> None:
        """Someone asks that the subject leaves a journey."""
        subject = Subject(asked.subject_type, asked.subject.encode(), view, self._parts)
        values = {"request": asked.id}
        left = exit_on_request(subject.plan, asked.journey, asked.reason, values, subject.progress, now_ms)
        journey = asked.journey if asked.journey in subject.plan.journeys else "unknown"
        self._parts.metrics.exit_asked(journey, "ended" if left.commands else "not_inside")
        subject.take(left, now_ms)

    def _answered(self, asked: wire.LlmAnswered, view: View, now_ms: int) -> None:
        """A model's answer: who waits for it goes on."""
        subject = Subject(asked.subject_type, asked.subject.encode(), view, self._parts)
        facts = subject.facts(now_ms, {})
        subject.take(answer(subject.plan, asked, facts, subject.progress, now_ms), now_ms)

    def timer_keys(self, timers: Sequence[Timer]) -> list[bytes]:
        """The rows of the subjects whose timers are due."""
        keys: list[bytes] = []
        for timer in timers:
            payload = decode_payload(timer.payload)
            kind, key = payload.subject_type, payload.subject.encode()
            keys += TABLES[kind].rows_of(key) + rows_of_gate(kind, key)
        return keys

    def fire(self, timers: Sequence[Timer], view: View, now_ms: int) -> None:
        """Go on with the enrollments that waited, in order of their due time."""
        for timer in timers:
            payload = decode_payload(timer.payload)
            subject = Subject(payload.subject_type, payload.subject.encode(), view, self._parts)
            if payload.enrollment.startswith(HELD):
                holds.release(
                    payload.subject, payload.enrollment.removeprefix(HELD), view, self._parts, now_ms
                )
                continue
            if payload.enrollment == TELLING:
                telling.go_on(subject.key, view, self._parts, now_ms)
                continue
            if payload.enrollment == TELLING_TRAITS:
                telling_traits.go_on(subject.key, view, self._parts, now_ms)
                continue
            if payload.enrollment == SCORES:
                subject.scores.look(now_ms)
                subject.look(now_ms)
                continue
            if payload.enrollment == SEGMENTS:
                subject.settle(now_ms, due_segments(subject.memberships, now_ms))
                subject.look(now_ms)
                continue
            facts = subject.facts(now_ms, {})
            subject.take(resume(subject.plan, subject.progress, payload.enrollment, facts, now_ms), now_ms)


def _kind(asked: wire.SchedulerRecord) -> SubjectType:
    """Whose partition a record is for."""
    if isinstance(
        asked,
        wire.Eligible
        | wire.ListEntry
        | wire.Backfilled
        | wire.EnrollRequest
        | wire.ExitRequest
        | wire.LlmAnswered,
    ):
        return asked.subject_type
    of_accounts = wire.MemberMoved | wire.MemberScore | wire.SendAsk | wire.SendSettled
    return "account" if isinstance(asked, of_accounts) else "user"
