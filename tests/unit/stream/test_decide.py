"""One bad record never spoils the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.unit.stream.kit import COUNTS, NOW, TP0, Count, CountLogic, Rec, batch
from workers.stream.decide import ROW_MAX_BYTES, TIMER_RETRY_MS, apply_items, fire_timers
from workers.stream.logic import Quiet
from workers.stream.store import DiskFull, StoreBroken, Timer, timer_row
from workers.stream.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.stream.batch import TP
    from workers.stream.logic import PartitionLogic


NOTHING_STORED: dict[bytes, bytes] = {}


def decided(*values: bytes, view: View | None = None) -> View:
    """A view after these records of one key."""
    view = view or View(NOTHING_STORED.get)
    apply_items(CountLogic(), TP0, batch(0, *values).records, view, NOW)
    return view


def counted(view: View) -> int:
    """How many effects on the row were kept."""
    stored = view.changes().get(COUNTS.key(b"k"))
    return COUNTS.decode(stored).number if stored else 0


@pytest.mark.parametrize(
    ("poison", "reason", "detail"),
    [
        # the logic refuses it: its own words
        (b"bad", "invalid", "a bad one"),
        # JSON that a value cannot be, found only where somebody reads it
        (b"deep", "unreadable", "Number out of range"),
        # a bug of ours: its name, for whoever looks
        (b"bug", "handler_error", "KeyError: 'a bug'"),
        # the row would not fit into Kafka any more
        (b"big", "too_large", "the row b'ck' would take"),
        # nor would a record to be sent
        (b"bigout", "too_large", "a record for echo would take 1000000 bytes, above 900000"),
    ],
)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_poison_record_is_put_aside_alone(poison: bytes, reason: str, detail: str, place: int) -> None:
    """Wherever it stands: its own effects are gone, those before and behind it are kept."""
    values = [b"ok"] * 4
    values.insert(place, poison)
    view = decided(*values)
    assert counted(view) == 4
    assert [output.value for output in view.outputs] == [b"ok"] * 4
    (letter,) = view.dead
    assert (letter.tp, letter.offset, letter.value, letter.reason) == (TP0, place, poison, reason)
    assert detail in letter.detail


def test_several_poison_records_are_each_put_aside() -> None:
    """Also when there is nothing else."""
    view = decided(b"bad", b"bug")
    assert [letter.reason for letter in view.dead] == ["invalid", "handler_error"]
    assert counted(view) == 0
    assert view.outputs == []


def test_what_the_transaction_did_before_is_kept() -> None:
    """Timers and notices were decided on the same view."""
    view = View(NOTHING_STORED.get)
    view.table(COUNTS).put(b"k", Count(10))
    view.send("echo", b"k", b"before")
    decided(b"ok", b"bad", b"ok", view=view)
    assert counted(view) == 12
    assert [output.value for output in view.outputs] == [b"before", b"ok", b"ok"]


def test_a_row_that_just_fits_is_kept() -> None:
    """The limit leaves room for Kafka's headers, not for doubts."""

    class Exact(CountLogic):
        def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
            row = Count(1)
            row.filling = "x" * (ROW_MAX_BYTES - len(COUNTS.encode(Count(1, "x" * 100_000))) + 100_000)
            view.table(COUNTS).put(b"k", row)

    view = View(NOTHING_STORED.get)
    apply_items(Exact(), TP0, [Rec(0)], view, NOW)
    assert len(view.changes()[COUNTS.key(b"k")] or b"") == ROW_MAX_BYTES
    assert view.dead == []


@pytest.mark.parametrize("failure", [StoreBroken("x"), DiskFull("x")])
@pytest.mark.parametrize("alone", [True, False])
def test_a_broken_disk_is_no_fault_of_a_record(failure: Exception, alone: bool) -> None:
    """It stops the transaction; no record is dead-lettered for it."""
    calls = 0

    def stored(key: bytes) -> bytes | None:
        nonlocal calls
        calls += 1
        if alone or calls > 1:
            raise failure
        return None

    view = View(stored)
    values = (b"ok",) if alone else (b"bad", b"ok")
    records = [Rec(at, value, b"k%d" % at) for at, value in enumerate(values)]
    with pytest.raises(type(failure)):
        apply_items(CountLogic(), TP0, records, view, NOW)
    assert [letter.reason for letter in view.dead if letter.reason != "invalid"] == []


class Fragile(Quiet):
    """Sets a row per timer; those whose payload is ``bad`` raise."""

    def __init__(self) -> None:
        self.told: list[Timer] = []

    def put_off(self, timer: Timer) -> None:
        """Remember it."""
        self.told.append(timer)

    def fire(self, timers: Sequence[Timer], view: View, now_ms: int) -> None:
        """Write down each timer."""
        for timer in timers:
            if timer.payload == b"bad":
                raise RuntimeError("a bug that one timer meets")
            view.send("fired", timer.timer_id, str(now_ms).encode())


def test_a_timer_that_cannot_be_decided_is_put_off_alone() -> None:
    """The others fire; the one that raises is set again for an hour later, so nobody waits for ever."""
    stored: dict[bytes, bytes] = {}
    timers = [Timer(bytes([number]) * 16, 1_000, b"bad" if number == 1 else b"good") for number in range(3)]
    for timer in timers:
        stored[b"t" + timer.timer_id] = timer_row(timer.due_ms, timer.payload)
    view = View(stored.get)

    logic = Fragile()
    put_off = fire_timers(cast("PartitionLogic", logic), timers, view, 5_000)

    assert put_off == 1
    assert logic.told == [timers[1]]
    assert [output.key for output in view.outputs] == [timers[0].timer_id, timers[2].timer_id]
    changes = view.changes()
    assert changes[b"t" + timers[0].timer_id] is None
    assert changes[b"t" + timers[1].timer_id] == timer_row(5_000 + TIMER_RETRY_MS, b"bad")
    assert changes[b"t" + timers[2].timer_id] is None
