"""Batches in the engine: schedules come once each, over everybody or a segment, so many subjects a second."""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import wire
from tests.unit.signals.kit import DAY, NOW
from tests.unit.signals.whole_kit import BANNER, WholeEngine, entered_on, identify
from workers.signals.batches import RUNS

HOUR = 3_600_000
MINUTE = 60_000
NINE = int(datetime(2026, 3, 15, 9, tzinfo=UTC).timestamp() * 1000)
"""The first nine o'clock, in UTC, after NOW: 14 March 2026, 09:20."""

PAYING = {"segment": "paying", "require": [{"trait": "plan", "eq": "pro"}]}
DAILY = {"schedule": "0 9 * * *"}


def daily(**fields: Any) -> dict[str, Any]:
    """A journey that is entered daily at nine, and is over at once."""
    return entered_on({**DAILY, **fields}, steps=[BANNER])


def people(engine: WholeEngine, number: int, **traits: Any) -> None:
    """So many people arrive."""
    engine.events(*(identify(f"u{at:04}", **traits) for at in range(number)))


def test_everybody_who_meets_the_conditions_enters_at_the_time(tmp_path: Path) -> None:
    """And of those who do not, nobody hears: they are no candidates."""
    journey = entered_on(DAILY, entry={"require": [{"trait": "plan", "eq": "pro"}]})
    engine = WholeEngine(tmp_path, journeys=[journey])
    engine.events(identify("u1", plan="pro"), identify("u2", plan="free"), identify("u3"))
    engine.waits(NINE - 1)
    assert engine.candidates() == []
    engine.waits(NINE)
    assert engine.enrolled() == ["u1"]
    assert engine.declined() == []
    ((eligible, _),) = engine.eligible
    assert eligible.trigger.properties == {"run_at_ms": NINE}


def test_who_is_in_the_segment_at_the_time_enters(tmp_path: Path) -> None:
    """Day by day."""
    engine = WholeEngine(tmp_path, segments=[PAYING], journeys=[daily(segment="paying")])
    engine.events(identify("u1", plan="pro"), identify("u2", plan="free"))
    engine.waits(NINE)
    engine.events(identify("u1", plan="free"), identify("u2", plan="pro"))
    engine.waits(NINE + DAY)
    assert engine.enrolled() == ["u1", "u2"]


def test_the_time_is_that_of_the_schedules_zone(tmp_path: Path) -> None:
    """Nine in New York is one in UTC, and after the clock change too."""
    engine = WholeEngine(tmp_path, journeys=[daily(timezone="America/New_York")])
    people(engine, 1)
    engine.waits(NOW + 2 * DAY)
    assert [at_ms for _, at_ms in engine.eligible] == [NOW // DAY * DAY + 13 * HOUR, NINE + 4 * HOUR]


@pytest.mark.parametrize("rate", [1, 7, 100, 300, 1_000, 4_000])
def test_no_second_sees_more_than_the_rate(tmp_path: Path, rate: int) -> None:
    """In any second, not only in those of the clock; and the run does not dawdle."""
    engine = WholeEngine(tmp_path, journeys=[daily(rate=rate)])
    number = min(3 * rate, 2_500)
    people(engine, number)
    engine.waits(NINE + 60_000)
    times = [at_ms for _, at_ms in engine.eligible]
    assert len(times) == number
    for at, at_ms in enumerate(times):
        assert sum(1 for other in times[at:] if other < at_ms + 1_000) <= rate
    assert times[-1] - times[0] < 1_000 * (-(-number // rate)) + 1_000


@pytest.mark.parametrize(
    ("missed", "down_until", "expected"),
    [
        ("once", NINE + HOUR, [NINE]),
        ("skip", NINE + HOUR, []),
        ("once", NINE + 3 * DAY + HOUR, [NINE + 3 * DAY]),
        ("skip", NINE + 3 * DAY + HOUR, []),
        ("skip", NINE + 5 * MINUTE, [NINE]),
        ("skip", NINE + 5 * MINUTE + 1, []),
        ("skip", NINE + 3 * DAY, [NINE + 3 * DAY]),
    ],
)
def test_a_missed_run_is_made_up_for_once_or_skipped(
    tmp_path: Path, missed: str, down_until: int, expected: list[int]
) -> None:
    """Of several the last; within five minutes it is not missed at all."""
    engine = WholeEngine(tmp_path, journeys=[daily(missed=missed)])
    people(engine, 1)
    engine.sleeps(down_until)
    engine.restart()
    engine.waits(down_until + HOUR)
    assert [one.trigger.properties["run_at_ms"] for one, _ in engine.eligible] == expected


def test_a_run_goes_on_where_it_was_when_the_worker_died(tmp_path: Path) -> None:
    """Nobody is left out, nobody is looked at twice."""
    engine = WholeEngine(tmp_path, journeys=[daily(rate=10)])
    people(engine, 95)
    engine.waits(NINE + 4_000)
    engine.restart()
    engine.waits(NINE + DAY - 1)
    assert engine.candidates() == [f"u{at:04}" for at in range(95)]


def test_a_schedule_that_is_gone_comes_no_more(tmp_path: Path) -> None:
    """Another expression is another schedule; the former's time brings nothing."""
    engine = WholeEngine(tmp_path, journeys=[daily()])
    people(engine, 1)
    engine.publish(journeys=[entered_on({"schedule": "30 9 * * *"})])
    engine.waits(NINE + DAY - 1)
    assert [at_ms for _, at_ms in engine.eligible] == [NINE - DAY + 30 * MINUTE, NINE + 30 * MINUTE]
    engine.publish(journeys=[])
    engine.waits(NINE + 9 * DAY)
    assert len(engine.eligible) == 2
    assert engine.store.next_due_ms() is None


def test_who_is_there_already_enters_at_the_rate(tmp_path: Path) -> None:
    """A journey that wants them does not flood the channels when it is published."""
    engine = WholeEngine(tmp_path, segments=[PAYING])
    people(engine, 30, plan="pro")
    journey = entered_on({"segment": "paying", "existing": True, "rate": 10}, steps=[BANNER])
    engine.publish(segments=[PAYING], journeys=[journey])
    engine.waits(NOW + MINUTE)
    per_second = Counter((at_ms - NOW) // 1_000 for _, at_ms in engine.eligible)
    assert per_second == {0: 10, 1: 10, 2: 10}
    engine.restart()
    engine.waits(NOW + 30 * DAY)
    assert len(engine.eligible) == 30


def asked(**fields: Any) -> wire.EnrollSegment:
    """A request for all who pay."""
    plain: dict[str, Any] = {
        "id": "r1",
        "journey": "play",
        "subject_type": "user",
        "segment": "paying",
        "rate": 10,
        "at_ms": NOW,
    }
    return wire.EnrollSegment(**plain | fields)


def test_a_segment_is_enrolled_on_request_at_a_rate_and_once(tmp_path: Path) -> None:
    """The record may come again, while the run is under way and after it."""
    journey = entered_on({"event": "limit"}, steps=[BANNER])
    engine = WholeEngine(tmp_path, segments=[PAYING], journeys=[journey])
    people(engine, 25, plan="pro")
    engine.events(identify("x", plan="free"))
    engine.hears(asked())
    engine.waits(NOW + 1_500)
    engine.hears(asked())
    engine.waits(NOW + MINUTE)
    engine.hears(asked())
    engine.waits(NOW + 2 * MINUTE)
    assert engine.enrolled() == [f"u{at:04}" for at in range(25)]
    assert engine.eligible[-1][1] == NOW + 2_000


@pytest.mark.parametrize("fields", [{"journey": "gone"}, {"segment": "gone"}], ids=str)
def test_a_request_for_what_is_not_there_begins_nothing(tmp_path: Path, fields: dict[str, str]) -> None:
    """It is counted as refused."""
    engine = WholeEngine(tmp_path, segments=[PAYING], journeys=[entered_on({"event": "limit"})])
    people(engine, 1, plan="pro")
    engine.hears(asked(**fields))
    engine.waits(NOW + MINUTE)
    assert engine.candidates() == []


def test_a_run_that_is_over_is_forgotten_after_a_week_and_names_nobody(tmp_path: Path) -> None:
    """A storage key names a person."""
    engine = WholeEngine(tmp_path, segments=[PAYING], journeys=[entered_on({"event": "limit"})])
    people(engine, 3, plan="pro")
    engine.hears(asked())
    engine.waits(NOW + MINUTE)
    ((_, stored),) = engine.store.scan(RUNS.prefix)
    assert RUNS.decode(stored).cursor == b""
    assert RUNS.decode(stored).eligible == 3
    engine.waits(NOW + 8 * DAY)
    assert engine.store.scan(RUNS.prefix) == []


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 40 * HOUR), min_size=1, max_size=12), st.booleans())
def test_each_due_run_comes_once_however_often_the_worker_restarts(gaps: list[int], up: bool) -> None:
    """Up between restarts each comes at its time; down, a stretch that missed some makes up for one."""
    with tempfile.TemporaryDirectory() as folder:
        engine = WholeEngine(Path(folder), journeys=[daily()])
        people(engine, 2)
        expected = []
        for gap_ms in gaps:
            before_ms, until_ms = engine.now_ms, engine.now_ms + gap_ms
            due = [at_ms for at_ms in range(NINE, until_ms + 1, DAY) if at_ms > before_ms]
            expected += due if up else due[-1:]
            (engine.waits if up else engine.sleeps)(until_ms)
            engine.restart()
            engine.waits(engine.now_ms + 1)
        runs = Counter(one.trigger.properties["run_at_ms"] for one, _ in engine.eligible)
        assert runs == dict.fromkeys(expected, 2)
        assert len(engine.enrolled()) == 2 * len(expected)
