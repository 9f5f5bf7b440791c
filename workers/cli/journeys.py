"""``brimful journey``: what several modules say about journeys, under one name."""

from __future__ import annotations

import typer

from workers.cli import compare
from workers.cli.enroll import journey_cli
from workers.versions.commands import journeys

cli: typer.Typer = typer.Typer(
    no_args_is_help=True,
    help="Journeys that run: list, pause, resume or stop them, let people enter, compare a shadow.",
)
cli.add_typer(journeys)
cli.add_typer(journey_cli)
cli.add_typer(compare.cli)
