"""The sums that the console shows, of the rows of all partitions."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from workers.core.journeys.lineage import SHADOW_MARK
from workers.tallies import SAMPLES, in_last

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workers.tallies import Standing, StepTally, Tally

DAY_HOURS: Final = 24

RULES: Final = frozenset({"no_consent", "suppressed", "cap", "exclusive", "once", "already_sent"})
"""Reasons by which rules of the workspace keep a message back, as they are meant to."""


@dataclass(slots=True)
class Number:
    """How often something happened: in the last 24 hours, and in all."""

    day: int = 0
    total: int = 0


@dataclass(slots=True)
class JourneyNumbers:
    """What is known of a journey; ``problems`` and ``problems_hour`` are those that rules do not explain."""

    inside: int = 0
    entered: Number = field(default_factory=Number)
    exited: Number = field(default_factory=Number)
    goals: Number = field(default_factory=Number)
    sends: Number = field(default_factory=Number)
    would_send: Number = field(default_factory=Number)
    problems: int = 0
    problems_hour: int = 0


@dataclass(slots=True)
class Outcome:
    """What came out at a step for one reason, over all partitions.

    ``ruled``: rules of the workspace did what they say. ``samples`` are (kind, id) of subjects.
    """

    kind: str
    outcome: str
    reason: str
    problem: bool
    ruled: bool
    count: int = 0
    hour: int = 0
    day: int = 0
    first_ms: int = 0
    last_ms: int = 0
    samples: list[tuple[str, str]] = field(default_factory=list)


_COUNTED: Final = {
    ("entry", "enrolled"): "entered",
    ("exit", "completed"): "exited",
    ("exit", "exited"): "exited",
    ("goal", "converted"): "goals",
    ("send", "send"): "sends",
    ("send", "would_send"): "would_send",
}


def journeys_of(
    tallies: Iterable[Tally], steps: Iterable[StepTally], standing: Iterable[Standing], now_ms: int
) -> dict[str, JourneyNumbers]:
    """The numbers of each journey, all versions together; those of shadows are left out."""
    found: defaultdict[str, JourneyNumbers] = defaultdict(JourneyNumbers)
    for tally in tallies:
        name = _COUNTED.get((tally.kind, tally.outcome))
        if name is not None and not tally.journey.endswith(SHADOW_MARK):
            number: Number = getattr(found[tally.journey], name)
            number.total += tally.count
            number.day += in_last(tally.hours, now_ms, DAY_HOURS)
    for step in steps:
        if step.problem and step.reason not in RULES and not step.journey.endswith(SHADOW_MARK):
            found[step.journey].problems += in_last(step.hours, now_ms, DAY_HOURS)
            found[step.journey].problems_hour += in_last(step.hours, now_ms, 2)
    for (journey, _, _), number_inside in standing_of(standing).items():
        if not journey.endswith(SHADOW_MARK):
            found[journey].inside += number_inside
    return dict(found)


def standing_of(standing: Iterable[Standing]) -> Mapping[tuple[str, str, str], int]:
    """How many stand at each step, by journey, version and step."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for one in standing:
        counted[one.journey, one.version, one.step] += one.number
    return counted


def outcomes_of(steps: Iterable[StepTally], journey: str, now_ms: int) -> dict[str, list[Outcome]]:
    """What came out at each step of a journey: what needs a look first, then the most frequent."""
    found: dict[tuple[str, str, str, str], Outcome] = {}
    latest: dict[tuple[str, str, str, str], list[tuple[int, str]]] = defaultdict(list)
    for row in steps:
        if row.journey != journey:
            continue
        key = (row.step, row.kind, row.outcome, row.reason)
        one = found.get(key)
        if one is None:
            ruled = row.problem and row.reason in RULES
            one = found[key] = Outcome(row.kind, row.outcome, row.reason, row.problem, ruled)
            one.first_ms = row.first_ms
        one.count += row.count
        one.hour += in_last(row.hours, now_ms, 2)
        one.day += in_last(row.hours, now_ms, DAY_HOURS)
        one.first_ms = min(one.first_ms, row.first_ms)
        one.last_ms = max(one.last_ms, row.last_ms)
        latest[key] += [(row.last_ms, sample) for sample in row.samples]
    by_step: dict[str, list[Outcome]] = defaultdict(list)
    for key, one in found.items():
        samples = [sample for _, sample in sorted(latest[key], reverse=True)[:SAMPLES]]
        one.samples = [(kind, subject) for kind, _, subject in (each.partition(":") for each in samples)]
        by_step[key[0]].append(one)
    for some in by_step.values():
        some.sort(key=lambda one: (not one.problem, one.ruled, -one.last_ms if one.problem else -one.count))
    return dict(by_step)
