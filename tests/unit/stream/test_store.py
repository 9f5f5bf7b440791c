"""One partition's database: rows, timers, positions, and what a crash or a bad disk leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.stream.kit import NOW
from workers.stream.store import (
    TIMER,
    DecodedRows,
    PartitionStore,
    RowCache,
    StoreBroken,
    Timer,
    position_change,
    timer_row,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database lies."""
    return tmp_path / "app" / "p0"


@pytest.fixture
def store(path: Path) -> Iterator[PartitionStore]:
    """An empty one."""
    opened = PartitionStore(path, cache_bytes=1024 * 1024)
    yield opened
    opened.abandon()


def ident(name: str) -> bytes:
    """A timer's id."""
    return name.encode().ljust(16, b".")


def timers(**due_ms: int | None) -> dict[bytes, bytes | None]:
    """Changes that set timers by name, or cancel them (None)."""
    return {
        TIMER + ident(name): None if at is None else timer_row(at, name.encode())
        for name, at in due_ms.items()
    }


def write(store: PartitionStore, changes: dict[bytes, bytes | None], at: int = 1) -> None:
    """One transaction's changes."""
    store.write(changes, changelog_next=at, now_ms=NOW)


def due(store: PartitionStore, now_ms: int, most: int = 100) -> list[str]:
    """The names of the timers that are due."""
    return [timer.payload.decode() for timer in store.due(now_ms, most)]


# -- rows and positions


def test_rows_are_written_read_and_deleted(store: PartitionStore) -> None:
    """From the cache and from the disk alike."""
    write(store, {b"ca": b"1", b"cb": b"2"})
    write(store, {b"ca": None, b"cc": b"3"})
    assert [store.get(key) for key in (b"ca", b"cb", b"cc", b"cd")] == [None, b"2", b"3", None]
    assert store.read([b"ca", b"cb", b"cc", b"cd"]) == [None, b"2", b"3", None]
    assert store.scan(b"c") == [(b"cb", b"2"), (b"cc", b"3")]


def test_a_scan_begins_where_told_and_stays_with_its_prefix(store: PartitionStore) -> None:
    """In key order, at most so many."""
    write(store, {b"b9": b"", b"c1": b"", b"c2": b"", b"c3": b"", b"d1": b""})
    assert [key for key, _ in store.scan(b"c")] == [b"c1", b"c2", b"c3"]
    assert [key for key, _ in store.scan(b"c", start=b"c2")] == [b"c2", b"c3"]
    assert [key for key, _ in store.scan(b"c", most=1)] == [b"c1"]


def test_the_book_is_kept_with_the_rows(store: PartitionStore, path: Path) -> None:
    """Changelog position, markers and time of the last write are those of the last transaction."""
    assert (store.changelog_next, store.written_ms, store.positions()) == (0, None, {})
    write(store, dict([position_change("events", 7)]), at=12)
    write(store, dict([position_change("events", 9), position_change("other", 1)]), at=15)
    assert (store.changelog_next, store.written_ms) == (15, NOW)
    assert store.positions() == {"events": 9, "other": 1}
    assert store.disk_bytes() >= 0


def test_what_was_closed_is_there_again(path: Path) -> None:
    """Rows, markers and timers."""
    first = PartitionStore(path)
    write(first, {b"ca": b"1", **timers(a=5), **dict([position_change("events", 7)])}, at=3)
    first.close()
    again = PartitionStore(path)
    assert (again.get(b"ca"), again.changelog_next, again.positions()) == (b"1", 3, {"events": 7})
    assert due(again, 5) == ["a"]
    again.close()


def test_an_abandoned_database_shows_the_state_after_some_transaction(path: Path) -> None:
    """As after a crash: whole transactions are missing, never parts of one."""
    first = PartitionStore(path)
    for number in range(1, 200):
        value = str(number).encode()
        padding = value * 500
        changes: dict[bytes, bytes | None] = {b"ca": value, b"cb": padding, **timers(only=number)}
        write(first, changes | dict([position_change("events", number)]), at=number)
        if number == 120:
            first._db.flush(True)
    first.abandon()
    again = PartitionStore(path)
    number = again.changelog_next
    assert 120 <= number < 200
    assert again.positions() == {"events": number}
    assert again.get(b"ca") == str(number).encode()
    assert again.get(b"cb") == str(number).encode() * 500
    assert again.due(10_000, 10) == [Timer(ident("only"), number, b"only")]
    assert again.next_due_ms() == number
    again.close()


# -- timers


def test_timers_are_due_in_order_of_their_time(store: PartitionStore) -> None:
    """At their very millisecond, not before; the earliest first whatever was set first."""
    write(store, timers(c=30, a=10, b=20))
    assert due(store, 9) == []
    assert due(store, 10) == ["a"]
    assert due(store, 29) == ["a", "b"]
    assert due(store, 30) == ["a", "b", "c"]
    assert store.next_due_ms() == 10


def test_so_many_timers_are_taken_at_once(store: PartitionStore) -> None:
    """The rest is due at the next turn."""
    write(store, timers(a=10, b=20, c=30))
    assert due(store, 100, most=2) == ["a", "b"]
    write(store, timers(a=None, b=None))
    assert due(store, 100, most=2) == ["c"]


def test_a_timer_set_again_is_replaced(store: PartitionStore) -> None:
    """Earlier or later: it is due once, at its new time."""
    write(store, timers(a=10, b=20))
    write(store, timers(a=40, b=5))
    assert store.next_due_ms() == 5
    assert due(store, 20) == ["b"]
    assert due(store, 40) == ["b", "a"]


def test_a_cancelled_timer_is_never_due(store: PartitionStore) -> None:
    """And cancelling what does not exist is no error."""
    write(store, timers(a=10, b=20))
    write(store, timers(a=None, z=None))
    assert store.next_due_ms() == 20
    assert due(store, 100) == ["b"]
    write(store, timers(b=None))
    assert store.next_due_ms() is None
    assert due(store, 100) == []


def test_a_timer_behind_the_cursor_is_not_overlooked(store: PartitionStore) -> None:
    """The scan begins where the last one found something; an earlier timer moves it back."""
    write(store, timers(a=10, b=2_000))
    assert due(store, 10) == ["a"]
    write(store, timers(a=None))
    assert store.next_due_ms() == 2_000
    write(store, timers(c=1_000))
    assert store.next_due_ms() == 1_000
    write(store, timers(d=1))
    assert due(store, 2_000) == ["d", "c", "b"]


def test_the_cursor_survives_a_crash(path: Path) -> None:
    """Whatever was read before: after reopening each timer that was committed is found."""
    first = PartitionStore(path)
    write(first, timers(a=10, b=20, c=30))
    assert due(first, 20) == ["a", "b"]
    write(first, timers(a=None))
    assert first.next_due_ms() == 20
    write(first, timers(d=15))
    first._db.flush(True)
    write(first, timers(b=None, c=None, d=None, e=99))
    first.abandon()
    again = PartitionStore(path)
    found = due(again, 1_000)
    assert found in (["d", "b", "c"], ["e"])
    again.close()


# -- caches


def test_the_row_cache_tells_what_it_has(store: PartitionStore) -> None:
    """Which rows are cached and which must be read."""
    write(store, {b"ca": b"1", b"cb": b"2"})
    assert store.cache.split([b"ca", b"cx", b"cb"]) == ({b"ca": b"1", b"cb": b"2"}, [b"cx"])


def test_the_row_cache_is_bounded_and_keeps_the_newest() -> None:
    """Rows fall out with the older generation; what is deleted is gone from both."""
    cache = RowCache(10_000)
    for number in range(1_000):
        cache.update({f"k{number}".encode(): b"x" * 30})
        assert len(cache._new) + len(cache._old) <= 2 * (5_000 // 200 + 2)
    assert cache.get(b"k999") == b"x" * 30
    assert cache.get(b"k0") is None
    cache.update({b"k990": b"newer"})
    assert cache.get(b"k990") == b"newer"
    cache.update(dict.fromkeys([b"k990", b"k999"]))
    assert cache.get(b"k990") is None
    assert cache.get(b"k999") is None


def test_a_cache_of_no_bytes_holds_nothing() -> None:
    """Every row is read from disk then."""
    cache, decoded = RowCache(0), DecodedRows(0)
    cache.update({b"k": b"1"})
    decoded.keep(b"c", {b"k": 1})
    assert cache.get(b"k") is None
    assert decoded.absent({b"ck"}) == {b"ck"}


def test_decoded_rows_are_bounded_and_taken_once() -> None:
    """A row that was taken is its taker's until it is kept again."""
    decoded = DecodedRows(20 * 1024)
    for number in range(200):
        decoded.keep(b"c", {str(number).encode(): number})
    keys = {f"c{number}".encode() for number in range(200)}
    assert 178 <= len(decoded.absent(keys)) < 200
    assert decoded.take(b"c199") == 199
    assert decoded.take(b"c199") is None
    decoded.keep(b"c", {b"198": None})
    assert decoded.absent({b"c197", b"c198", b"c199"}) == {b"c198", b"c199"}


def test_a_decoded_row_that_two_parts_of_a_transaction_kept_leaves_no_older_form_behind() -> None:
    """Timers and records of one transaction may keep the same row, and the generations change in between."""
    decoded = DecodedRows(4 * 1024)
    decoded.keep(b"c", {b"k": "older", b"a": 1, b"b": 2})
    decoded.keep(b"c", {b"k": "newer"})
    assert decoded.take(b"ck") == "newer"
    assert decoded.take(b"ck") is None


# -- a bad disk


ROWS = [b"c%06d" % number for number in range(5_000)]


def corrupted(path: Path, begin: float, end: float) -> None:
    """A database whose one data file was overwritten from one part of it to another (shares of its size)."""
    first = PartitionStore(path)
    rows: dict[bytes, bytes | None] = {key: key * 40 for key in ROWS}
    write(first, rows | timers(a=10))
    first.close()
    (file,) = path.glob("*.sst")
    content = bytearray(file.read_bytes())
    at, to = int(len(content) * begin), int(len(content) * end)
    content[at:to] = b"\xa5" * (to - at)
    file.write_bytes(content)


def test_a_corrupt_row_is_never_taken_for_a_missing_one(path: Path) -> None:
    """Reading it says that the database is broken: a row taken for missing would be lost for good."""
    corrupted(path, 0.1, 0.6)
    broken = PartitionStore(path)
    with pytest.raises(StoreBroken, match="cannot read p0"):
        broken.read(ROWS)
    broken.abandon()


def test_a_scan_does_not_end_quietly_at_a_corrupt_block(path: Path) -> None:
    """It would look like the end of the table."""
    corrupted(path, 0.1, 0.6)
    broken = PartitionStore(path)
    with pytest.raises(StoreBroken, match="cannot scan p0"):
        broken.scan(b"c")
    broken.abandon()


def test_a_corrupt_timer_index_says_so(path: Path) -> None:
    """No timer due and no timer readable are not the same."""
    corrupted(path, 0.0005, 0.9)
    with pytest.raises(StoreBroken, match="p0"):
        look_for_timers(path)


def look_for_timers(path: Path) -> None:
    """Open, and ask for what is due."""
    broken = PartitionStore(path)
    try:
        broken.due(10, 10)
        broken.next_due_ms()
    finally:
        broken.abandon()


def test_a_database_whose_book_is_corrupt_is_broken_and_can_be_replaced_at_once(path: Path) -> None:
    """Also while the error is being handled: the broken one lets go of the folder's lock."""
    corrupted(path, 0, 0.1)
    with pytest.raises(StoreBroken, match="cannot read p0") as caught:
        PartitionStore(path)
    assert caught.value.__traceback__ is not None
    PartitionStore.destroy(path)
    fresh = PartitionStore(path)
    assert fresh.changelog_next == 0
    fresh.close()


def test_a_database_that_cannot_be_opened_is_broken_and_can_be_removed(path: Path) -> None:
    """After that an empty one opens in its place: the changelog fills it."""
    corrupted(path, 0, 0)
    for file in path.glob("MANIFEST*"):
        file.write_bytes(b"nonsense")
    with pytest.raises(StoreBroken, match="cannot open p0"):
        PartitionStore(path)
    PartitionStore.destroy(path)
    fresh = PartitionStore(path)
    assert fresh.changelog_next == 0
    fresh.close()
