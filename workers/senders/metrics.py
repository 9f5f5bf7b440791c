"""Metrics of the senders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

from workers.labelled import Labelled
from workers.senders.limits import verdict
from workers.step_problems import Bounded

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from schemas.wire import Delivery, Message
    from workers.senders.channels.base import DeliveryResult


class SenderMetrics:
    """What became of messages, by channel and journey."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Labelled(
            Counter(
                "brimful_deliveries",
                "Messages that ended, by outcome.",
                ("channel", "journey", "outcome"),
                registry=registry,
            )
        )
        self._seconds = Labelled(
            Histogram(
                "brimful_delivery_seconds",
                "From the request of a message to its end.",
                ("channel",),
                buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 600, 3600, 86400),
                registry=registry,
            )
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

        self._failed = Bounded(
            "brimful_messages_failed",
            "Messages that failed or whose end is unknown, by journey, step and why.",
            ("journey", "step", "channel", "reason"),
            registry,
        )

        self._handoff = Labelled(
            Histogram(
                "brimful_handoff_seconds",
                "From the request of a message to the provider's word that it has it.",
                ("provider",),
                buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 600, 3600),
                registry=registry,
            )
        )
        self._calls = Counter(
            "brimful_provider_calls",
            "Calls of providers that came back, by what they brought.",
            ("connection", "result"),
            registry=registry,
        )
        self._call_seconds = Histogram(
            "brimful_provider_call_seconds",
            "How long one call of a provider took.",
            ("connection",),
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30),
            registry=registry,
        )
        self._pauses = Counter(
            "brimful_provider_pauses",
            "Times that a connection was left alone for a while, by why.",
            ("connection", "cause"),
            registry=registry,
        )

    def called(self, connection: str, result: DeliveryResult, *, opened: bool) -> None:
        """Count a call that came back; ``opened``: the connection is left alone for a while because of it."""
        self._calls.labels(connection, type(result).__name__.lower()).inc()
        if opened:
            self._pauses.labels(connection, verdict(result)[0]).inc()

    def took(self, connection: str, seconds: float) -> None:
        """Measure a call."""
        self._call_seconds.labels(connection).observe(seconds)

    def ended(self, delivery: Delivery) -> None:
        """Count a message that ended."""
        self._ended.of(delivery.channel, delivery.journey, delivery.outcome).inc()
        self._seconds.of(delivery.channel).observe(delivery.latency_ms / 1000)
        if delivery.outcome in ("failed", "unknown"):
            word = (delivery.reason or delivery.outcome).partition(":")[0]
            self._failed.count(delivery.journey, delivery.step, delivery.channel, word)
        if delivery.outcome == "sent":
            self._handoff.of(delivery.provider).observe(delivery.latency_ms / 1000)

    def retried(self, message: Message, reason: str) -> None:
        """Count a delivery that will be tried again."""
        self._retries.labels(message.channel, reason).inc()

    def repeated(self, message: Message) -> None:
        """Count a message that came a second time and was dropped."""
        self._repeats.labels(message.channel).inc()
