"""``brimful kafka``: a local broker, started, looked at and stopped; and ``brimful topics``."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from workers.errors import Misconfigured
from workers.local.kafka import DEFAULT_DATA, EXTERNAL_VARIABLE, LocalKafka, start_kafka
from workers.local.kafka_files import LOOPBACK
from workers.local.kafka_jvm import JvmKafka, stop_broker
from workers.local.kafka_process import Folder
from workers.local.kafka_ready import cluster_id
from workers.local.kafka_topics import topics_cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

WATCH_SECONDS = 0.5
"""How soon a foreground start notices that its broker died."""

NOT_RUNNING = 3
"""Exit code of ``status`` when nothing runs, as service managers expect."""

DataDir = Annotated[Path, typer.Option("--data", help="Folder of the broker's records.")]
Detach = Annotated[bool, typer.Option("--detach", help="Leave the broker running and return.")]

cli: typer.Typer = typer.Typer()
kafka_cli: typer.Typer = typer.Typer(no_args_is_help=True, help="A Kafka for this machine.")
cli.add_typer(kafka_cli, name="kafka")
cli.add_typer(topics_cli, name="topics")


@kafka_cli.command()
def start(data: DataDir = DEFAULT_DATA, detach: Detach = False) -> None:
    """Start a local Kafka, or find the one that runs; Ctrl-C stops it.

    Uses BRIMFUL_KAFKA where it is set, else Java 17 with Maven, else Docker, else a mock.
    """
    with _told(), _interruptible():
        if detach:
            kafka = start_kafka(data, os.environ, kinds=("jvm",))
            _describe(kafka)
            if isinstance(kafka, JvmKafka):
                kafka.release()
            return
        kafka = start_kafka(data, os.environ)
        try:
            _describe(kafka)
            _stay(kafka)
        except KeyboardInterrupt:
            typer.echo("stopping")
        finally:
            kafka.stop()


@kafka_cli.command()
def status(data: DataDir = DEFAULT_DATA) -> None:
    """Say which Kafka runs here; exit code 3 when none answers."""
    with _told():
        named = os.environ.get(EXTERNAL_VARIABLE, "").strip()
        if named:
            answers = cluster_id(named) is not None
            typer.echo(f"{EXTERNAL_VARIABLE} names {named}: {'answers' if answers else 'does not answer'}")
        else:
            running = Folder.at(data).running()
            address = f"{LOOPBACK}:{running.port}" if running is not None else ""
            answers = running is not None and cluster_id(address) == running.cluster_id
            if running is None:
                typer.echo(f"no broker runs on {data}")
            else:
                what = "answers" if answers else "does not answer"
                typer.echo(f"broker (process {running.pid}) on {data} at {address}: {what}")
        if not answers:
            raise typer.Exit(NOT_RUNNING)


@kafka_cli.command()
def stop(data: DataDir = DEFAULT_DATA) -> None:
    """Stop the broker that runs on a data folder, whoever started it. Its records stay."""
    with _told():
        typer.echo(f"stopped the broker of {data}" if stop_broker(data) else f"no broker runs on {data}")


def _describe(kafka: LocalKafka) -> None:
    typer.echo(f"Kafka ({kafka.kind}) answers at {kafka.bootstrap}")
    typer.echo(f"export {EXTERNAL_VARIABLE}={kafka.bootstrap}")
    for limitation in kafka.limitations:
        typer.echo(f"note: {limitation}", err=True)


def _stay(kafka: LocalKafka) -> None:
    """Wait for Ctrl-C or SIGTERM; nothing to wait for where somebody else owns the Kafka."""
    if kafka.kind == "external" or (isinstance(kafka, JvmKafka) and not kafka.started_here):
        return
    never = threading.Event()
    while not never.wait(WATCH_SECONDS):
        if isinstance(kafka, JvmKafka) and not kafka.alive():
            raise Misconfigured(f"the broker ended by itself: see {kafka.log_file}")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that the broker is stopped either way."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what a person must mend into one message and exit code 1."""
    try:
        yield
    except Misconfigured as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
