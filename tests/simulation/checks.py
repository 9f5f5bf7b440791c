"""All checks, and what they find in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation import (
    checks_counts,
    checks_entries,
    checks_gate,
    checks_journeys,
    checks_messages,
    checks_steps,
    checks_versions,
)
from tests.simulation.evidence import Evidence

if TYPE_CHECKING:
    from tests.simulation.world import Run

CHECKS = (
    *checks_messages.CHECKS,
    *checks_journeys.CHECKS,
    *checks_gate.CHECKS,
    *checks_steps.CHECKS,
    *checks_entries.CHECKS,
    *checks_versions.CHECKS,
    *checks_counts.CHECKS,
)


def wrong(left: Run) -> dict[str, list[str]]:
    """For each check that does not hold, what is wrong."""
    found = Evidence(left)
    results = {check.__name__: list(check(found)) for check in CHECKS}
    return {name: problems for name, problems in results.items() if problems}
