"""The rate of a counter that somebody else increments, from samples of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Meter:
    """Takes samples ``(count, at_s)`` of a growing counter, of which ``total`` is all there is.

    Measuring begins with the first sample above zero and ends with the first that has reached ``total``, or
    with the last one taken. What was counted before it began is not counted.
    """

    total: int
    samples: list[tuple[int, float]] = field(default_factory=list)

    @property
    def started(self) -> bool:
        """Whether a first sample above zero was taken."""
        return bool(self.samples)

    @property
    def complete(self) -> bool:
        """Whether everything was counted."""
        return self.started and self.samples[-1][0] >= self.total

    def add(self, count: int, at_s: float) -> bool:
        """Take a sample; True when it shows progress. After ``total`` is reached nothing more is taken."""
        if count <= 0 or self.complete or (self.started and count <= self.samples[-1][0]):
            return False
        self.samples.append((count, at_s))
        return True

    def whole(self) -> tuple[int, float]:
        """Events and seconds from the first sample to the last; ``(0, 0.0)`` with fewer than two."""
        return self._between(0)

    def steady_per_s(self) -> float:
        """Events per second of the second half of the time; 0.0 with fewer than two samples."""
        if len(self.samples) < 2:
            return 0.0
        middle_s = (self.samples[0][1] + self.samples[-1][1]) / 2
        first = max(i for i, (_, at_s) in enumerate(self.samples[:-1]) if at_s <= middle_s)
        events, seconds = self._between(first)
        return events / seconds if seconds > 0 else 0.0

    def _between(self, first: int) -> tuple[int, float]:
        if not self.samples:
            return 0, 0.0
        (from_count, from_s), (to_count, to_s) = self.samples[first], self.samples[-1]
        return to_count - from_count, to_s - from_s
