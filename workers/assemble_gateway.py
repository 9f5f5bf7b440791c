"""Wires the gateway: from settings to the part that serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.core.stripe.mapping import StripeOptions
from workers.gateway_settings import (
    Known,
    api_settings,
    callback_settings,
    gateway_topics,
    message_links,
    rates,
)
from workers.intake.app import create_gateway
from workers.intake.kafka_feed import KafkaFeed
from workers.intake.kafka_publisher import KafkaPublisher
from workers.intake.metrics import GatewayMetrics
from workers.intake.settings import StripeWebhooks
from workers.intake.standing import BoundedReader
from workers.parts import GatewayPart
from workers.reading.subjects import read_standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from schemas.fields import SubjectType
    from schemas.workspace import Workspace
    from workers.clock import Clock
    from workers.intake.standing import Look, Progress
    from workers.settings import Settings
    from workers.versions.active import Active


def gateway_part(
    settings: Settings, registry: CollectorRegistry, clock: Clock, in_force: Callable[[], Active | None]
) -> GatewayPart:
    """The gateway. ``in_force`` gives the workspace that runs at the moment: what pages and API know by name.

    Where it gives None, they know nothing by name.

    Raises:
        Misconfigured: a setting is missing or wrong.
    """
    metrics = GatewayMetrics(registry)

    def workspace() -> Workspace | None:
        running = in_force()
        return running.workspace if running is not None else None

    known = Known(workspace)
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
    app = create_gateway(
        publisher=publisher,
        write_keys={key.get_secret_value(): source for source, key in settings.write_keys.items()},
        clock=clock,
        metrics=metrics,
        topics=topics,
        feed=feed,
        feed_key=settings.secret_bytes(),
        unsubscribe=message_links(settings, known),
        stripe=stripe_webhooks(settings),
        cors_origins=settings.cors_origins,
        demo=settings.demo,
        api=api_settings(settings, known),
        callbacks=callback_settings(settings),
        rates=rates(settings),
        standing=BoundedReader(standing_of(settings, clock, in_force)),
    )
    return GatewayPart(app, publisher, feed, settings.gateway_host, settings.gateway_port)


def standing_of(settings: Settings, clock: Clock, in_force: Callable[[], Active | None]) -> Look:
    """Reads where a subject stands; what its steps wait for is said by the workspace in force."""

    def look(kind: SubjectType, subject: str, progress: Progress) -> dict[str, Any] | None:
        running = in_force()
        plan = None if running is None else running.plan.user if kind == "user" else running.plan.account
        return read_standing(settings, kind, subject, plan, clock.now_ms(), progress)

    return look


def stripe_webhooks(settings: Settings) -> StripeWebhooks | None:
    """The Stripe webhook of these settings; None where no secret is set."""
    secrets = tuple(one.get_secret_value().encode() for one in settings.stripe_webhook_secrets)
    options = StripeOptions(settings.stripe_subject, settings.stripe_account_from)
    return StripeWebhooks(secrets, options) if secrets else None
