"""What comes out at steps, and who stands there: counted, bounded, and forgotten with the erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas import wire
from tests.unit.insights.test_logic import NOW, Insights, delivery
from workers.insights import steps
from workers.tallies import HOUR_MS, HOURS_KEPT, OTHER, SAMPLES, STANDING, STEPS, StepTally, in_last

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def insights(tmp_path: Path) -> Iterator[Insights]:
    """Empty ones."""
    made = Insights(tmp_path)
    yield made
    made.store.abandon()


def at_step(kind: Any, outcome: str, reason: str | None = None, **more: Any) -> bytes:
    """A decision at a step."""
    fields: dict[str, Any] = {"subject": "u1", "journey": "upsell", "step": "1", "at_ms": NOW} | more
    return wire.encode(
        wire.Decision(
            id="d",
            kind=kind,
            subject_type="user",
            version="v1",
            outcome=outcome,
            reason=reason,
            values={},
            **fields,
        )
    )


def rows(insights: Insights) -> dict[tuple[str, ...], StepTally]:
    """What is kept, by step, kind, outcome and reason."""
    found = [STEPS.decode(row) for _, row in insights.store.scan(STEPS.prefix)]
    return {(one.step, one.kind, one.outcome, one.reason): one for one in found}


async def test_what_keeps_people_from_going_on_is_kept_with_its_reason(insights: Insights) -> None:
    """How often, since when, until when, and for whom; what goes well has no samples."""
    await insights.take(
        "decisions",
        at_step("send", "send"),
        at_step("send", "skip", "no_address", at_ms=NOW - HOUR_MS),
        at_step("send", "skip", "no_address", subject="u2"),
        at_step("problem", "put_off", "handler_error", step="2"),
        at_step("exit", "exited", "version_gone"),
        at_step("llm", "fallback", "cap_per_day"),
        at_step("exit", "exited", "request: wrong price for Ada"),
        at_step("split", "assigned", variant="half"),
        at_step("entry", "enrolled", step=None),
    )
    found = rows(insights)
    assert {key for key, one in found.items() if one.problem} == {
        ("1", "send", "skip", "no_address"),
        ("2", "problem", "put_off", "handler_error"),
        ("1", "exit", "exited", "version_gone"),
        ("1", "llm", "fallback", "cap_per_day"),
    }
    assert {key for key, one in found.items() if not one.problem} == {
        ("1", "send", "send", ""),
        ("1", "exit", "exited", "request"),
        ("1", "split", "assigned", "half"),
    }
    skipped = found["1", "send", "skip", "no_address"]
    assert (skipped.count, skipped.first_ms, skipped.last_ms) == (2, NOW - HOUR_MS, NOW)
    assert skipped.samples == ["user:u1", "user:u2"]
    assert found["1", "send", "send", ""].samples == []


async def test_messages_that_failed_stand_at_their_step(insights: Insights) -> None:
    """Those that were sent do, too; they are no problem."""
    await insights.take("deliveries", delivery("failed"), delivery("unknown"), delivery())
    assert {(key, one.problem) for key, one in rows(insights).items()} == {
        (("0", "delivery", "failed", ""), True),
        (("0", "delivery", "unknown", ""), True),
        (("0", "delivery", "sent", ""), False),
    }


async def test_hours_and_samples_are_bounded(insights: Insights) -> None:
    """The latest stay; an hour that is long over does not come back."""
    late = [at_step("send", "drop", "cap", subject="u0", at_ms=NOW - 90 * HOUR_MS)]
    hours = [
        at_step("send", "drop", "cap", subject=f"u{at}", at_ms=NOW + at * HOUR_MS)
        for at in range(HOURS_KEPT + 4)
    ]
    await insights.take("decisions", *hours, *late, *hours[-1:])
    (one,) = rows(insights).values()
    last_ms = NOW + (HOURS_KEPT + 3) * HOUR_MS
    assert (one.count, len(one.hours), len(one.samples)) == (HOURS_KEPT + 6, HOURS_KEPT, SAMPLES)
    assert one.samples[-1] == f"user:u{HOURS_KEPT + 3}"
    assert [in_last(one.hours, last_ms, number) for number in (1, 2, 24)] == [2, 3, 25]


async def test_outcomes_are_bounded(insights: Insights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what there is room for the reason alone is told, also by a new owner, and nothing is lost."""
    monkeypatch.setattr(steps, "STEPS_MOST", 2)
    await insights.take("decisions", *(at_step("send", "drop", "cap", step=str(at)) for at in range(3)))
    insights.begin()
    await insights.take("decisions", *(at_step("send", "drop", "cap", step=str(at)) for at in range(4)))
    found = [STEPS.decode(row) for _, row in insights.store.scan(STEPS.prefix)]
    assert {(one.journey, one.step): one.count for one in found} == {
        ("upsell", "0"): 2,
        ("upsell", "1"): 2,
        (OTHER, ""): 3,
    }


async def test_who_was_erased_is_no_sample_any_more(insights: Insights) -> None:
    """The counts stay: they name nobody."""
    await insights.take(
        "decisions", at_step("send", "drop", "cap"), at_step("send", "drop", "cap", subject="u2")
    )
    insights.begin()
    erased = wire.PersonErased(
        id="x", subject="u9", app="engine", place="0", ids=["u9", "u1"], accounts=[], rows=1, at_ms=NOW
    )
    await insights.take("identity", wire.encode(erased))
    (one,) = rows(insights).values()
    assert (one.count, one.samples) == (2, ["user:u2"])


async def test_who_stands_where_is_what_the_engine_said_last(insights: Insights) -> None:
    """Of each of its partitions; nobody any more is no row. A new owner shows the same."""

    def told(partition: int, number: int) -> bytes:
        value = wire.encode(
            wire.StepCount(
                partition=partition,
                subject_type="user",
                journey="upsell",
                version="v1",
                step="pause",
                number=number,
                at_ms=NOW,
            )
        )
        insights.keys[value] = f"{partition}/upsell".encode()
        return value

    def shown() -> float | None:
        labels = {"journey": "upsell", "step": "pause"}
        return insights.registry.get_sample_value("brimful_journey_step_members", labels)

    await insights.take("step-counts", told(0, 3), told(1, 4), told(0, 5))
    assert shown() == 9
    insights.begin()
    assert shown() == 9
    await insights.take("step-counts", told(0, 0), told(1, 0))
    assert shown() is None
    assert insights.store.scan(STANDING.prefix) == []
