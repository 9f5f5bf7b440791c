"""Metrics of the senders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from schemas.wire import Delivery, Message


class SenderMetrics:
    """What became of messages, by channel and journey."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "brimful_deliveries",
            "Messages that ended, by outcome.",
            ("channel", "journey", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "brimful_delivery_seconds",
            "From the request of a message to its end.",
            ("channel",),
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 600, 3600, 86400),
            registry=registry,
        )
        self._retries = Counter(
            "brimful_delivery_retries",
            "Deliveries to be tried again.",
            ("channel", "reason"),
            registry=registry,
        )
        self._repeats = Counter(
            "brimful_messages_repeated",
            "Messages whose id was sent already.",
            ("channel",),
            registry=registry,
        )

    def ended(self, delivery: Delivery) -> None:
        """Count a message that ended."""
        self._ended.labels(delivery.channel, delivery.journey, delivery.outcome).inc()
        self._seconds.labels(delivery.channel).observe(delivery.latency_ms / 1000)

    def retried(self, message: Message, reason: str) -> None:
        """Count a delivery that will be tried again."""
        self._retries.labels(message.channel, reason).inc()

    def repeated(self, message: Message) -> None:
        """Count a message that came a second time and was dropped."""
        self._repeats.labels(message.channel).inc()
