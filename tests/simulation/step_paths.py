"""The paths that decisions have for steps, told from the file alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.workspace.steps import RepeatStep, WaitForStep, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.workspace import Journey, Step


def steps_by_path(journey: Journey) -> dict[str, Step]:
    """Every step of a journey, those inside others included."""
    return {path: step for path, step, _ in _walk(journey.steps, "", 1)}


def rounds_by_path(journey: Journey) -> dict[str, int]:
    """How often each step may run in one enrollment: the times of the loops around it, multiplied."""
    return {path: rounds for path, _, rounds in _walk(journey.steps, "", 1)}


def _walk(steps: tuple[Step, ...], prefix: str, rounds: int) -> Iterator[tuple[str, Step, int]]:
    for index, step in enumerate(steps):
        path = step.id or f"{prefix}{index}"
        yield path, step, rounds
        if isinstance(step, RepeatStep):
            yield from _walk(step.repeat.steps, f"{path}.", rounds * step.repeat.times)
            continue
        # A wait for one event has a way on for it, which is empty, before that of the timeout.
        first = 1 if isinstance(step, WaitForStep) and step.wait_for.first_of is None else 0
        for at, (_, inner) in enumerate(blocks(step), first):
            yield from _walk(inner, f"{path}.{at}.", rounds)
