"""``brimful enroll`` and ``brimful journey enroll``: who enters a journey because somebody asks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import msgspec
import typer

from schemas import wire
from schemas.workspace.entries import DEFAULT_RATE, MAX_RATE, OnRequest
from workers.cli.in_force import Folder  # noqa: TC001  typer reads it at run time
from workers.clock import SystemClock
from workers.errors import Misconfigured
from workers.imports.output import KafkaOutput
from workers.imports.rows import Sent
from workers.settings import from_env
from workers.stream.admin import partitions_of
from workers.versions.running import in_force

if TYPE_CHECKING:
    from schemas.workspace import Journey, Workspace
    from workers.settings import Settings

SCHEDULER = "scheduler"

cli: typer.Typer = typer.Typer()
journey_cli: typer.Typer = typer.Typer(no_args_is_help=True, help="Journeys: who enters one.")

Name = Annotated[str, typer.Argument(help="The journey.")]
Subject = Annotated[str, typer.Argument(help="The user's id, or the account's in a journey of accounts.")]
Properties = Annotated[
    list[str] | None, typer.Option("--property", "-p", help="NAME=VALUE; a VALUE may be JSON. Repeatable.")
]
Id = Annotated[str | None, typer.Option("--id", help="The request: the same id enrols once.")]
Segment = Annotated[str, typer.Option("--segment", help="Who is in this segment now.")]
Rate = Annotated[
    int, typer.Option("--rate", min=1, max=MAX_RATE, help="Subjects a second, on each partition.")
]


@cli.command()
def enroll(
    journey: Name,
    subject: Subject,
    properties: Properties = None,
    id_: Id = None,
    workspace: Folder = None,
) -> None:
    """Ask that a user or an account enters a journey that says `on: {api: true}`.

    The same rules hold as for any other trigger; the decision tells whether it enrolled, or why not.
    """
    settings = from_env(os.environ)
    found = _journey(in_force(settings, workspace).workspace, journey)
    if not any(isinstance(one, OnRequest) for one in found.entry.triggers()):
        raise Misconfigured(f"nobody enters {journey!r} on request: add {{api: true}} to its entry.on")
    request = enroll_request(found, subject, _pairs(properties or []), id_ or uuid4().hex)
    _output(settings).send([Sent(SCHEDULER, subject.encode(), wire.encode(request))])
    typer.echo(f"asked that {found.subject} {subject} enters {journey}: request {request.id}")


@journey_cli.command(name="enroll")
def enroll_segment(
    journey: Name,
    segment: Segment,
    rate: Rate = DEFAULT_RATE,
    id_: Id = None,
    workspace: Folder = None,
) -> None:
    """Look at all that are in a segment now as candidates for a journey, so many a second.

    The journey's rules hold for each. Asking again with the same --id begins nothing.
    """
    settings = from_env(os.environ)
    running = in_force(settings, workspace).workspace
    found = _journey(running, journey)
    named = {one.segment: one for one in running.segments}.get(segment)
    if named is None:
        raise Misconfigured(f"there is no segment {segment!r} in the workspace")
    if named.subject != found.subject:
        raise Misconfigured(f"{segment!r} is of {named.subject}s, and {journey!r} of {found.subject}s")
    now_ms = SystemClock().now_ms()
    asked = wire.EnrollSegment(
        id=id_ or uuid4().hex,
        journey=journey,
        subject_type=found.subject,
        segment=segment,
        rate=rate,
        at_ms=now_ms,
    )
    partitions = partitions_of(settings.kafka, settings.topic(SCHEDULER), settings.librdkafka())
    value = wire.encode(asked)
    _output(settings).send(
        [Sent(SCHEDULER, asked.id.encode(), value, partition) for partition in range(partitions)]
    )
    typer.echo(
        f"asked {partitions} partition(s) to look at who is in {segment} for {journey}, "
        f"{rate} a second each: request {asked.id}"
    )


def enroll_request(
    journey: Journey, subject: str, properties: dict[str, Any], id_: str
) -> wire.EnrollRequest:
    """The record that asks."""
    return wire.EnrollRequest(
        id=id_,
        journey=journey.journey,
        subject_type=journey.subject,
        subject=subject,
        properties=properties,
        at_ms=SystemClock().now_ms(),
    )


def _pairs(texts: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not name or not mark:
            raise typer.BadParameter(f"--property is NAME=VALUE; not {text!r}")
        try:
            found[name] = msgspec.json.decode(value.encode())
        except msgspec.DecodeError:
            found[name] = value
    return found


def _journey(workspace: Workspace, name: str) -> Journey:
    found = {one.journey: one for one in workspace.journeys}
    if name not in found:
        raise Misconfigured(f"there is no journey {name!r}; there are {', '.join(sorted(found)) or 'none'}")
    return found[name]


def _output(settings: Settings) -> KafkaOutput:
    return KafkaOutput(settings.kafka, settings.topic, settings.librdkafka())
