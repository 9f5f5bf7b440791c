"""The factory of kernel applications: a Faust app per role, with nothing global and no work at import."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import faust
from faust.serializers.schemas import Schema
from rocksdict import Cache

from workers.stream.manager import PartitionManager
from workers.stream.metrics import LagCollector, StreamMetrics
from workers.stream.partition import KernelConfig, KernelParts

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.clock import Clock
    from workers.stream.batch import TP
    from workers.stream.logic import PartitionLogic
    from workers.stream.metrics import KernelMetrics
    from workers.stream.transaction import Step
    from workers.stream.transport import BatchedConsumer

BLOCK_CACHE_BYTES = 64 * 1024 * 1024
"""RocksDB's block cache, one for all partitions of an application (Faust's default is 2 GiB for each)."""

_FAILURE_POLL_S = 0.2

_THREADS = 64
"""Blocking calls that may wait at once: each partition has at most one."""


class BatchSchema(Schema[Any, Any]):
    """Hands a :class:`Batch` to the agent as it is: what it holds is decoded by the application's logic."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:
        """Batches have no key."""

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002 - Faust's signature
        """The batch."""
        return message.value


class KernelApp(faust.App):
    """A Faust app whose state is the kernel's."""

    failure: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Report a failure that no partition can handle by itself; whoever runs the app has to stop it."""
        if self.failure is None:
            self.failure = error

    async def failed(self) -> BaseException:
        """Return when the app cannot go on, with the reason."""
        while self.failure is None and not self.crashed:  # noqa: ASYNC110 - Faust sets ``crashed`` unheard
            await asyncio.sleep(_FAILURE_POLL_S)
        return self.failure or self.crash_reason or RuntimeError(f"{self.conf.id} crashed")

    def _create_directories(self) -> None:
        """Faust's table folders are not used: each partition makes its own."""

    @property
    def manager(self) -> PartitionManager:
        """The owned partitions."""
        return cast("PartitionManager", self.tables)


@dataclass(frozen=True)
class GroupTimeouts:
    """How the group notices a dead worker, in seconds. ``instance_id`` makes the membership static."""

    session_s: float = 10.0
    heartbeat_s: float = 2.0
    rebalance_s: float = 60.0
    instance_id: str | None = None


@dataclass(frozen=True)
class AppSpec:
    """One application: its kernel, its logic, and the agents that feed it.

    ``agents`` maps an agent's name to the topics it consumes; every topic of ``config.sources`` has one.
    """

    config: KernelConfig
    new_logic: Callable[[int], PartitionLogic]
    agents: dict[str, tuple[str, ...]]
    standby_replicas: int = 0
    group: GroupTimeouts = field(default_factory=GroupTimeouts)
    fetch_bytes: int = 8 * 1024 * 1024
    credentials: Any = None
    """Faust's broker credentials, None for a cluster without security."""


def create_app(
    spec: AppSpec, clock: Clock, metrics: KernelMetrics, on_step: Callable[[Step, int], None] | None = None
) -> KernelApp:
    """Build the Faust app of ``spec``. Nothing is connected before the app is started."""
    config = spec.config
    app = KernelApp(
        config.app_id,
        broker=[f"brimful://{server}" for server in config.bootstrap.split(",")],
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        TableManager=PartitionManager,
        table_standby_replicas=spec.standby_replicas,
        stream_wait_empty=False,
        broker_commit_interval=1.0,
        broker_session_timeout=spec.group.session_s,
        broker_heartbeat_interval=spec.group.heartbeat_s,
        broker_rebalance_timeout=spec.group.rebalance_s,
        broker_max_poll_interval=300.0,
        consumer_max_fetch_size=spec.fetch_bytes,
        consumer_group_instance_id=spec.group.instance_id,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=64,
        broker_credentials=spec.credentials,
    )
    stream_metrics = StreamMetrics(metrics, config.app_id, clock)
    parts = KernelParts(
        clock=clock,
        metrics=stream_metrics,
        executor=ThreadPoolExecutor(_THREADS, thread_name_prefix=config.app_id),
        block_cache=Cache(BLOCK_CACHE_BYTES),
        new_logic=spec.new_logic,
        on_step=on_step or _no_step,
    )
    app.manager.kernel = (config, parts)
    app.on_partitions_revoked.connect(_drain_on_revoke(app), weak=False)
    for name, topics in spec.agents.items():
        _add_agent(app, name, topics)
    metrics.registry.register(LagCollector(config.app_id, app.manager.partitions.values, _reading(app)))
    return app


def _add_agent(app: KernelApp, name: str, topics: tuple[str, ...]) -> None:
    manager = app.manager

    async def consume(batches: Any) -> None:
        async for batch in batches:
            await manager.submit(batch)

    consume.__name__ = name
    app.agent(app.topic(*topics, schema=BatchSchema(), acks=False), name=name)(consume)


def _drain_on_revoke(app: KernelApp) -> Callable[..., Any]:
    async def drain(*_: Any, **__: Any) -> None:
        await app.manager.drain()
        await app.consumer.commit()

    return drain


def _reading(app: KernelApp) -> Callable[[TP], tuple[int, int] | None]:
    def reading(tp: TP) -> tuple[int, int] | None:
        return cast("BatchedConsumer", app.consumer).reading(tp) if app.started else None

    return reading


def _no_step(step: Step, partition: int) -> None:
    """Steps are of interest to tests alone."""
