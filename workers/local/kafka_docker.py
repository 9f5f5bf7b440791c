"""A Kafka broker in a container, through testcontainers."""

from __future__ import annotations

import gc
import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from workers.errors import Misconfigured
from workers.local.kafka_ready import wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Mapping

START_SECONDS = 120
"""Start of a container whose image is already pulled; the pull comes before and has no limit of ours."""

SETTINGS: Mapping[str, str] = {
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_DEFAULT_REPLICATION_FACTOR": "1",
    "KAFKA_MIN_INSYNC_REPLICAS": "1",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "4",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_HEAP_OPTS": "-Xms512m -Xmx512m",
}
"""The same single-broker settings as the JVM broker's, in the image's spelling."""


class DockerKafka:
    """One broker in one container, removed at :meth:`stop` with its records."""

    kind: ClassVar[Literal["docker"]] = "docker"
    limitations: tuple[str, ...] = (
        "It keeps nothing: the container's records are gone when this program ends.",
    )

    def __init__(self) -> None:
        self.bootstrap = ""
        self._container: Any = None

    def start(self) -> None:
        """Pull the image if need be and start the container; returns when the broker answers.

        Raises:
            Misconfigured: testcontainers is missing, Docker does not answer, or no broker starts.
        """
        try:
            from docker.errors import (  # type: ignore[import-untyped]  # noqa: PLC0415 - optional
                DockerException,
            )
            from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415 - optional
        except ImportError as error:
            raise Misconfigured(
                f"Docker is used through testcontainers ({error}): pip install 'brimful[docker]'"
            ) from error
        problem = ""
        try:
            container = KafkaContainer().with_kraft()
            for name, value in SETTINGS.items():
                container.with_env(name, value)
            self._container = container
            container.start(timeout=START_SECONDS)
            self.bootstrap = container.get_bootstrap_server()
        except (DockerException, OSError, RuntimeError) as error:
            problem = str(error)
        if problem:
            self.stop()
            _collect_sockets()
            raise Misconfigured(f"no broker in Docker ({problem}): install Docker, or start its service")
        if wait_until_ready(self.bootstrap, deadline_seconds=START_SECONDS, alive=lambda: True) is None:
            self.stop()
            raise Misconfigured(f"the container started but no broker answered at {self.bootstrap}")

    def stop(self) -> None:
        """Remove the container. May be called twice."""
        container, self._container = self._container, None
        if container is not None:
            container.stop()


def _collect_sockets() -> None:
    """Free what Docker's client leaves open when nobody answers, here and without its warning.

    It gives no handle to close. Left alone, the warning would surface later, in somebody else's work.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
