"""``brimful lint``: check a workspace before anything runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.workspace import format_duration
from workers.core.compile import compile_workspace
from workers.errors import Misconfigured
from workers.senders.connections import AnySecret, read_connections
from workers.senders.webhooks import check_connections, questions_of
from workers.workspace.files import BadWorkspace, load_workspace

if TYPE_CHECKING:
    from workers.core.plan import Plan
    from workers.workspace.files import LoadedWorkspace

cli: typer.Typer = typer.Typer()

Folder = Annotated[
    Path,
    typer.Argument(help="A folder with journeys/, templates/, and perhaps segments/ and scores/."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")]


Connections = Annotated[
    Path | None,
    typer.Option(
        envvar="BRIMFUL_CONNECTIONS",
        help="A file of connections: webhooks and llm steps name those that are there.",
    ),
]


@cli.command()
def lint(folder: Folder, strict: Strict = False, connections: Connections = None) -> None:
    """Check journeys, segments, scores and templates; name file, line, column and field of what is wrong.

    Exit code 0: it can be used. 1: it cannot, or with --strict there are warnings.
    """
    try:
        loaded = load_workspace(folder)
    except BadWorkspace as error:
        typer.echo(str(error), err=True)
        typer.echo(f"{len(error.problems)} problem(s) in {folder}", err=True)
        raise typer.Exit(1) from error
    for warning in loaded.warnings:
        typer.echo(str(warning), err=True)
    plan = compile_workspace(loaded.workspace)
    if connections is not None:
        _check_connections(loaded, plan, connections)
    for journey in (*plan.user.journeys.values(), *plan.account.journeys.values()):
        typer.echo(
            f"{journey.name}  version {journey.version}  {journey.subject}  {len(journey.steps)} step(s)"
        )
    for segment in loaded.workspace.segments:
        kind = "static segment" if segment.static else "segment"
        typer.echo(f"{segment.segment}  {kind} of {segment.subject}s")
    for score in loaded.workspace.scores:
        typer.echo(
            f"{score.score}  score of {score.subject}s  half-life {format_duration(score.half_life)}  "
            f"{len(score.contributions)} contribution(s), {len(score.thresholds)} threshold(s)"
        )
    for experiment in loaded.workspace.experiments:
        shares = (
            f"{name} {', '.join(f'{variant} {weight / 100:g} %' for variant, weight in weights.items())}"
            for name, weights in experiment.assigned().items()
        )
        typer.echo(f"{experiment.experiment}  experiment on {experiment.unit}s  {'; '.join(shares)}")
    tracking = loaded.workspace.tracking_plan
    if tracking is not None:
        typer.echo(f"tracking plan  version {tracking.version}  {len(tracking.events)} event(s)")
    typer.echo(
        f"{folder}: {len(loaded.workspace.journeys)} journey(s), {len(loaded.templates)} template(s), "
        f"{len(loaded.warnings)} warning(s); version {plan.version}"
    )
    if strict and loaded.warnings:
        raise typer.Exit(1)


def _check_connections(loaded: LoadedWorkspace, plan: Plan, path: Path) -> None:
    """End where the workspace names a connection that the file has not; secrets are not looked at."""
    try:
        check_connections(loaded.templates, read_connections(path, AnySecret()), questions_of(plan))
    except Misconfigured as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
