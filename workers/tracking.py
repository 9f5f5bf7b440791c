"""The tracking plan at work in a process: its checks, and what they count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter

from workers.core.tracking.plan import compile_tracking_plan, is_refused, producer_of, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from prometheus_client import CollectorRegistry

    from schemas.wire import ProductEvent
    from schemas.workspace.tracking_plan import TrackingPlan
    from workers.core.tracking.rules import Violation

OTHER: Final = "other"
"""The label of events that are not planned, and of all that is beyond a limit."""

MAX_PRODUCERS: Final = 30
"""Producers with a label of their own. What an event says of its producer is anybody's text."""

MAX_SERIES: Final = 1_000
"""Label sets of their own; Prometheus keeps each of every worker."""


class TrackingPlanMetrics:
    """What events broke of the tracking plan. The number of label sets is bounded."""

    def __init__(self, registry: CollectorRegistry, planned: Collection[str] = ()) -> None:
        """``planned``: names of events that may be labels."""
        self._violations = Counter(
            "brimful_tracking_plan_violations",
            "Rules of the tracking plan that events broke.",
            ("event", "producer", "rule"),
            registry=registry,
        )
        self._planned = set(planned)
        self._producers: set[str] = set()
        # Looking a label up costs as much as checking an event.
        self._series: dict[tuple[str, str, str], Counter] = {}

    def plan(self, planned: Collection[str]) -> None:
        """Let these names of events be labels too: another plan is in force."""
        self._planned.update(planned)

    def violated(self, event: str, producer: str, violations: Sequence[Violation]) -> None:
        """Count what one event broke; ``event`` is its name, or the type of a call other than track."""
        if event not in self._planned:
            event = OTHER
        if producer not in self._producers:
            if len(self._producers) < MAX_PRODUCERS:
                self._producers.add(producer)
            else:
                producer = OTHER
        for violation in violations:
            self._counter(event, producer, violation.rule).inc()

    def _counter(self, event: str, producer: str, rule: str) -> Counter:
        found = self._series.get((event, producer, rule))
        if found is None:
            if len(self._series) >= MAX_SERIES:
                event = producer = OTHER
            found = self._violations.labels(event, producer, rule)
            self._series[event, producer, rule] = found
        return found


class TrackingPlanGuard:
    """Checks product events as they are taken in: ``check`` each, ``refusal`` where it found something."""

    __slots__ = ("_metrics", "check")

    def __init__(self, plan: TrackingPlan, metrics: CollectorRegistry | TrackingPlanMetrics) -> None:
        """``metrics`` are those of the plan before where there was one: a registry takes each name once."""
        checks = compile_tracking_plan(plan)
        self._metrics = metrics if isinstance(metrics, TrackingPlanMetrics) else TrackingPlanMetrics(metrics)
        self._metrics.plan({*plan.events, *plan.calls()})
        self.check: Callable[[ProductEvent], tuple[Violation, ...]] = checks.check_event
        """What a decoded event breaks; ``()`` for a good one."""

    def refusal(self, event: ProductEvent, payload: bytes, violations: Sequence[Violation]) -> str | None:
        """Count the violations of an event. The detail of its dead letter; None where it goes on.

        ``payload`` is the whole record.
        """
        name = (event.event or "") if event.type == "track" else event.type
        self._metrics.violated(name, producer_of(payload), violations)
        return sentence(violations) if is_refused(violations) else None
