"""Many seeds over the cores of the machine."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

from tests.simulation.scenario import scenario
from tests.simulation.shrink import problems_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def run_many(seeds: Sequence[int], processes: int) -> dict[int, dict[str, list[str]]]:
    """What is wrong, by seed; empty where every check held."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        results = pool.imap_unordered(_problems, seeds, chunksize=5)
        return dict(sorted((seed, problems) for seed, problems in results if problems))


def _problems(seed: int) -> tuple[int, dict[str, list[str]]]:
    return seed, problems_of(scenario(seed))
