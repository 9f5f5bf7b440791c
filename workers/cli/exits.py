"""``brimful exit``: who is in a journey leaves it because somebody asks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, cast, get_args
from uuid import uuid4

import typer

from schemas import wire
from schemas.fields import SubjectType
from schemas.workspace.entries import MAX_RATE
from workers.cli.in_force import Folder  # noqa: TC001  typer reads it at run time
from workers.clock import SystemClock
from workers.errors import Misconfigured
from workers.imports.output import KafkaOutput
from workers.imports.rows import Sent
from workers.settings import from_env
from workers.stream.admin import partitions_of
from workers.versions.running import in_force

if TYPE_CHECKING:
    from schemas.workspace import Workspace
    from workers.settings import Settings

SCHEDULER = "scheduler"

RATE = 100
"""Subjects a second on each partition. Of somebody who is in ten journeys an exit takes half a millisecond
(measured): with eight partitions in one process, events have more than half of each second."""

cli: typer.Typer = typer.Typer()

Name = Annotated[str, typer.Argument(help="The journey.")]
Subject = Annotated[str | None, typer.Argument(help="The user's id, or the account's in a journey of those.")]
Segment = Annotated[str | None, typer.Option("--segment", help="All who are in this segment now.")]
All = Annotated[bool, typer.Option("--all", help="All who are in the journey now.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why: it stands in the decisions.")]
Rate = Annotated[
    int, typer.Option("--rate", min=1, max=MAX_RATE, help="Of many: subjects a second, on each partition.")
]
Removed = Annotated[
    str | None,
    typer.Option(
        "--removed", help="The journey's file is gone from the workspace; it was of: user, account."
    ),
]
Id = Annotated[str | None, typer.Option("--id", help="The request: of many, the same id begins once.")]


@cli.command(name="exit")
def leave(
    journey: Name,
    subject: Subject = None,
    segment: Segment = None,
    everybody: All = False,
    reason: Reason = None,
    rate: Rate = RATE,
    removed: Removed = None,
    id_: Id = None,
    workspace: Folder = None,
) -> None:
    """Ask that a user or an account leaves a journey now; or all of a segment, or all who are in it.

    Timers and held messages go with it; a goal within its window still counts. Who is not inside stays as
    they are. The decision of each has the reason `request`.
    """
    if [subject is not None, segment is not None, everybody].count(True) != 1:
        raise typer.BadParameter("say who leaves: a SUBJECT, or --segment, or --all")
    settings = from_env(os.environ)
    kind = _kind(in_force(settings, workspace).workspace, journey, segment, removed)
    request = id_ or uuid4().hex
    now_ms = SystemClock().now_ms()
    if subject is not None:
        asked = wire.ExitRequest(
            id=request, journey=journey, subject_type=kind, subject=subject, reason=reason, at_ms=now_ms
        )
        _output(settings).send([Sent(SCHEDULER, subject.encode(), wire.encode(asked))])
        typer.echo(f"asked that {kind} {subject} leaves {journey}: request {request}")
        return
    batch = wire.ExitBatch(
        id=request,
        journey=journey,
        subject_type=kind,
        segment=segment,
        rate=rate,
        reason=reason,
        at_ms=now_ms,
    )
    partitions = partitions_of(settings.kafka, settings.topic(SCHEDULER), settings.librdkafka())
    value = wire.encode(batch)
    _output(settings).send(
        [Sent(SCHEDULER, request.encode(), value, partition) for partition in range(partitions)]
    )
    who = f"all {kind}s in segment {segment}" if segment is not None else f"all {kind}s"
    typer.echo(
        f"asked {partitions} partition(s) that {who} leave {journey}, {rate} a second each: request {request}"
    )


def _kind(workspace: Workspace, journey: str, segment: str | None, removed: str | None) -> SubjectType:
    """Whose journey it is; what the engine would pass over is refused."""
    if removed is not None and removed not in get_args(SubjectType):
        raise typer.BadParameter(f"--removed is user or account; not {removed!r}")
    journeys = {one.journey: one for one in workspace.journeys}
    found = journeys.get(journey)
    if found is None and removed is None:
        raise Misconfigured(
            f"there is no journey {journey!r}; there are {', '.join(sorted(journeys)) or 'none'}. "
            "Of one whose file is gone, say --removed user or --removed account"
        )
    kind = found.subject if found is not None else cast("SubjectType", removed)
    _check_segment(workspace, segment, journey, kind)
    return kind


def _check_segment(workspace: Workspace, segment: str | None, journey: str, kind: SubjectType) -> None:
    if segment is None:
        return
    named = {one.segment: one for one in workspace.segments}.get(segment)
    if named is None:
        raise Misconfigured(f"there is no segment {segment!r} in the workspace")
    if named.subject != kind:
        raise Misconfigured(f"{segment!r} is of {named.subject}s, and {journey!r} of {kind}s")


def _output(settings: Settings) -> KafkaOutput:
    return KafkaOutput(settings.kafka, settings.topic, settings.librdkafka())
