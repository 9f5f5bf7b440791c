"""librdkafka's mock cluster, inside this process: the last resort, for a first look."""

from __future__ import annotations

from typing import ClassVar, Literal

from confluent_kafka import KafkaException, Producer

from workers.errors import Misconfigured

START_SECONDS = 10.0
"""The mock listens within milliseconds; this only bounds a wait that went wrong."""


class MockKafka:
    """A mock cluster that lives as long as this object and is gone without trace at :meth:`stop`."""

    kind: ClassVar[Literal["mock"]] = "mock"
    limitations: tuple[str, ...] = (
        "It hides no aborted records: readers see what a transaction took back.",
        "It fences nobody: an old worker can go on writing beside the new one, so counts may be wrong.",
        "It keeps nothing: all records are gone when this program ends.",
        "It creates each topic on first use with its own number of partitions: topic settings do not apply.",
    )

    def __init__(self) -> None:
        self.bootstrap = ""
        self._cluster: Producer | None = None

    def start(self) -> None:
        """Start the mock in this process's background threads.

        Raises:
            Misconfigured: this build of librdkafka brings no mock.
        """
        if self._cluster is not None:
            return
        try:
            cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
            brokers = cluster.list_topics(timeout=START_SECONDS).brokers.values()
        except KafkaException as error:
            raise Misconfigured(f"librdkafka's mock cluster does not start: {error}") from error
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        self._cluster = cluster

    def stop(self) -> None:
        """Let go of the mock; its threads end with the last reference. May be called twice."""
        self._cluster = None
