"""Wires the gateway: from settings to the part that serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workers.core.stripe.mapping import StripeOptions
from workers.gateway_settings import (
    api_settings,
    callback_settings,
    gateway_topics,
    message_links,
    rates,
)
from workers.intake.app import create_gateway
from workers.intake.kafka_feed import KafkaFeed
from workers.intake.kafka_publisher import KafkaPublisher
from workers.intake.listing import BoundedPages
from workers.intake.metrics import GatewayMetrics
from workers.intake.settings import StripeWebhooks
from workers.intake.standing import BoundedReader
from workers.parts import GatewayPart
from workers.reading.enrollments import Pages, subject_plan
from workers.reading.subjects import read_standing
from workers.versions.running import in_force_if_any

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from schemas.fields import SubjectType
    from schemas.workspace import Workspace
    from workers.clock import Clock
    from workers.core.plan import Plan
    from workers.intake.standing import Look, Progress
    from workers.settings import Settings

PLAN_FRESH_MS: Final = 60_000
"""How old the workspace may be by which a gateway says what steps wait for."""


def gateway_part(
    settings: Settings, registry: CollectorRegistry, clock: Clock, workspace: Workspace | None
) -> GatewayPart:
    """The gateway; ``workspace`` says what its pages and its API know by name (None: nothing).

    Raises:
        Misconfigured: a setting is missing or wrong.
    """
    metrics = GatewayMetrics(registry)
    topics = gateway_topics(settings.topic)
    config = settings.librdkafka()
    publisher = KafkaPublisher(settings.kafka, probe_topic=topics.product_events, config=config)
    feed = KafkaFeed(
        settings.kafka,
        topic=settings.topic("feeds"),
        path=settings.state_dir / "gateway-feed",
        metrics=metrics,
        config=config,
    )
    plan = fresh_plan(settings, clock)
    bounded = BoundedReader(standing_of(settings, clock, plan))
    app = create_gateway(
        publisher=publisher,
        write_keys={key.get_secret_value(): source for source, key in settings.write_keys.items()},
        clock=clock,
        metrics=metrics,
        topics=topics,
        feed=feed,
        feed_key=settings.secret_bytes(),
        unsubscribe=message_links(settings, workspace),
        stripe=stripe_webhooks(settings),
        cors_origins=settings.cors_origins,
        demo=settings.demo,
        api=api_settings(settings, workspace),
        callbacks=callback_settings(settings),
        rates=rates(settings),
        standing=bounded,
        pages=BoundedPages(bounded, Pages(settings, plan, clock.now_ms).page),
    )
    return GatewayPart(app, publisher, feed, settings.gateway_host, settings.gateway_port)


def fresh_plan(settings: Settings, clock: Clock) -> Callable[[], Plan | None]:
    """Tells the workspace that says what steps wait for: a minute old at most. Several threads may ask."""
    known: list[tuple[int, Plan | None]] = []

    def plan() -> Plan | None:
        now_ms = clock.now_ms()
        if not known or now_ms - known[0][0] > PLAN_FRESH_MS:
            running = in_force_if_any(settings)
            known[:] = [(now_ms, running.plan if running is not None else None)]
        return known[0][1]

    return plan


def standing_of(settings: Settings, clock: Clock, plan: Callable[[], Plan | None] | None = None) -> Look:
    """Reads where a subject stands."""
    plan = plan or fresh_plan(settings, clock)

    def look(kind: SubjectType, subject: str, progress: Progress) -> dict[str, Any] | None:
        of_kind = subject_plan(plan(), kind)
        return read_standing(settings, kind, subject, of_kind, clock.now_ms(), progress)

    return look


def stripe_webhooks(settings: Settings) -> StripeWebhooks | None:
    """The Stripe webhook of these settings; None where no secret is set."""
    secrets = tuple(one.get_secret_value().encode() for one in settings.stripe_webhook_secrets)
    options = StripeOptions(settings.stripe_subject, settings.stripe_account_from)
    return StripeWebhooks(secrets, options) if secrets else None
