"""A small application on the kernel: in this process, or by ``python -m`` of this module in its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its list of names is incomplete
    AdminClient,
    NewTopic,
)
from prometheus_client import CollectorRegistry

from tests.unit.stream.kit import COUNTS, NOW, CountLogic
from workers import runner, telemetry
from workers.clock import FixedClock
from workers.parts import KernelPart
from workers.stream.app import AppSpec, GroupTimeouts, create_app
from workers.stream.metrics import KernelMetrics
from workers.stream.partition import KernelConfig
from workers.stream.store import DUE, POSITION, TIMER, PartitionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workers.stream.app import KernelApp

PATIENCE_S = 30.0
LOOK_EVERY_S = 0.02


@dataclass
class Setup:
    """One topic's worth of application: names, places, and what it is started with."""

    bootstrap: str
    prefix: str
    state_dir: Path
    app: str = "counter"
    partitions: int = 2
    share: float = 0.5
    standbys: int = 0
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))

    @property
    def app_id(self) -> str:
        """The group and the prefix of transactional ids."""
        return self.prefix + self.app

    def spec(self) -> AppSpec:
        """The application."""
        config = KernelConfig(
            app_id=self.app_id,
            bootstrap=self.bootstrap,
            state_dir=self.state_dir,
            sources=(self.prefix + "events",),
            changelog=f"{self.app_id}-changelog",
            dead_letters=self.prefix + "dead-letters",
            batch_records=200,
            linger_ms=1,
            cache_bytes=4 * 1024 * 1024,
            dead_letter_share=self.share,
        )
        return AppSpec(
            config,
            lambda _: CountLogic(f"{self.app_id}-echo"),
            {"counter": config.sources},
            standby_replicas=self.standbys,
            group=GroupTimeouts(session_s=6.0, heartbeat_s=1.0),
        )

    def create_topics(self, *, shared: bool = True) -> None:
        """The application's topics; ``shared`` also the source and the dead letters."""
        compacted = {"cleanup.policy": "compact"}
        topics = [
            NewTopic(f"{self.app_id}-changelog", self.partitions, 1, config=compacted),
            NewTopic(f"{self.app_id}-echo", self.partitions, 1),
        ]
        if shared:
            topics += [
                NewTopic(self.prefix + name, self.partitions, 1) for name in ("events", "dead-letters")
            ]
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for future in admin.create_topics(topics).values():
            future.result(10)

    def produce(self, *values: bytes, keys: int = 1) -> None:
        """Events with these values, round-robin over so many keys."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "partitioner": "murmur2_random"})
        for at, value in enumerate(values):
            producer.produce(self.prefix + "events", key=b"key-%d" % (at % keys), value=value)
        assert producer.flush(10) == 0

    def read(self, topic: str) -> list[tuple[bytes | None, bytes | None]]:
        """Key and value of all committed records of a topic, in the order of each partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": self.prefix + "reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
            }
        )
        consumer.assign([TopicPartition(topic, number, 0) for number in range(self.partitions)])
        found: list[tuple[bytes | None, bytes | None]] = []
        ended: set[int | None] = set()
        while len(ended) < self.partitions:
            message = consumer.poll(10)
            assert message is not None, f"{topic} cannot be read"
            error = message.error()
            if error is None:
                found.append((message.key(), message.value()))
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended.add(message.partition())
        consumer.close()
        return found

    def echoed(self) -> list[bytes | None]:
        """The values that the application committed."""
        return [value for _, value in self.read(f"{self.app_id}-echo")]

    def state(self, *prefixes: bytes) -> dict[bytes, bytes]:
        """The rows of all partitions by storage key and partition, once nobody holds them open."""
        rows: dict[bytes, bytes] = {}
        for number in range(self.partitions):
            store = PartitionStore(self.state_dir / self.app_id / f"p{number}")
            for prefix in prefixes or (COUNTS.prefix, TIMER, DUE, POSITION):
                rows |= {b"%d:" % number + key: row for key, row in store.scan(prefix)}
            store.close()
        return rows

    def counts(self) -> dict[bytes, int]:
        """The counts by key."""
        rows = self.state(COUNTS.prefix)
        return {key.partition(b":")[2][1:]: COUNTS.decode(row).number for key, row in rows.items()}

    def positions(self) -> int:
        """The sum of the markers: how many offsets of the source are applied."""
        return sum(int.from_bytes(row, "big") for row in self.state(POSITION).values())

    def group_offsets(self) -> int:
        """The sum of the offsets that the consumer group shows to people."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.app_id})
        asked = [TopicPartition(self.prefix + "events", number) for number in range(self.partitions)]
        offsets = [max(0, tp.offset) for tp in consumer.committed(asked, timeout=10)]
        consumer.close()
        return sum(offsets)


class Running:
    """The application, running in this process; an asynchronous context."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.registry = CollectorRegistry()
        self.app: KernelApp

    async def __aenter__(self) -> Self:
        """Join the group; returns before any partition is there."""
        self.app = create_app(self.setup.spec(), self.setup.clock, KernelMetrics(self.registry))
        await self.app.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drain and leave the group."""
        await self.app.stop()

    def metric(self, name: str) -> float:
        """A metric, summed over its labels."""
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == f"brimful_{name}"
        )

    async def processed(self, records: int) -> None:
        """Wait until so many source records are committed."""
        await until(lambda: self.metric("records_processed_total") >= records)

    async def owns(self, partitions: int) -> None:
        """Wait until so many partitions run here."""
        await until(lambda: sum(one.running for one in self.app.manager.partitions.values()) == partitions)


async def until(met: Callable[[], Any]) -> None:
    """Return soon after ``met``; fail after a while."""
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(LOOK_EVERY_S)


async def run_until(setup: Setup, records: int) -> Running:
    """Run until so many records are committed, then stop cleanly."""
    async with Running(setup) as running:
        await running.processed(records)
    return running


def main(arguments: Sequence[str]) -> int:
    """Run as a worker process until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap")
    parser.add_argument("prefix")
    parser.add_argument("state_dir", type=Path)
    given = parser.parse_args(arguments)
    telemetry.configure_logging("info", "json")
    setup = Setup(given.bootstrap, given.prefix, given.state_dir)
    registry = CollectorRegistry()
    metrics = KernelMetrics(registry)
    part = KernelPart("counter", lambda: create_app(setup.spec(), setup.clock, metrics))
    return runner.run([part], registry, "127.0.0.1", 0)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
