"""A rate is taken from samples without what came before the first."""

from __future__ import annotations

from tests.bench.meter import Meter


def test_what_was_counted_before_the_first_sample_is_not_measured() -> None:
    """Start-up is excluded: the first sample starts the clock and the count."""
    meter = Meter(1000)
    for count, at_s in ((0, 1.0), (100, 5.0), (600, 6.0), (1000, 7.0)):
        meter.add(count, at_s)
    assert meter.whole() == (900, 2.0)


def test_the_first_sample_that_reaches_the_total_ends_it() -> None:
    """Idle time after the last event does not lower a rate."""
    meter = Meter(100)
    assert [meter.add(c, t) for c, t in ((10, 1.0), (100, 2.0), (100, 9.0))] == [True, True, False]
    assert meter.complete
    assert meter.whole() == (90, 1.0)


def test_a_sample_without_progress_is_no_sample() -> None:
    """A stall is visible as time between two samples, not as samples."""
    meter = Meter(100)
    assert [meter.add(c, t) for c, t in ((10, 1.0), (10, 2.0), (20, 3.0))] == [True, False, True]
    assert meter.whole() == (10, 2.0)


def test_the_steady_rate_is_that_of_the_second_half() -> None:
    """A slow warm-up is in the whole rate and not in the steady one."""
    meter = Meter(10_000)
    for count, at_s in ((1, 0.0), (11, 5.0), (1011, 6.0), (4011, 9.0), (5011, 10.0)):
        meter.add(count, at_s)
    assert meter.steady_per_s() == 1000.0


def test_one_sample_gives_no_rate() -> None:
    """Nothing to divide by is said as zero seconds, which the harness refuses."""
    meter = Meter(100)
    meter.add(100, 3.0)
    assert meter.whole() == (0, 0.0)
    assert meter.steady_per_s() == 0.0
