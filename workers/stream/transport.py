"""The batched Kafka transport: Faust's aiokafka driver, handing over runs of records instead of records.

Registered as ``brimful://`` through Faust's ``faust.transports`` entry point. It differs from its parent
in what the kernel needs and in nothing else:

- each fetched run of a partition becomes one Faust message whose value is a :class:`Batch`;
- consumption is read-committed, so that aborted transactions of the kernel are never seen;
- positions belong to the kernel: the driver seeks where it is told, remembers where reading began, and
  refuses to guess (Faust seeks back to the committed offsets on its own, which repeats records);
- partitions whose mailbox is full are left out of the next fetch, so that buffers stay bounded;
- the consumer group's offsets follow the kernel's applied positions. They are for people and their
  tools to see the lag; a restart trusts the marker in the changelog, not them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, cast

import aiokafka
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage

from workers.stream.batch import TP, Batch
from workers.stream.fetch import unpack_in_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FETCH_MAX_WAIT_MS = 25
"""How long the broker may hold a fetch without data. aiokafka keeps one fetch per broker in flight and
leaves out partitions whose records it still holds, so this also bounds how long a drained partition
waits for the fetch in flight: it is a part of the latency of every hop."""

_IDLE_POLL_S = 1.0
_BUSY_POLL_S = 0.02
"""Poll time-out while some partition is held back: when its mailbox drains, it is asked for again soon."""


class Positions(Protocol):
    """What the transport asks the kernel about positions (see ``PartitionManager``)."""

    def has_room(self, tp: TP) -> bool:
        """Whether the partition's mailbox takes another batch."""
        ...

    async def room(self) -> None:
        """Return when some mailbox has room, or after a moment."""
        ...

    def to_commit(self) -> dict[TP, int]:
        """Applied positions that changed since they were last committed to the group."""
        ...

    def read_positions(self) -> dict[TP, int]:
        """Where reading has to go on in each running partition."""
        ...


class BatchedConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._read_from: dict[TP, int] = {}

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=None,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            isolation_level="read_committed",
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )

    async def on_start(self) -> None:
        """Start the consumer."""
        await super().on_start()
        unpack_in_runs(self._consumer)

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> dict[TP, list[Batch]]:
        fetched = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        if not fetched:
            return {}
        # No await from here on: the positions are those right after the drain.
        assignment = consumer._subscription.subscription.assignment  # noqa: SLF001 - position() awaits
        batches: dict[TP, list[Batch]] = {}
        for aiokafka_tp, records in fetched.items():
            tp = TP(*aiokafka_tp)
            start = self._read_from.get(tp)
            if start is None:
                # Fetched before the kernel said where to begin: the seek that follows reads it again.
                continue
            end = assignment.state_value(aiokafka_tp).position
            self._read_from[tp] = end
            batches[tp] = [Batch(tp, records, start, end)]
        return batches

    def reading(self, tp: TP) -> tuple[int, int] | None:
        """Where the partition's log ends and where reading stands, or None while neither is known."""
        subscription = self._ensure_consumer()._subscription.subscription  # noqa: SLF001 - the public calls await
        if subscription is None or subscription.assignment is None or tp not in subscription.assignment.tps:
            return None
        state = subscription.assignment.state_value(tp)
        if state is None or state.highwater is None or not state.has_valid_position:
            return None
        return state.highwater, state.position

    async def begin_at(self, positions: Mapping[TP, int]) -> None:
        """Read on from these offsets; what was fetched before is dropped."""
        await self.call_thread(self._begin_at, positions)

    async def _begin_at(self, positions: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        for tp, offset in positions.items():
            if tp in assigned:
                consumer.seek(aiokafka.TopicPartition(*tp), offset)
                self._read_from[tp] = offset

    async def forget(self, tps: Iterable[TP]) -> None:
        """Forget where reading began in these partitions."""
        await self.call_thread(self._forget, tuple(tps))

    async def _forget(self, tps: tuple[TP, ...]) -> None:
        for tp in tps:
            self._read_from.pop(tp, None)


class BatchedConsumer(driver.Consumer):
    """Faust's consumer with the kernel's positions."""

    _thread: BatchedConsumerThread

    def _new_consumer_thread(self) -> BatchedConsumerThread:
        return BatchedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _positions(self) -> Positions:
        return cast("Positions", self.app.tables)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Batch]]:  # noqa: ARG002, ASYNC109
        wanted = active_partitions or set()
        open_ = {tp for tp in wanted if self._positions.has_room(tp)}
        if not open_:
            # An empty set would mean "every partition" to aiokafka.
            await self._positions.room()
            return {}
        poll_s = _IDLE_POLL_S if len(open_) == len(wanted) else _BUSY_POLL_S
        return cast("dict[TP, list[Batch]]", await self._thread.getmany(open_, poll_s))

    def _to_message(self, tp: TP, record: Batch) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.end - 1,
            record.records[-1].timestamp / 1000,
            0,
            [],
            None,
            cast("bytes", record),  # the batch is the message's value; BatchSchema passes it on
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def reading(self, tp: TP) -> tuple[int, int] | None:
        """Where the partition's log ends and where reading stands, or None while neither is known."""
        return self._thread.reading(tp)

    async def begin_at(self, positions: Mapping[TP, int]) -> None:
        """Read on from these offsets."""
        for tp in positions:
            self._read_offset.pop(tp, None)
        await self._thread.begin_at(positions)

    async def forget(self, tps: Iterable[TP]) -> None:
        """Forget partitions that are no longer read."""
        await self._thread.forget(tps)

    async def perform_seek(self) -> None:
        """Seek to the kernel's positions, where Faust would seek to the committed offsets."""
        await self.begin_at(self._positions.read_positions())

    async def force_commit(
        self,
        topics: Any = None,  # noqa: ARG002 - Faust's signature; the kernel knows what changed
        start_new_transaction: bool = True,  # noqa: ARG002
    ) -> bool:
        """Publish the applied positions as the group's offsets."""
        offsets = {tp: end for tp, end in self._positions.to_commit().items() if tp in self.assignment()}
        if not offsets:
            return False
        return bool(await self._commit(offsets))

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing to do: gaps inside a batch are the log's own, gaps between batches the kernel refuses."""

    async def wait_empty(self) -> None:
        """Commit what is applied; the kernel itself drains its partitions (``PartitionManager.drain``)."""
        await asyncio.wait_for(
            self.commit_and_end_transactions(), timeout=self.app.conf.broker_request_timeout
        )


class BatchedTransport(driver.Transport):
    """``brimful://host:port``: Kafka, in batches."""

    Consumer = BatchedConsumer
