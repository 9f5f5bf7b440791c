"""``brimful suppression``: lists of people to whom a channel is closed, as other tools keep them."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from schemas import wire
from schemas.fields import Channel
from workers.clock import SystemClock
from workers.core.engaged import address_hash
from workers.core.ids import stable_id
from workers.errors import Misconfigured
from workers.imports.output import KafkaOutput
from workers.imports.rows import Sent
from workers.settings import from_env

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK = 10_000
"""Entries that are acknowledged before the next are sent."""

SCHEDULER = "scheduler"

cli: typer.Typer = typer.Typer(
    no_args_is_help=True, help="Suppression lists: close a channel to people, or open it again."
)

Name = Annotated[str, typer.Argument(help="The name of the list, as decisions will show it.")]
People = Annotated[
    Path, typer.Argument(help="CSV: a user id a line, and perhaps the address that is meant; - reads stdin.")
]
Over = Annotated[str, typer.Option("--channel", help="email, sms, push, in_app or webhook.")]


@cli.command()
def add(name: Name, people: People, channel: Over = "email") -> None:
    """Close a channel to people; with an address only as long as they have that address."""
    _send(name, people, channel, suppressed=True)


@cli.command()
def remove(name: Name, people: People, channel: Over = "email") -> None:
    """Take people off a list; other lists, bounces and complaints keep the channel closed."""
    _send(name, people, channel, suppressed=False)


def entry(
    name: str, channel: Channel, person: str, address: str, now_ms: int, *, suppressed: bool
) -> wire.Suppress:
    """The record that puts a person on a list, or takes them off; the address itself is not in it."""
    return wire.Suppress(
        id=stable_id("suppress", name, channel, person, str(suppressed), str(now_ms)),
        subject=person,
        channel=channel,
        list_name=name,
        address=address_hash(address) if address else None,
        suppressed=suppressed,
        at_ms=now_ms,
    )


def read_people(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """User id and address (or nothing) of each line.

    Raises:
        Misconfigured: a line without an id, or with more than two values; the message has its number.
    """
    for number, row in enumerate(csv.reader(lines), 1):
        values = [value.strip() for value in row]
        if not any(values):
            continue
        if not values[0] or len(values) > 2:  # noqa: PLR2004  an id and an address
            raise Misconfigured(f"line {number}: a user id is expected, and perhaps an address; nothing else")
        yield values[0], values[1] if len(values) > 1 else ""


def _send(name: str, people: Path, channel: str, *, suppressed: bool) -> None:
    if channel not in get_args(Channel):
        raise typer.BadParameter(f"--channel is one of {', '.join(get_args(Channel))}; not {channel!r}")
    settings = from_env(os.environ)
    output = KafkaOutput(settings.kafka, settings.topic, settings.librdkafka())
    now_ms = SystemClock().now_ms()
    chunk: list[Sent] = []
    sent = 0
    for person, address in _read(people):
        record = entry(name, cast("Channel", channel), person, address, now_ms, suppressed=suppressed)
        chunk.append(Sent(SCHEDULER, person.encode(), wire.encode(record)))
        if len(chunk) == CHUNK:
            output.send(chunk)
            sent, chunk = sent + len(chunk), []
    output.send(chunk)
    typer.echo(f"{sent + len(chunk)} user(s) {'put on' if suppressed else 'taken off'} {name}", err=True)


def _read(path: Path) -> Iterator[tuple[str, str]]:
    try:
        if str(path) == "-":
            yield from read_people(sys.stdin)
            return
        with path.open(encoding="utf-8", newline="") as lines:
            yield from read_people(lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Misconfigured(f"{path}: {error}") from error
