"""The one place that wires: from settings to the parts that a process runs."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, get_args

import structlog

from schemas.topics import load_topics
from workers import telemetry
from workers.clock import parse_clock
from workers.core.stripe.mapping import StripeOptions
from workers.email_settings import email_channel
from workers.engine import EngineLogic
from workers.engine_metrics import SignalMetrics
from workers.errors import Misconfigured
from workers.gateway_settings import (
    api_settings,
    callback_settings,
    gateway_topics,
    message_links,
    rates,
)
from workers.insights.logic import InsightsLogic
from workers.insights.metrics import JourneyMetrics
from workers.intake.app import create_gateway
from workers.intake.kafka_feed import KafkaFeed
from workers.intake.kafka_publisher import KafkaPublisher
from workers.intake.metrics import GatewayMetrics
from workers.intake.settings import StripeWebhooks
from workers.parts import GatewayPart, KernelPart
from workers.senders.agents import Senders
from workers.senders.connections import read_connections
from workers.senders.llm.logic import LlmLogic, LlmParts
from workers.senders.llm.metrics import LlmMetrics
from workers.senders.logic import SenderLogic, SenderParts
from workers.senders.metrics import SenderMetrics
from workers.senders.webhooks import Webhooks, check_connections, questions_of
from workers.shell import EngineParts
from workers.stream.admin import partitions_of
from workers.stream.app import AppSpec, GroupTimeouts, create_app
from workers.stream.metrics import KernelMetrics
from workers.stream.partition import KernelConfig
from workers.tracked_mail import MailLinks
from workers.tracking import TrackingPlanGuard, TrackingPlanMetrics
from workers.versions.active import Loader, from_folder, name_of
from workers.versions.follower import WorkspaceFollower
from workers.versions.metrics import WorkspaceMetrics
from workers.versions.topic import WorkspaceReader
from workers.workspace.files import load_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from prometheus_client import CollectorRegistry

    from workers.clock import Clock
    from workers.core.templates.compile import CompiledTemplate
    from workers.runner import Part
    from workers.senders.channels.base import Channel
    from workers.senders.llm.endpoint import Endpoint
    from workers.settings import Settings
    from workers.stream.app import KernelApp
    from workers.stream.logic import PartitionLogic
    from workers.stream.transaction import Step
    from workers.versions.active import Active
    from workers.workspace.files import LoadedWorkspace

log = structlog.get_logger(__name__)

Role = Literal["engine", "senders", "insights", "gateway"]
ROLES: tuple[Role, ...] = get_args(Role)

ENGINE_AGENTS = {
    "scheduler": ("scheduler",),
    "signals": ("account-events", "account-traits", "engagement", "objects", "product-events"),
}
"""The engine's agents and their topics. A transaction takes the topics in this order: what was decided
already before what is new, so that a burst of events does not hold up the messages it causes."""

_WITH_WORKSPACE: frozenset[Role] = frozenset({"engine", "senders"})
"""Roles that need a workspace: they do not start without."""

SENDER_AGENTS = {
    "identity": ("identity",),
    "in_app": ("messages.in_app",),
    "email": ("messages.email",),
    "engagement": ("engagement",),
    "webhook": ("messages.webhook",),
    "sms": ("messages.sms",),
    "push": ("messages.push",),
    "llm": ("llm-requests",),
}
INSIGHTS_AGENTS = {"tallies": ("decisions", "deliveries", "conversions", "segments")}


class Assembly:
    """Builds the parts of one process. Building connects nothing."""

    def __init__(self, settings: Settings, roles: Sequence[Role]) -> None:
        self.settings = settings
        self.registry: CollectorRegistry = telemetry.new_registry(version("brimful"), ",".join(roles))
        self.clock: Clock = parse_clock(settings.clock)
        self._roles = roles
        self._kernel_metrics = KernelMetrics(self.registry)
        self._workspace: LoadedWorkspace | None = None
        self._active: Active | None = None
        self._follower: WorkspaceFollower | None = None
        self._engine: KernelPart | None = None
        self._tracking: TrackingPlanMetrics | None = None

    def parts(self) -> list[Part]:
        """The parts, in the order of their start: who takes events last, so that who reads them is there."""
        build: dict[Role, Callable[[], Part]] = {
            "engine": self._engine_part,
            "senders": self._senders,
            "insights": lambda: KernelPart("insights", self._app(self.insights_spec())),
            "gateway": self._gateway,
        }
        if not _WITH_WORKSPACE.isdisjoint(self._roles):
            log.info("workspace.active", name=self.active.name, version=self.active.version)
        parts = [build[role]() for role in ROLES if role in self._roles]
        return parts if self._follower is None else [self._follower, *parts]

    @property
    def active(self) -> Active:
        """The workspace that runs now: the folder's, or what is published.

        Raises:
            Misconfigured: there is none, or it has mistakes; the message says where.
            Retryable: Kafka does not answer.
        """
        if self._active is None and (self.settings.workspace_source == "folder" or self._workspace):
            self._active = from_folder(self.workspace)
        elif self._active is None:
            self._active = self._published()
        return self._active

    def _published(self) -> Active:
        reader, loader = WorkspaceReader(self.settings), Loader()
        published = reader.catch_up()
        active = loader.load(published, name_of(published, self.settings.workspace_name))
        metrics = WorkspaceMetrics(self.registry)
        self._follower = WorkspaceFollower(reader, loader, active, self._take_up, metrics)
        return active

    def _take_up(self, active: Active) -> None:
        """Run another version: partitions from their next transaction on, senders from the next message."""
        self._active = active
        if self._engine is not None:
            self._engine.renew()

    @property
    def workspace(self) -> LoadedWorkspace:
        """The workspace, loaded once.

        Raises:
            Misconfigured: it is not set or has mistakes; the message lists them with file and line.
        """
        if self._workspace is None:
            if self.settings.workspace is None:
                raise Misconfigured(
                    "BRIMFUL_WORKSPACE is not set: name the folder with journeys and templates."
                )
            self._workspace = load_workspace(self.settings.workspace)
        return self._workspace

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return self.settings.topic(name)

    def use(self, workspace: LoadedWorkspace) -> None:
        """Run this workspace instead of the one in the settings' folder."""
        self._workspace = workspace
        self._active = None

    # -- engine

    def _engine_part(self) -> Part:
        self._engine = KernelPart("engine", lambda: self.app(self.engine_spec(self._partitions())))
        return self._engine

    def engine_spec(self, partitions: int) -> AppSpec:
        """The engine: signals, scheduler and timers on one state per partition of its topics."""
        metrics = SignalMetrics(self.registry)
        secret = self.settings.secret
        key = secret.get_secret_value().encode() if secret is not None else b""
        shared = _Shared(lambda active: self._engine_parts(active, partitions, metrics, key))
        return self._spec(
            "brimful-engine", ENGINE_AGENTS, lambda number: EngineLogic(number, shared.of(self.active))
        )

    def _engine_parts(
        self, active: Active, partitions: int, metrics: SignalMetrics, key: bytes
    ) -> EngineParts:
        tracking = None
        if active.tracking_plan is not None:
            self._tracking = self._tracking or TrackingPlanMetrics(self.registry)
            tracking = TrackingPlanGuard(active.tracking_plan, self._tracking)
        return EngineParts(active.plan, partitions, self.topic, metrics, tracking, key)

    def _partitions(self) -> int:
        settings = self.settings
        return partitions_of(settings.kafka, self.topic("product-events"), settings.librdkafka())

    # -- senders

    def _senders(self) -> Part:
        channel = email_channel(self.settings, self.clock)
        webhooks = self._webhooks()
        spec = self.senders_spec({"email": channel, **webhooks.channels}, webhooks.endpoints)
        return KernelPart("senders", self._app(spec), (channel, webhooks))

    def _webhooks(self) -> Webhooks:
        settings = self.settings
        path = settings.connections
        connections = read_connections(path, os.environ) if path is not None else {}
        check_connections(self.active.templates, connections, questions_of(self.active.plan))
        return Webhooks(connections, settings.outgoing_networks, self.clock)

    def senders_spec(
        self, channels: Mapping[str, Channel], endpoints: Mapping[str, Endpoint] | None = None
    ) -> AppSpec:
        """The senders: messages to channels, by connection, with ledger and feeds; questions to models."""
        links = MailLinks(
            self.settings.secret_bytes(), self.settings.public_url, lambda: self.active.tracking
        )
        parts = SenderParts(
            templates=_Templates(lambda: self.active.templates),
            channels=channels,
            unsubscribe_url=links.unsubscribe_url,
            topics=self.topic,
            metrics=SenderMetrics(self.registry),
            preferences_url=links.preferences_url,
            track=links.track,
        )
        asking = LlmParts(endpoints or {}, self.topic, LlmMetrics(self.registry))
        questions = self.topic("llm-requests")
        return self._spec(
            "brimful-senders",
            SENDER_AGENTS,
            lambda _: Senders(SenderLogic(parts), LlmLogic(asking), questions),
        )

    # -- insights

    def insights_spec(self) -> AppSpec:
        """The insights: exact counts per journey."""
        metrics = JourneyMetrics()
        self.registry.register(metrics)
        return self._spec(
            "brimful-insights",
            INSIGHTS_AGENTS,
            lambda number: InsightsLogic(number, self.topic, metrics),
        )

    # -- gateway

    def _gateway(self) -> Part:
        settings = self.settings
        metrics = GatewayMetrics(self.registry)
        topics = gateway_topics(self.topic)
        config = settings.librdkafka()
        publisher = KafkaPublisher(settings.kafka, probe_topic=topics.product_events, config=config)
        feed = KafkaFeed(
            settings.kafka,
            topic=self.topic("feeds"),
            path=settings.state_dir / "gateway-feed",
            metrics=metrics,
            config=config,
        )
        key = settings.secret_bytes()
        workspace = self.workspace.workspace if settings.workspace is not None else None
        app = create_gateway(
            publisher=publisher,
            write_keys={key.get_secret_value(): source for source, key in settings.write_keys.items()},
            clock=self.clock,
            metrics=metrics,
            topics=topics,
            feed=feed,
            feed_key=key,
            unsubscribe=message_links(settings, workspace),
            stripe=stripe_webhooks(settings),
            cors_origins=settings.cors_origins,
            demo=settings.demo,
            api=api_settings(settings, workspace),
            callbacks=callback_settings(settings),
            rates=rates(settings),
        )
        return GatewayPart(app, publisher, feed, settings.gateway_host, settings.gateway_port)

    # -- what the kernel applications share

    def _spec(
        self, app: str, agents: Mapping[str, tuple[str, ...]], new_logic: Callable[[int], PartitionLogic]
    ) -> AppSpec:
        settings, topic = self.settings, self.topic
        named = {name: tuple(topic(one) for one in topics) for name, topics in agents.items()}
        config = KernelConfig(
            app_id=topic(app),
            bootstrap=settings.kafka,
            state_dir=settings.state_dir,
            sources=tuple(one for topics in named.values() for one in topics),
            changelog=topic(f"{app}-changelog"),
            dead_letters=topic("dead-letters"),
            batch_records=settings.batch_records,
            linger_ms=settings.linger_ms,
            cache_bytes=settings.row_cache_mib * 1024 * 1024,
            dead_letter_share=settings.dead_letter_share,
            tombstone_retention_ms=_tombstones_ms(f"{app}-changelog"),
            producer_options=tuple(settings.librdkafka().items()),
            consumer_options=tuple(settings.aiokafka().items()),
        )
        return AppSpec(
            config=config,
            new_logic=new_logic,
            agents=named,
            standby_replicas=settings.standby_replicas,
            credentials=settings.faust_credentials(),
            group=GroupTimeouts(
                session_s=settings.session_timeout_s,
                heartbeat_s=settings.session_timeout_s / 5,
                instance_id=f"{settings.instance_id}-{app}" if settings.instance_id else None,
            ),
        )

    def _app(
        self, spec: AppSpec, on_step: Callable[[Step, int], None] | None = None
    ) -> Callable[[], KernelApp]:
        return lambda: create_app(spec, self.clock, self._kernel_metrics, on_step)

    def app(self, spec: AppSpec, on_step: Callable[[Step, int], None] | None = None) -> KernelApp:
        """A kernel application of its own, for benchmarks and fault tests; needs a running loop."""
        return self._app(spec, on_step)()


class _Shared:
    """What all partitions share of a workspace, made once for each version that comes."""

    def __init__(self, make: Callable[[Active], EngineParts]) -> None:
        self._make = make
        self._made: tuple[Active, EngineParts] | None = None

    def of(self, active: Active) -> EngineParts:
        """The parts for this version."""
        if self._made is None or self._made[0] is not active:
            self._made = (active, self._make(active))
        return self._made[1]


class _Templates:
    """The templates of whatever version runs when one is asked for."""

    def __init__(self, now: Callable[[], Mapping[str, CompiledTemplate]]) -> None:
        self._now = now

    def get(self, name: str) -> CompiledTemplate | None:
        """The template; None where there is none of that name."""
        return self._now().get(name)


def stripe_webhooks(settings: Settings) -> StripeWebhooks | None:
    """The Stripe webhook of these settings; None where no secret is set."""
    secrets = tuple(one.get_secret_value().encode() for one in settings.stripe_webhook_secrets)
    options = StripeOptions(settings.stripe_subject, settings.stripe_account_from)
    return StripeWebhooks(secrets, options) if secrets else None


def _tombstones_ms(changelog: str) -> int:
    """How long the declared changelog keeps deletions, less a day for clocks and stopped cleaners."""
    topic = next(topic for topic in load_topics() if topic.name == changelog)
    assert topic.compaction is not None, "a changelog is compacted"
    return topic.compaction.delete_retention_ms - 86_400_000
