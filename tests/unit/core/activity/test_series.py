"""Series, lifetimes and distinct values: what they keep, how exactly, and how small they stay."""

from __future__ import annotations

import pytest

from tests.unit.core.kit import DAY, HOUR, START
from workers.core.activity import distinct, lifetime, series
from workers.core.activity.series import EXACT_OCCURRENCES, QUARTER_MS, QUARTERS_MAX, Fold, number_of
from workers.core.activity.slots import MeasureSlot, follow, record, since_ms

MIDNIGHT = START - START % DAY


def filled(times_ms: list[int], *, fold: Fold = "sum", retention_ms: int = 400 * DAY) -> bytes | None:
    """A series in which each occurrence has the number 2."""
    held: bytes | None = None
    for at_ms in times_ms:
        held = series.add(held, at_ms, 2, times_ms[-1], retention_ms, fold)
    return held


def test_a_calendar_count_is_exact_far_beyond_the_single_occurrences() -> None:
    """10,000 occurrences in ten days: each day's count is right, in a zone that is 5:45 from UTC too."""
    times_ms = [MIDNIGHT + number * 86_400 for number in range(10_000)]
    held = filled(times_ms)
    for day in range(10):
        for shift in (0, HOUR * 5 + 45 * 60_000):
            lo = MIDNIGHT + day * DAY + shift
            expected = sum(lo <= at_ms < lo + DAY for at_ms in times_ms)
            assert series.totals(held, lo, lo + DAY) == (expected, 2.0 * expected)


def test_a_threshold_up_to_128_is_exact_to_the_millisecond_however_much_happens() -> None:
    """In a window that ends now, also when late ones come last."""
    times_ms = [MIDNIGHT + number * 61_000 for number in range(5_000)]
    shuffled = [*times_ms[::2], *times_ms[1::2]]
    now_ms = times_ms[-1]
    held: bytes | None = None
    for at_ms in shuffled:
        held = series.add(held, at_ms, 0, now_ms, 30 * DAY, "count")
    for wanted in (1, 2, 127, 128):
        oldest_ms = times_ms[-wanted]
        assert series.count(held, oldest_ms, now_ms + 1) == wanted
        assert series.count(held, oldest_ms + 1, now_ms + 1) == wanted - 1


def test_beyond_the_quarters_the_oldest_become_days() -> None:
    """Something every quarter of an hour for 30 days: bounded, all there, the last days still exact."""
    times_ms = [MIDNIGHT + number * QUARTER_MS for number in range(30 * 96)]
    held = filled(times_ms)
    kept = list(series.entries(held))
    assert sum(many for _, many, _ in kept) == len(times_ms)
    assert len(kept) <= QUARTERS_MAX + EXACT_OCCURRENCES + 64 + 30
    assert any(many == 96 for _, many, _ in kept)
    offset = 5 * HOUR + 45 * 60_000
    lo = MIDNIGHT + 25 * DAY - offset
    assert series.count(held, lo, lo + DAY) == 96


def test_one_that_is_late_joins_the_day_or_the_quarter_it_belongs_to() -> None:
    """Wherever the others of its time have gone."""
    times_ms = [MIDNIGHT + number * QUARTER_MS for number in range(30 * 96)]
    held, now_ms = filled(times_ms), times_ms[-1]
    for late_ms in (MIDNIGHT + HOUR, MIDNIGHT + 20 * DAY + 1, MIDNIGHT - 40 * DAY):
        day = late_ms - late_ms % DAY
        before = series.count(held, day, day + DAY)
        held = series.add(held, late_ms, 2, now_ms, 400 * DAY, "sum")
        assert series.count(held, day, day + DAY) == before + 1
    starts = [at_ms for at_ms, _, _ in series.entries(held)]
    assert starts == sorted(starts)


def test_days_are_told_from_quarters_also_after_late_ones() -> None:
    """A late one may begin a day before all others, or join the last day; never a quarter inside a day."""
    times_ms = [MIDNIGHT + number * QUARTER_MS for number in range(30 * 96)]
    held = filled(times_ms)
    known = series._decode(held)
    last_day = known.buckets[known.days - 1][0]
    for late_ms, days in ((MIDNIGHT - 40 * DAY, 1), (last_day * QUARTER_MS + 3 * HOUR, 1)):
        held = series.add(held, late_ms, 2, times_ms[-1], 400 * DAY, "sum")
        after = series._decode(held)
        assert after.days == known.days + days
        starts = [start for start, _, _ in after.buckets[: after.days]]
        assert all(start % 96 == 0 for start in starts)
        assert after.buckets[after.days][0] >= starts[-1] + 96


def test_a_series_stays_small() -> None:
    """The largest that a subject can make it: what docs/conditions.md states."""
    times_ms = [MIDNIGHT + number * DAY for number in range(700)]
    times_ms += [times_ms[-1] + number * (QUARTER_MS + 1) for number in range(1, QUARTERS_MAX + 250)]
    plain: bytes | None = None
    held: bytes | None = None
    for at_ms in times_ms:
        held = series.add(held, at_ms, 0.1 + at_ms, at_ms, 730 * DAY, "sum")
        plain = series.add(plain, at_ms, 0, at_ms, 730 * DAY, "count")
    assert held is not None
    assert plain is not None
    assert 24 * 1024 < len(held) < 36 * 1024
    assert 4 * 1024 < len(plain) < 16 * 1024


def test_what_left_the_retention_is_forgotten() -> None:
    """By the next occurrence, whatever form it was kept in."""
    held = filled([MIDNIGHT + number * 1_000 for number in range(1_000)], retention_ms=7 * DAY)
    held = series.add(held, MIDNIGHT + 9 * DAY, 2, MIDNIGHT + 9 * DAY, 7 * DAY, "sum")
    assert list(series.entries(held)) == [(MIDNIGHT + 9 * DAY, 1, 2)]


@pytest.mark.parametrize(("fold", "expected"), [("min", -3), ("max", 9)])
def test_a_bucket_keeps_the_smallest_or_the_largest(fold: Fold, expected: int) -> None:
    """Also after folding."""
    held: bytes | None = None
    for number in range(500):
        value = {7: -3, 8: 9}.get(number, 1)
        held = series.add(held, MIDNIGHT + number, value, MIDNIGHT + number, DAY, fold)
    found = series.numbers(held, MIDNIGHT, MIDNIGHT + DAY)
    assert (min(found) if fold == "min" else max(found)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (2.5, 2.5),
        (True, None),
        ("3", None),
        (None, None),
        (2**60, float(2**60)),
        (10**400, None),
        (1e300, None),
        (float("nan"), None),
    ],
)
def test_only_numbers_that_can_be_summed_are_kept(value: object, expected: float | None) -> None:
    """No text, no truth value, nothing beyond all measure."""
    found = number_of(value)
    assert found == expected
    assert type(found) is type(expected)


def test_a_lifetime_knows_first_last_and_total_whatever_comes_late() -> None:
    """In a few bytes."""
    held: bytes | None = None
    for at_ms, number in ((START, 5), (START - 900 * DAY, 7), (START - DAY, -1)):
        held = lifetime.add(held, at_ms, number, "sum")
    assert held is not None
    assert lifetime.read(held) == lifetime.Lifetime(3, START - 900 * DAY, START, 11)
    assert len(held) <= 40
    assert lifetime.read(None) is None


def test_a_sum_of_a_lifetime_never_leaves_what_can_be_kept() -> None:
    """It stops at its limit instead of stopping the partition."""
    held: bytes | None = None
    for _ in range(3):
        held = lifetime.add(held, START, 1e200, "sum")
    known = lifetime.read(held)
    assert known is not None
    assert known.number == 1e200


def test_distinct_values_count_once_and_by_their_last_time() -> None:
    """A late repetition does not make a value older."""
    held: bytes | None = None
    for at_ms, value in ((START, "a"), (START - DAY, "a"), (START - 2 * DAY, "b"), (START - DAY, 1)):
        digest = distinct.digest_of(value)
        assert digest is not None
        held = distinct.add(held, at_ms, digest, START, 14 * DAY)
    assert distinct.count(held, START - 14 * DAY + 1, START + 1) == 3
    assert distinct.count(held, START - DAY + 1, START + 1) == 1
    assert distinct.count(held, START - DAY, START + 1) == 2


def test_distinct_values_are_told_apart_by_kind() -> None:
    """1 is 1.0, and neither true nor a text; a list is no value."""
    one = distinct.digest_of(1)
    assert one == distinct.digest_of(1.0)
    assert len({one, distinct.digest_of(True), distinct.digest_of("1"), distinct.digest_of("True")}) == 4
    assert distinct.digest_of([1]) is None


def test_distinct_values_are_told_apart_at_their_own_places() -> None:
    """Eight bytes that begin in one digest and end in the next are no digest."""
    held: bytes | None = None
    for digest in (b"AAAABBBB", b"CCCCDDDD", b"CCCCDDDD", b"BBBBCCCC"):
        held = distinct.add(held, START, digest, START, None)
    assert distinct.count(held, START, START + 1) == 3


def test_distinct_values_are_bounded_and_keep_the_latest() -> None:
    """A window that ends now is exact up to the bound."""
    held: bytes | None = None
    for number in range(distinct.VALUES_MAX + 100):
        digest = distinct.digest_of(str(number))
        assert digest is not None
        held = distinct.add(held, START + number, digest, START + number, None)
    assert held is not None
    assert distinct.count(held, 0, START + DAY) == distinct.VALUES_MAX
    newest = START + distinct.VALUES_MAX + 99
    assert distinct.count(held, newest - 500 + 1, newest + 1) == 500
    assert len(held) <= 14 * 1024


def test_an_event_that_does_not_concern_a_slot_leaves_it_as_it_is() -> None:
    """Filtered out, too late, without a number, or with nothing to tell apart."""

    def slot(**fields: object) -> MeasureSlot:
        plain = {"id": 1, "event": "e", "where": None, "function": "sum", "retention_ms": 7 * DAY}
        return MeasureSlot(**{**plain, "read": lambda values: values.get("n"), **fields})  # type: ignore[arg-type]

    held = record(slot(), None, START, START, {"n": 5}, None)
    assert held is not None
    assert record(slot(), held, START - 7 * DAY, START, {"n": 5}, None) is held
    assert record(slot(), held, START, START, {"n": "5"}, None) is held
    assert record(slot(where=lambda values: "k" in values), held, START, START, {"n": 5}, None) is held
    assert record(slot(function="distinct"), None, START, START, {"n": []}, None) is None
    assert record(slot(function="members", read=None), None, START, START, {}, None) is None
    members = record(slot(function="members", read=None), None, START, START, {}, "u1")
    assert distinct.count(members, START, START + 1) == 1


def test_an_event_ahead_of_the_clock_happened_now() -> None:
    """It counts at once and cannot stay for longer than others."""
    slot = MeasureSlot(1, "e", None, "count", None, DAY)
    held = record(slot, None, START + HOUR, START, {}, None)
    assert list(series.entries(held)) == [(START, 1, 0)]


def test_the_time_since_when_something_is_true_is_kept_while_it_is() -> None:
    """Read back, and gone from the row when it is no longer true."""
    assert since_ms(None) is None
    assert follow((), {}, None, START) == {}  # type: ignore[arg-type]  # nothing to follow, nothing to ask
