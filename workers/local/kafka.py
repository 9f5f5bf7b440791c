"""A Kafka for this machine: yours, else a JVM broker, else a container, else librdkafka's mock.

``python -m workers.local.kafka start --data DIR`` is ``brimful kafka start``.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

import structlog

from workers.errors import Misconfigured
from workers.local.kafka_docker import DockerKafka
from workers.local.kafka_external import ExternalKafka
from workers.local.kafka_jvm import JvmKafka
from workers.local.kafka_mock import MockKafka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DEFAULT_DATA: Final[Path] = Path(".brimful/kafka")
"""Where the broker keeps its records when nobody says otherwise."""

EXTERNAL_VARIABLE = "BRIMFUL_KAFKA"
"""Bootstrap servers of a cluster to use instead of a broker of our own."""

Kind = Literal["external", "jvm", "docker", "mock"]
KINDS: tuple[Kind, ...] = ("jvm", "docker", "mock")
"""What is tried, in this order, when no cluster is named."""

_log = structlog.get_logger(__name__)


class LocalKafka(Protocol):
    """A Kafka to talk to. ``bootstrap`` holds after :meth:`start`; ``limitations`` are whole sentences."""

    bootstrap: str
    limitations: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """Which of the four it is."""

    def start(self) -> None:
        """Make it answer; raises :class:`~workers.errors.Misconfigured` when it cannot."""

    def stop(self) -> None:
        """End what :meth:`start` began, and nothing that somebody else began. May be called twice."""


@contextlib.contextmanager
def open_kafka(
    data_dir: Path,
    env: Mapping[str, str],
    *,
    cache_dir: Path | None = None,
    kinds: Sequence[Kind] = KINDS,
) -> Iterator[LocalKafka]:
    """A Kafka that answers for as long as the ``with`` block runs.

    ``data_dir`` holds the broker's records and outlives it. ``cache_dir`` (default: a folder beside the
    records) holds the resolved class path; share one between data folders to resolve once. ``kinds``
    narrows what is tried.

    Raises:
        Misconfigured: nothing works; the message says what to install.
    """
    kafka = start_kafka(data_dir, env, cache_dir=cache_dir, kinds=kinds)
    try:
        yield kafka
    finally:
        kafka.stop()


def start_kafka(
    data_dir: Path,
    env: Mapping[str, str],
    *,
    cache_dir: Path | None = None,
    kinds: Sequence[Kind] = KINDS,
) -> LocalKafka:
    """As :func:`open_kafka`, for callers that end it themselves: the caller owes it a ``stop()``."""
    named = env.get(EXTERNAL_VARIABLE, "").strip()
    if named:
        external = ExternalKafka(named, EXTERNAL_VARIABLE)
        external.start()
        return external
    cache = cache_dir if cache_dir is not None else data_dir / "cache"
    makers: dict[Kind, Callable[[], LocalKafka]] = {
        "jvm": lambda: JvmKafka(data_dir, cache, env),
        "docker": DockerKafka,
        "mock": MockKafka,
    }
    problems: list[tuple[Kind, str]] = []
    for kind in kinds:
        kafka = makers[kind]()
        try:
            kafka.start()
        except Misconfigured as error:
            problems.append((kind, str(error)))
            continue
        for other, problem in problems:
            _log.warning("kafka.passed_over", kind=other, problem=problem)
        return kafka
    raise Misconfigured(_nothing_works(problems))


def _nothing_works(problems: Sequence[tuple[Kind, str]]) -> str:
    tried = "\n".join(f"  {kind}: {problem}" for kind, problem in problems)
    return (
        f"no Kafka to work with. Install Java 17 or newer and Maven 3.6 or newer, or Docker; or set "
        f"{EXTERNAL_VARIABLE} to the bootstrap servers of a cluster (host:port,host:port). Tried:\n{tried}"
    )


if __name__ == "__main__":
    from workers.local.commands import kafka_cli

    kafka_cli()
