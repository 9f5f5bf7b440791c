"""Metrics with labels, as hot paths count: each combination of labels is looked up in the client once."""

from __future__ import annotations

from typing import Generic, TypeVar

from prometheus_client import Counter, Histogram

Metric = TypeVar("Metric", Counter, Histogram)


class Labelled(Generic[Metric]):
    """A metric whose labels take few values. The client's own look-up costs more than the counting."""

    def __init__(self, metric: Metric) -> None:
        self._metric: Metric = metric
        self._known: dict[tuple[str, ...], Metric] = {}

    def of(self, *labels: str) -> Metric:
        """What counts for these labels."""
        found = self._known.get(labels)
        if found is None:
            found = self._known[labels] = self._metric.labels(*labels)
        return found
