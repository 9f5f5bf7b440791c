"""Assignment to variants: sticky, by weight, and moved no further than a change of weights asks."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.core.experiments import assign

UNITS = [f"user_{number}" for number in range(20_000)]


def spread(experiment: str, weights: dict[str, int]) -> dict[str, str]:
    """The variant of each unit."""
    return {unit: assign(experiment, unit, weights) for unit in UNITS}


@pytest.mark.parametrize(
    "weights",
    [
        {"a": 5_000, "b": 5_000},
        {"a": 1_000, "b": 9_000},
        {"a": 3_334, "b": 3_333, "c": 3_333},
        {"a": 9_975, "b": 25},
    ],
    ids=str,
)
def test_each_variant_gets_its_share(weights: dict[str, int]) -> None:
    """Of 20,000 units each variant gets its weight, within five standard deviations."""
    counts = Counter(spread("offer", weights).values())
    for variant, weight in weights.items():
        share = weight / 10_000
        deviation = (share * (1 - share) * len(UNITS)) ** 0.5
        assert abs(counts[variant] - share * len(UNITS)) < 5 * deviation


def test_a_variant_without_weight_is_given_to_nobody() -> None:
    """Weight 0 ends a variant without touching who has another."""
    before = spread("offer", {"a": 5_000, "b": 3_000, "c": 2_000})
    after = spread("offer", {"a": 5_000, "b": 3_000, "c": 0})
    assert "c" not in after.values()
    assert all(after[unit] == before[unit] for unit in UNITS if before[unit] != "c")


def test_where_a_weight_grows_units_move_to_that_variant_alone_and_no_more_than_needed() -> None:
    """From 10 to 30 percent: a fifth of all units moves, all of them to the variant that grew."""
    before = spread("offer", {"a": 1_000, "b": 4_500, "c": 4_500})
    after = spread("offer", {"a": 3_000, "b": 3_500, "c": 3_500})
    moved = [unit for unit in UNITS if before[unit] != after[unit]]
    assert {after[unit] for unit in moved} == {"a"}
    assert len(moved) / len(UNITS) == pytest.approx(0.2, abs=0.015)


def test_experiments_are_independent_of_each_other() -> None:
    """Two factors at once: each cell of the four gets a quarter."""
    half = {"a": 5_000, "b": 5_000}
    first, second = spread("subject_line", half), spread("send_hour", half)
    cells = Counter((first[unit], second[unit]) for unit in UNITS)
    assert len(cells) == 4
    deviation = (0.25 * 0.75 * len(UNITS)) ** 0.5
    assert all(abs(count - len(UNITS) / 4) < 5 * deviation for count in cells.values())


def test_an_experiment_without_weight_is_an_error() -> None:
    """There is nobody to fall back to."""
    with pytest.raises(ValueError, match="'offer' has no variant"):
        assign("offer", "user_1", {"a": 0})


WEIGHTS = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(1, 10_000), min_size=1, max_size=6)


@given(st.text(max_size=20), st.text(max_size=20), WEIGHTS, st.data())
def test_the_order_of_variants_and_of_units_makes_no_difference(
    experiment: str, unit: str, weights: dict[str, int], data: st.DataObject
) -> None:
    """Whatever the file's order and whoever came before, the unit has the same variant."""
    names = data.draw(st.permutations(sorted(weights)))
    here = assign(experiment, unit, weights)
    for other in range(3):
        assign(experiment, f"{unit}{other}", weights)
    assert assign(experiment, unit, {name: weights[name] for name in names}) == here
    assert here in weights
