"""What the engine does with events that break the plan, and what it counts of them."""

from __future__ import annotations

import msgspec
from prometheus_client import CollectorRegistry

from schemas import wire
from schemas.workspace import TrackingPlan
from workers.core.tracking.rules import Violation
from workers.tracking import MAX_PRODUCERS, MAX_SERIES, OTHER, TrackingPlanGuard, TrackingPlanMetrics

MISSING = Violation("required_missing", "x", "properties.x is required", dead_letter=False)
UNKNOWN = Violation("unknown_event", "", "the event is not in the plan", dead_letter=False)


def counted(registry: CollectorRegistry) -> dict[tuple[str, str, str], float]:
    """The counter by event, producer and rule."""
    return {
        (sample.labels["event"], sample.labels["producer"], sample.labels["rule"]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "brimful_tracking_plan_violations_total"
    }


def payload(event: str, properties: object = None, library: str = "web") -> bytes:
    """A record of a producer."""
    return msgspec.json.encode(
        {
            "type": "track",
            "messageId": "m",
            "timestamp": "2026-03-14T10:02:00Z",
            "userId": "u",
            "event": event,
            "context": {"library": {"name": library, "version": "1"}},
            "properties": properties,
        }
    )


def test_violations_are_counted_by_event_producer_and_rule() -> None:
    """Each rule that an event breaks."""
    registry = CollectorRegistry()
    metrics = TrackingPlanMetrics(registry, ["e"])
    metrics.violated("e", "web/1", [MISSING, MISSING])
    metrics.violated("e", "ios/2", [MISSING])
    metrics.violated("anything", "web/1", [UNKNOWN])
    assert counted(registry) == {
        ("e", "web/1", "required_missing"): 2,
        ("e", "ios/2", "required_missing"): 1,
        (OTHER, "web/1", "unknown_event"): 1,
    }


def test_labels_are_bounded_whatever_producers_call_themselves() -> None:
    """Their names, and those of unknown events, are anybody's text; none is lost from the count."""
    registry = CollectorRegistry()
    metrics = TrackingPlanMetrics(registry, [f"e{number}" for number in range(1_000)])
    for number in range(5_000):
        metrics.violated(f"e{number % 1_000}", f"producer {number % 50}", [MISSING])
        metrics.violated(f"unknown {number}", f"more {number}", [UNKNOWN])
    found = counted(registry)
    assert sum(found.values()) == 10_000
    assert len(found) <= MAX_SERIES + 2
    assert len({producer for _, producer, _ in found}) == MAX_PRODUCERS + 1


def test_an_event_that_breaks_the_plan_goes_on_or_is_refused() -> None:
    """As declared; both are counted, and a good one costs no count."""
    registry = CollectorRegistry()
    rules = {"x": {"type": "integer", "required": True}}
    plan = TrackingPlan.model_validate(
        {
            "events": {
                "flagged": {"properties": rules},
                "refused": {"properties": rules, "on_violation": "dead_letter"},
            }
        }
    )
    guard = TrackingPlanGuard(plan, registry)

    def refusal(value: bytes) -> str | None:
        event = wire.decode_product_event(value)
        violations = guard.check(event)
        return guard.refusal(event, value, violations) if violations else "good"

    assert refusal(payload("refused", {"x": 1})) == "good"
    assert counted(registry) == {}
    assert refusal(payload("flagged")) is None
    assert refusal(payload("refused", {"x": "a"})) == (
        "against the tracking plan: properties.x is string, not integer"
    )
    assert refusal(payload("brand new")) is None
    assert counted(registry) == {
        ("flagged", "web/1", "required_missing"): 1,
        ("refused", "web/1", "type_mismatch"): 1,
        (OTHER, "web/1", "unknown_event"): 1,
    }


def test_the_violations_of_calls_are_counted_under_their_type() -> None:
    """``identify`` and so on."""
    registry = CollectorRegistry()
    plan = TrackingPlan.model_validate({"identify": {"traits": {"email": {"required": True}}}})
    guard = TrackingPlanGuard(plan, registry)
    value = b'{"type":"identify","messageId":"m","timestamp":"2026-03-14T10:02:00Z","userId":"u"}'
    event = wire.decode_product_event(value)
    assert guard.refusal(event, value, guard.check(event)) is None
    assert counted(registry) == {("identify", "unknown", "required_missing"): 1}
