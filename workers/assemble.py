"""The one place that wires: from settings to the parts that a process runs."""

from __future__ import annotations

import os
from email.utils import parseaddr
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from schemas.topics import load_topics
from workers import telemetry
from workers.clock import parse_clock
from workers.core.compile import compile_workspace
from workers.core.stripe_mapping import StripeOptions
from workers.engine import EngineLogic
from workers.engine_metrics import SignalMetrics
from workers.errors import Misconfigured
from workers.insights.logic import InsightsLogic
from workers.insights.metrics import JourneyMetrics
from workers.intake.app import create_gateway
from workers.intake.kafka_feed import KafkaFeed
from workers.intake.kafka_publisher import KafkaPublisher
from workers.intake.metrics import GatewayMetrics
from workers.intake.settings import StripeWebhooks, Topics, Unsubscribe
from workers.intake.tokens import make_unsubscribe_token
from workers.parts import GatewayPart, KernelPart
from workers.senders.channels.email import EmailChannel
from workers.senders.channels.email_message import Sender
from workers.senders.channels.smtp_pool import SmtpSettings
from workers.senders.connections import read_connections
from workers.senders.logic import SenderLogic, SenderParts
from workers.senders.metrics import SenderMetrics
from workers.senders.webhooks import Webhooks, check_connections
from workers.shell import EngineParts
from workers.stream.admin import partitions_of
from workers.stream.app import AppSpec, GroupTimeouts, create_app
from workers.stream.metrics import KernelMetrics
from workers.stream.partition import KernelConfig
from workers.tracking import TrackingPlanGuard
from workers.workspace import load_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from prometheus_client import CollectorRegistry

    from schemas.wire import Message
    from workers.clock import Clock
    from workers.runner import Part
    from workers.senders.channels.base import Channel
    from workers.settings import Settings
    from workers.stream.app import KernelApp
    from workers.stream.logic import PartitionLogic
    from workers.stream.transaction import Step
    from workers.workspace import LoadedWorkspace

Role = Literal["engine", "senders", "insights", "gateway"]
ROLES: tuple[Role, ...] = get_args(Role)

ENGINE_AGENTS = {
    "scheduler": ("scheduler",),
    "signals": ("account-events", "account-traits", "engagement", "objects", "product-events"),
}
"""The engine's agents and their topics. A transaction takes the topics in this order: what was decided
already before what is new, so that a burst of events does not hold up the messages it causes."""

SENDER_AGENTS = {
    "identity": ("identity",),
    "in_app": ("messages.in_app",),
    "email": ("messages.email",),
    "webhook": ("messages.webhook",),
    "sms": ("messages.sms",),
    "push": ("messages.push",),
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

    def parts(self) -> list[Part]:
        """The parts, in the order of their start: who takes events last, so that who reads them is there."""
        build: dict[Role, Callable[[], Part]] = {
            "engine": lambda: KernelPart("engine", lambda: self.app(self.engine_spec(self._partitions()))),
            "senders": self._senders,
            "insights": lambda: KernelPart("insights", self._app(self.insights_spec())),
            "gateway": self._gateway,
        }
        return [build[role]() for role in ROLES if role in self._roles]

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

    # -- engine

    def engine_spec(self, partitions: int) -> AppSpec:
        """The engine: signals, scheduler and timers on one state per partition of its topics."""
        metrics = SignalMetrics(self.registry)
        plan = compile_workspace(self.workspace.workspace)
        tracking_plan = self.workspace.workspace.tracking_plan
        tracking = None if tracking_plan is None else TrackingPlanGuard(tracking_plan, self.registry)
        secret = self.settings.secret
        key = secret.get_secret_value().encode() if secret is not None else b""
        parts = EngineParts(plan, partitions, self.topic, metrics, tracking, key)
        return self._spec("brimful-engine", ENGINE_AGENTS, lambda number: EngineLogic(number, parts))

    def _partitions(self) -> int:
        settings = self.settings
        return partitions_of(settings.kafka, self.topic("product-events"), settings.librdkafka())

    # -- senders

    def _senders(self) -> Part:
        channel = EmailChannel(smtp_settings(self.settings.smtp), self._sender(), self.clock)
        webhooks = self._webhooks()
        spec = self.senders_spec({"email": channel, **webhooks.channels})
        return KernelPart("senders", self._app(spec), (channel, webhooks))

    def _webhooks(self) -> Webhooks:
        settings = self.settings
        path = settings.connections
        connections = read_connections(path, os.environ) if path is not None else {}
        check_connections(self.workspace.templates, connections)
        return Webhooks(connections, settings.outgoing_networks, self.clock)

    def senders_spec(self, channels: Mapping[str, Channel]) -> AppSpec:
        """The senders: messages to channels, by connection, with their ledger and the feeds."""
        parts = SenderParts(
            templates=self.workspace.templates,
            channels=channels,
            unsubscribe_url=self._unsubscribe_url(),
            topics=self.topic,
            metrics=SenderMetrics(self.registry),
        )
        return self._spec("brimful-senders", SENDER_AGENTS, lambda _: SenderLogic(parts))

    def _sender(self) -> Sender:
        name, address = parseaddr(self.settings.mail_from)
        if not address:
            raise Misconfigured(f"BRIMFUL_MAIL_FROM {self.settings.mail_from!r} holds no address")
        return Sender(address=address, name=name, reply_to=self.settings.mail_reply_to)

    def _unsubscribe_url(self) -> Callable[[Message], str]:
        key, base = self.settings.secret_bytes(), self.settings.public_url.rstrip("/")

        def url(message: Message) -> str:
            return f"{base}/u/{make_unsubscribe_token(key, message.person, message.id, message.journey)}"

        return url

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
        topics = Topics(
            product_events=self.topic("product-events"),
            account_traits=self.topic("account-traits"),
            engagement=self.topic("engagement"),
            dead_letters=self.topic("dead-letters"),
            scheduler=self.topic("scheduler"),
        )
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
        app = create_gateway(
            publisher=publisher,
            write_keys={key.get_secret_value(): source for source, key in settings.write_keys.items()},
            clock=self.clock,
            metrics=metrics,
            topics=topics,
            feed=feed,
            feed_key=key,
            unsubscribe=Unsubscribe(key, parseaddr(settings.mail_from)[0]),
            stripe=stripe_webhooks(settings),
            api_keys={key.get_secret_value(): holder for holder, key in settings.api_keys.items()},
            cors_origins=settings.cors_origins,
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


def stripe_webhooks(settings: Settings) -> StripeWebhooks | None:
    """The Stripe webhook of these settings; None where no secret is set."""
    secrets = tuple(one.get_secret_value().encode() for one in settings.stripe_webhook_secrets)
    options = StripeOptions(settings.stripe_subject, settings.stripe_account_from)
    return StripeWebhooks(secrets, options) if secrets else None


def smtp_settings(address: str) -> SmtpSettings:
    """The mail server that ``smtp://[user:password@]host:port[?starttls=1]`` or ``smtps://...`` names."""
    parts = urlsplit(address)
    starttls = parse_qs(parts.query).get("starttls", ["0"])[0] in {"1", "true"}
    tls: Literal["none", "starttls", "implicit"] = (
        "implicit" if parts.scheme == "smtps" else "starttls" if starttls else "none"
    )
    return SmtpSettings(
        host=parts.hostname or "",
        port=parts.port or (465 if tls == "implicit" else 25),
        tls=tls,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


def _tombstones_ms(changelog: str) -> int:
    """How long the declared changelog keeps deletions, less a day for clocks and stopped cleaners."""
    topic = next(topic for topic in load_topics() if topic.name == changelog)
    assert topic.compaction is not None, "a changelog is compacted"
    return topic.compaction.delete_retention_ms - 86_400_000
