"""The scheduler of one partition: eligible subjects enrol, timers advance them, people get messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from schemas import wire
from workers.core.entry import enroll
from workers.core.held import HELD
from workers.core.journeys import resume
from workers.core.segments import due_segments
from workers.identity.places import elsewhere, forward_record, move_member
from workers.scheduler import holds
from workers.shell import SCORES, SEGMENTS, Subject, decode_payload
from workers.state import TABLES, USERS

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
        taken: list[Asked] = []
        keys: list[bytes] = []
        for record in batch.records:
            try:
                asked = wire.decode_scheduler(record.value or b"")
            except msgspec.ValidationError as error:
                view.dead_letter(batch.tp, record, "invalid", str(error))
                continue
            except msgspec.DecodeError as error:
                view.dead_letter(batch.tp, record, "unreadable", str(error))
                continue
            taken.append(Asked(record, asked))
            keys += TABLES[_kind(asked)].rows_of(asked.subject.encode())
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
                case wire.AccountFacts():
                    self._learn(asked, view, now_ms)
                case wire.ListEntry():
                    subject = Subject(asked.subject_type, asked.subject.encode(), view, self._parts)
                    subject.enlist(asked.segment, now_ms, member=asked.member)
                case _:
                    holds.decide(asked, view, self._parts, now_ms)

    def _is_away(self, asked: Any, view: View, now_ms: int) -> bool:
        """Whether the user has no row because they were merged or erased; the account then hears of it."""
        key = asked.subject.encode()
        if view.table(USERS.activity).get(key) is not None:
            return False
        # An account speaks of a membership from before the erasure, whenever it does so.
        happened_ms = asked.trigger.at_ms if isinstance(asked, wire.Eligible) else 0
        away = elsewhere(view, self._parts, key, happened_ms, now_ms)
        if away is None:
            return False
        if away.into is not None:
            forward_record(view, self._parts, asked, away.into)
        elif isinstance(asked, wire.SendAnswer):
            holds.drop_member(asked, view, self._parts, now_ms)
        if isinstance(asked, wire.AccountFacts | wire.MessageRequest):
            move_member(view, self._parts, asked.account, asked.subject, away.into, now_ms)
        return True

    def timer_keys(self, timers: Sequence[Timer]) -> list[bytes]:
        """The rows of the subjects whose timers are due."""
        keys: list[bytes] = []
        for timer in timers:
            payload = decode_payload(timer.payload)
            keys += TABLES[payload.subject_type].rows_of(payload.subject.encode())
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
            if payload.enrollment == SCORES:
                subject.rescore(now_ms)
                continue
            if payload.enrollment == SEGMENTS:
                subject.settle(now_ms, due_segments(subject.memberships, now_ms))
                continue
            facts = subject.facts(now_ms, {})
            subject.take(resume(subject.plan, subject.progress, payload.enrollment, facts, now_ms), now_ms)

    def _learn(self, told: wire.AccountFacts, view: View, now_ms: int) -> None:
        """Take over what a user's account is like; of an account that the user left, it is old news."""
        subject = Subject("user", told.subject.encode(), view, self._parts)
        profile = subject.profile
        if profile.account == told.account:
            profile.account_traits = told.facts
            subject.put_profile(profile)
            subject.follow(told.at_ms, now_ms)
            subject.settle_all(now_ms)


def _kind(asked: wire.SchedulerRecord) -> SubjectType:
    """Whose partition a record is for."""
    if isinstance(asked, wire.Eligible | wire.ListEntry):
        return asked.subject_type
    of_accounts = wire.MemberMoved | wire.SendAsk | wire.SendSettled
    return "account" if isinstance(asked, of_accounts) else "user"
