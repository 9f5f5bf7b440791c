"""What has to be true of entries, and of what ends them from afar, seen from outside."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from cronsim import CronSim

from schemas import wire
from schemas.workspace.conditions import ReceivedCondition, SegmentCondition
from schemas.workspace.entries import OnRequest, OnSchedule, OnScore, OnSegment
from schemas.workspace.journeys import ExitChange
from tests.simulation.actions import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.workspace import Journey
    from tests.simulation.evidence import Evidence


def schedules_run_at_their_times(found: Evidence) -> Iterator[str]:
    """Who enters by a schedule enters by a time of it, and by each time once."""
    times: Counter[tuple[str, str, int]] = Counter()
    asked_ms = {one.at_ms for _, one in found.of("scheduler") if isinstance(one, wire.EnrollSegment)}
    for _, entered in found.decisions("entry", "enrolled"):
        trigger = found.triggers.get(entered.enrollment or "")
        journey = found.stable.get(entered.journey)
        if trigger is None or trigger.kind != "schedule" or journey is None:
            continue
        run_ms = trigger.properties["run_at_ms"]
        times[entered.journey, entered.subject, run_ms] += 1
        schedules = [one for one in journey.entry.triggers() if isinstance(one, OnSchedule)]
        existing = any(isinstance(one, OnSegment) and one.existing for one in journey.entry.triggers())
        if (
            run_ms not in asked_ms
            and not existing
            and not any(_comes_at(one, run_ms, found) for one in schedules)
        ):
            yield f"{entered.subject} entered {entered.journey} by a run at {run_ms}, which is none"
    yield from (f"{place} entered {number} times by one run" for place, number in times.items() if number > 1)


def _comes_at(schedule: OnSchedule, run_ms: int, found: Evidence) -> bool:
    zone = ZoneInfo(schedule.timezone) if schedule.timezone is not None else found.gate.workspace_zone
    before = datetime.fromtimestamp(run_ms / 1000 - 60, zone)
    return bool(next(CronSim(schedule.schedule, before)).timestamp() * 1000 == run_ms)


def crossings_make_candidates(found: Evidence) -> Iterator[str]:
    """Where nothing is edited, who crosses what an entry is about is a candidate, there and then."""
    if found.edited or found.left.wiring.desk is not None:
        return
    at: dict[tuple[str, str], set[int]] = defaultdict(set)
    for _, decision in found.decisions("entry"):
        at[decision.journey, decision.subject].add(decision.at_ms)
    for _, asked in found.of("scheduler"):
        if isinstance(asked, wire.Eligible):
            at[asked.journey, asked.subject].add(asked.at_ms)
    for journey in found.stable.values():
        for one in _crossings(found, journey):
            place = (journey.journey, one.subject)
            if one.subject not in found.entangled and one.at_ms not in at[place]:
                yield f"{one.subject} crossed at {one.at_ms}, and was no candidate for {journey.journey}"


def _crossings(found: Evidence, journey: Journey) -> Iterator[wire.SegmentChange | wire.ScoreCrossed]:
    """What the entry of a journey is about."""
    segments = {(one.segment, one.change) for one in journey.entry.triggers() if isinstance(one, OnSegment)}
    scores = {
        (one.score, one.threshold, one.direction)
        for one in journey.entry.triggers()
        if isinstance(one, OnScore)
    }
    for _, change in found.of("segments") if segments else ():
        if (change.segment, change.change) in segments:
            yield change
    for _, crossed in found.of("scores") if scores else ():
        if (crossed.score, crossed.threshold, crossed.direction) in scores:
            yield crossed


def requests_enter_once(found: Evidence) -> Iterator[str]:
    """A request to enter, sent again or not, enters once at most, and only where the journey says so."""
    times: Counter[str] = Counter()
    for _, entered in found.decisions("entry", "enrolled"):
        trigger = found.triggers.get(entered.enrollment or "")
        if trigger is None or trigger.kind != "api":
            continue
        times[trigger.properties["asked"]] += entered.subject not in found.entangled
        journey = found.stable.get(entered.journey)
        if journey is not None and not any(isinstance(one, OnRequest) for one in journey.entry.triggers()):
            yield f"{entered.subject} entered {entered.journey} on request, which nobody may"
    yield from (f"request {one} entered {number} times" for one, number in times.items() if number > 1)


def requirements_hold(found: Evidence) -> Iterator[str]:
    """Who enters is in the segments that the journey requires, and had none of the messages it excludes."""
    for journey in found.stable.values():
        if journey.subject != "user":
            continue
        segments = [one.in_segment for one in journey.entry.require if isinstance(one, SegmentCondition)]
        tags = [one for one in journey.entry.exclude if isinstance(one, ReceivedCondition)]
        for record, entered in found.decisions("entry", "enrolled") if segments or tags else ():
            if entered.journey != journey.journey or entered.subject in found.entangled:
                continue
            for segment in segments:
                if _is_outside(found, segment, entered.subject, found.end_of(record)):
                    yield f"{entered.subject} entered {journey.journey} from outside of {segment}"
            for sent in found.gate.sent_by_person.get(entered.subject, ()):
                if sent.record.order < record.order and any(
                    _is_excluded(one, sent.message.tags, sent.decision.at_ms, entered.at_ms) for one in tags
                ):
                    yield f"{entered.subject} entered {journey.journey} after {sent.message.template}"


def _is_outside(found: Evidence, segment: str, subject: str, end: int) -> bool:
    """Whether the subject was outside of a segment before and after the transaction that ended then."""
    changes = [
        (found.end_of(record), one.change)
        for record, one in found.of("segments")
        if one.segment == segment and one.subject == subject and one.subject_type == "user"
    ]
    if any(at == end for at, _ in changes):
        return False
    before = [change for at, change in changes if at < end]
    return not before or before[-1] == "left"


def _is_excluded(condition: ReceivedCondition, tags: list[str], sent_ms: int, entered_ms: int) -> bool:
    within = condition.within
    is_meant = not set(condition.received.tag or ()).isdisjoint(tags)
    return isinstance(within, int) and is_meant and sent_ms > entered_ms - within and sent_ms <= entered_ms


def accounts_end_what_is_about_them(found: Evidence) -> Iterator[str]:
    """Once a member's partition has learned of a trait's change, enrollments that it ends get no message."""
    journeys = [
        one
        for one in found.stable.values()
        if any(isinstance(leaving.when, ExitChange) and leaving.when.account_trait for leaving in one.exit)
    ]
    if not journeys:
        return
    changed = _plans_changed(found)
    for journey in journeys:
        for record, entered in found.decisions("entry", "enrolled"):
            if entered.journey != journey.journey or entered.subject in found.entangled:
                continue
            begun = found.end_of(record)
            after = [at for at in changed[entered.subject, entered.account or ""] if at > begun]
            for sent in found.gate.sent_by_person.get(entered.subject, ()) if after else ():
                if sent.message.enrollment == entered.enrollment and sent.record.order > min(after):
                    yield f"{entered.subject} got {sent.message.template} after the account's plan changed"


def _plans_changed(found: Evidence) -> dict[tuple[str, str], list[int]]:
    """For each member and account, by the end of which transactions they learned of another plan."""
    changed: dict[tuple[str, str], list[int]] = defaultdict(list)
    known: dict[tuple[str, str], Any] = {}
    left = {
        event.subject
        for event in found.events
        if event.event.type == "group" and "remove" in wire.values(event.event.traits)
    }
    for record, told in found.of("scheduler"):
        if not isinstance(told, wire.AccountFacts) or told.subject in left:
            continue
        place, applied = (told.subject, told.account), found.applied(record)
        plan = told.facts.get("plan")
        if place in known and known[place] != plan and "plan" in (told.changed or ()) and applied is not None:
            changed[place].append(applied)
        known[place] = plan
    return changed


def requested_exits_stop_messages(found: Evidence) -> Iterator[str]:
    """Once a request to leave was taken in, the enrollments before it get no message."""
    for asked_record, asked in found.of("scheduler"):
        if not isinstance(asked, wire.ExitRequest) or asked.subject_type != "user":
            continue
        applied = found.applied(asked_record)
        if applied is None or asked.subject in found.entangled:
            continue
        before = {
            entered.enrollment
            for record, entered in found.decisions("entry", "enrolled")
            if entered.subject == asked.subject and entered.journey == asked.journey
            if found.end_of(record) < applied
        }
        for sent in found.gate.sent_by_person.get(asked.subject, ()):
            if sent.message.enrollment in before and sent.record.order > applied:
                yield f"{asked.subject} got {sent.message.template} of {asked.journey} after {asked.id}"


def members_of_segments_are_looked_at(found: Evidence) -> Iterator[str]:
    """In quiet runs a schedule over a segment looks at everybody who is in it, within the hour."""
    if found.disturbed:
        return
    for journey in found.stable.values():
        for schedule in journey.entry.triggers():
            if isinstance(schedule, OnSchedule) and schedule.segment is not None:
                yield from _overlooked(found, journey, schedule)


def _overlooked(found: Evidence, journey: Journey, schedule: OnSchedule) -> Iterator[str]:
    looked = defaultdict(list)
    for _, decision in found.decisions("entry"):
        if decision.journey == journey.journey:
            looked[decision.subject].append(decision.at_ms)
    stays: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for _, change in found.of("segments"):
        if change.segment == schedule.segment and change.subject not in found.entangled:
            stays[change.subject].append((change.at_ms, change.change))
    begun_ms = min((event.record.timestamp for event in found.events), default=found.end_ms)
    zone = ZoneInfo(schedule.timezone) if schedule.timezone is not None else found.gate.workspace_zone
    runs = CronSim(schedule.schedule, datetime.fromtimestamp(begun_ms / 1000, zone) + timedelta(hours=1))
    while (run_ms := int(next(runs).timestamp() * 1000)) < found.end_ms:
        for subject, changes in stays.items():
            before = [change for at_ms, change in changes if at_ms < run_ms - HOUR]
            moves = any(run_ms - HOUR <= at_ms <= run_ms + HOUR for at_ms, _ in changes)
            is_in = bool(before) and before[-1] == "entered" and not moves
            if is_in and not any(run_ms <= at_ms <= run_ms + HOUR for at_ms in looked[subject]):
                yield f"{subject} is in {schedule.segment}, and {journey.journey} overlooked it at {run_ms}"


CHECKS: tuple[Any, ...] = (
    schedules_run_at_their_times,
    crossings_make_candidates,
    requests_enter_once,
    requirements_hold,
    accounts_end_what_is_about_them,
    requested_exits_stop_messages,
    members_of_segments_are_looked_at,
)
