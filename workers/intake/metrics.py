"""The gateway's Prometheus metrics. No label holds an id of a person or a path that a client invented."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Bucket bounds: a Kafka acknowledgement takes 5 to 50 ms, the delivery time-out ends at 10 s."""


class GatewayMetrics:
    """All metrics of the gateway, registered once in the given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "brimful_gateway_requests_total",
            "HTTP requests answered, by route and status code.",
            ("path", "code"),
            registry=registry,
        )
        self.events = Counter(
            "brimful_gateway_events_total",
            "Events by call type and outcome: accepted, rejected (dead letter or 4xx), unavailable.",
            ("type", "outcome"),
            registry=registry,
        )
        self.seconds = Histogram(
            "brimful_gateway_request_seconds",
            "Time from the request's head to its answer; feed streams and long polls are left out.",
            ("path",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.received = Counter(
            "brimful_gateway_bytes_total",
            "Bytes of request bodies as they came over the wire.",
            registry=registry,
        )
        self.webhooks = Counter(
            "brimful_gateway_webhooks_total",
            "Webhooks by provider, type and outcome: accepted, ignored, no_subject, dead, refused, "
            "unavailable.",
            ("provider", "type", "outcome"),
            registry=registry,
        )
        self.limited = Counter(
            "brimful_gateway_limited_total",
            "Requests refused because their caller sent too much, by kind of key and its name.",
            ("kind", "caller"),
            registry=registry,
        )
        self.engagements = Counter(
            "brimful_gateway_engagements_total",
            "Clicks and opens of e-mails by outcome: accepted, prefetch (by a machine), unavailable (lost).",
            ("type", "outcome"),
            registry=registry,
        )
        self.statements = Counter(
            "brimful_gateway_api_records_total",
            "Records that the API took, by kind: consent, traits, erase, object, list.",
            ("kind",),
            registry=registry,
        )
        self.in_work = Gauge(
            "brimful_gateway_requests_in_work",
            "Event requests that are being read, checked or published now.",
            registry=registry,
        )
        self.streams = Gauge(
            "brimful_gateway_streams_open",
            "Feed streams and long polls that are open now.",
            registry=registry,
        )
        self.feed_records = Counter(
            "brimful_gateway_feed_records_total",
            "Records read from the feeds topic, by outcome: applied, unreadable.",
            ("outcome",),
            registry=registry,
        )
