"""The segments of one subject inside one transaction: who is in which, and what follows from that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import wire
from workers import telling
from workers.core import segments
from workers.core.commands import CancelTimer, SetTimer
from workers.core.facts import SubjectFacts
from workers.core.ids import stable_id
from workers.core.journeys.progress import Progress
from workers.core.journeys.triggers import segment_trigger
from workers.state import TABLES, is_by_definition, is_swept
from workers.timers import SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from workers.core.segments import Crossing, Memberships
    from workers.shell import EngineParts, Subject
    from workers.stream.view import View


class SubjectSegments:
    """See the module. ``subject`` is whose segments they are."""

    def __init__(self, subject: Subject, view: View, parts: EngineParts) -> None:
        self._subject = subject
        self._plan = subject.plan
        self._view = view
        self._parts = parts
        self._activity = view.table(TABLES[subject.kind].activity)

    def sweep(self, now_ms: int) -> None:
        """Look at all of them because definitions may be others: nobody enters a journey by that."""
        self._subject.is_silent = True
        self.settle(now_ms, None)
        self._subject.is_silent = False

    def settle(self, now_ms: int, concerned: Collection[str] | None, *, counted: bool = True) -> None:
        """Look at those that are concerned, or at all (None); see ``core.segments.settle``."""
        plan = self._plan.segments
        if concerned is not None and not concerned:
            return
        held = self._subject.memberships
        if not counted and segments.is_quiet(plan, held, now_ms):
            return
        if not plan.standing if concerned is None else plan.plain.issuperset(concerned):
            facts, progress = self._windows(held, now_ms), Progress(self._subject.id)
        else:
            facts, progress = self._subject.facts(now_ms, {}), self._subject.progress
        settled = segments.settle(plan, held, facts, progress, now_ms, concerned, counted=counted)
        self._cross(held, settled.memberships, settled.crossings, now_ms)

    def settle_all(self, now_ms: int, *, counted: bool) -> None:
        """Look at all of them; without ``counted`` something else happened than that events were counted."""
        swept = not counted and is_swept(self._view, self._subject.kind, self._subject.key, self._plan)
        self.settle(now_ms, None, counted=not swept)

    def enlist(self, segment: str, now_ms: int, *, member: bool) -> None:
        """Put it on a static segment's list, or take it off; what uses the segment follows."""
        plan, held = self._plan.segments, self._subject.memberships
        memberships, crossing = segments.enlist(plan, held, segment, now_ms, member=member)
        if crossing is not None:
            self._cross(held, memberships, (crossing,), now_ms)
            known = self._activity.get(self._subject.key) is not None
            self.settle(now_ms, segments.using(plan, segment) if known else None)
            self._subject.look(now_ms)

    def tell_left(self, held: Memberships, now_ms: int) -> None:
        """Tell who follows segments that the subject is in none any more; its rows are gone."""
        for name in held.since_ms:
            self._tell(segments.Crossing(name, "", "left", {}), now_ms)

    def _windows(self, held: Memberships, now_ms: int) -> SubjectFacts:
        """What segments see that ask about slots alone (``SegmentsPlan.plain``): no other row is read."""
        row = self._activity.get(self._subject.key)
        return SubjectFacts(
            now_ms=now_ms,
            windows=row.windows if row is not None else {},
            retentions_ms=self._plan.retentions_ms,
            segments=frozenset(held.since_ms),
        )

    def _cross(self, held: Memberships, now: Memberships, crossings: Sequence[Crossing], now_ms: int) -> None:
        """Store what became of the memberships: row, one timer for all, a record of each crossing."""
        if now is held:
            return
        subject, table = self._subject, self._view.table(TABLES[self._subject.kind].memberships)
        if now.is_empty:
            table.delete(subject.key)
        else:
            table.put(subject.key, now)
        telling.crossed(subject.key, held, now, subject.is_silent, self._view, self._parts, now_ms)
        due_ms = segments.next_due_ms(now)
        if due_ms != segments.next_due_ms(held):
            timer_id = stable_id("segments", subject.kind, subject.id)
            subject.execute(CancelTimer(timer_id) if due_ms is None else SetTimer(timer_id, due_ms, SEGMENTS))
        for crossing in crossings:
            self._tell(crossing, now_ms)
        for crossing in crossings if not subject.is_silent else ():
            since_ms = (now if crossing.change == "entered" else held).since_ms[crossing.segment]
            self._segment_entered(crossing, since_ms, now_ms)

    def _segment_entered(self, crossing: Crossing, since_ms: int, now_ms: int) -> None:
        subject = self._subject
        journeys = subject.plan.entering.by_segment.get((crossing.segment, crossing.change))
        if not journeys or is_by_definition(
            self._view, subject.kind, subject.key, subject.plan, crossing.segment
        ):
            return
        came = segment_trigger(
            subject.kind, subject.id, crossing.segment, crossing.change, since_ms, subject.since_ms(now_ms)
        )
        subject.propose(subject.named(journeys), came, now_ms)

    def _tell(self, crossing: Crossing, now_ms: int) -> None:
        record = segments.change_record(crossing, self._subject.kind, self._subject.id, now_ms)
        self._parts.metrics.crossed(record.segment, record.change)
        self._view.send(self._parts.topics("segments"), self._subject.key, wire.encode(record))
