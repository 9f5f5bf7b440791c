"""``brimful segment``: who is in a segment now, and what is on the lists that are kept from outside."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from schemas import wire
from schemas.fields import SubjectType
from workers.clock import SystemClock
from workers.core.ids import stable_id
from workers.errors import Misconfigured
from workers.imports.output import KafkaOutput
from workers.imports.rows import Sent
from workers.reading.topics import read_topic
from workers.settings import from_env
from workers.state import TABLES
from workers.versions.running import in_force

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from schemas.workspace import Segment
    from workers.settings import Settings

CHUNK = 10_000
"""List entries that are acknowledged before the next are sent."""

SCHEDULER = "scheduler"
CHANGELOG = "brimful-engine-changelog"

cli: typer.Typer = typer.Typer(
    no_args_is_help=True, help="Segments: who is in one now; put subjects on a static one, or take them off."
)

Name = Annotated[str, typer.Argument(help="The segment.")]
Subject = Annotated[str, typer.Option("--subject", help="user or account.")]
Ids = Annotated[Path, typer.Argument(help="A file with one id a line; - reads standard input.")]


@cli.command()
def members(name: Name, subject: Subject = "user") -> None:
    """Print the ids of all that are in a segment, one a line, as of the last committed transaction.

    Reads the engine's changelog; workers need not run.
    """
    settings, kind = from_env(os.environ), _kind(subject)
    found = read_members(settings, name, kind)
    for one in sorted(found):
        typer.echo(one)
    typer.echo(f"{len(found)} {kind}(s) in {name}", err=True)


@cli.command()
def add(name: Name, ids: Ids, subject: Subject = "user") -> None:
    """Put subjects on a static segment's list; who is on it already stays."""
    _enlist(name, ids, _kind(subject), member=True)


@cli.command()
def remove(name: Name, ids: Ids, subject: Subject = "user") -> None:
    """Take subjects off a static segment's list."""
    _enlist(name, ids, _kind(subject), member=False)


def read_members(settings: Settings, name: str, kind: SubjectType) -> set[str]:
    """The ids of a segment's members, from the changelog.

    Raises:
        Misconfigured: there is no changelog.
        Retryable: no broker answers.
    """
    table = TABLES[kind].memberships
    options = {"bootstrap.servers": settings.kafka, **settings.librdkafka()}
    rows: dict[bytes, bytes] = {}
    changelog = settings.topic(CHANGELOG)
    for found in read_topic(options, changelog, None, lambda *_: None, deletions=True):
        if found.key is not None and found.key.startswith(table.prefix):
            rows[found.key] = found.value
    members = (key for key, row in rows.items() if row and name in table.decode(row).since_ms)
    return {key[len(table.prefix) :].decode() for key in members}


def _enlist(name: str, ids: Path, kind: SubjectType, *, member: bool) -> None:
    settings = from_env(os.environ)
    _check(settings, name, kind)
    output = KafkaOutput(settings.kafka, settings.topic, settings.librdkafka())
    now_ms = SystemClock().now_ms()
    chunk: list[Sent] = []
    sent = 0
    for one in read_ids(ids):
        chunk.append(Sent(SCHEDULER, one.encode(), wire.encode(list_entry(name, kind, one, now_ms, member))))
        if len(chunk) == CHUNK:
            output.send(chunk)
            sent, chunk = sent + len(chunk), []
    output.send(chunk)
    typer.echo(f"{sent + len(chunk)} {kind}(s) {'put on' if member else 'taken off'} {name}", err=True)


def list_entry(name: str, kind: SubjectType, subject: str, now_ms: int, member: bool) -> wire.ListEntry:
    """The record that puts a subject on a list, or takes it off."""
    return wire.ListEntry(
        id=stable_id("list_entry", name, kind, subject, str(member), str(now_ms)),
        subject_type=kind,
        subject=subject,
        segment=name,
        member=member,
        at_ms=now_ms,
    )


def _check(settings: Settings, name: str, kind: SubjectType) -> None:
    """Refuse what the engine would pass over: a segment that is no list, or of other subjects."""
    segments: dict[str, Segment] = {one.segment: one for one in in_force(settings).workspace.segments}
    segment = segments.get(name)
    if segment is None:
        raise Misconfigured(
            f"there is no segment {name!r}; there are {', '.join(sorted(segments)) or 'none'}"
        )
    if not segment.static:
        raise Misconfigured(f"{name!r} has conditions: only a segment with static: true is a list")
    if segment.subject != kind:
        raise Misconfigured(f"{name!r} is a list of {segment.subject}s: say --subject {segment.subject}")


def read_ids(path: Path) -> Iterator[str]:
    """The ids of a file, one a line; ``-`` is standard input.

    Raises:
        Misconfigured: the file cannot be read.
    """
    try:
        if str(path) == "-":
            yield from _lines(sys.stdin)
            return
        with path.open(encoding="utf-8") as lines:
            yield from _lines(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}: {error}") from error


def _lines(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if line.strip():
            yield line.strip()


def _kind(subject: str) -> SubjectType:
    if subject not in get_args(SubjectType):
        raise typer.BadParameter(f"--subject is user or account; not {subject!r}")
    return cast("SubjectType", subject)
