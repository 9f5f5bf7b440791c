"""What has to be true of steps, from outside: chance is sticky, loops end, waits end by what they are for."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from schemas import wire
from schemas.workspace import SendStep, SplitStep, TraitCondition, WaitForStep, WaitUntilStep
from tests.simulation.actions import HOUR
from tests.simulation.evidence import SLACK_MS
from tests.simulation.step_paths import rounds_by_path, steps_by_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from schemas.workspace import Journey
    from tests.simulation.evidence import Event, Evidence
    from workers.simulate.log import Record

CLOCK_MS = 4 * HOUR
"""Clocks of workers may be this far apart where anything goes wrong."""


def chance_is_sticky(found: Evidence) -> Iterator[str]:
    """A split goes the same way, and an experiment has the same variant, whenever a unit comes to it."""
    ways: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for _, decision in found.decisions("split"):
        journey = found.stable.get(decision.journey)
        step = steps_by_path(journey).get(decision.step or "") if journey is not None else None
        if isinstance(step, SplitStep):
            account = decision.account if step.by == "account" else None
            unit = account or decision.subject
            ways["split", decision.values["experiment"], unit].add(decision.variant or "")
    for _, decision in found.decisions("assignment"):
        ways["experiment", decision.values["assigned"], decision.values["unit"]].add(decision.outcome)
    yield from (f"{place} went {sorted(taken)}" for place, taken in ways.items() if len(taken) > 1)


def loops_are_bounded(found: Evidence) -> Iterator[str]:
    """In one enrollment a send is decided at most once for each round of the loops around it."""
    decided: Counter[tuple[str, str, str, str]] = Counter()
    for _, decision in found.decisions("send"):
        if decision.outcome != "defer":
            place = (decision.journey, decision.subject, decision.enrollment or "", decision.step or "")
            decided[place] += 1
    for (name, subject, _, path), times in decided.items():
        journey = found.stable.get(name)
        if journey is None or journey.subject != "user" or subject in found.entangled:
            continue
        most = rounds_by_path(journey).get(path)
        if most is not None and times > most:
            yield f"{subject} in {name}: step {path} was decided {times} times, and {most} are the most"


def parts_join_once(found: Evidence) -> Iterator[str]:
    """A step behind parts that ran side by side runs once, and the others' steps no more than once."""
    for name, journey in found.stable.items():
        behind = {path for path, step in steps_by_path(journey).items() if isinstance(step, SendStep)}
        once = {path for path in behind if rounds_by_path(journey)[path] == 1}
        times = Counter(
            (one.enrollment, one.step)
            for _, one in found.decisions("send")
            if one.journey == name and one.subject_type == journey.subject and one.outcome != "defer"
            if one.step in once and one.reason != "no_recipient" and one.subject not in found.entangled
        )
        yield from (f"{place} of {name} ran {number} times" for place, number in times.items() if number > 1)


def first_waits_end_by_what_they_wait_for(found: Evidence) -> Iterator[str]:
    """Who waits first of all is timed out where what is waited for did not come, and not where it came."""
    times_out = {
        (decision.enrollment, decision.step) for _, decision in found.decisions("send", *_ANY_OUTCOME)
    }
    completed = {decision.enrollment: record for record, decision in found.decisions("exit", "completed")}
    for journey in found.stable.values():
        waits = _first_wait(journey)
        if waits is None or journey.subject != "user" or journey.entry.key is not None:
            continue
        path, timeout_ms, ends, is_all = waits
        for record, entered in found.decisions("entry", "enrolled"):
            if entered.journey != journey.journey or entered.subject in found.entangled:
                continue
            timed_out = (entered.enrollment, path) in times_out
            if timed_out and _came(found, record, entered, timeout_ms, ends):
                yield f"{entered.subject} in {journey.journey} was timed out although it came"
            end = completed.get(entered.enrollment)
            if is_all and end is not None and not timed_out and not _may_have_come(found, entered, ends):
                yield f"{entered.subject} in {journey.journey} was not timed out although nothing came"


_ANY_OUTCOME = ("send", "would_send", "skip", "drop", "exit", "defer")


def _first_wait(journey: Journey) -> tuple[str, int, Callable[[Event], bool], bool] | None:
    """How a journey waits first of all; None where it does not, or where what ends it is not easily told.

    The path of what runs when the time is over, the time (ms), what ends it, and whether nothing else does.
    """
    step = journey.steps[0]
    if step.id is not None:
        return None
    if isinstance(step, WaitForStep) and step.timed_out and isinstance(step.timed_out[0], SendStep):
        asked = step.wait_for
        if asked.first_of is None and asked.match is None and asked.restart_on is None:
            return "0.1.0", asked.timeout, lambda event: _is(event, asked.event, asked.where), True
    if isinstance(step, WaitUntilStep) and step.timed_out and isinstance(step.timed_out[0], SendStep):
        condition = step.wait_until.when
        if (
            isinstance(condition, TraitCondition)
            and condition.trait == "plan"
            and "eq" in condition.operators()
        ):
            plan = condition.operators()["eq"]
            return "0.0.0", step.wait_until.timeout, lambda event: _says_plan(event, plan), False
    return None


def _is(event: Event, name: str | None, where: Any) -> bool:
    return event.name == name and (
        where is None or wire.values(event.event.properties).get("size", 0) >= _LEAST_SIZE
    )


_LEAST_SIZE = 3
"""What the one filter of random workspaces asks."""


def _says_plan(event: Event, plan: Any) -> bool:
    return event.name == "identify" and wire.values(event.event.traits).get("plan") == plan


def _came(
    found: Evidence, record: Record, entered: wire.Decision, timeout_ms: int, ends: Callable[[Event], bool]
) -> bool:
    """Whether it came for certain while the step waited."""
    slack_ms = CLOCK_MS if found.disturbed else SLACK_MS
    begun = found.end_of(record)
    return any(
        ends(event)
        and event.applied > begun
        and entered.at_ms <= event.at_ms <= event.record.timestamp
        and event.at_ms < entered.at_ms + timeout_ms - slack_ms
        and found.end_time(event.applied) < record.timestamp + timeout_ms - slack_ms
        for event in found.events_of(entered.subject)
    )


def _may_have_come(found: Evidence, entered: wire.Decision, ends: Callable[[Event], bool]) -> bool:
    """Whether it came at all since the trigger, by any clock."""
    trigger = found.triggers[entered.enrollment or ""]
    since_ms = trigger.at_ms - SLACK_MS
    return any(ends(event) and event.at_ms >= since_ms for event in found.events_of(entered.subject))


def recipients_are_no_more_than_asked(found: Evidence) -> Iterator[str]:
    """A step of an account's journey asks at most as many members as the journey says, each once."""
    asked: dict[tuple[str, str], list[str]] = defaultdict(list)
    for _, one in found.of("scheduler"):
        if isinstance(one, wire.MessageRequest) and one.message.withdrawn is None:
            asked[one.journey, one.request or one.id].append(one.subject)
    for (name, _), people in asked.items():
        journey = found.stable.get(name)
        if journey is None or journey.recipients is None or found.entangled.intersection(people):
            continue
        if len(people) > journey.recipients.limit or len(set(people)) < len(people):
            yield f"{name} asked {sorted(people)}, and {journey.recipients.limit} are the most"


CHECKS: tuple[Any, ...] = (
    chance_is_sticky,
    loops_are_bounded,
    parts_join_once,
    first_waits_end_by_what_they_wait_for,
    recipients_are_no_more_than_asked,
)
