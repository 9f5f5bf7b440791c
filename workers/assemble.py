"""The one place that wires: from settings to the parts that a process runs."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, get_args

import structlog

from schemas.topics import load_topics
from workers import telemetry
from workers.clock import parse_clock
from workers.engine import EngineLogic
from workers.engine_metrics import SignalMetrics
from workers.errors import Misconfigured
from workers.insights.logic import InsightsLogic
from workers.insights.metrics import JourneyMetrics
from workers.parts import KernelPart
from workers.shell import EngineParts
from workers.stream.admin import partitions_of
from workers.stream.app import AppSpec, GroupTimeouts, create_app
from workers.stream.metrics import KernelMetrics
from workers.stream.partition import KernelConfig
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
INSIGHTS_AGENTS = {
    "tallies": ("decisions", "deliveries", "conversions", "segments", "step-counts"),
    "forgetting": ("identity",),
}


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
        self._follow(reader, loader, active)
        return active

    def _follow(self, reader: WorkspaceReader, loader: Loader, first: Active | None) -> None:
        metrics, wanted = WorkspaceMetrics(self.registry), self.settings.workspace_name
        self._follower = WorkspaceFollower(reader, loader, first, self._take_up, metrics, wanted)

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
        published_at_ms = active.published_at_ms or 0
        return EngineParts(
            active.plan, partitions, cache(self.topic), metrics, tracking, key, active.serial, published_at_ms
        )

    def _partitions(self) -> int:
        settings = self.settings
        return partitions_of(settings.kafka, self.topic("product-events"), settings.librdkafka())

    # -- senders

    def _senders(self) -> Part:
        from workers import assemble_senders  # noqa: PLC0415 - others start faster without

        channel = assemble_senders.email_channel(self.settings, self.clock)
        webhooks = assemble_senders.webhooks(self.settings, self.active, self.clock)
        spec = self.senders_spec({"email": channel, **webhooks.channels}, webhooks.endpoints)
        return KernelPart("senders", self._app(spec), (channel, webhooks))

    def senders_spec(
        self, channels: Mapping[str, Channel], endpoints: Mapping[str, Endpoint] | None = None
    ) -> AppSpec:
        """The senders: messages to channels, by connection, with ledger and feeds; questions to models."""
        from workers.assemble_senders import new_senders  # noqa: PLC0415 - others start faster without

        new_logic = new_senders(self.settings, self.registry, channels, endpoints or {}, lambda: self.active)
        return self._spec("brimful-senders", SENDER_AGENTS, new_logic)

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
        from workers.assemble_gateway import gateway_part  # noqa: PLC0415 - others start faster without

        if self._active is None and (self._workspace or self.settings.workspace_source == "folder"):
            has_one = self._workspace is not None or self.settings.workspace is not None
            self._active = from_folder(self.workspace) if has_one else None
        elif self._active is None:
            # It takes events and serves pages also where nothing is published yet, and while Kafka is away.
            self._follow(WorkspaceReader(self.settings), Loader(), None)
        return gateway_part(self.settings, self.registry, self.clock, lambda: self._active)

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


def _tombstones_ms(changelog: str) -> int:
    """How long the declared changelog keeps deletions, less a day for clocks and stopped cleaners."""
    topic = next(topic for topic in load_topics() if topic.name == changelog)
    assert topic.compaction is not None, "a changelog is compacted"
    return topic.compaction.delete_retention_ms - 86_400_000
