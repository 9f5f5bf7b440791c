"""Wires the gateway: from settings to the part that serves it."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from workers.clock import SystemClock
from workers.core.stripe.mapping import StripeOptions
from workers.errors import Misconfigured
from workers.gateway_settings import (
    Known,
    api_settings,
    callback_settings,
    gateway_topics,
    message_links,
    rates,
)
from workers.intake.app import create_gateway
from workers.intake.console.session import SCOPE
from workers.intake.console.sources import Defined, Sources
from workers.intake.kafka_feed import KafkaFeed
from workers.intake.kafka_publisher import KafkaPublisher
from workers.intake.listing import BoundedPages
from workers.intake.metrics import GatewayMetrics
from workers.intake.settings import ConsoleSettings, StripeWebhooks
from workers.intake.standing import BoundedReader
from workers.parts import GatewayPart
from workers.reading.decided import read_decisions
from workers.reading.enrollments import Pages, subject_plan
from workers.reading.subjects import read_standing
from workers.reading.tallies import TallyFollower
from workers.reading.timers import read_timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from schemas.fields import SubjectType
    from schemas.workspace import Workspace
    from workers.clock import Clock
    from workers.core.plan import Plan
    from workers.intake.settings import ApiSettings
    from workers.intake.standing import Look, Progress
    from workers.settings import Settings
    from workers.versions.active import Active

TIMERS_MOST: Final = 10_000
"""Overdue timers that the console counts."""


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
    plan = plan_of(in_force)
    bounded = BoundedReader(standing_of(settings, clock, plan))
    pages = BoundedPages(bounded, Pages(settings, plan, clock.now_ms).page)
    tallies = TallyFollower(settings) if settings.console else None
    api = api_settings(settings, known)
    if tallies is not None:
        sources = console_sources(settings, clock, tallies, in_force, bounded, pages)
        api = with_console(api, settings, sources)
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
        api=api,
        callbacks=callback_settings(settings),
        rates=rates(settings),
        standing=bounded,
        pages=pages,
    )
    return GatewayPart(app, publisher, feed, settings.gateway_host, settings.gateway_port, tallies=tallies)


def plan_of(in_force: Callable[[], Active | None]) -> Callable[[], Plan | None]:
    """Tells what the workspace in force is compiled to: it says what steps wait for."""

    def plan() -> Plan | None:
        running = in_force()
        return None if running is None else running.plan

    return plan


def standing_of(settings: Settings, clock: Clock, plan: Callable[[], Plan | None]) -> Look:
    """Reads where a subject stands; what its steps wait for is said by the plan (see :func:`plan_of`)."""

    def look(kind: SubjectType, subject: str, progress: Progress) -> dict[str, Any] | None:
        of_kind = subject_plan(plan(), kind)
        return read_standing(settings, kind, subject, of_kind, clock.now_ms(), progress)

    return look


def console_sources(
    settings: Settings,
    clock: Clock,
    tallies: TallyFollower,
    in_force: Callable[[], Active | None],
    bounded: BoundedReader,
    pages: BoundedPages,
) -> Sources:
    """What the console shows. What is read of topics is read within the bounds of the API."""

    def defined() -> Defined | None:
        found = in_force()
        if found is None:
            return None
        return Defined(found.name, found.version, found.published_at_ms, found.workspace, found.plan)

    async def decisions(kind: SubjectType, subject: str, since_ms: int) -> list[dict[str, Any]]:
        return await bounded.run(lambda progress: read_decisions(settings, kind, subject, since_ms, progress))

    async def timers() -> list[dict[str, Any]]:
        def look(progress: Progress) -> list[dict[str, Any]]:
            now_ms = clock.now_ms()
            return list(islice(read_timers(settings, now_ms, now_ms, None, progress), TIMERS_MOST))

        return await bounded.run(look)

    return Sources(clock, tallies.rows, tallies.ready, defined, bounded, pages, decisions, timers)


def with_console(api: ApiSettings | None, settings: Settings, sources: Sources) -> ApiSettings:
    """The API with the console.

    Raises:
        Misconfigured: nobody could sign in.
    """
    if api is None or not any(SCOPE in key.scopes for key in api.keys):
        raise Misconfigured(
            f"BRIMFUL_CONSOLE needs an API key that may sign in: `brimful keys new NAME --scopes {SCOPE}` "
            "makes one for BRIMFUL_API_KEYS"
        )
    secure = settings.public_url.startswith("https://")
    console = ConsoleSettings(sources, settings.signing_keys(), secure, SystemClock())
    return replace(api, console=console)


def stripe_webhooks(settings: Settings) -> StripeWebhooks | None:
    """The Stripe webhook of these settings; None where no secret is set."""
    secrets = tuple(one.get_secret_value().encode() for one in settings.stripe_webhook_secrets)
    options = StripeOptions(settings.stripe_subject, settings.stripe_account_from)
    return StripeWebhooks(secrets, options) if secrets else None
