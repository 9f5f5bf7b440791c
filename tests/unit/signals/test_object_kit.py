"""What stands for the store in tests of objects gives the rows that the store gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.signals.object_kit import Rows
from workers.stream.store import PartitionStore

if TYPE_CHECKING:
    from pathlib import Path

STORED = {b"O\x00\x02p1ua": b"1", b"O\x00\x02p1ub": b"2", b"O\x00\x02p2ua": b"3", b"P": b"4", b"N": b"5"}


@pytest.mark.parametrize(
    ("prefix", "start", "most"),
    [
        (b"O", b"O", 10),
        (b"O\x00\x02p1", b"O\x00\x02p1", 10),
        (b"O\x00\x02p1", b"O\x00\x02p1ua\x00", 10),
        (b"O\x00\x02p1", b"O\x00\x02p1", 1),
        (b"O\x00\x02p3", b"O\x00\x02p3", 10),
    ],
)
def test_rows_are_found_as_the_store_finds_them(
    tmp_path: Path, prefix: bytes, start: bytes, most: int
) -> None:
    """By prefix, from a key on, in order, so many."""
    store = PartitionStore(tmp_path / "db")
    store.write(dict(STORED), changelog_next=1, now_ms=0)
    assert Rows(dict(STORED)).scan(prefix, start, most) == store.scan(prefix, start, most)
    store.close()
