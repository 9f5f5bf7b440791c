"""Exact sliding windows, edge by edge.

Each drawing shows one window: time runs to the right, ``x`` is an occurrence, ``(`` and ``]`` are the ends
of what is counted at ``now``. The left end is open, the right end is closed.
"""

from __future__ import annotations

import pytest

from workers.core.activity.windows import (
    BUCKETS_PER_RETENTION,
    EXACT_OCCURRENCES,
    add,
    add_all,
    count,
    decode,
    granularity_ms,
)

NOW = 1_773_480_000_000
DAY = 86_400_000
WEEK = 7 * DAY
YEAR = 365 * DAY


def holding(*times_ms: int, now_ms: int = NOW, retention_ms: int = WEEK) -> bytes | None:
    """A window with these occurrences, added one by one."""
    window = None
    for at_ms in times_ms:
        window = add(window, at_ms, now_ms, retention_ms)
    return window


@pytest.mark.parametrize("retention_ms", [WEEK, YEAR])
@pytest.mark.parametrize(
    ("age_ms", "counted"),
    [
        # (-----------x]        it happens now
        (0, 1),
        # (x-----------]        the youngest that is about to leave
        (DAY - 1, 1),
        # x-----------]         exactly `within` ago: it has left
        (DAY, 0),
        # x (----------]        a millisecond earlier
        (DAY + 1, 0),
    ],
)
def test_an_occurrence_exactly_within_ago_has_left(age_ms: int, counted: int, retention_ms: int) -> None:
    """The window is half-open at its old end, to the millisecond."""
    window = holding(NOW - age_ms, retention_ms=retention_ms)
    assert count(window, NOW, DAY, retention_ms) == counted


def test_a_window_moves_without_any_event() -> None:
    r"""Only time passes between the three counts.

    ::

        now          (--x------x]      2
        a day later     x(-----x--]    1
        a week later    x      x  (    0
    """
    window = holding(NOW - DAY, NOW)
    assert [count(window, now, 2 * DAY, WEEK) for now in (NOW, NOW + DAY, NOW + 7 * DAY)] == [2, 1, 0]


def test_what_lies_ahead_is_not_counted_yet() -> None:
    """``(----x----] x``: the right end is now."""
    window = holding(NOW - 1, NOW)
    assert count(window, NOW - 1, DAY, WEEK) == 1


def test_no_window_holds_nothing() -> None:
    """Who never did it did it zero times."""
    assert count(None, NOW, DAY, WEEK) == 0


def test_occurrences_at_one_instant_count_each() -> None:
    """Two events of the same millisecond are two events."""
    assert count(holding(NOW, NOW, NOW), NOW, DAY, WEEK) == 3


def test_late_and_reordered_occurrences_find_their_place() -> None:
    """The order of arrival does not matter, also before the window's own beginning."""
    window = holding(NOW - 5, NOW - 2, NOW - 9, NOW, NOW - 3)
    assert window is not None
    assert decode(window, WEEK).singles == (NOW - 9, NOW - 5, NOW - 3, NOW - 2, NOW)
    assert count(window, NOW, 4, WEEK) == 3


@pytest.mark.parametrize("retention_ms", [WEEK, YEAR])
def test_an_occurrence_older_than_the_retention_changes_nothing(retention_ms: int) -> None:
    """It could never be counted."""
    before = holding(NOW, retention_ms=retention_ms)
    assert add(before, NOW - retention_ms, NOW, retention_ms) == before
    empty = add(None, NOW - retention_ms, NOW, retention_ms)
    assert count(empty, NOW, retention_ms, retention_ms) == 0
    assert count(add(empty, NOW, NOW, retention_ms), NOW, retention_ms, retention_ms) == 1


def test_what_left_the_retention_is_forgotten() -> None:
    """With the next occurrence; storage follows the retention, not the history."""
    window = holding(NOW - WEEK + 1)
    window = add(window, NOW + 1, NOW + 1, WEEK)
    assert decode(window, WEEK).singles == (NOW + 1,)


def test_adding_many_at_once_is_adding_each() -> None:
    """In any order, late ones included."""
    times = [NOW - 7, NOW, NOW - 3, NOW - 3, NOW - DAY]
    assert add_all(None, times, NOW, WEEK) == holding(*sorted(times))
    assert add_all(holding(NOW - 5), times, NOW, WEEK) == holding(NOW - 5, *times)


def test_adding_nothing_changes_nothing() -> None:
    """And an empty window is a window."""
    window = holding(NOW)
    assert add_all(window, (), NOW, WEEK) == window
    assert count(add_all(None, (), NOW, WEEK), NOW, DAY, WEEK) == 0


def test_a_threshold_up_to_128_is_exact_among_thousands() -> None:
    """However many are folded, the newest 128 stand singly."""
    window = holding(*range(NOW - 999, NOW + 1))
    for within in (1, 2, EXACT_OCCURRENCES - 1, EXACT_OCCURRENCES):
        assert count(window, NOW, within, WEEK) == within
    assert count(window, NOW, WEEK, WEEK) == 1_000


def test_a_count_above_128_is_off_by_less_than_a_bucket() -> None:
    """One occurrence a minute for a week, counted over three and a half days."""
    minute = 60_000
    window = holding(*range(NOW - WEEK + minute, NOW + 1, minute))
    counted = count(window, NOW, WEEK // 2, WEEK)
    assert 0 <= WEEK // 2 // minute - counted <= granularity_ms(WEEK) // minute


def test_a_window_is_bounded() -> None:
    """A subject that does it ten times a minute for a month takes some kilobytes."""
    window: bytes | None = None
    largest = 0
    for start in range(NOW, NOW + 30 * DAY, 3_600_000):
        window = add_all(window, range(start, start + 3_600_000, 6_000), start + 3_600_000, WEEK)
        largest = max(largest, len(window))
    assert largest <= 10 + 12 * (BUCKETS_PER_RETENTION + 2) + 4 * (EXACT_OCCURRENCES + 64)


def test_a_bucket_is_a_168th_of_the_retention_and_at_least_a_second() -> None:
    """A week folds into hours."""
    assert granularity_ms(WEEK) == 3_600_000
    assert granularity_ms(60_000) == 1_000


@pytest.mark.parametrize("days", [45, 46, 400])
def test_long_retentions_are_as_exact(days: int) -> None:
    """45 days is the last with four-byte offsets; the limit between the two forms changes no count."""
    retention_ms = days * DAY
    oldest = NOW - retention_ms + 1
    window = holding(oldest, NOW - DAY, NOW, retention_ms=retention_ms)
    assert count(window, NOW, retention_ms, retention_ms) == 3
    assert count(window, NOW, retention_ms - 1, retention_ms) == 2
    later = NOW + 44 * DAY
    window = add(window, later, later, retention_ms)
    assert count(window, later, 44 * DAY, retention_ms) == 1
    assert count(window, later, 44 * DAY + 1, retention_ms) == 2


def test_ever_earlier_arrivals_leave_no_bucket_each() -> None:
    """A history that comes from its end backwards takes no more room than one that comes in order."""
    retention_ms = 3 * WEEK
    minutes = range(5_000)
    backwards = holding(*(NOW - minute * 60_000 for minute in minutes), retention_ms=retention_ms)
    forwards = holding(*(NOW - minute * 60_000 for minute in reversed(minutes)), retention_ms=retention_ms)
    assert backwards is not None
    assert forwards is not None
    held, in_order = decode(backwards, retention_ms), decode(forwards, retention_ms)
    assert len(held.buckets) <= len(in_order.buckets) + 1
    assert sum(many for _, many in held.buckets) + len(held.singles) == len(minutes)


@pytest.mark.parametrize("retention_ms", [3 * WEEK, YEAR])
def test_runs_that_overlap_in_time_fold_as_if_they_had_come_in_order(retention_ms: int) -> None:
    """Parts of an account bring what happened at about the same time, one after the other."""
    minute = 60_000
    times = [NOW + number * 7 * minute for number in range(2_000)]
    in_order = add_all(None, times, times[-1], retention_ms)
    window = None
    for start in range(0, len(times), 40):
        run = times[start : start + 40]
        for part in (run[::2], run[1::2]):
            window = add_all(window, part, times[-1], retention_ms)
    assert window is not None
    assert in_order is not None
    held, together = decode(window, retention_ms), decode(in_order, retention_ms)
    kept = EXACT_OCCURRENCES
    assert held.singles[-kept:] == together.singles[-kept:]
    assert [start for start, _ in held.buckets] == sorted({start for start, _ in held.buckets})
    assert sum(many for _, many in held.buckets) + len(held.singles) == len(times)
    width_ms = granularity_ms(retention_ms)
    singles = (at_ms - at_ms % width_ms for at_ms in held.singles)
    counted: dict[int, int] = {}
    for start, many in (*held.buckets, *((start, 1) for start in singles)):
        counted[max(start, NOW)] = counted.get(max(start, NOW), 0) + many
    expected: dict[int, int] = {}
    for at_ms in times:
        start = max(at_ms - at_ms % width_ms, NOW)
        expected[start] = expected.get(start, 0) + 1
    assert counted == expected
    most = width_ms // (7 * minute) + 1
    for now_ms in (times[-1], times[700]):
        for within_ms in (DAY, 3 * DAY + 1, WEEK):
            exact = sum(now_ms - within_ms < at_ms <= now_ms for at_ms in times)
            assert abs(exact - count(window, now_ms, within_ms, retention_ms)) <= most
