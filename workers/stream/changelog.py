"""Reading a changelog partition into a store: on assignment up to the claim, on a standby for ever.

The changelog is read committed, in runs, and each run becomes one WriteBatch. A restore ends at a
record, not at an offset: the new owner writes a *claim* in a transaction of its own after it has fenced
the former owner, and reads until it meets that claim. Everything before it is committed or aborted for
good by then, and no arithmetic over transaction markers at the end of the log is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from workers.stream.fetch import unpack_in_runs
from workers.stream.store import META, POSITION, PartitionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

log = structlog.get_logger(__name__)

CLAIM = META + b"claim"
"""Key of the record by which an owner takes possession; it is not a row."""

_POLL_MS = 500
_FETCH_BYTES = 2 * 1024 * 1024
"""Bytes of one run, and so of one WriteBatch: large enough to be fast, small enough not to hold the loop."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a restore is: offsets of the changelog partition, ``end`` being the claim's."""

    partition: int
    at: int
    end: int
    records: int


@contextlib.asynccontextmanager
async def open_reader(
    bootstrap: str, topic: str, partition: int, options: dict[str, object]
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of one changelog partition, outside any group."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_FETCH_BYTES,
        fetch_max_wait_ms=100,
        **options,
    )
    consumer.assign([TopicPartition(topic, partition)])
    await consumer.start()
    unpack_in_runs(consumer)
    try:
        yield consumer
    finally:
        await consumer.stop()


async def must_rebuild(
    consumer: AIOKafkaConsumer,
    tp: TopicPartition,
    store: PartitionStore,
    now_ms: int,
    tombstone_retention_ms: int,
) -> str | None:
    """Why the local state cannot be continued from the changelog, or None where it can.

    A state older than the tombstones' retention may hold rows whose deletion was compacted away:
    people who were erased would come back.
    """
    written_ms = store.written_ms
    if written_ms is None:
        return None
    if now_ms - written_ms > tombstone_retention_ms:
        return "older than the retention of deletions"
    first = (await consumer.beginning_offsets([tp]))[tp]
    end = (await consumer.end_offsets([tp]))[tp]
    if store.changelog_next > end:
        return "ahead of the changelog: the topic was created anew"
    if store.changelog_next < first:
        return "behind the beginning of the changelog"
    return None


async def restore(
    consumer: AIOKafkaConsumer,
    tp: TopicPartition,
    store: PartitionStore,
    *,
    claim_offset: int,
    now_ms: Callable[[], int],
    report: Callable[[Progress], None],
    keep_on: Callable[[], bool],
) -> int | None:
    """Apply the changelog from where the store stands up to the record at ``claim_offset``.

    Returns the number of records applied, or None when ``keep_on`` said to stop before the end. May be
    called again after a failure: it goes on where the last WriteBatch ended.
    """
    consumer.seek(tp, store.changelog_next)
    applied = 0
    while keep_on():
        fetched = await consumer.getmany(tp, timeout_ms=_POLL_MS)
        records = fetched.get(tp, [])
        if not records:
            continue
        run = [record for record in records if record.offset <= claim_offset]
        apply_run(store, run, now_ms())
        applied += len(run)
        report(Progress(tp.partition, records[-1].offset, claim_offset, applied))
        if records[-1].offset >= claim_offset:
            return applied
        await asyncio.sleep(0)
    return None


async def follow(
    consumer: AIOKafkaConsumer,
    tp: TopicPartition,
    store: PartitionStore,
    *,
    now_ms: Callable[[], int],
    report: Callable[[Progress], None],
) -> None:
    """Keep a warm copy: apply the changelog for as long as the task is not cancelled.

    Cancelling is safe at every await: a run is applied in one WriteBatch without one.
    """
    consumer.seek(tp, store.changelog_next)
    applied = 0
    while True:
        fetched = await consumer.getmany(tp, timeout_ms=_POLL_MS)
        records = fetched.get(tp, [])
        if records:
            apply_run(store, records, now_ms())
            applied += len(records)
        end = consumer.highwater(tp) or 0
        report(Progress(tp.partition, store.changelog_next, end, applied))
        await asyncio.sleep(0)


def apply_run(store: PartitionStore, records: list, now_ms: int) -> None:  # type: ignore[type-arg]
    """Apply consecutive changelog records in one WriteBatch."""
    if not records:
        return
    changes = {
        record.key: record.value
        for record in records
        if not record.key.startswith(META) or record.key.startswith(POSITION)
    }
    # Rows decoded before are those of an earlier ownership: another worker may have changed them since.
    store.decoded.clear()
    store.write(changes, changelog_next=records[-1].offset + 1, now_ms=now_ms)
