"""What keeps people and messages from going on, by journey and step: one metric, bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import CollectorRegistry

    from schemas import wire

MOST: Final = 2_000
"""Different labels that are counted apart in one process: a hundred journeys with some ten steps and two
reasons each. Others are counted as those of the journey ``other``."""

OTHER: Final = "other"

_STUCK: Final = ("journey_gone", "version_gone")
"""Reasons of exits that no journey declares: the step at which somebody stood is there no more."""


class Bounded:
    """A counter of a journey's steps whose labels are at most :data:`MOST` different ones.

    The first labels are the journey and the step; the last is a word of ours.
    """

    def __init__(self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._counter = Counter(name, text, tuple(labels), registry=registry)
        self._known: dict[tuple[str, ...], Counter] = {}

    def count(self, *labels: str) -> None:
        """One more of these labels; beyond what there is room for, of the last label alone."""
        counter = self._known.get(labels)
        if counter is None:
            if len(self._known) >= MOST:
                labels = (OTHER, *[""] * (len(labels) - 2), labels[-1])
            counter = self._known[labels] = self._counter.labels(*labels)
        counter.inc()


def problem_of(decision: wire.Decision) -> str | None:
    """What a decision says went wrong at its step, in a word; None where nothing did.

    Messages: why the gate did not let one through for good. Exits: where the workspace left people behind,
    or a wait had no date. What a journey's own rules end is no problem.
    """
    reason = decision.reason or ""
    if decision.kind == "send" and decision.outcome in ("skip", "drop", "exit"):
        return reason or decision.outcome
    if decision.kind == "problem":
        return reason or decision.outcome
    if decision.kind == "exit" and (reason in _STUCK or reason.startswith("wait: ")):
        return reason.replace("wait: ", "wait_").replace(" ", "_")
    return None
