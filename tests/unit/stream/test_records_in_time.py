"""How many records a transaction takes, by how long the last ones took."""

from __future__ import annotations

import pytest

from workers.stream.partition import records_in_time


@pytest.mark.parametrize(
    ("records", "decided_s", "expected"),
    [
        (20_000, 0.4, 20_000),  # quick: as many as are allowed
        (20_000, 20.0, 1_000),  # a millisecond each: a second's worth
        (2_000, 0.5, 4_000),
        (2_000, 2_000.0, 100),  # never so few that transactions cost more than records
        (50, 10.0, 777),  # too few to tell
        (0, 0.0, 777),
    ],
)
def test_a_transaction_decides_for_about_a_second(records: int, decided_s: float, expected: int) -> None:
    """Definitions that cost much make transactions smaller, so that a rebalance need not wait for them."""
    assert records_in_time(777, 20_000, records, decided_s) == expected
