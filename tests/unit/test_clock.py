"""Clocks."""

from __future__ import annotations

import pytest

from workers.clock import FixedClock, ScaledClock, SystemClock, parse_clock
from workers.errors import Misconfigured

NOW = 1_773_480_000_000


def test_the_systems_clock_goes_on() -> None:
    """In milliseconds since 1970; what is past is due."""
    clock = SystemClock()
    first = clock.now_ms()
    assert first > NOW - 10**12
    assert clock.now_ms() >= first
    assert clock.seconds_until(first) <= 0
    assert clock.seconds_until(clock.now_ms() + 60_000) > 50


def test_a_scaled_clock_plays_a_history_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads its start when the wall clock reads its own; from there on it runs so many times as fast."""
    monkeypatch.setattr("workers.clock.time.time_ns", lambda: (NOW + 2_000) * 1_000_000)
    clock = ScaledClock(start_ms=1_000_000, wall_start_ms=NOW, speed=60)
    assert clock.now_ms() == 1_000_000 + 120_000
    assert clock.seconds_until(1_000_000 + 120_000 + 60_000) == pytest.approx(1)
    assert clock.seconds_until(1_000_000) == pytest.approx(-2)


@pytest.mark.parametrize("speed", [0, -1])
def test_a_clock_that_stands_or_runs_back_is_refused(speed: float) -> None:
    """No timer would ever be due."""
    with pytest.raises(Misconfigured, match="above 0"):
        ScaledClock(0, 0, speed)


def test_a_fixed_clock_stands_until_it_is_told() -> None:
    """For tests and simulations."""
    clock = FixedClock(NOW)
    assert (clock.now_ms(), clock.seconds_until(NOW + 500)) == (NOW, 0.5)
    clock.time_ms += 500
    assert clock.seconds_until(NOW + 500) == 0


def test_a_setting_names_the_clock() -> None:
    """Each of the three."""
    assert isinstance(parse_clock("system"), SystemClock)
    fixed = parse_clock("fixed:42")
    assert fixed.now_ms() == 42
    scaled = parse_clock("scaled:1:2:0.5")
    assert isinstance(scaled, ScaledClock)
    assert (scaled.start_ms, scaled.wall_start_ms, scaled.speed) == (1, 2, 0.5)


@pytest.mark.parametrize(
    "text", ["", "sun", "system:now", "scaled:1:2", "scaled:a:b:c", "scaled:1:2:0", "fixed", "fixed:noon"]
)
def test_a_clock_that_is_none_is_refused_by_its_text(text: str) -> None:
    """The message says which are there, or what is wrong with this one."""
    with pytest.raises(Misconfigured, match=r"clock|speed"):
        parse_clock(text)
