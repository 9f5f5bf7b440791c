"""What keeps people and messages from going on is counted by journey and step, within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from schemas import wire
from tests.unit.signals.kit import DAY, NOW, event
from tests.unit.signals.whole_kit import BANNER, WholeEngine, entered_on
from workers import step_problems
from workers.engine_metrics import SignalMetrics
from workers.senders.metrics import SenderMetrics
from workers.state import USERS
from workers.step_problems import Bounded, problem_of
from workers.stream.store import Timer
from workers.timers import TimerPayload, encode_payload

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.fields import DecisionKind, DeliveryOutcome


def decision(kind: DecisionKind, outcome: str, reason: str | None) -> wire.Decision:
    """A decision at step 1 of a journey."""
    return wire.Decision(
        id="d",
        kind=kind,
        subject_type="user",
        subject="u1",
        journey="play",
        version="v",
        step="1",
        outcome=outcome,
        reason=reason,
        values={},
        at_ms=NOW,
    )


def delivery(outcome: DeliveryOutcome, reason: str | None) -> wire.Delivery:
    """What became of a message of step 1."""
    return wire.Delivery(
        id="d",
        message_id="m",
        channel="email",
        person="u1",
        journey="play",
        version="v",
        enrollment="e",
        step="1",
        template="t",
        outcome=outcome,
        reason=reason,
        provider="smtp",
        latency_ms=1,
        at_ms=NOW,
    )


@pytest.mark.parametrize(
    ("kind", "outcome", "reason", "problem"),
    [
        ("send", "send", None, None),
        ("send", "would_send", None, None),
        ("send", "defer", "quiet_hours", None),
        ("send", "skip", "held_too_long", "held_too_long"),
        ("send", "drop", "cap", "cap"),
        ("send", "exit", "no_address", "no_address"),
        ("exit", "completed", None, None),
        ("exit", "exited", "event: upgraded", None),
        ("exit", "exited", "request: wrong price", None),
        ("exit", "exited", "version_gone", "version_gone"),
        ("exit", "exited", "journey_gone", "journey_gone"),
        ("exit", "exited", "wait: no date", "wait_no_date"),
        ("entry", "declined", "no_key", None),
    ],
)
def test_a_decision_is_a_problem_where_something_did_not_go_on(
    kind: DecisionKind, outcome: str, reason: str | None, problem: str | None
) -> None:
    """Rules that end a journey are none, and what people ask for is none."""
    made = decision(kind, outcome, reason)
    assert problem_of(made) == problem
    registry = CollectorRegistry()
    SignalMetrics(registry).decided(made)
    labels = {"journey": "play", "step": "1", "problem": problem or ""}
    assert registry.get_sample_value("brimful_step_problems_total", labels) == (1 if problem else None)


@pytest.mark.parametrize(
    ("outcome", "reason", "word"),
    [
        ("failed", "missing_variable:user.name", "missing_variable"),
        ("failed", "gave_up:smtp_451", "gave_up"),
        ("unknown", "bug:KeyError", "bug"),
        ("failed", None, "failed"),
        ("sent", None, None),
    ],
)
def test_a_message_that_failed_is_counted_by_why(
    outcome: DeliveryOutcome, reason: str | None, word: str | None
) -> None:
    """By the first word alone: what follows may be the name of a variable."""
    registry = CollectorRegistry()
    SenderMetrics(registry).ended(delivery(outcome, reason))
    labels = {"journey": "play", "step": "1", "channel": "email", "reason": word or ""}
    assert registry.get_sample_value("brimful_messages_failed_total", labels) == (1 if word else None)


def test_labels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what there is room for, the word alone is told, and nothing is lost."""
    monkeypatch.setattr(step_problems, "MOST", 2)
    registry = CollectorRegistry()
    counter = Bounded("brimful_x", "x", ("journey", "step", "problem"), registry)
    for journey in ("a", "b", "c", "d", "a"):
        counter.count(journey, "1", "cap")
    samples = {
        (sample.labels["journey"], sample.labels["step"]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }
    assert samples == {("a", "1"): 2, ("b", "1"): 1, ("other", ""): 2}


def test_a_timer_that_raised_names_the_step(tmp_path: Path) -> None:
    """From the row of whom it is for; where there is none, the journey is unknown."""
    engine = WholeEngine(tmp_path, journeys=[entered_on({"event": "came"}, steps=[{"wait": "1d"}, BANNER])])
    engine.events(event("came", "u1"))
    stored = engine.store.get(USERS.progress.key(b"u1"))
    assert stored is not None
    (held,) = USERS.progress.decode(stored).enrollments
    for enrollment in (held.id, "gone"):
        payload = encode_payload(TimerPayload("user", "u1", enrollment))
        engine.logic.put_off(Timer(b"t" * 16, NOW + DAY, payload))
    engine.logic.put_off(Timer(b"t" * 16, NOW + DAY, b"telling"))
    found = {
        (sample.labels["journey"], sample.labels["step"], sample.labels["problem"]): sample.value
        for metric in engine.registry.collect()
        for sample in metric.samples
        if sample.name == "brimful_step_problems_total"
    }
    assert found[("play", "0", "handler_error")] == 1
    assert found[("unknown", "", "handler_error")] >= 1
