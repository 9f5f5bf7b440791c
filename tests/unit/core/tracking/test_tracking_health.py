"""When instrumentation is said to be unwell: each rule on its border."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.workspace import TrackingPlan
from workers.core.tracking.health import (
    EVENTS_MIN,
    HOUR_MS,
    HOURS_MIN,
    UNSEEN_WEEK_HOURS,
    WEEK_HOURS,
    HealthFinding,
    Hour,
    Source,
    assess,
    observe,
)

DAY_MS = 24 * HOUR_MS
START = 480_000
"""The first hour of the histories here."""


def plan(**fields: Any) -> TrackingPlan:
    """A plan as a file would say it."""
    return TrackingPlan.model_validate(fields)


PLANNED = plan(events={"e": {}})


def hourly(begin: int, end: int, *, every: int = 1, events: int = 1) -> dict[int, Hour]:
    """So many events in each of the hours from ``begin`` until before ``end``, counted from the start."""
    return {START + at: Hour(events) for at in range(begin, end, every)}


def judged(
    counts: dict[int, Hour], *, at: int, of: TrackingPlan = PLANNED, name: str = "e", recent_h: int = 24
) -> list[HealthFinding]:
    """What is found of one event and producer, ``at`` hours after the start."""
    source = Source(name, is_call=False, producer="web")
    return assess(of, {source: counts}, (START + at) * HOUR_MS, recent_h * HOUR_MS)


def kinds(findings: list[HealthFinding]) -> list[str]:
    """What was found."""
    return [one.kind for one in findings]


def test_an_event_that_is_silent_beyond_its_own_habit_stopped() -> None:
    """Weeks of one or more an hour with nights of 10 hours, then nothing: told after twice a night."""
    habit = {at: hour for at, hour in hourly(0, 480, events=2).items() if (at - START) % 24 < 14}
    last = max(habit) - START
    longest = 11
    assert kinds(judged(habit, at=last + 2 * longest)) == []
    (found,) = judged(habit, at=last + 2 * longest + 1)
    assert (found.kind, found.event, found.producer) == ("stopped", "e", "web")
    assert found.detail == (
        "silent for 23 h, never before for more than 11 h; usually 1.19 an hour, so 27 should have come"
    )


def test_a_rare_event_is_not_missed_before_enough_of_it_should_have_come() -> None:
    """One in 10 hours: 9.2 of them take 92 hours."""
    habit = hourly(0, 400, every=10)
    rate = 40 / 391
    assert kinds(judged(habit, at=390 + int(9.2 / rate))) == []
    assert kinds(judged(habit, at=390 + int(9.2 / rate) + 1)) == ["stopped"]


def test_before_a_week_is_seen_a_weekend_is_no_silence() -> None:
    """From Friday evening to Monday morning nothing may come, and nobody could know."""
    short, long = hourly(0, WEEK_HOURS - 1, events=9), hourly(0, WEEK_HOURS, events=9)
    last = WEEK_HOURS - 2
    assert kinds(judged(short, at=last + 2 * UNSEEN_WEEK_HOURS)) == []
    assert kinds(judged(short, at=last + 2 * UNSEEN_WEEK_HOURS + 1)) == ["stopped"]
    assert kinds(judged(long, at=last + 1 + 2)) == []
    assert kinds(judged(long, at=last + 1 + 10)) == ["stopped"]


def test_a_few_hours_are_no_habit() -> None:
    """Too little to know a longest silence from."""
    few, enough = hourly(0, HOURS_MIN - 1, events=50), hourly(0, HOURS_MIN, events=50)
    assert kinds(judged(few, at=1_000)) == []
    assert kinds(judged(enough, at=1_000)) == ["stopped"]


def test_each_producer_is_judged_alone() -> None:
    """The one that broke is named, and the other's events do not hide it."""
    counts = {
        Source("e", is_call=False, producer="web"): hourly(0, 300),
        Source("e", is_call=False, producer="ios"): hourly(0, 200),
    }
    (found,) = assess(PLANNED, counts, (START + 300) * HOUR_MS, DAY_MS)
    assert (found.kind, found.producer) == ("stopped", "ios")


def test_what_is_planned_and_never_came_is_told() -> None:
    """Events and calls; of a deprecated one that is as it should be."""
    of = plan(events={"e": {}, "old": {"deprecated": True}}, identify={}, group={})
    identify = {Source("identify", is_call=True, producer="web"): hourly(0, 1)}
    found = assess(of, identify, START * HOUR_MS, DAY_MS)
    assert [(one.kind, one.event) for one in found] == [("never_seen", "e"), ("never_seen", "group")]


def test_a_track_event_named_as_a_call_is_not_the_call() -> None:
    """A producer may name an event ``group``."""
    found = assess(plan(group={}), {Source("group", is_call=False, producer="w"): hourly(0, 1)}, 0, DAY_MS)
    assert [(one.kind, one.event) for one in found] == [("never_seen", "group"), ("unknown", "group")]


@pytest.mark.parametrize(
    ("first", "history", "kind"),
    [
        (100, 0, "new_unknown"),  # the day before now begins after hour 76
        (77, 0, "new_unknown"),
        (76, 0, "unknown"),
        (100, 90, "unknown"),  # the counts begin lately themselves
    ],
)
def test_an_unknown_event_is_new_where_it_was_not_there_before(first: int, history: int, kind: str) -> None:
    """Seen against the history that there is."""
    counts = {
        Source("e", is_call=False, producer="web"): hourly(history, 101),
        Source("x", is_call=False, producer="web"): hourly(first, 101),
    }
    (found,) = assess(PLANNED, counts, (START + 100) * HOUR_MS, DAY_MS)
    assert (found.kind, found.event) == (kind, "x")


def test_a_deprecated_event_that_still_comes_is_told_with_its_number() -> None:
    """Until it is gone for the recent time; what it holds does not matter any more."""
    of = plan(events={"e": {"deprecated": True}})
    (found,) = judged(hourly(0, 101, events=3), at=100, of=of)
    assert (found.kind, found.events) == ("deprecated", 72)
    assert judged(hourly(0, 50), at=100, of=of) == []


def with_property(filled: int, nulls: int, events: int) -> Hour:
    """An hour with a property ``x`` filled and null in some of its events."""
    return Hour(events, {"x": filled} if filled else {}, {"x": nulls} if nulls else {})


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ((100, 0, 100), (0, 100, 100), ["went_null"]),
        ((100, 0, 100), (0, 0, 100), ["vanished"]),
        ((100, 0, 100), (40, 0, 100), ["went_null"]),
        ((100, 0, 100), (81, 19, 100), []),  # less than a fifth of all events
        ((100, 0, 100), (79, 21, 100), ["went_null"]),
        ((10, 10, 20), (5, 15, 20), []),  # may be chance
        ((50, 50, 100), (60, 40, 100), []),  # better than before
        ((EVENTS_MIN - 1, 0, EVENTS_MIN - 1), (0, 100, 100), []),  # too few to know
        ((100, 0, 100), (0, EVENTS_MIN - 1, EVENTS_MIN - 1), []),
        ((0, 100, 100), (0, 100, 100), []),
    ],
)
def test_a_property_that_lost_its_values_is_told(
    before: tuple[int, int, int], now: tuple[int, int, int], expected: list[str]
) -> None:
    """Against its own share before, beyond chance, and by enough to matter."""
    counts = {START: with_property(*before), START + 100: with_property(*now)}
    found = judged(counts, at=100)
    assert kinds(found) == expected
    assert all(one.property == "x" for one in found)


def test_a_finding_says_both_shares() -> None:
    """What a person asks first."""
    counts = {START: with_property(90, 10, 100), START + 100: with_property(10, 80, 100)}
    (found,) = judged(counts, at=100)
    assert found.detail == "has a value in 10% of 100 events, before in 90% of 100; null in 80%"


def test_the_most_urgent_comes_first() -> None:
    """What stopped, then what lost values, then what is new."""
    of = plan(events={"e": {}, "gone": {}, "never": {}, "old": {"deprecated": True}})
    counts = {
        Source("zzz", is_call=False, producer="web"): hourly(299, 300),
        Source("old", is_call=False, producer="web"): hourly(0, 300),
        Source("gone", is_call=False, producer="web"): hourly(0, 200),
        Source("e", is_call=False, producer="web"): {
            START: with_property(100, 0, 100),
            START + 299: with_property(0, 0, 100),
        },
    }
    found = assess(of, counts, (START + 299) * HOUR_MS, DAY_MS)
    assert kinds(found) == ["stopped", "vanished", "new_unknown", "deprecated", "never_seen"]


def test_nothing_seen_is_nothing_stopped() -> None:
    """An empty stream says only what never came."""
    assert kinds(assess(PLANNED, {}, START * HOUR_MS, DAY_MS)) == ["never_seen"]


def test_counts_are_by_hour_and_property() -> None:
    """As the commands fill them."""
    counts: dict[Source, dict[int, Hour]] = {}
    source = Source("e", is_call=False, producer="web")
    observe(counts, source, START * HOUR_MS, ["a", "b"], [])
    observe(counts, source, START * HOUR_MS + HOUR_MS - 1, ["a"], ["b"])
    observe(counts, source, (START + 1) * HOUR_MS, [], ["a"])
    assert counts == {source: {START: Hour(2, {"a": 2, "b": 1}, {"b": 1}), START + 1: Hour(1, {}, {"a": 1})}}
