"""The token bucket: tables, and what holds for every history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.core.token_bucket import Bucket, Rate, full, left, spend, wait_ms

RATE = Rate(per_second=2, burst=10)
NOW = 1_000_000


@pytest.mark.parametrize(
    ("tokens", "later_ms", "wait"),
    [
        (10, 0, 0),
        (1, 0, 0),
        (0.5, 0, 250),
        (0, 0, 500),
        (0, 499, 1),
        (0, 500, 0),
        (-3, 0, 2000),
        (0, -60_000, 500),
    ],
)
def test_how_long_until_one_token_is_there(tokens: float, later_ms: int, wait: int) -> None:
    """Two a second: one in half a second. A clock that went back gives nothing."""
    assert wait_ms(Bucket(tokens, NOW), RATE, NOW + later_ms) == wait


@pytest.mark.parametrize(
    ("bucket", "later_ms", "tokens", "full_ms"),
    [
        (full(RATE, NOW), 0, 10, 0),
        (Bucket(3, NOW), 0, 3, 3500),
        (Bucket(3, NOW), 1000, 5, 2500),
        (Bucket(3, NOW), 60_000, 10, 0),
        (Bucket(-3, NOW), 0, 0, 6500),
    ],
)
def test_what_is_left(bucket: Bucket, later_ms: int, tokens: int, full_ms: int) -> None:
    """Whole tokens, never more than the burst and never less than none."""
    assert left(bucket, RATE, NOW + later_ms) == (tokens, full_ms)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 10)), max_size=50))
def test_nobody_gets_more_than_the_burst_and_the_rate(asked: list[tuple[int, int]]) -> None:
    """Over any stretch from the start: burst + rate x time, and one request beyond it."""
    bucket, now_ms, granted, last = full(RATE, NOW), NOW, 0, 0
    for after_ms, cost in asked:
        now_ms += after_ms
        if wait_ms(bucket, RATE, now_ms) == 0:
            bucket, granted, last = spend(bucket, RATE, cost, now_ms), granted + cost, cost
    assert granted - last <= RATE.burst + RATE.per_second * (now_ms - NOW) / 1000


@given(st.integers(1, 10), st.integers(0, 100_000))
def test_after_the_wait_a_token_is_there_and_not_before(cost: int, later_ms: int) -> None:
    """Retry-After is neither too short nor too long."""
    bucket = spend(Bucket(0, NOW), RATE, cost, NOW)
    wait = wait_ms(bucket, RATE, NOW)
    assert wait_ms(bucket, RATE, NOW + wait) == 0
    assert wait_ms(bucket, RATE, NOW + wait - 1) > 0
    assert wait_ms(bucket, RATE, NOW + later_ms) == max(0, wait - later_ms)
