"""Makes a failing run smaller: leaves out actions for as long as the same check still fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.checks import wrong
from tests.simulation.world import run

if TYPE_CHECKING:
    from tests.simulation.actions import Action
    from tests.simulation.scenario import Scenario

RUNS_MAX = 400
"""Runs that shrinking may take; a minute, or less."""


def problems_of(scenario: Scenario) -> dict[str, list[str]]:
    """What is wrong with a run, by check; a run that raises fails under the name of the exception."""
    try:
        return wrong(run(scenario))
    except Exception as error:  # noqa: BLE001 - whatever a run raises is what was looked for
        return {type(error).__name__: [str(error)]}


def shrunk(scenario: Scenario, check: str) -> Scenario:
    """A part of the scenario for which ``check`` fails as well: halves, quarters, ... of it are left out."""
    actions = scenario.actions
    runs = 0
    size = max(1, len(actions) // 2)
    while runs < RUNS_MAX:
        left_out = False
        at = 0
        while at < len(actions) and runs < RUNS_MAX:
            fewer: tuple[Action, ...] = actions[:at] + actions[at + size :]
            runs += 1
            if fewer and check in problems_of(scenario.only(fewer)):
                actions, left_out = fewer, True
            else:
                at += size
        if size == 1 and not left_out:
            break
        size = max(1, size // 2)
    return scenario.only(actions)
