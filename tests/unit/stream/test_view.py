"""What a transaction sees and changes."""

from __future__ import annotations

from tests.unit.stream.kit import COUNTS, TP0, Count, Rec
from workers.stream.store import TIMER, DecodedRows, timer_row
from workers.stream.view import View

KEY = COUNTS.key(b"k")


def over(rows: dict[bytes, bytes], decoded: DecodedRows | None = None) -> View:
    """A view over committed rows."""
    return View(rows.get, decoded.take if decoded is not None else None)


def test_a_row_is_read_once_and_is_the_transactions_own() -> None:
    """Changes to it are seen at once, and written only with put."""
    reads: list[bytes] = []

    def stored(key: bytes) -> bytes | None:
        reads.append(key)
        return COUNTS.encode(Count(1))

    view = View(stored)
    row = view.table(COUNTS).get(b"k")
    assert row == Count(1)
    row.number = 2
    assert view.table(COUNTS).get(b"k") is row
    assert reads == [KEY]
    assert view.changes() == {}
    view.table(COUNTS).put(b"k", row)
    assert view.changes() == {KEY: COUNTS.encode(Count(2))}


def test_a_missing_row_is_none_and_is_not_asked_for_again() -> None:
    """Knowing that there is none is knowledge."""
    view = over({})
    assert view.table(COUNTS).get(b"k") is None
    assert view.table(COUNTS).rows == {b"k": None}


def test_rows_read_ahead_save_the_disk() -> None:
    """A row that was filled in is never asked for below."""

    def never(key: bytes) -> bytes | None:
        raise AssertionError(key)

    view = View(never)
    view.fill({KEY: COUNTS.encode(Count(3)), COUNTS.key(b"none"): None})
    assert view.table(COUNTS).get(b"k") == Count(3)
    assert view.table(COUNTS).get(b"none") is None


def test_a_deleted_row_is_gone_at_once_and_with_the_commit() -> None:
    """None among the changes deletes."""
    view = over({KEY: COUNTS.encode(Count(1))})
    view.table(COUNTS).delete(b"k")
    assert view.table(COUNTS).get(b"k") is None
    assert view.changes() == {KEY: None}


def test_a_child_sees_its_parents_changes_and_its_own_can_be_dropped() -> None:
    """What one poisoned record did never reaches the others."""
    view = over({})
    view.table(COUNTS).put(b"k", Count(1))
    dropped = view.child()
    row = dropped.table(COUNTS).get(b"k")
    assert row == Count(1)
    row.number = 99
    dropped.table(COUNTS).put(b"k", row)
    dropped.send("out", b"k", b"dropped")
    kept = view.child()
    row = kept.table(COUNTS).get(b"k")
    assert row == Count(1)
    row.number = 2
    kept.table(COUNTS).put(b"k", row)
    kept.send("out", b"k", b"kept")
    kept.dead_letter(TP0, Rec(5), "invalid", "x")
    kept.after_commit("effect")
    view.absorb(kept)
    assert view.changes() == {KEY: COUNTS.encode(Count(2))}
    assert [output.value for output in view.outputs] == [b"kept"]
    assert [letter.offset for letter in view.dead] == [5]
    assert view.effects == ["effect"]


def test_a_decoded_row_below_is_taken_out_by_who_reads_it() -> None:
    """So a transaction that fails takes what it did to the row with it."""
    decoded = DecodedRows(1024 * 1024)
    decoded.keep(COUNTS.prefix, {b"k": Count(5)})
    view = over({KEY: COUNTS.encode(Count(5))}, decoded)
    row = view.table(COUNTS).get(b"k")
    assert row is not None
    row.number = 99
    again = over({KEY: COUNTS.encode(Count(5))}, decoded)
    assert again.table(COUNTS).get(b"k") == Count(5)


def test_a_row_put_or_deleted_unread_is_not_shadowed_by_its_decoded_form() -> None:
    """A part of the transaction that comes later sees the change, not what was committed before."""
    for change in (Count(7), None):
        decoded = DecodedRows(1024 * 1024)
        decoded.keep(COUNTS.prefix, {b"k": Count(5)})
        view = over({KEY: COUNTS.encode(Count(5))}, decoded)
        if change is None:
            view.table(COUNTS).delete(b"k")
        else:
            view.table(COUNTS).put(b"k", change)
        assert view.child().table(COUNTS).get(b"k") == change


def test_timers_are_rows_of_the_same_transaction() -> None:
    """Setting replaces; cancelling one that does not exist changes nothing."""
    timer_id = b"t" * 16
    view = over({})
    view.cancel_timer(timer_id)
    assert view.changes() == {}
    view.set_timer(timer_id, 5, b"payload")
    view.set_timer(timer_id, 6, b"other")
    assert view.changes() == {TIMER + timer_id: timer_row(6, b"other")}
    view.cancel_timer(timer_id)
    assert view.changes() == {TIMER + timer_id: None}


def test_a_closed_view_holds_no_rows() -> None:
    """Rows are let go of without waiting for the collector."""
    view = over({KEY: COUNTS.encode(Count(1))})
    table = view.table(COUNTS)
    table.put(b"k", Count(2))
    assert view.loaded() == [(COUNTS.prefix, {b"k": Count(2)})]
    view.close()
    assert view.loaded() == []
