"""What comes out at the steps of journeys, and what goes wrong there: how often, why, when, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workers.step_problems import problem_of
from workers.tallies import OTHER, SAMPLES, STEPS, STEPS_MOST, StepTally, add_hour, sample_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from schemas import wire
    from workers.stream.store import PartitionStore
    from workers.stream.view import View


class AtStep(NamedTuple):
    """One thing that came out at a step."""

    journey: str
    step: str
    kind: str
    outcome: str
    reason: str
    problem: bool
    sample: str
    at_ms: int

    @property
    def key(self) -> bytes:
        """The key of its row."""
        return "\0".join(self[:5]).encode()


def of_decision(record: wire.Decision) -> AtStep | None:
    """What a decision says of a step; None where it is about none."""
    if record.step is None:
        return None
    problem = problem_of(record)
    if record.kind == "llm" and record.outcome == "fallback":
        problem = record.reason or record.outcome
    reason = problem or record.variant or record.reason or ""
    # What somebody wrote who asked is theirs, and never the same.
    reason = "request" if record.kind == "exit" and reason.startswith("request") else reason
    return AtStep(
        record.journey,
        record.step,
        record.kind,
        record.outcome,
        reason,
        problem is not None,
        sample_of(record.subject_type, record.subject),
        record.at_ms,
    )


def of_delivery(record: wire.Delivery) -> AtStep:
    """What became of a message of a step."""
    return AtStep(
        record.journey,
        record.step,
        "delivery",
        record.outcome,
        record.reason or "",
        record.outcome in ("failed", "unknown"),
        sample_of(record.subject_type or "user", record.person),
        record.at_ms,
    )


class StepTallies:
    """The rows of one partition, at most :data:`STEPS_MOST` and those of the journey ``other``."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def opened(self, store: PartitionStore) -> None:
        """Which rows there are."""
        self._known = {key for key, _ in store.scan(STEPS.prefix)}

    def add(self, seen: AtStep, view: View) -> None:
        """Count it."""
        key = seen.key
        if STEPS.key(key) not in self._known:
            if len(self._known) >= STEPS_MOST:
                seen = seen._replace(journey=OTHER, step="")
                key = seen.key
            else:
                self._known.add(STEPS.key(key))
        table = view.table(STEPS)
        row = table.get(key) or StepTally(
            seen.journey, seen.step, seen.kind, seen.outcome, seen.reason, seen.problem, first_ms=seen.at_ms
        )
        row.count += 1
        row.first_ms = min(row.first_ms, seen.at_ms)
        row.last_ms = max(row.last_ms, seen.at_ms)
        add_hour(row.hours, seen.at_ms)
        if seen.problem:
            others = [one for one in row.samples if one != seen.sample]
            row.samples = [*others, seen.sample][-SAMPLES:]
        table.put(key, row)

    def forget(self, samples: Collection[str], view: View) -> None:
        """Nobody is to be led to these subjects any more."""
        table = view.table(STEPS)
        for stored_key in self._known:
            row = table.get(stored_key[1:])
            if row is not None and any(one in samples for one in row.samples):
                row.samples = [one for one in row.samples if one not in samples]
                table.put(stored_key[1:], row)
