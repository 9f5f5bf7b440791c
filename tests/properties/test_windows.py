"""Windows against a brute-force oracle: a list of everything that ever happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from workers.core.activity.windows import (
    BUCKETS_PER_RETENTION,
    EXACT_OCCURRENCES,
    Inside,
    add,
    add_all,
    count,
    decode,
    granularity_ms,
)

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

START = 1_773_480_000_000
MINUTE = 60_000
DAY = 86_400_000

RETENTIONS: SearchStrategy[int] = st.one_of(
    st.integers(1, 5_000),
    st.integers(MINUTE, 45 * DAY),
    st.sampled_from([45 * DAY - 1, 45 * DAY, 45 * DAY + 1, 50 * DAY]),
    st.integers(45 * DAY, 800 * DAY),
)

Arrival = tuple[int, list[int]]
"""When something is processed, and when the occurrences in it happened."""


@st.composite
def histories(draw: DrawFn) -> tuple[int, list[Arrival]]:
    """A retention and arrivals: in order, late, twice, in bursts, alone or together."""
    retention_ms = draw(RETENTIONS)
    arrivals: list[Arrival] = []
    now_ms = START
    gaps = st.sampled_from([0, 1, retention_ms // 300, retention_ms // 7, retention_ms, 3 * retention_ms])
    ages = st.one_of(
        st.just(0),
        st.integers(0, 3),
        st.integers(0, retention_ms),
        st.sampled_from([retention_ms - 1, 9**15]),
    )
    for _ in range(draw(st.integers(1, 12))):
        now_ms += draw(gaps)
        shape = draw(st.sampled_from(["one", "several", "burst"]))
        if shape == "one":
            times = [now_ms - draw(ages)]
        elif shape == "several":
            times = [now_ms - age for age in draw(st.lists(ages, max_size=5))]
        else:
            step = draw(st.integers(0, max(1, retention_ms // 200)))
            times = [now_ms - number * step for number in range(draw(st.integers(60, 250)))]
            if draw(st.booleans()):
                times.reverse()
        arrivals.append((now_ms, times))
    return retention_ms, arrivals


def replay(retention_ms: int, arrivals: list[Arrival], *, together: bool) -> bytes | None:
    """The window after all arrivals; each by itself, or each arrival's occurrences at once."""
    window: bytes | None = None
    for now_ms, times in arrivals:
        if together:
            window = add_all(window, times, now_ms, retention_ms)
        else:
            for at_ms in times:
                window = add(window, at_ms, now_ms, retention_ms)
    return window


def truth(arrivals: list[Arrival], now_ms: int, within_ms: int) -> int:
    """The number of occurrences in ``(now - within, now]``."""
    return sum(now_ms - within_ms < at_ms <= now_ms for _, times in arrivals for at_ms in times)


@given(histories(), st.booleans(), st.data())
def test_whether_a_threshold_up_to_128_is_reached_is_always_right(
    history: tuple[int, list[Arrival]], together: bool, data: st.DataObject
) -> None:
    """At any instant from the last arrival on, for any part of the retention, whatever came how late."""
    retention_ms, arrivals = history
    window = replay(retention_ms, arrivals, together=together)
    now_ms = arrivals[-1][0] + data.draw(st.one_of(st.just(0), st.integers(0, 2 * retention_ms)))
    within_ms = data.draw(st.one_of(st.just(retention_ms), st.integers(1, retention_ms)))
    expected = truth(arrivals, now_ms, within_ms)
    counted = count(window, now_ms, within_ms, retention_ms)
    assert min(counted, EXACT_OCCURRENCES) == min(expected, EXACT_OCCURRENCES)


@given(histories(), st.booleans())
def test_a_count_never_exceeds_the_truth(history: tuple[int, list[Arrival]], together: bool) -> None:
    """Folding may forget, at the old end and above 128; it never invents."""
    retention_ms, arrivals = history
    window = replay(retention_ms, arrivals, together=together)
    now_ms = arrivals[-1][0]
    assert count(window, now_ms, retention_ms, retention_ms) <= truth(arrivals, now_ms, retention_ms)


@given(histories(), st.booleans(), st.data())
def test_it_is_known_when_so_many_have_left(
    history: tuple[int, list[Arrival]], together: bool, data: st.DataObject
) -> None:
    """To the millisecond, also of those that are folded: until then fewer have left, from then on as many."""
    retention_ms, arrivals = history
    window = replay(retention_ms, arrivals, together=together)
    now_ms = arrivals[-1][0] + data.draw(st.one_of(st.just(0), st.integers(0, retention_ms)))
    within_ms = data.draw(st.one_of(st.just(retention_ms), st.integers(1, retention_ms)))
    inside = None if window is None else Inside(window, now_ms, within_ms, retention_ms)
    if inside is None or not inside.count:
        return
    assert inside.ahead_ms is None
    number = data.draw(st.integers(1, inside.count))
    left_ms = inside.left_ms(number)
    assert left_ms > now_ms
    assert count(window, left_ms - 1, within_ms, retention_ms) > inside.count - number
    assert count(window, left_ms, within_ms, retention_ms) <= inside.count - number


@given(histories(), st.booleans())
def test_a_window_is_bounded_ordered_and_within_its_retention(
    history: tuple[int, list[Arrival]], together: bool
) -> None:
    """Whatever came, a window is small, ascending, and decodes to what it counts."""
    retention_ms, arrivals = history
    window = replay(retention_ms, arrivals, together=together)
    if window is None:
        return
    held = decode(window, retention_ms)
    buckets = min(BUCKETS_PER_RETENTION, retention_ms // 1_000) + 2
    assert granularity_ms(retention_ms) * (buckets - 2) <= retention_ms
    assert len(held.buckets) <= buckets + 1
    assert len(held.singles) <= EXACT_OCCURRENCES + 64
    assert list(held.singles) == sorted(held.singles)
    assert [start for start, _ in held.buckets] == sorted({start for start, _ in held.buckets})
    if held.buckets:
        assert len(held.singles) >= EXACT_OCCURRENCES
        assert held.buckets[-1][0] <= held.singles[0]


@given(
    RETENTIONS,
    st.lists(st.tuples(st.integers(-100 * DAY, 100 * DAY), st.integers(-100 * DAY, 100 * DAY)), max_size=20),
)
def test_no_clock_makes_a_window_fail(retention_ms: int, steps: list[tuple[int, int]]) -> None:
    """A clock that jumps, back or forth, may cost counts; it never stops the partition."""
    window: bytes | None = None
    for now, at in steps:
        window = add(window, START + at, START + now, retention_ms)
        assert count(window, START + now, retention_ms, retention_ms) >= 0
