"""Ask a cluster whether it answers, and which one it is."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

if TYPE_CHECKING:
    from collections.abc import Callable

ASK_SECONDS = 5.0
"""One question's patience. A broker that is starting refuses at once, one that is far away needs a second."""

POLL_SECONDS = 0.05
"""Time between two looks at a port that still refuses."""


def cluster_id(bootstrap: str, *, timeout_seconds: float = ASK_SECONDS) -> str | None:
    """Id of the cluster behind ``bootstrap``; None when no broker answers within the time."""
    # log_level 0: a refused connection is an answer here, not news for the terminal.
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "socket.timeout.ms": 5_000})
    try:
        metadata = admin.list_topics(timeout=timeout_seconds)
    except KafkaException:
        # Not a failure of ours: "does not answer" is the outcome that the caller asks for.
        return None
    return str(metadata.cluster_id) if metadata.brokers else None


def wait_until_ready(bootstrap: str, *, deadline_seconds: float, alive: Callable[[], bool]) -> str | None:
    """Wait until a broker answers; its cluster's id, or None at the deadline or when ``alive`` says no.

    ``bootstrap`` is one ``host:port``: a bare connect tells a closed port in microseconds, so that the
    Kafka client, with its own back-off, is asked only once something listens.
    """
    host, _, port = bootstrap.rpartition(":")
    end = time.monotonic() + deadline_seconds
    while time.monotonic() < end and alive():
        if _listens(host, int(port)):
            found = cluster_id(bootstrap, timeout_seconds=max(0.1, min(ASK_SECONDS, end - time.monotonic())))
            if found is not None:
                return found
        time.sleep(POLL_SECONDS)
    return None


def free_port(host: str) -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on ``port`` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
