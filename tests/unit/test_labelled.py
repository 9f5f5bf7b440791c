"""What hot paths count by labels is what the client shows."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from workers.labelled import Labelled


def test_each_combination_of_labels_counts_by_itself() -> None:
    """However often it is asked for."""
    registry = CollectorRegistry()
    counted = Labelled(Counter("seen", "What was seen.", ("what", "where"), registry=registry))
    for what, where in [("a", "x"), ("a", "y"), ("a", "x")]:
        counted.of(what, where).inc()
    assert registry.get_sample_value("seen_total", {"what": "a", "where": "x"}) == 2
    assert registry.get_sample_value("seen_total", {"what": "a", "where": "y"}) == 1
