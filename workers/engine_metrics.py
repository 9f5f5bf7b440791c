"""Metrics of the signals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter

from workers.labelled import Labelled
from workers.step_problems import Bounded, problem_of

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from schemas.wire import Decision


class SignalMetrics:
    """What the engine made of product events."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "brimful_events", "Product events, by what became of them.", ("outcome",), registry=registry
        )
        self._rekeyed = Counter(
            "brimful_events_rekeyed",
            "Events sent on to the partition of their subject.",
            ("cause",),
            registry=registry,
        )
        self._entries = Labelled(
            Counter(
                "brimful_entries",
                "Candidate entries, by journey and outcome.",
                ("journey", "outcome"),
                registry=registry,
            )
        )
        self._crossings = Counter(
            "brimful_segment_changes",
            "Subjects that came into a segment or left it.",
            ("segment", "change"),
            registry=registry,
        )
        self._thresholds = Counter(
            "brimful_score_crossings",
            "Thresholds of scores that were reached (up) or left (down).",
            ("score", "threshold", "direction"),
            registry=registry,
        )
        self._refused = Counter(
            "brimful_members_refused", "Members beyond what is kept of one account.", registry=registry
        )

        self._gate = Labelled(
            Counter(
                "brimful_gate_decisions",
                "Messages at the gate, by outcome and reason.",
                ("outcome", "reason"),
                registry=registry,
            )
        )
        self._merges = Counter(
            "brimful_merges",
            "Ids found to be one person, by what became of them.",
            ("outcome",),
            registry=registry,
        )
        self._relations, self._objects, self._followers = _of_objects(registry)
        self._erased = Counter("brimful_ids_erased", "Ids that were erased on request.", registry=registry)

        self._batches, self._looked = _of_batches(registry)

        self._exits_asked = Counter(
            "brimful_exit_requests",
            "Subjects that somebody asked to leave a journey, by what became of it.",
            ("journey", "outcome"),
            registry=registry,
        )

        self.problems = Bounded(
            "brimful_step_problems",
            "What kept people or messages from going on, by journey and step.",
            ("journey", "step", "problem"),
            registry,
        )

    def decided(self, decision: Decision) -> None:
        """Count a decision by its kind: entries, messages at the gate, and what went wrong at a step."""
        if decision.kind == "entry":
            self.entry(decision.journey, decision.outcome)
            return
        if decision.kind == "send":
            self.gate(decision.outcome, decision.reason)
        problem = problem_of(decision)
        if problem is not None:
            self.problems.count(decision.journey, decision.step or "", problem)

    def exit_asked(self, journey: str, outcome: str) -> None:
        """Count a request to leave a journey: ``ended`` or ``not_inside``."""
        self._exits_asked.labels(journey, outcome).inc()

    def batch(self, journey: str, outcome: str) -> None:
        """Count a run: ``begun``, ``ended``, ``journey_gone``, ``skipped`` or ``refused``."""
        self._batches.labels(journey, outcome).inc()

    def batch_looked(self, journey: str) -> None:
        """Count a subject that a run looked at."""
        self._looked.labels(journey).inc()

    def merge(self, outcome: str) -> None:
        """Count a merge: ``asked``, ``given``, ``taken``, ``passed_on``, ``redirected`` or ``refused``."""
        self._merges.labels(outcome).inc()

    def related(self, outcome: str, number: int) -> None:
        """Count fills of relationships: ``filled``, or ``unused`` (no id, or ``where`` says otherwise)."""
        if number:
            self._relations.labels(outcome).inc(number)

    def object_told(self, outcome: str) -> None:
        """Count a statement about an object: ``taken``, ``duplicate`` or ``late``."""
        self._objects.labels(outcome).inc()

    def followers_told(self) -> None:
        """Count a subject that learned of a change."""
        self._followers.inc()

    def gate(self, outcome: str, reason: str | None) -> None:
        """Count a decision on a message; both are words of the gate, no names of a workspace."""
        self._gate.of(outcome, reason or "").inc()

    def erased(self) -> None:
        """Count an id that was erased."""
        self._erased.inc()

    def members_refused(self) -> None:
        """Count a member that an account has no room for."""
        self._refused.inc()

    def events(self, outcome: str, number: int) -> None:
        """Count events: ``counted``, ``duplicate``, ``late``, ``untracked``, ``forwarded`` or ``erased``."""
        if number:
            self._events.labels(outcome).inc(number)

    def rekeyed(self, cause: str, number: int = 1) -> None:
        """Count events whose ``key`` or ``partition`` was not their subject's."""
        if number:
            self._rekeyed.labels(cause).inc(number)

    def crossed(self, segment: str, change: str) -> None:
        """Count a subject that ``entered`` or ``left``."""
        self._crossings.labels(segment, change).inc()

    def scored(self, score: str, threshold: str, direction: str) -> None:
        """Count a threshold that was crossed ``up`` or ``down``."""
        self._thresholds.labels(score, threshold, direction).inc()

    def entry(self, journey: str, outcome: str) -> None:
        """Count a candidate entry: ``eligible``, or why not."""
        self._entries.of(journey, outcome).inc()


def _of_objects(registry: CollectorRegistry) -> tuple[Counter, Counter, Counter]:
    relations = Counter(
        "brimful_relation_fills",
        "Events that fill relationships with objects, by what became of them.",
        ("outcome",),
        registry=registry,
    )
    objects = Counter(
        "brimful_object_statements",
        "Statements about objects, by what became of them.",
        ("outcome",),
        registry=registry,
    )
    followers = Counter(
        "brimful_followers_told",
        "Subjects that learned of a change of an object which concerns them.",
        registry=registry,
    )
    return relations, objects, followers


def _of_batches(registry: CollectorRegistry) -> tuple[Counter, Counter]:
    batches = Counter(
        "brimful_batches",
        "Runs over all subjects or over a segment, on one partition, by what became of them.",
        ("journey", "outcome"),
        registry=registry,
    )
    looked = Counter(
        "brimful_batch_subjects", "Subjects that batches looked at.", ("journey",), registry=registry
    )
    return batches, looked
