"""What a subject did lately: de-duplication and windows in one row."""

from __future__ import annotations

import msgspec

from workers.core.activity.row import (
    DUPLICATE_HORIZON_MS,
    SEEN_MAX,
    Activity,
    act_for,
    is_duplicate,
    join_account,
    keep_only,
    record,
    record_all,
)
from workers.core.activity.windows import count

NOW = 1_773_480_000_000
DAY = 86_400_000


def seen(*ids: str, now_ms: int = NOW) -> Activity:
    """A row that saw these ids at ``now_ms``."""
    row = Activity()
    assert [is_duplicate(row, one, now_ms) for one in ids] == [False] * len(ids)
    return row


def test_an_id_seen_within_24_hours_is_the_same_message() -> None:
    """A producer that retries counts once, to the last millisecond of the day."""
    row = seen("a", "b")
    assert is_duplicate(row, "a", NOW)
    assert is_duplicate(row, "b", NOW + DUPLICATE_HORIZON_MS - 1)
    assert not is_duplicate(row, "c", NOW)


def test_an_id_is_remembered_for_24_hours_whenever_it_came() -> None:
    """One that came late in a period is remembered through the next."""
    row = seen("first")
    late = NOW + DUPLICATE_HORIZON_MS - 1
    assert not is_duplicate(row, "late", late)
    assert not is_duplicate(row, "turns the period", NOW + DUPLICATE_HORIZON_MS)
    assert is_duplicate(row, "late", late + DUPLICATE_HORIZON_MS - 1)


def test_an_id_is_forgotten_after_48_hours() -> None:
    """A replay is not a duplicate, also where the subject did nothing else in between."""
    for quiet_ms in (2 * DUPLICATE_HORIZON_MS, 60 * DAY):
        row = seen("a")
        assert not is_duplicate(row, "a", NOW + quiet_ms)
        assert is_duplicate(row, "a", NOW + quiet_ms + 1)


def test_ids_of_the_period_before_are_forgotten_with_the_next() -> None:
    """A row that is written every day holds at most two days of ids."""
    row = seen("a")
    for day in range(1, 30):
        assert not is_duplicate(row, f"day {day}", NOW + day * DUPLICATE_HORIZON_MS)
    assert len(row.seen) + len(row.seen_before) == 16
    assert not is_duplicate(row, "a", NOW + 29 * DUPLICATE_HORIZON_MS + 1)


def test_what_is_remembered_is_bounded() -> None:
    """A subject that sends without end has its horizon shortened; the newest ids stay known."""
    row = Activity()
    sent = [f"m{number}" for number in range(3 * SEEN_MAX)]
    for one in sent:
        assert not is_duplicate(row, one, NOW)
    assert len(row.seen) + len(row.seen_before) <= 2 * SEEN_MAX * 8
    assert all(is_duplicate(row, one, NOW) for one in sent[-SEEN_MAX:])
    assert not is_duplicate(row, sent[0], NOW)


def test_an_id_is_not_found_across_two_others() -> None:
    """The hashes stand side by side; eight bytes from the middle of two are nobody's."""
    row = seen("a", "b")
    straddling = row.seen[4:12]
    found = row.seen
    row.seen = b"\0" * 4 + found + b"\0" * 4
    assert straddling in row.seen
    assert not is_duplicate(row, "a", NOW)


def test_occurrences_are_counted_by_slot() -> None:
    """One row has the windows of all definitions."""
    row = Activity()
    record(row, 1, NOW, NOW, DAY)
    record_all(row, 2, [NOW, NOW - 5], NOW, DAY)
    assert count(row.windows[1], NOW, DAY, DAY) == 1
    assert count(row.windows[2], NOW, DAY, DAY) == 2


def test_windows_that_nobody_asks_for_are_dropped() -> None:
    """A definition that is gone leaves nothing behind."""
    row = Activity()
    record(row, 1, NOW, NOW, DAY)
    record(row, 2, NOW, NOW, DAY)
    keep_only(row, [2, 3])
    assert set(row.windows) == {2}


def test_the_latest_account_is_last() -> None:
    """Joining the account that one is in changes nothing; coming back to an older one does."""
    row = Activity()
    assert join_account(row, "acme", NOW)
    assert not join_account(row, "acme", NOW)
    assert join_account(row, "other", NOW)
    assert join_account(row, "acme", NOW)
    assert row.accounts == ["other", "acme"]


def test_late_word_of_an_account_does_not_make_it_the_present_one() -> None:
    """What counts is when the user acted for it, in whatever order that becomes known."""
    row = Activity()
    join_account(row, "acme", NOW)
    assert not join_account(row, "former", NOW - 1)
    assert not act_for(row, "former", NOW - 1)
    assert row.accounts == ["former", "acme"]
    assert act_for(row, "former", NOW + 1)
    assert row.accounts == ["acme", "former"]


def test_nobody_acts_for_an_account_that_they_are_not_in() -> None:
    """A producer's groupId alone makes no membership."""
    row = Activity()
    join_account(row, "acme", NOW)
    assert not act_for(row, "stranger", NOW + 1)
    assert row.accounts == ["acme"]


def test_a_row_survives_storage() -> None:
    """What is read is what was written."""
    row = seen("a")
    record(row, 7, NOW, NOW, DAY)
    join_account(row, "acme", NOW)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=Activity) == row
