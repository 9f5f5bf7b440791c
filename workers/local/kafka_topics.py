"""``brimful topics``: the declared topics, listed, compared with a cluster, and applied to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.topics import DAY_MS, DEFAULT_PARTITIONS, load_topics
from workers.errors import Misconfigured
from workers.local.kafka import DEFAULT_DATA, EXTERNAL_VARIABLE
from workers.local.kafka_files import LOOPBACK
from workers.local.kafka_process import Folder
from workers.stream.admin import apply_topics

if TYPE_CHECKING:
    from workers.stream.admin import TopicChange

topics_cli: typer.Typer = typer.Typer(no_args_is_help=True, help="The topics: declarations, plan and apply.")

Bootstrap = Annotated[
    str | None,
    typer.Option("--kafka", envvar=EXTERNAL_VARIABLE, help="Bootstrap servers; default: the local broker."),
]
DataDir = Annotated[Path, typer.Option("--data", help="Data folder of the local broker.")]
Prefix = Annotated[str, typer.Option("--prefix", help="Put before each topic's name.")]
Partitions = Annotated[int, typer.Option("--partitions", min=1, help="Partitions of co-partitioned topics.")]
Replication = Annotated[
    int | None,
    typer.Option("--replication", min=1, help="Copies of each partition; default: 3, or one per broker."),
]

_MARKS = {"create": "+", "configure": "~", "keep": "=", "refuse": "!"}


@topics_cli.command("list")
def list_topics() -> None:
    """List the declared topics; needs no cluster."""
    for topic in load_topics():
        kept = "compacted" if topic.retention_ms is None else f"{topic.retention_ms / DAY_MS:g} d"
        count = "shared" if topic.partitions is None else str(topic.partitions)
        typer.echo(f"{topic.name:<26} {kept:<10} partitions {count:<7} key: {topic.key}")
        typer.echo(f"    {topic.description}")
        typer.echo(f"    {', '.join(topic.producers)} -> {', '.join(topic.consumers)}")


@topics_cli.command()
def plan(
    kafka: Bootstrap = None,
    data: DataDir = DEFAULT_DATA,
    prefix: Prefix = "",
    partitions: Partitions = DEFAULT_PARTITIONS,
    replication: Replication = None,
) -> None:
    """Show what `apply` would do; exit code 1 when it would refuse."""
    changes = _changes(kafka, data, prefix, partitions, replication, dry_run=True)
    if any(change.action == "refuse" for change in changes):
        raise typer.Exit(1)


@topics_cli.command()
def apply(
    kafka: Bootstrap = None,
    data: DataDir = DEFAULT_DATA,
    prefix: Prefix = "",
    partitions: Partitions = DEFAULT_PARTITIONS,
    replication: Replication = None,
) -> None:
    """Create missing topics and adjust changed settings. May be run at each deployment."""
    _changes(kafka, data, prefix, partitions, replication, dry_run=False)


def _changes(
    kafka: str | None,
    data: Path,
    prefix: str,
    partitions: int,
    replication: int | None,
    *,
    dry_run: bool,
) -> list[TopicChange]:
    try:
        changes = apply_topics(
            kafka or _local(data),
            load_topics(),
            prefix=prefix,
            partitions=partitions,
            replication=replication,
            dry_run=dry_run,
        )
    except Misconfigured as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    for change in changes:
        _tell(change)
    return changes


def _local(data: Path) -> str:
    running = Folder.at(data).running()
    if running is None:
        raise Misconfigured(
            f"no broker runs on {data}: start one with `brimful kafka start`, or set {EXTERNAL_VARIABLE}",
        )
    return f"{LOOPBACK}:{running.port}"


def _tell(change: TopicChange) -> None:
    typer.echo(f"{_MARKS[change.action]} {change.topic}: {change.action}")
    if change.note:
        typer.echo(f"    {change.note}")
    if change.action in {"configure", "refuse"}:
        for difference in change.differences:
            typer.echo(f"    {difference.setting}: {difference.current} -> {difference.wanted}")
