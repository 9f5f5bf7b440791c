"""The simulation finds bugs: each of a list of mistakes breaks a check, within few seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulation import mutations, mutations_gate, mutations_journeys
from tests.simulation.scenario import scenario
from tests.simulation.shrink import problems_of

if TYPE_CHECKING:
    from collections.abc import Callable

MUTATIONS = {**mutations.MUTATIONS, **mutations_gate.MUTATIONS, **mutations_journeys.MUTATIONS}

SEEDS_MAX = 150
"""A mistake is found within so many seeds: some seconds, and a small part of those that run in any case."""


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_a_mistake_is_found(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the code broken in one place, the check that is about it fails."""
    mutate(monkeypatch)
    assert any(MUTATIONS[mutate] in problems_of(scenario(seed)) for seed in range(SEEDS_MAX))
