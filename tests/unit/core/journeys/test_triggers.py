"""Schedules: the times of a cron expression in a zone, over clock changes, once each."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.workspace import Journey
from tests.unit.core.kit import journey
from workers.core.journeys.triggers import SchedulePlan, compile_entries

OSLO = "Europe/Oslo"


def schedule(cron: str, zone: str | None = OSLO) -> SchedulePlan:
    """The compiled schedule of a journey."""
    on = {"schedule": cron} | ({"timezone": zone} if zone is not None else {})
    model = Journey.model_validate(journey(entry={"on": on}))
    (found,) = compile_entries([model], "America/New_York").schedules
    return found


def ms(text: str, zone: str = OSLO, fold: int = 0) -> int:
    """A local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 9 * * *", "2026-03-14T08:59:59", "2026-03-14T09:00"),
        ("0 9 * * *", "2026-03-14T09:00", "2026-03-15T09:00"),
        ("0 9 * * MON", "2026-03-14T10:00", "2026-03-16T09:00"),
        ("30 8 1 * *", "2026-03-14T10:00", "2026-04-01T08:30"),
        ("0 12 L * *", "2026-02-01T00:00", "2026-02-28T12:00"),
        ("*/15 * * * *", "2026-03-14T10:01", "2026-03-14T10:15"),
        # The day on which clocks go from 02:00 to 03:00, and the one on which they go from 03:00 to 02:00.
        ("0 9 * * *", "2026-03-28T10:00", "2026-03-29T09:00"),
        ("30 2 * * *", "2026-03-28T10:00", "2026-03-29T03:00"),
        ("0 9 * * *", "2026-10-24T10:00", "2026-10-25T09:00"),
        ("30 2 * * *", "2026-10-24T10:00", "2026-10-25T02:30"),
    ],
)
def test_the_next_time(cron: str, after: str, expected: str) -> None:
    """In the zone; a time that a clock skips comes when it has skipped."""
    assert schedule(cron).after_ms(ms(after)) == ms(expected)


def test_a_local_time_that_comes_twice_is_one_run() -> None:
    """At its first coming; from between the two the next is that of the day after."""
    daily = schedule("30 2 * * *")
    assert daily.after_ms(ms("2026-10-25T02:30")) == ms("2026-10-26T02:30")
    assert daily.after_ms(ms("2026-10-25T02:10", fold=1)) == ms("2026-10-26T02:30")


def test_without_a_zone_it_is_the_workspaces() -> None:
    """As for subjects of whom no zone is known."""
    after_ms = ms("2026-03-14T00:00", "America/New_York")
    assert schedule("0 9 * * *", None).after_ms(after_ms) == ms("2026-03-14T09:00", "America/New_York")


CRONS = ["* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "0 9 * * 1-5", "0 0 1 * *", "15 4 29 2 *"]
TIMES = st.integers(ms("2025-01-01T00:00"), ms("2027-01-01T00:00"))


@given(st.sampled_from(CRONS), TIMES, st.integers(0, 90 * 86_400_000))
def test_the_last_time_is_one_after_which_none_comes(cron: str, start_ms: int, gap_ms: int) -> None:
    """However long ago the known one is; and the next is always later."""
    plan = schedule(cron)
    due_ms = plan.after_ms(start_ms)
    until_ms = due_ms + gap_ms
    last_ms = plan.last_ms(until_ms, due_ms)
    assert due_ms <= last_ms <= until_ms < plan.after_ms(last_ms)
    assert plan.after_ms(last_ms - 1) == last_ms
