"""Journeys and segments in numbers, for Prometheus: gauges of exact counts, computed when asked for."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.tallies import SegmentSize, Standing, Tally

_LABELS = ("journey", "version", "kind", "outcome")


class JourneyMetrics:
    """A collector over the counts of the partitions that this worker owns; sum them over workers."""

    def __init__(self) -> None:
        self._counts: dict[int, dict[tuple[str, ...], tuple[int, float]]] = defaultdict(dict)
        self._sizes: dict[int, dict[tuple[str, str], int]] = defaultdict(dict)

        self._standing: dict[int, dict[bytes, Standing]] = defaultdict(dict)

    def show(self, partition: int, tally: Tally) -> None:
        """Take over a count."""
        key = (tally.journey, tally.version, tally.kind, tally.outcome)
        self._counts[partition][key] = (tally.count, tally.revenue)

    def show_size(self, partition: int, size: SegmentSize) -> None:
        """Take over the size of a segment."""
        self._sizes[partition][size.segment, size.subject_type] = size.members

    def show_standing(self, partition: int, key: bytes, standing: Standing) -> None:
        """Take over how many stand at a step."""
        if standing.number:
            self._standing[partition][key] = standing
        else:
            self._standing[partition].pop(key, None)

    def drop(self, partition: int) -> None:
        """Forget a partition's counts."""
        self._counts.pop(partition, None)
        self._sizes.pop(partition, None)
        self._standing.pop(partition, None)

    def describe(self) -> list[Any]:
        """Nothing in advance: journeys come and go."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One sample per journey, version, kind and outcome, and one per segment."""
        records = GaugeMetricFamily(
            "brimful_journey_records", "Decisions, deliveries and conversions of a journey.", labels=_LABELS
        )
        revenue = GaugeMetricFamily(
            "brimful_journey_revenue", "Revenue of a journey's conversions.", labels=_LABELS
        )
        totals: dict[tuple[str, ...], tuple[int, float]] = {}
        for counts in list(self._counts.values()):
            for key, (count, amount) in list(counts.items()):
                so_far = totals.get(key, (0, 0.0))
                totals[key] = (so_far[0] + count, so_far[1] + amount)
        for key, (count, amount) in sorted(totals.items()):
            records.add_metric(key, count)
            if key[2] == "conversion":
                revenue.add_metric(key, amount)
        members = GaugeMetricFamily(
            "brimful_segment_members", "Subjects in a segment.", labels=("segment", "subject")
        )
        sizes: Counter[tuple[str, str]] = Counter()
        for partition in list(self._sizes.values()):
            sizes.update(dict(partition))
        for labels, size in sorted(sizes.items()):
            members.add_metric(labels, size)
        return (records, revenue, members, self._people())

    def _people(self) -> GaugeMetricFamily:
        """How many stand at each step, versions and kinds of subjects together."""
        people = GaugeMetricFamily(
            "brimful_journey_step_members", "Subjects that stand at a step now.", labels=("journey", "step")
        )
        numbers: Counter[tuple[str, str]] = Counter()
        for partition in list(self._standing.values()):
            for standing in list(partition.values()):
                numbers[standing.journey, standing.step] += standing.number
        for labels, number in sorted(numbers.items()):
            people.add_metric(labels, number)
        return people
