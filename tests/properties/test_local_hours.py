"""Hours by the clock on the wall, checked against a clock that is read minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
from hypothesis import example, given, settings

from workers.core.local_hours import LocalHours, inside_from_ms, is_inside, next_time_ms, outside_from_ms

MINUTE = 60_000
DAY_MINUTES = 1_440

zones = st.sampled_from(
    [
        "UTC",
        "Europe/Oslo",
        "America/New_York",
        "Asia/Tokyo",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",  # half an hour of summer time
        "America/Sao_Paulo",  # skipped midnight until 2018
        "Pacific/Apia",  # skipped 30 December 2011
        "Africa/Casablanca",
    ]
).map(ZoneInfo)
days = st.frozensets(st.integers(0, 6), min_size=1)
stretches = st.builds(LocalHours, st.integers(0, 1439), st.integers(0, 1439), days).filter(
    lambda one: one.from_minute != one.to_minute
)
windows = st.lists(stretches, min_size=1, max_size=3)


def at(*parts: int) -> int:
    """A moment in UTC."""
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc]


# Around clock changes as often as anywhere else.
edges = st.sampled_from(
    [
        at(2026, 3, 29, 1), at(2026, 10, 25, 1), at(2026, 3, 8, 7), at(2026, 11, 1, 6), at(2011, 12, 30, 10),
        at(2018, 11, 4, 3), at(2026, 4, 4, 15), at(2026, 10, 3, 15),
    ]
)  # fmt: skip
moments = st.builds(
    lambda edge, away: edge + away * MINUTE, edges, st.integers(-3 * DAY_MINUTES, 3 * DAY_MINUTES)
)


def shows(hours: list[LocalHours], at_ms: int, zone: ZoneInfo) -> bool:
    """The rule once more, from what the clock shows alone: the week as a ring of minutes."""
    local = datetime.fromtimestamp(at_ms / 1000, zone)
    now = local.weekday() * DAY_MINUTES + local.hour * 60 + local.minute
    for one in hours:
        length = (one.to_minute - one.from_minute) % DAY_MINUTES
        for day in one.days:
            if (now - day * DAY_MINUTES - one.from_minute) % (7 * DAY_MINUTES) < length:
                return True
    return False


@given(hours=windows, at_ms=moments, zone=zones)
def test_inside_is_what_the_clock_shows(hours: list[LocalHours], at_ms: int, zone: ZoneInfo) -> None:
    """Over midnight, over the end of the week, on each weekday of its own."""
    assert is_inside(hours, at_ms, zone) == shows(hours, at_ms, zone)


@given(hours=windows, at_ms=moments, zone=zones)
@example(
    [LocalHours(0, 1439, frozenset(range(7))), LocalHours(1439, 0, frozenset(range(7)))], 0, ZoneInfo("UTC")
)
@settings(deadline=None)
def test_who_leaves_is_outside(hours: list[LocalHours], at_ms: int, zone: ZoneInfo) -> None:
    """And is so no later than needed, but for hours of which a clock that is set back shows some twice."""
    left_ms = outside_from_ms(hours, at_ms, zone)
    if left_ms is None:
        assert all(shows(hours, at_ms + step * 5 * MINUTE, zone) for step in range(7 * 288))
        return
    assert left_ms >= at_ms
    assert not shows(hours, left_ms, zone)
    before = [one for one in range(at_ms, left_ms, MINUTE) if not shows(hours, one, zone)]
    # An hour that is shown twice is left the first time or the second.
    assert len(before) <= 60


@given(hours=windows, at_ms=moments, zone=zones)
@settings(deadline=None)
def test_who_enters_is_inside_at_the_first_chance(
    hours: list[LocalHours], at_ms: int, zone: ZoneInfo
) -> None:
    """No earlier minute was inside, unless the clock jumped into the hours' middle."""
    inside_ms = inside_from_ms(hours, at_ms, zone)
    if inside_ms is None:
        assert not any(shows(hours, at_ms + step * 5 * MINUTE, zone) for step in range(7 * 288))
        return
    assert inside_ms >= at_ms
    assert shows(hours, inside_ms, zone)
    before = [one for one in range(at_ms, inside_ms, MINUTE) if shows(hours, one, zone)]
    assert len(before) <= 60


@given(minute=st.integers(0, 1439), since_ms=moments, zone=zones)
def test_a_time_of_day_comes_within_two_days(minute: int, since_ms: int, zone: ZoneInfo) -> None:
    """And the clock shows it, or has just skipped it."""
    found_ms = next_time_ms(minute, since_ms, zone)
    assert since_ms <= found_ms < since_ms + 2 * DAY_MINUTES * MINUTE + DAY_MINUTES * MINUTE
    local = datetime.fromtimestamp(found_ms / 1000, zone)
    before = datetime.fromtimestamp(found_ms / 1000 - 1, zone)
    skipped = local.utcoffset() != before.utcoffset()
    assert skipped or local.hour * 60 + local.minute == minute
