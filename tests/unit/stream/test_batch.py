"""Runs of records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stream.kit import TP0, Rec
from workers.stream.batch import Batch


def gappy(offsets: list[int], end: int) -> Batch:
    """A batch from offset 0 with holes, as compaction and markers leave them."""
    return Batch(TP0, [Rec(offset) for offset in offsets], 0, end)


@given(st.sets(st.integers(0, 200), min_size=1), st.integers(0, 5), st.integers(1, 50))
def test_parts_join_without_holes_at_the_seams(offsets: set[int], more: int, most: int) -> None:
    """Splitting loses no record, and each part begins where the one before it ended."""
    whole = gappy(sorted(offsets), max(offsets) + 1 + more)
    parts = whole.split(most)
    assert [record for part in parts for record in part.records] == list(whole.records)
    assert all(1 <= len(part.records) <= most for part in parts)
    assert [part.start for part in parts] == [whole.start, *(part.end for part in parts[:-1])]
    assert parts[-1].end == whole.end


@pytest.mark.parametrize("most", [3, 4, 100])
def test_a_batch_that_fits_is_not_split(most: int) -> None:
    """It is handed on as it is."""
    whole = gappy([0, 5, 9], 12)
    assert whole.split(most) == [whole]
