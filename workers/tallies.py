"""The rows of the insights: what is counted of journeys, steps and segments, per partition.

The insights write them, and whoever shows numbers follows their changelog and adds the partitions up. Hours
are numbers of hours since 1970, in UTC.
"""

from __future__ import annotations

from typing import Final

import msgspec

from workers.stream.tables import Table

HOUR_MS: Final = 3_600_000

HOURS_KEPT: Final = 25
"""Hours of which counts are kept apart: a day, and the one that has begun."""

SAMPLES: Final = 5
"""Subjects that are kept of a problem at a step: the latest, to look at."""

STEPS_MOST: Final = 2_000
"""Different outcomes of steps that a partition counts apart: a hundred journeys with some ten steps and two
outcomes each. Others are counted as those of the journey ``other``, by their reason alone."""

OTHER: Final = "other"


class Tally(msgspec.Struct, array_like=True):
    """How many subjects or messages came to one outcome, and what revenue they brought.

    ``hours``: how many of them in each of the last :data:`HOURS_KEPT` hours in which there were any.
    """

    journey: str
    version: str
    kind: str
    outcome: str
    count: int = 0
    revenue: float = 0.0
    hours: dict[int, int] = msgspec.field(default_factory=dict)


class StepTally(msgspec.Struct, array_like=True):
    """How often something came out at a step of a journey, in all its versions, and for what reason.

    ``kind`` is that of a decision, or ``delivery``. ``problem``: somebody or something did not get on by it.
    Of problems ``samples`` has some subjects, each as :func:`sample_of` makes it, the latest last.
    """

    journey: str
    step: str
    kind: str
    outcome: str
    reason: str
    problem: bool = False
    count: int = 0
    first_ms: int = 0
    last_ms: int = 0
    hours: dict[int, int] = msgspec.field(default_factory=dict)
    samples: list[str] = msgspec.field(default_factory=list)


class Standing(msgspec.Struct, array_like=True):
    """How many subjects of a partition of the engine stand at a step now, as it said at ``at_ms``."""

    subject_type: str
    journey: str
    version: str
    step: str
    number: int
    at_ms: int


class SegmentSize(msgspec.Struct, array_like=True):
    """How many subjects of a partition are in a segment, and how that changed by the day (UTC, ISO).

    ``days`` holds for each day how many entered, how many left, and the size at its end.
    """

    segment: str
    subject_type: str
    members: int = 0
    days: dict[str, tuple[int, int, int]] = msgspec.field(default_factory=dict)


TALLIES = Table("tallies", b"n", Tally)
STEPS = Table("step_tallies", b"s", StepTally)
STANDING = Table("standing", b"p", Standing)
SIZES = Table("segment_sizes", b"z", SegmentSize)


def add_hour(hours: dict[int, int], at_ms: int) -> None:
    """Count one more in its hour; the earliest hours go where there is no room."""
    hour = at_ms // HOUR_MS
    hours[hour] = hours.get(hour, 0) + 1
    if len(hours) > HOURS_KEPT:
        del hours[min(hours)]


def in_last(hours: dict[int, int], now_ms: int, number: int) -> int:
    """How many were counted in the last so many hours, the one that has begun included."""
    first = now_ms // HOUR_MS - number + 1
    return sum(count for hour, count in hours.items() if hour >= first)


def sample_of(subject_type: str, subject: str) -> str:
    """A subject as a sample."""
    return f"{subject_type}:{subject}"
