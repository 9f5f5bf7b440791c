"""Figures come out in the order and under the names that are compared over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bench import engine, report
from tests.bench.model import BenchError, Result

if TYPE_CHECKING:
    from tests.bench.model import Job


class Named:
    """A system that is never started."""

    guarantee = "exactly once"
    method = "nothing"
    emits = False

    def __init__(self, name: str) -> None:
        self.name = name

    def unavailable(self) -> str | None:
        """Nothing is missing."""
        return None

    def start(self, job: Job) -> Result:
        """Not in these tests."""
        raise BenchError("not in these tests")


def result(processed: int, seconds: float = 10.0) -> Result:
    """A run of ``processed`` events in ``seconds``."""
    return Result(processed, seconds, processed / seconds, True, 1024, 2.0, 4096)


def test_all_peers_are_found() -> None:
    """A module with a ``SYSTEM`` is enough to take part."""
    names = {system.name for system in engine.discover([])}
    assert {"faust", "kafka_streams", "quix_sliding", "quix_state"} <= names


def test_a_system_that_does_not_exist_is_refused_with_those_that_do() -> None:
    """A misspelled name measures nothing, and must not look like success."""
    with pytest.raises(BenchError, match=r"no system called fasut; there are .*faust"):
        engine.discover(["fasut"])


def test_rates_come_before_what_they_cost() -> None:
    """The first line of the file is the rate of the first system, as bench ``engine``."""
    outcomes = [
        engine.Outcome(Named("brimful"), (result(1000),)),
        engine.Outcome(Named("faust"), (result(50),)),
    ]
    figures = engine.figures(50_000, outcomes)
    assert [(f.bench, f.system, f.value, f.unit) for f in figures[:2]] == [
        ("engine", "brimful", 100.0, "events/s"),
        ("engine", "faust", 5.0, "events/s"),
    ]
    assert {f.bench for f in figures[2:]} == {"engine_steady", "engine_peak_rss", "engine_disk", "engine_cpu"}


def test_a_million_users_have_a_name_of_their_own() -> None:
    """The two sizes are two curves."""
    assert engine.bench_name(1_000_000) == "engine_1m"


def test_the_median_run_counts() -> None:
    """One lucky run and one disturbed run change nothing."""
    typical = engine.Outcome(Named("x"), (result(900), result(100), result(500))).typical
    assert typical is not None
    assert typical.processed == 500


def test_ratios_say_how_many_times_as_fast_ours_is() -> None:
    """A system without figures is named with its reason."""
    outcomes = [
        engine.Outcome(Named("brimful"), (result(1000),)),
        engine.Outcome(Named("faust"), (result(50),)),
        engine.Outcome(Named("kafka_streams"), (), "java is not installed"),
    ]
    table = report.table(outcomes)
    assert "20.0x" in table
    assert "kafka_streams: no figure: java is not installed" in table
