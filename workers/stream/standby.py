"""A warm copy of a partition of another worker: taking over needs only the changelog's last moments."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog
from aiokafka import TopicPartition

from workers.stream import changelog
from workers.stream.partition import WALL
from workers.stream.store import PartitionStore, StoreBroken

if TYPE_CHECKING:
    from pathlib import Path

    from workers.stream.partition import KernelConfig, KernelParts

log = structlog.get_logger(__name__)

_RETRY_S = 2.0


class Standby:
    """Follows one changelog partition into a store of its own until it is promoted or stopped."""

    def __init__(self, number: int, config: KernelConfig, parts: KernelParts, cache_bytes: int) -> None:
        self.number = number
        self.path: Path = config.state_dir / config.app_id / f"p{number}"
        self._config = config
        self._parts = parts
        self._cache_bytes = cache_bytes
        self._store: PartitionStore | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow."""
        self._task = asyncio.create_task(self._run(), name=f"standby-{self._config.app_id}-{self.number}")

    async def promote(self) -> PartitionStore | None:
        """Stop following and hand over the store to acquire with; None where there is none yet."""
        await self._halt()
        store, self._store = self._store, None
        return store

    async def stop(self) -> None:
        """Stop following and close the files."""
        store = await self.promote()
        if store is not None:
            await asyncio.to_thread(store.close)

    async def _halt(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except StoreBroken as broken:
                log.warning(
                    "standby.broken", app=self._config.app_id, partition=self.number, error=str(broken)
                )
                self._discard()
            except Exception as error:  # noqa: BLE001 - a copy that cannot follow must not stop the owner's work
                log.warning(
                    "standby.retry", app=self._config.app_id, partition=self.number, error=repr(error)
                )
            await asyncio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        config = self._config
        options = dict(config.consumer_options)
        async with changelog.open_reader(config.bootstrap, config.changelog, self.number, options) as reader:
            if self._store is None:
                self._store = PartitionStore(
                    self.path, cache_bytes=self._cache_bytes, block_cache=self._parts.block_cache
                )
            tp = TopicPartition(config.changelog, self.number)
            now_ms = WALL.now_ms
            if await changelog.must_rebuild(reader, tp, self._store, now_ms(), config.tombstone_retention_ms):
                self._discard()
                self._store = PartitionStore(
                    self.path, cache_bytes=self._cache_bytes, block_cache=self._parts.block_cache
                )
            await changelog.follow(
                reader, tp, self._store, now_ms=now_ms, report=self._parts.metrics.following
            )

    def _discard(self) -> None:
        if self._store is not None:
            store, self._store = self._store, None
            store.abandon()
        PartitionStore.destroy(self.path)
