"""Batches: everybody, or who is in a segment, is looked at as a candidate, a bounded number a second.

Three things begin one: a schedule whose time has come, a journey that wants those too who are in its
segment already (``existing``), and somebody who asks (``brimful journey enroll``). A run is a row of its
partition: the journey, how it began, and the storage key up to which it has come. Its timer asks for a
slice in the background, which looks at the next subjects and sets the timer again, in one transaction with
their ``eligible`` records, so that a crash neither skips nor repeats one. Triggers have stable ids: who is
looked at twice in one run is enrolled once.

The rate of a run is the most it does: events and timers go first (:mod:`workers.stream.background`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import structlog

from schemas.fields import SubjectType  # noqa: TC001  msgspec reads it at run time
from workers.core.ids import stable_id
from workers.core.journeys.progress import ELIGIBLE_MAX_AGE_MS
from workers.core.journeys.requested_exits import exit_on_request
from workers.core.journeys.triggers import segment_trigger, trigger
from workers.shell import Subject
from workers.state import SWEPT, TABLES
from workers.stream.background import Done, Task
from workers.stream.tables import Table
from workers.timers import TimerPayload, decode_payload, encode_payload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas import wire
    from workers.core.journeys.triggers import SchedulePlan
    from workers.core.plan import SubjectPlan
    from workers.shell import EngineParts
    from workers.stream.store import PartitionStore, Timer
    from workers.stream.view import View

log = structlog.get_logger(__name__)

GUARD_MS: Final = 60_000
"""When the timer of a run whose slice waits comes again: a crash may have forgotten the slice."""

MISSED_AFTER_MS: Final = 300_000
"""A run that could not begin until so long after its time has been missed."""

REMEMBERED_MS: Final = ELIGIBLE_MAX_AGE_MS
"""How long a run that is over is remembered, so that the record that asked for it begins it only once."""

RUN, SCHEDULE = "batch run", "batch schedule"
"""In the place of an enrollment in a timer's payload; the subject is then the key of the row."""


class Run(msgspec.Struct, array_like=True):
    """State row of a run.

    ``due_ms``: the time of the schedule, or when it was asked for. ``segment`` None: all subjects. Of those
    who are in the segment since before ``since_ms`` nobody is looked at. ``cursor``: the storage key to go on
    from. ``done_ms``: when it came to the end; ``looked`` and ``eligible`` count.

    With ``exits`` those who are in the journey leave it, for ``reason``; ``since_ms`` is then when the run
    began: who comes in after that is not meant.
    """

    journey: str
    kind: SubjectType
    cause: str
    due_ms: int
    segment: str | None
    rate: int
    since_ms: int = 0
    cursor: bytes = b""
    done_ms: int | None = None
    looked: int = 0
    eligible: int = 0
    exits: bool = False
    reason: str | None = None


class Armed(msgspec.Struct, array_like=True):
    """State row of a schedule: when it comes next. Its key is the schedule's id."""

    journey: str
    due_ms: int


class Begun(msgspec.Struct, array_like=True):
    """State row of a journey that wants who is in its segment already: up to which sweep it has had them."""

    lineage: str


RUNS: Final = Table("batch_runs", b"n", Run)
SCHEDULES: Final = Table("batch_schedules", b"l", Armed)
EXISTING: Final = Table("batch_existing", b"i", Begun)


class Arm(NamedTuple):
    """Notice: the partition is open; bring schedules in line with the workspace."""


class Running(Task, frozen=True):
    """The next subjects of a run are to be looked at."""

    run_id: str


class Batches:
    """The batches of one partition."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._store: PartitionStore | None = None

    def opened(self, store: PartitionStore) -> list[Arm | Running]:
        """What is to be set when the partition begins, or takes up another workspace; runs that go on."""
        self._store = store
        wanted = any(plan.entering.schedules or plan.entering.existing for plan in self._plans())
        runs = ((key[len(RUNS.prefix) :].decode(), RUNS.decode(row)) for key, row in self._scan(RUNS))
        running = [Running(run_id) for run_id, run in runs if run.done_ms is None]
        return [*([Arm()] if wanted or self._scan(SCHEDULES, most=1) else []), *running]

    def take(self, notices: Sequence[Any], view: View, now_ms: int) -> None:
        """Set the schedules' timers, forget those that are gone, and begin with who is there already."""
        if any(isinstance(notice, Arm) for notice in notices):
            self._arm(view, now_ms)
        self.begin_existing(view, now_ms)

    # -- schedules

    def _arm(self, view: View, now_ms: int) -> None:
        rows, planned = view.table(SCHEDULES), dict(self._schedules())
        for stored_key, _ in self._scan(SCHEDULES):
            schedule_id = stored_key[len(SCHEDULES.prefix) :].decode()
            if schedule_id not in planned:
                rows.delete(schedule_id.encode())
                view.cancel_timer(_timer_id(SCHEDULE, schedule_id))
        for schedule_id, (kind, schedule) in planned.items():
            if rows.get(schedule_id.encode()) is None:
                self._set_schedule(schedule, kind, schedule.after_ms(now_ms), view)

    def _schedules(self) -> Iterator[tuple[str, tuple[SubjectType, SchedulePlan]]]:
        for plan in self._plans():
            yield from ((one.id, (plan.subject, one)) for one in plan.entering.schedules)

    def _plans(self) -> tuple[SubjectPlan, SubjectPlan]:
        return self._parts.plan.user, self._parts.plan.account

    def _set_schedule(self, schedule: SchedulePlan, kind: SubjectType, due_ms: int, view: View) -> None:
        view.table(SCHEDULES).put(schedule.id.encode(), Armed(schedule.journey, due_ms))
        payload = encode_payload(TimerPayload(kind, schedule.id, SCHEDULE))
        view.set_timer(_timer_id(SCHEDULE, schedule.id), due_ms, payload)

    def _come(self, schedule_id: str, due_ms: int, view: View, now_ms: int) -> None:
        """A schedule's time has come: begin a run, for several that were missed the last; set the next."""
        kind, schedule = dict(self._schedules()).get(schedule_id, (None, None))
        if kind is None or schedule is None:
            view.table(SCHEDULES).delete(schedule_id.encode())
            return
        last_ms = schedule.last_ms(now_ms, due_ms)
        missed = now_ms - last_ms > MISSED_AFTER_MS
        if missed and not schedule.catch_up:
            log.warning("batch.skipped", journey=schedule.journey, due_ms=last_ms, late_ms=now_ms - last_ms)
            self._parts.metrics.batch(schedule.journey, "skipped")
        else:
            run_id = stable_id("run", schedule.id, str(last_ms))
            run = Run(schedule.journey, kind, schedule.id, last_ms, schedule.segment, schedule.rate)
            self._begin(run_id, run, view, now_ms)
        self._set_schedule(schedule, kind, schedule.after_ms(now_ms), view)

    # -- others that begin a run

    def ask(self, asked: wire.EnrollSegment, view: View, now_ms: int) -> None:
        """Somebody asks for who is in a segment; of a request that is known nothing is begun."""
        plan = self._parts.plan.user if asked.subject_type == "user" else self._parts.plan.account
        if asked.journey not in plan.journeys or asked.segment not in plan.segments.lineages:
            log.warning("batch.refused", journey=asked.journey, segment=asked.segment)
            self._parts.metrics.batch("unknown", "refused")
            return
        run = Run(asked.journey, asked.subject_type, asked.id, asked.at_ms, asked.segment, max(1, asked.rate))
        self._begin(stable_id("run", "asked", asked.id), run, view, now_ms)

    def ask_exits(self, asked: wire.ExitBatch, view: View, now_ms: int) -> None:
        """Somebody asks that all in a journey, or those of a segment, leave it; its file may be gone."""
        plan = self._parts.plan.user if asked.subject_type == "user" else self._parts.plan.account
        if asked.segment is not None and asked.segment not in plan.segments.lineages:
            log.warning("batch.refused", journey=asked.journey, segment=asked.segment)
            self._parts.metrics.batch("unknown", "refused")
            return
        run = Run(
            asked.journey,
            asked.subject_type,
            asked.id,
            asked.at_ms,
            asked.segment,
            max(1, asked.rate),
            since_ms=now_ms,
            exits=True,
            reason=asked.reason,
        )
        self._begin(stable_id("run", "exits", asked.id), run, view, now_ms)

    def begin_existing(self, view: View, now_ms: int) -> None:
        """Begin with who is in a segment already, once all have been looked at under its definition."""
        rows = view.table(EXISTING)
        for plan in self._plans():
            swept = view.table(SWEPT).get(plan.subject.encode())
            if swept is None or swept.version != plan.segments.version:
                continue
            for wanted in plan.entering.existing:
                key = stable_id("existing", plan.subject, wanted.journey, wanted.segment).encode()
                begun, lineage = rows.get(key), plan.segments.lineages.get(wanted.segment, "")
                if begun is not None and begun.lineage == lineage:
                    continue
                # Who was in it before the definition changed has been looked at before.
                since_ms = 0 if begun is None else swept.since_ms
                run = Run(
                    wanted.journey, plan.subject, "existing", now_ms, wanted.segment, wanted.rate, since_ms
                )
                self._begin(stable_id("run", key.decode(), lineage), run, view, now_ms)
                rows.put(key, Begun(lineage))

    def _begin(self, run_id: str, run: Run, view: View, now_ms: int) -> None:
        if view.table(RUNS).get(run_id.encode()) is not None:
            return
        log.info("batch.begin", journey=run.journey, segment=run.segment, rate=run.rate, due_ms=run.due_ms)
        self._parts.metrics.batch(self._label(run), "begun")
        self._go_on(run_id, run, now_ms, view)

    def _go_on(self, run_id: str, run: Run, due_ms: int, view: View) -> None:
        view.table(RUNS).put(run_id.encode(), run)
        payload = encode_payload(TimerPayload(run.kind, run_id, RUN))
        view.set_timer(_timer_id(RUN, run_id), due_ms, payload)

    # -- a run

    def fire(self, timer: Timer, view: View, now_ms: int) -> None:
        """A timer of :func:`is_batch`."""
        payload = decode_payload(timer.payload)
        if payload.enrollment == SCHEDULE:
            self._come(payload.subject, timer.due_ms, view, now_ms)
            return
        run = view.table(RUNS).get(payload.subject.encode())
        if run is None:
            return
        if run.done_ms is not None:
            view.table(RUNS).delete(payload.subject.encode())
            return
        self._go_on(payload.subject, run, now_ms + GUARD_MS, view)
        view.after_commit(Running(payload.subject))

    def work(self, running: Running, most: int, view: View, now_ms: int) -> Done:
        """Look at the next subjects of a run, and set its timer so that it keeps to its rate."""
        run = view.table(RUNS).get(running.run_id.encode())
        if run is None or run.done_ms is not None:
            return Done(0, None)
        plan = self._parts.plan.user if run.kind == "user" else self._parts.plan.account
        gone = not run.exits and run.journey not in plan.journeys
        slices = -(-run.rate // most)
        share = run.rate // slices
        rows, taken, at_end = (0, 0, True) if gone else self._walk(run, most, share, view, now_ms)
        due_ms = now_ms - (-taken * 1000 // (share * slices))
        if at_end:
            # A storage key names a person, who may ask to be forgotten.
            run.done_ms, run.cursor = now_ms, b""
            due_ms = now_ms + REMEMBERED_MS
            log.info("batch.end", journey=run.journey, looked=run.looked, eligible=run.eligible)
            self._parts.metrics.batch(self._label(run), "journey_gone" if gone else "ended")
        self._go_on(running.run_id, run, due_ms, view)
        return Done(rows, None)

    def _walk(self, run: Run, most: int, share: int, view: View, now_ms: int) -> tuple[int, int, bool]:
        """Look at the next rows until ``share`` of them were taken.

        Returns how many rows it looked at, how many of them it took, and whether there are no more.
        """
        tables = TABLES[run.kind]
        everybody = tables.progress if run.exits else tables.activity
        table = everybody if run.segment is None else tables.memberships
        take = self._let_go if run.exits else self._look
        found = self._scan(table, run.cursor or table.prefix, most)
        rows = taken = 0
        for stored_key, _ in found:
            if taken == share:
                break
            run.cursor = stored_key + b"\0"
            rows += 1
            taken += take(run, Subject(run.kind, stored_key[len(table.prefix) :], view, self._parts), now_ms)
        return rows, taken, rows == len(found) < most

    def _look(self, run: Run, subject: Subject, now_ms: int) -> bool:
        """Whether somebody is meant, and was looked at as a candidate."""
        came = _trigger(run, subject, now_ms)
        if came is None:
            return False
        run.looked += 1
        self._parts.metrics.batch_looked(run.journey)
        journeys = subject.named((run.journey,))
        run.eligible += subject.propose(journeys, came, now_ms, tell_unmet=run.segment is not None)
        return True

    def _let_go(self, run: Run, subject: Subject, now_ms: int) -> bool:
        """Whether somebody was inside, and has left."""
        if run.segment is not None and run.segment not in subject.memberships.since_ms:
            return False
        ended = exit_on_request(
            subject.plan,
            run.journey,
            run.reason,
            {"request": run.cause},
            subject.progress,
            now_ms,
            entered_by_ms=run.since_ms,
        )
        run.looked += 1
        if not ended.commands:
            return False
        run.eligible += 1
        self._parts.metrics.exit_asked(self._label(run), "ended")
        subject.take(ended, now_ms)
        return True

    def _label(self, run: Run) -> str:
        """The journey, for metrics: of one that the workspace never had anybody may have asked."""
        plan = self._parts.plan.user if run.kind == "user" else self._parts.plan.account
        return run.journey if not run.exits or run.journey in plan.journeys else "unknown"

    def _scan(
        self, table: Table[Any], start: bytes | None = None, most: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        assert self._store is not None, "the partition is open"
        return self._store.scan(table.prefix, start, most)


def is_batch(timer: Timer) -> bool:
    """Whether a timer is a batch's."""
    return decode_payload(timer.payload).enrollment in (RUN, SCHEDULE)


def _trigger(run: Run, subject: Subject, now_ms: int) -> wire.Trigger | None:
    """What makes a subject a candidate in a run; None where it is not meant."""
    if run.segment is None:
        return trigger("schedule", run.journey, (run.cause, str(run.due_ms)), now_ms, _properties(run))
    since_ms = subject.memberships.since_ms.get(run.segment)
    if since_ms is None or since_ms < run.since_ms:
        return None
    if run.cause == "existing":
        # The same trigger as when it comes into the segment by what happens.
        return segment_trigger(run.kind, subject.id, run.segment, "entered", since_ms, now_ms)
    return trigger("schedule", run.segment, (run.cause, str(run.due_ms)), now_ms, _properties(run))


def _properties(run: Run) -> dict[str, Any]:
    return {"run_at_ms": run.due_ms} | ({} if run.segment is None else {"segment": run.segment})


def _timer_id(what: str, key: str) -> bytes:
    return bytes.fromhex(stable_id(what, key))
