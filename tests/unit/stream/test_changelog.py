"""Changelog records into a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.stream.kit import NOW, Rec
from workers.stream.changelog import CLAIM, apply_run
from workers.stream.partition import SEAL
from workers.stream.store import TIMER, PartitionStore, position_change, timer_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

import pytest

ID = b"i" * 16


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PartitionStore]:
    """An empty one."""
    opened = PartitionStore(tmp_path / "p0")
    yield opened
    opened.close()


def records(start: int, *pairs: tuple[bytes, bytes | None]) -> list[Rec]:
    """Changelog records from offset ``start`` on."""
    return [Rec(start + at, value, key) for at, (key, value) in enumerate(pairs)]


def test_rows_markers_and_timers_are_applied_and_the_position_follows(store: PartitionStore) -> None:
    """The last record of a key counts; a deletion deletes; the timer index is derived."""
    run = records(
        10,
        (CLAIM, b"x"),
        (b"ca", b"1"),
        (b"cb", b"1"),
        (TIMER + ID, timer_row(70, b"p")),
        position_change("events", 5),
        (SEAL, b""),
        (b"ca", b"2"),
        (b"cb", None),
        position_change("events", 8),
        (SEAL, b""),
    )
    apply_run(store, run, NOW)
    assert store.scan(b"c") == [(b"ca", b"2")]
    assert store.positions() == {"events": 8}
    assert [timer.timer_id for timer in store.due(70, 10)] == [ID]
    assert (store.changelog_next, store.written_ms) == (20, NOW)


def test_claims_and_seals_are_no_rows(store: PartitionStore) -> None:
    """They tell where the log stands; in the state they would be rubbish."""
    apply_run(store, records(0, (CLAIM, b"x"), (SEAL, b"")), NOW)
    assert store.get(CLAIM) is None
    assert store.get(SEAL) is None
    assert store.changelog_next == 2


def test_applying_a_run_again_changes_nothing(store: PartitionStore) -> None:
    """A restore that was interrupted repeats what it is not sure of."""
    run = records(0, (b"ca", b"1"), (TIMER + ID, timer_row(70, b"p")), (b"ca", None), (b"cb", b"2"))
    for _ in range(3):
        apply_run(store, run, NOW)
    assert store.scan(b"c") == [(b"cb", b"2")]
    assert len(store.due(70, 10)) == 1


def test_an_empty_run_is_nothing(store: PartitionStore) -> None:
    """Not even a write."""
    apply_run(store, [], NOW)
    assert store.written_ms is None


def test_what_another_owner_changed_replaces_what_was_decoded_before(tmp_path: Path) -> None:
    """A worker that lost a partition and got it back does not go on with rows of its earlier ownership."""
    opened = PartitionStore(tmp_path / "p1", cache_bytes=1_000_000)
    opened.decoded.keep(b"c", {b"a": "decoded long ago"})

    apply_run(opened, records(5, (b"ca", b"2")), NOW)

    assert opened.decoded.take(b"ca") is None
    assert opened.get(b"ca") == b"2"
    opened.close()
