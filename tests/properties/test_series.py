"""Series and distinct values against brute force: bursts, late ones, thousands of occurrences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.core.activity import distinct, series
from workers.core.activity.series import EXACT_OCCURRENCES, QUARTER_MS

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

START = 1_773_446_400_000
DAY = 86_400_000
RETENTION_MS = 10 * DAY

Arrival = tuple[int, int]


@st.composite
def arrivals(draw: DrawFn) -> list[Arrival]:
    """When each occurrence arrives, and when it happened."""
    found: list[Arrival] = []
    now_ms = START
    for _ in range(draw(st.integers(1, 6))):
        now_ms += draw(st.sampled_from([0, 1, QUARTER_MS, DAY, 11 * DAY]))
        step = draw(st.sampled_from([0, 1, 7_000, QUARTER_MS - 1, 3 * QUARTER_MS]))
        many = draw(st.integers(1, 150))
        late_ms = draw(st.sampled_from([0, 0, DAY, 9 * DAY]))
        times = [now_ms - late_ms - number * step for number in range(many)]
        found += [(now_ms, at_ms) for at_ms in (times if draw(st.booleans()) else reversed(times))]
    return found


def kept(found: list[Arrival]) -> bytes:
    """The series of all of them, each with the number 1."""
    held: bytes | None = None
    for now_ms, at_ms in found:
        held = series.add(held, at_ms, 1, now_ms, RETENTION_MS, "sum")
    assert held is not None
    return held


@settings(max_examples=60)
@given(arrivals(), st.integers(0, 11 * DAY), st.integers(1, RETENTION_MS))
def test_a_window_that_ends_now_is_exact_up_to_128_and_never_too_large(
    found: list[Arrival], later_ms: int, within_ms: int
) -> None:
    """At any instant from the last arrival on."""
    now_ms = found[-1][0] + later_ms
    truth = sum(now_ms - within_ms < at_ms <= now_ms for _, at_ms in found)
    counted = series.count(kept(found), now_ms - within_ms + 1, now_ms + 1)
    assert counted <= truth
    assert min(counted, EXACT_OCCURRENCES) == min(truth, EXACT_OCCURRENCES)


@settings(max_examples=60)
@given(arrivals())
def test_nothing_is_kept_beyond_the_retention_and_nothing_out_of_order(found: list[Arrival]) -> None:
    """Whatever form it is kept in, after each arrival that is not itself too late."""
    held: bytes | None = None
    for now_ms, at_ms in found:
        held = series.add(held, at_ms, 1, now_ms, RETENTION_MS, "sum")
        if at_ms > now_ms - RETENTION_MS:
            times = [entry[0] for entry in series.entries(held)]
            assert times[0] > now_ms - RETENTION_MS
            assert times == sorted(times)


@settings(max_examples=60)
@given(arrivals(), st.integers(0, 900), st.integers(1, 200))
def test_what_begins_and_ends_at_a_quarter_of_an_hour_is_exact(
    found: list[Arrival], back: int, quarters: int
) -> None:
    """However many there were: the count and the sum of any calendar period that the retention covers."""
    now_ms = found[-1][0]
    hi = now_ms - now_ms % QUARTER_MS - (back - 1) * QUARTER_MS
    lo = hi - quarters * QUARTER_MS
    held = kept(found)
    if lo > now_ms - RETENTION_MS + QUARTER_MS:
        truth = sum(lo <= at_ms < hi for _, at_ms in found)
        assert series.totals(held, lo, hi) == (truth, float(truth))


@given(
    st.lists(st.tuples(st.integers(0, 5 * DAY), st.integers(0, 12 * DAY), st.integers(0, 9)), min_size=1),
    st.integers(0, 11 * DAY),
)
def test_distinct_values_are_counted_as_a_set(steps: list[tuple[int, int, int]], later_ms: int) -> None:
    """Late, repeated, out of order: a window that ends now holds the values that occurred in it."""
    held: bytes | None = None
    now_ms = START
    happened: list[tuple[int, int]] = []
    for pause_ms, late_ms, value in steps:
        now_ms += pause_ms
        digest = distinct.digest_of(value)
        assert digest is not None
        if late_ms < RETENTION_MS:
            happened.append((now_ms - late_ms, value))
            held = distinct.add(held, now_ms - late_ms, digest, now_ms, RETENTION_MS)
    now_ms += later_ms
    truth = {value for at_ms, value in happened if now_ms - RETENTION_MS < at_ms <= now_ms}
    assert distinct.count(held, now_ms - RETENTION_MS + 1, now_ms + 1) == len(truth)
