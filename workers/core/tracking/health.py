"""Whether the instrumentation is well: what stopped coming, what is new, what lost its values.

Everything is judged by producer, since producers break one by one, and from counts per hour. The rules:

``stopped``
    A planned event is silent for more than :data:`SILENCE_FACTOR` times its longest silence so far, and at
    its usual rate :data:`EXPECTED_MIN` events would have come. The first half is a distribution-free
    rule: if nothing changed, the newest of n + 1 silences is the longest with a chance of 1 / (n + 1); nights
    and weekends count as the silences that they are. The second half is the Poisson distribution's: nothing
    comes where 9.2 are expected with a chance of exp(-9.2), 1 in 10,000. It must have come in
    :data:`HOURS_MIN` hours; and before a week with its weekend is seen, the longest silence counts as
    :data:`UNSEEN_WEEK_HOURS` at least, so that only what exceeds a weekend is told.
``never_seen``
    A planned event that did not come at all.
``new_unknown``, ``unknown``
    An event that is not planned, first seen in the recent time, or before it too.
``went_null``, ``vanished``
    A property had a value in a share of the events before the recent time, and now in a share that is lower
    by :data:`DROP_MIN`, beyond chance: the two-proportion z-test with pooled variance gives :data:`Z_MIN` or
    more (1 in 30,000). ``vanished`` where it is no longer there at all, not even as null.
``deprecated``
    An event that the plan calls deprecated, and that still came in the recent time.

Pure: counts and a time in, findings out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from schemas.workspace.tracking_plan import PlannedEvent, PlannedTraits, TrackingPlan

HOUR_MS: Final = 3_600_000
SILENCE_FACTOR: Final = 2
EXPECTED_MIN: Final = 9.2
HOURS_MIN: Final = 10
UNSEEN_WEEK_HOURS: Final = 32
"""Half of a weekend, from Friday at 17 h to Monday at 9 h."""

WEEK_HOURS: Final = 8 * 24
"""Whole days that hold every silence of a week from its beginning to its end."""

DROP_MIN: Final = 0.2
Z_MIN: Final = 4.0
EVENTS_MIN: Final = 20
"""Events before, and events now, below which nothing is said of a property."""

Kind: TypeAlias = Literal[
    "stopped", "went_null", "vanished", "never_seen", "new_unknown", "deprecated", "unknown"
]

ORDER: Final[dict[Kind, int]] = {
    "stopped": 0,
    "vanished": 1,
    "went_null": 2,
    "new_unknown": 3,
    "deprecated": 4,
    "never_seen": 5,
    "unknown": 6,
}
"""The most urgent first."""


@dataclass(slots=True)
class Hour:
    """What one producer sent of one event within one hour: with a value, and as null, by property."""

    events: int = 0
    filled: dict[str, int] = field(default_factory=dict)
    nulls: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A track event by name, or another call by type; and who sent it."""

    name: str
    is_call: bool
    producer: str


Counts: TypeAlias = "dict[Source, dict[int, Hour]]"
"""By source, and by hours since 1970."""


@dataclass(frozen=True, slots=True)
class HealthFinding:
    """One thing to look at.

    ``producer`` is empty for what no producer sends. ``events`` is how many came in the recent time;
    of what stopped, how many would have.
    """

    kind: Kind
    event: str
    producer: str
    property: str
    detail: str
    events: int


def observe(counts: Counts, source: Source, at_ms: int, filled: list[str], nulls: list[str]) -> None:
    """Count one event that happened at ``at_ms``, with the names of its properties by what they held."""
    hours = counts.setdefault(source, {})
    hour = hours.setdefault(at_ms // HOUR_MS, Hour())
    hour.events += 1
    for name in filled:
        hour.filled[name] = hour.filled.get(name, 0) + 1
    for name in nulls:
        hour.nulls[name] = hour.nulls.get(name, 0) + 1


def assess(
    plan: TrackingPlan, counts: Mapping[Source, Mapping[int, Hour]], now_ms: int, recent_ms: int
) -> list[HealthFinding]:
    """Everything found, the most urgent first.

    The recent time are the ``recent_ms`` up to ``now_ms``, in whole hours.
    """
    now, border = now_ms // HOUR_MS, (now_ms - recent_ms) // HOUR_MS
    calls = plan.calls()
    found: list[HealthFinding] = []
    begin = min((min(hours) for hours in counts.values()), default=now)
    for source, hours in counts.items():
        planned = (calls if source.is_call else plan.events).get(source.name)
        if planned is not None:
            found += _planned(source, planned, hours, now, border)
        elif not source.is_call:
            found.append(_unknown(source, hours, border, begin))
    seen = {(source.name, source.is_call) for source in counts}
    for name, planned in plan.events.items():
        if (name, False) not in seen and not planned.deprecated:
            found.append(_never(name))
    found += [_never(name) for name in calls if (name, True) not in seen]
    return sorted(found, key=lambda one: (ORDER[one.kind], one.event, one.producer, one.property))


def _planned(
    source: Source,
    planned: PlannedEvent | PlannedTraits,
    hours: Mapping[int, Hour],
    now: int,
    border: int,
) -> Iterator[HealthFinding]:
    recent = sum(hour.events for at, hour in hours.items() if at > border)
    if planned.deprecated:
        if recent:
            detail = "the plan calls it deprecated"
            yield HealthFinding("deprecated", source.name, source.producer, "", detail, recent)
        return
    stopped = _stopped(source, hours, now)
    if stopped is not None:
        yield stopped
        return
    yield from _properties(source, hours, border)


def _stopped(source: Source, hours: Mapping[int, Hour], now: int) -> HealthFinding | None:
    seen = sorted(hours)
    if len(seen) < HOURS_MIN:
        return None
    span = seen[-1] - seen[0] + 1
    longest = max(after - before for before, after in pairwise(seen))
    silence = now - seen[-1]
    rate = sum(hour.events for hour in hours.values()) / span
    expected = rate * silence
    floor = UNSEEN_WEEK_HOURS if span < WEEK_HOURS else 0
    if silence <= SILENCE_FACTOR * max(longest, floor) or expected < EXPECTED_MIN:
        return None
    detail = (
        f"silent for {_span(silence)}, never before for more than {_span(longest)}; usually {rate:.3g} an "
        f"hour, so {expected:.0f} should have come"
    )
    return HealthFinding("stopped", source.name, source.producer, "", detail, round(expected))


def _properties(source: Source, hours: Mapping[int, Hour], border: int) -> Iterator[HealthFinding]:
    before, now = _sum(hours, lambda at: at <= border), _sum(hours, lambda at: at > border)
    if before.events < EVENTS_MIN or now.events < EVENTS_MIN:
        return
    for name in sorted(before.filled):
        was, is_now = before.filled[name] / before.events, now.filled.get(name, 0) / now.events
        if was - is_now < DROP_MIN or _z(was, before.events, is_now, now.events) < Z_MIN:
            continue
        null = now.nulls.get(name, 0) / now.events
        gone = not is_now and not null
        kind: Kind = "vanished" if gone else "went_null"
        detail = f"has a value in {is_now:.0%} of {now.events} events, before in {was:.0%} of {before.events}"
        detail += f"; null in {null:.0%}" if null else "; not there any more" if gone else "; else not there"
        yield HealthFinding(kind, source.name, source.producer, name, detail, now.events)


def _unknown(source: Source, hours: Mapping[int, Hour], border: int, begin: int) -> HealthFinding:
    recent = sum(hour.events for at, hour in hours.items() if at > border)
    # Where the counts begin within the recent time, nothing can be told to be new.
    is_new = min(hours) > border >= begin
    kind: Kind = "new_unknown" if is_new else "unknown"
    total = sum(hour.events for hour in hours.values())
    detail = f"not in the plan; {total} events, {recent} of them lately"
    return HealthFinding(kind, source.name, source.producer, "", detail, recent)


def _never(name: str) -> HealthFinding:
    return HealthFinding("never_seen", name, "", "", "planned, and never seen", 0)


def _z(share_before: float, before: int, share_now: float, now: int) -> float:
    """The statistic of the two-proportion z-test with pooled variance."""
    pooled = (share_before * before + share_now * now) / (before + now)
    variance = pooled * (1 - pooled) * (1 / before + 1 / now)
    return (share_before - share_now) / sqrt(variance) if variance > 0 else 0.0


def _sum(hours: Mapping[int, Hour], wanted: Callable[[int], bool]) -> Hour:
    total = Hour()
    for at, hour in hours.items():
        if not wanted(at):
            continue
        total.events += hour.events
        for name, count in hour.filled.items():
            total.filled[name] = total.filled.get(name, 0) + count
        for name, count in hour.nulls.items():
            total.nulls[name] = total.nulls.get(name, 0) + count
    return total


def _span(hours: int) -> str:
    days, rest = divmod(hours, 24)
    return " ".join(part for part in (f"{days} d" * bool(days), f"{rest} h" * bool(rest or not days)) if part)
