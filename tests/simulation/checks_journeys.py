"""What has to be true of journeys, seen from outside."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from schemas.workspace import SendStep, WaitStep
from tests.simulation.actions import HOUR
from tests.simulation.evidence import SLACK_MS
from workers.state import ACCOUNTS, USERS
from workers.stream.partition import SEAL
from workers.stream.store import TIMER
from workers.timers import decode_payload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas import wire
    from schemas.workspace import Journey
    from tests.simulation.evidence import Event, Evidence
    from workers.core.plan import GoalPlan


def every_enrollment_ends(found: Evidence) -> Iterator[str]:
    """When all has settled nobody is in a journey, and each enrollment has one decision of its end."""
    for rows in found.engine_rows.values():
        for tables in (USERS, ACCOUNTS):
            for key, row in rows.items():
                if key.startswith(tables.progress.prefix):
                    progress = tables.progress.decode(row)
                    active = [held.journey for held in progress.enrollments if held.is_active]
                    if active:
                        yield f"{progress.subject} is still in {active}"
    ended = Counter(decision.enrollment for _, decision in found.decisions("exit"))
    yield from (f"enrollment {one} ended {times} times" for one, times in ended.items() if times > 1)
    for _, decision in found.decisions("entry", "enrolled"):
        if decision.subject not in found.entangled and not ended[decision.enrollment]:
            yield f"{decision.subject} entered {decision.journey} and no decision says how it ended"


def no_timer_is_left(found: Evidence) -> Iterator[str]:
    """When all has settled no timer of a journey is left, and none of any kind is overdue."""
    for rows in found.engine_rows.values():
        for key, row in rows.items():
            if not key.startswith(TIMER):
                continue
            due_ms, payload = int.from_bytes(row[:8], "big"), row[8:]
            if due_ms < found.end_ms - HOUR:
                yield f"a timer is overdue since {due_ms}: {payload!r}"
            elif _is_of_enrollment(payload):
                yield f"a timer waits for an enrollment that is over: {decode_payload(payload)}"


def each_wait_has_its_timer(found: Evidence) -> Iterator[str]:
    """After every transaction the timers of journeys are those of enrollments that wait, and no others."""
    for partition in range(found.scenario.partitions):
        timers: set[bytes] = set()
        waiting: dict[bytes, set[bytes]] = {}
        for record in found.changelog("brimful-engine", partition):
            key = record.key or b""
            if key.startswith(TIMER):
                timers.discard(key[1:])
                if record.value is not None and _is_of_enrollment(record.value[8:]):
                    timers.add(key[1:])
            elif key[:1] in _PROGRESS:
                waiting[key] = set() if record.value is None else _waiting(key, record.value)
            elif key == SEAL:
                expected = set().union(*waiting.values())
                if timers != expected:
                    odd = sorted(one.hex() for one in timers ^ expected)
                    yield f"partition {partition}: timers {odd} after the transaction at {record.timestamp}"
                    return


_PROGRESS = {USERS.progress.prefix: USERS.progress, ACCOUNTS.progress.prefix: ACCOUNTS.progress}


def _waiting(key: bytes, row: bytes) -> set[bytes]:
    progress = _PROGRESS[key[:1]].decode(row)
    return {bytes.fromhex(held.timer_id) for held in progress.enrollments if held.timer_id is not None}


def _is_of_enrollment(payload: bytes) -> bool:
    """Whether a timer wakes an enrollment: others carry words in the place of its id, or are no journey's."""
    return payload.startswith(_OF_SUBJECT) and len(decode_payload(payload).enrollment) == 32


_OF_SUBJECT = b"\x93"
"""How payloads of subjects' timers begin: an array of three. Others carry words."""


def entries_and_ends_alternate(found: Evidence) -> Iterator[str]:
    """A subject is in a journey once at a time; where it has a key, once for each value."""
    inside: dict[tuple[str, str, str, str], str | None] = {}
    both = sorted(
        (*found.decisions("entry", "enrolled"), *found.decisions("exit")), key=lambda one: one[0].order
    )
    for _, decision in both:
        key = found.key_of(decision)
        if decision.subject in found.entangled or key is None:
            continue
        place = (decision.subject_type, decision.subject, decision.journey, key)
        held = inside.get(place)
        if decision.kind == "entry":
            if held is not None:
                yield f"{place} was enrolled as {decision.enrollment} while in {held}"
            inside[place] = decision.enrollment
        else:
            if held != decision.enrollment:
                yield f"{place} ended {decision.enrollment} while in {held}"
            inside[place] = None


def again_is_respected(found: Evidence) -> Iterator[str]:
    """From one entry to the next passes at least what the journey says; after ``never`` there is none."""
    entered: dict[tuple[str, str, str | None], list[int]] = defaultdict(list)
    for _, decision in found.decisions("entry", "enrolled"):
        if decision.subject not in found.entangled:
            entered[decision.journey, decision.subject, found.key_of(decision)].append(decision.at_ms)
    for (name, subject, _), times_ms in entered.items():
        journey = found.stable.get(name)
        if journey is None:
            continue
        after_ms = journey.entry.again_after_ms()
        for first_ms, second_ms in pairwise(times_ms):
            if after_ms is None or second_ms - first_ms < after_ms:
                yield f"{subject} entered {name} again after {second_ms - first_ms} ms"


def decisions_are_written_once(found: Evidence) -> Iterator[str]:
    """No decision but one about a candidate is written twice, and no conversion.

    Where an edit puts people before a step again whose message was not sent, that is decided again.
    """
    times = Counter(
        one.id
        for _, one in found.of("decisions")
        if one.kind != "entry" and not (one.outcome == "skip" and one.journey not in found.stable)
    )
    times += Counter(one.id for _, one in found.of("conversions"))
    times += Counter(one.id for _, one in found.decisions("entry", "enrolled"))
    yield from (f"{one} was written {number} times" for one, number in times.items() if number > 1)


def steps_run_once_and_not_early(found: Evidence) -> Iterator[str]:
    """Who came to a journey's end had each send outside branches decided once, and no wait cut short."""
    decided: dict[str, list[wire.Decision]] = defaultdict(list)
    for _, decision in found.decisions("send"):
        if decision.reason != "no_recipient" and decision.outcome != "request":
            decided[decision.enrollment or ""].append(decision)
    entered = {decision.enrollment: decision.at_ms for _, decision in found.decisions("entry", "enrolled")}
    for _, decision in found.decisions("exit", "completed"):
        journey = found.stable.get(decision.journey)
        if journey is None or journey.subject != "user" or decision.subject in found.entangled:
            continue
        enrollment = decision.enrollment or ""
        late_ms = None if found.disturbed else LATE_MS
        yield from _walk(journey, entered[enrollment], decided[enrollment], decision, late_ms)


LATE_MS = 2_000
"""How late a wait may end where nothing goes wrong."""


def _walk(
    journey: Journey,
    entered_ms: int,
    decided: list[wire.Decision],
    end: wire.Decision,
    late_ms: int | None,
) -> Iterator[str]:
    earliest_ms = entered_ms
    branched = False
    for at, step in enumerate(journey.steps):
        if isinstance(step, WaitStep) and isinstance(step.wait, int):
            earliest_ms += step.wait
        elif isinstance(step, SendStep):
            # What the gate deferred it decides once more.
            records = [one for one in decided if one.step == (step.id or str(at))]
            here = [one for one in records if one.outcome != "defer"]
            held = len(records) > len(here)
            if len(here) != 1:
                yield f"{end.subject} in {journey.journey}: step {at} was decided {len(here)} times"
            elif here[0].at_ms < earliest_ms:
                early_ms = earliest_ms - here[0].at_ms
                yield f"{end.subject} in {journey.journey}: step {at} ran {early_ms} ms early"
            elif late_ms is not None and not branched and not held and here[0].at_ms > earliest_ms + late_ms:
                yield f"{end.subject} in {journey.journey}: step {at} ran late, at {here[0].at_ms}"
            else:
                earliest_ms = here[0].at_ms
        else:
            branched = True
    if end.at_ms < earliest_ms:
        yield f"{end.subject} in {journey.journey}: it ended {earliest_ms - end.at_ms} ms early"


def goals_are_credited_once(found: Evidence) -> Iterator[str]:
    """A goal's event in time is one conversion of the newest enrollment before it; there are no others."""
    for _, conversion in found.of("conversions"):
        journey = found.stable.get(conversion.journey)
        if journey is not None and journey.goal is not None and conversion.subject_type == "user":
            until_ms = conversion.entered_at_ms + journey.goal.within
            if conversion.converted_at_ms >= until_ms:
                yield f"{conversion.subject} converted in {conversion.journey} after its window"
    times = Counter((one.journey, one.subject, one.message_id) for _, one in found.of("conversions"))
    yield from (f"{one} converted {number} times" for one, number in times.items() if number > 1)
    plan = found.plans[0].user
    for name in found.stable.keys() & plan.journeys.keys():
        goal, told = plan.journeys[name].goal, found.stable[name].goal
        by_key = told is not None and told.match is not None
        if goal is not None and not by_key and not found.long_stall:
            yield from _goals_of(found, name, goal)


def _goals_of(found: Evidence, name: str, goal: GoalPlan) -> Iterator[str]:
    enrolled: dict[str, list[tuple[int, wire.Decision]]] = defaultdict(list)
    for record, decision in found.decisions("entry", "enrolled"):
        if decision.journey == name and decision.subject not in found.entangled:
            enrolled[decision.subject].append((found.end_of(record), decision))
    events: dict[str, list[Event]] = defaultdict(list)
    for event in found.events:
        if event.name == goal.event:
            events[event.subject].append(event)
    credited = {(one.enrollment, one.message_id) for _, one in found.of("conversions") if one.journey == name}
    for subject, entries in enrolled.items():
        expected = _expected_goals(found, goal, entries, events[subject])
        if expected is None:
            continue
        actual = {one for one in credited if one[0] in {entry.enrollment for _, entry in entries}}
        if actual != expected:
            yield f"{subject} in {name}: converted {sorted(actual)}, expected {sorted(expected)}"


def _expected_goals(  # noqa: C901 - the rule in one piece, to be read beside the engine's
    found: Evidence, goal: GoalPlan, entries: list[tuple[int, wire.Decision]], events: list[Event]
) -> set[tuple[str, str]] | None:
    """The (enrollment, message id) that convert; None where clocks or lateness leave it open."""
    expected: set[tuple[str, str]] = set()
    converted: set[str] = set()
    for event in sorted(events, key=lambda one: (one.applied, one.record.offset)):
        if abs(event.record.timestamp - event.at_ms) > 12 * HOUR or event.at_ms > event.record.timestamp:
            return None
        begun = []
        for end, entry in entries:
            trigger = found.triggers[entry.enrollment or ""]
            if end > event.applied or event.event.message_id == trigger.message_id:
                continue
            if abs(event.at_ms - trigger.at_ms) < SLACK_MS:
                return None
            if event.at_ms >= trigger.at_ms:
                begun.append((trigger.at_ms, entry.at_ms, entry.enrollment or ""))
        if not begun:
            continue
        _, entered_ms, newest = max(begun)
        if newest in converted:
            continue
        if abs(event.at_ms - (entered_ms + goal.within_ms)) < SLACK_MS:
            return None
        if event.at_ms < entered_ms + goal.within_ms:
            converted.add(newest)
            expected.add((newest, event.event.message_id))
    return expected


def segments_are_entered_and_left_in_turn(found: Evidence) -> Iterator[str]:
    """Who is told of as entering a segment was outside, and who leaves was inside."""
    inside: dict[tuple[str, str, str], bool] = {}
    for _, change in found.of("segments"):
        place = (change.segment, change.subject_type, change.subject)
        if inside.get(place, False) == (change.change == "entered") and change.subject not in found.erased:
            yield f"{place} {change.change} twice in a row"
        inside[place] = change.change == "entered"


CHECKS = (
    every_enrollment_ends,
    no_timer_is_left,
    each_wait_has_its_timer,
    entries_and_ends_alternate,
    again_is_respected,
    decisions_are_written_once,
    steps_run_once_and_not_early,
    goals_are_credited_once,
    segments_are_entered_and_left_in_turn,
)
