"""Two ids turn out to be one: what is kept of both is what one id would have kept of all events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from workers.core.activity import distinct, lifetime, series

if TYPE_CHECKING:
    from workers.core.activity.series import Fold

NOW = 1_800_000_000_000
DAY = 86_400_000
RETENTION = 90 * DAY

FOLDS = st.sampled_from(["count", "sum", "min", "max"])
EVENTS = st.lists(
    st.tuples(st.integers(0, 80 * DAY), st.integers(-50, 50), st.booleans()), min_size=1, max_size=80
)
MANY = st.lists(
    st.tuples(st.integers(0, 89 * DAY), st.integers(-50, 50), st.booleans()), min_size=250, max_size=600
)


def _series(events: list[tuple[int, int]], fold: Fold) -> bytes | None:
    held = None
    for ago_ms, number in events:
        held = series.add(held, NOW - ago_ms, 0 if fold == "count" else number, NOW, RETENTION, fold)
    return held


def _split(events: list[tuple[int, int, bool]]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    mine = [(ago_ms, number) for ago_ms, number, is_mine in events if is_mine]
    theirs = [(ago_ms, number) for ago_ms, number, is_mine in events if not is_mine]
    return mine, theirs


@given(EVENTS, FOLDS)
def test_a_merged_series_is_that_of_all_events(events: list[tuple[int, int, bool]], fold: Fold) -> None:
    """To the millisecond, whatever each did."""
    mine, theirs = _split(events)
    merged = series.merge(_series(mine, fold), _series(theirs, fold), NOW, RETENTION, fold)
    whole = _series([*mine, *theirs], fold)
    assert sorted(series.entries(merged)) == sorted(series.entries(whole))


@given(MANY, st.integers(1, 89))
def test_a_merged_series_of_many_loses_none(events: list[tuple[int, int, bool]], days: int) -> None:
    """Folded ones too: the count is right but for the bucket at the edge, and the newest are all exact."""
    mine, theirs = _split(events)
    merged = series.merge(_series(mine, "sum"), _series(theirs, "sum"), NOW, RETENTION, "sum")
    assert series.totals(merged, NOW - RETENTION, NOW + 1) == (
        len(events),
        float(sum(number for _, number, _ in events)),
    )
    newest = sorted(ago_ms for ago_ms, _, _ in events)[: series.EXACT_OCCURRENCES]
    since_ms = NOW - newest[-1]
    assert series.count(merged, since_ms + 1, NOW + 1) == sum(ago_ms < newest[-1] for ago_ms in newest)
    lo_ms = NOW - days * DAY
    right = sum(NOW - ago_ms >= lo_ms for ago_ms, _, _ in events)
    edge = sum(abs(NOW - ago_ms - lo_ms) < DAY for ago_ms, _, _ in events)
    assert abs(series.count(merged, lo_ms, NOW + 1) - right) <= edge


@given(EVENTS)
def test_merged_values_are_those_of_both(events: list[tuple[int, int, bool]]) -> None:
    """Each once, with the last time that it occurred to either."""
    mine, theirs = _split(events)

    def values(some: list[tuple[int, int]]) -> bytes | None:
        held = None
        for ago_ms, number in some:
            digest = distinct.digest_of(number)
            assert digest is not None
            held = distinct.add(held, NOW - ago_ms, digest, NOW, RETENTION)
        return held

    merged = distinct.merge(values(mine), values(theirs), NOW, RETENTION)
    last: dict[int, int] = {}
    for ago_ms, number, _ in events:
        last[number] = max(last.get(number, 0), NOW - ago_ms)
    assert list(distinct.times(merged)) == sorted(last.values())


@given(EVENTS, FOLDS)
def test_a_merged_lifetime_is_that_of_all_events(events: list[tuple[int, int, bool]], fold: Fold) -> None:
    """How often, since when, until when, and the total."""
    mine, theirs = _split(events)

    def life(some: list[tuple[int, int]]) -> bytes | None:
        held = None
        for ago_ms, number in some:
            held = lifetime.add(held, NOW - ago_ms, 0 if fold == "count" else number, fold)
        return held

    merged = lifetime.merge(life(mine), life(theirs), fold)
    assert lifetime.read(merged) == lifetime.read(life([*mine, *theirs]))
