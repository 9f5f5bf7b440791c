"""``brimful``: the command line. Each package brings its commands; this module puts them together."""

from __future__ import annotations

import os
import sys
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import schemas.commands
import workers.cli.backfill
import workers.cli.consent
import workers.cli.enroll
import workers.cli.enrollments
import workers.cli.exits
import workers.cli.gateway
import workers.cli.mail
import workers.cli.plan
import workers.cli.propensity
import workers.cli.segments
import workers.cli.suppressions
import workers.cli.templates
import workers.cli.timers
import workers.cli.workspace
import workers.erasure.commands
import workers.imports.commands
import workers.local.commands
import workers.versions.commands
from workers import processes, telemetry
from workers.errors import BrimfulError
from workers.settings import PREFIX, Settings, from_env

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.assemble import Role

cli: typer.Typer = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Usage-triggered upsell, activation and expansion on your own Kafka.",
)
cli.add_typer(workers.local.commands.cli)
cli.add_typer(workers.cli.workspace.cli)
cli.add_typer(workers.cli.propensity.cli, name="propensity")
cli.add_typer(workers.cli.plan.cli, name="plan")
cli.add_typer(workers.cli.segments.cli, name="segment")
cli.add_typer(workers.cli.consent.cli, name="consent")
cli.add_typer(workers.cli.backfill.cli)
cli.add_typer(workers.cli.enroll.cli)
cli.add_typer(workers.cli.exits.cli)
cli.add_typer(workers.cli.enrollments.cli, name="enrollments")
cli.add_typer(workers.cli.timers.cli)
cli.add_typer(workers.cli.suppressions.cli, name="suppression")
cli.add_typer(workers.cli.templates.cli, name="template")
cli.add_typer(workers.cli.mail.cli)
cli.add_typer(workers.erasure.commands.cli)
cli.add_typer(workers.cli.gateway.keys, name="keys")
cli.add_typer(workers.cli.gateway.cli)
cli.add_typer(schemas.commands.cli, name="schemas")
cli.add_typer(workers.versions.commands.cli)
workers.versions.commands.journeys.add_typer(workers.cli.enroll.journey_cli)
cli.add_typer(workers.versions.commands.journeys, name="journey")
cli.add_typer(workers.imports.commands.cli, name="import")

ALL = "all"
BUNDLED = Path(__file__).resolve().parent.parent / "deploy" / "workspaces" / "plan_limits"

RoleList = Annotated[
    str, typer.Argument(help="all, or one or several of engine, senders, insights, gateway, with commas.")
]
Data = Annotated[Path, typer.Option(help="Folder for the local Kafka, state and mail.")]
WorkspaceOption = Annotated[Path, typer.Option(help="Folder with journeys/ and templates/.")]
Seconds = Annotated[float, typer.Option(min=10, help="How long the whole history takes.")]
Stay = Annotated[bool, typer.Option(help="Go on after the end of the history, until Ctrl-C.")]


@cli.command()
def run(
    data: Data = Path(".brimful"),
    workspace: WorkspaceOption = BUNDLED,
    seconds: Seconds = 150.0,
    stay: Stay = True,
) -> None:
    """Run the main job here: local Kafka, mail sink, all roles, and a recorded history played fast."""
    from workers.local import run as local  # noqa: PLC0415 - the demo is heavy to import

    telemetry.configure_logging("warning", "text")
    raise typer.Exit(local.run(local.RunOptions(data, workspace, seconds, stay)))


@cli.command()
def worker(roles: RoleList = ALL) -> None:
    """Run a worker with these roles until SIGTERM; `brimful settings` lists what the environment sets."""
    from workers.assemble import ROLES  # noqa: PLC0415 - other commands start faster without

    settings = from_env(os.environ)
    named = [part.strip() for part in roles.split(",")]
    unknown = sorted(set(named) - {*ROLES, ALL})
    if unknown:
        raise typer.BadParameter(f"unknown role {unknown[0]!r}: choose from {ALL}, {', '.join(ROLES)}")
    wanted: tuple[Role, ...] = tuple(role for role in ROLES if role in named or ALL in named)
    if settings.processes == 1:
        raise typer.Exit(run_worker(settings, wanted))
    if "engine" not in wanted:
        raise typer.BadParameter("BRIMFUL_PROCESSES is for workers with the role engine")
    telemetry.configure_logging(settings.log_level, settings.log_format)
    entries = [partial(run_worker, settings, wanted)]
    others = (processes.settings_of(settings, number) for number in range(1, settings.processes))
    entries += [partial(run_worker, other, ("engine",)) for other in others]
    raise typer.Exit(processes.run(entries))


def run_worker(settings: Settings, roles: Sequence[Role]) -> int:
    """Run these roles in this process until SIGTERM; the exit code."""
    from workers.assemble import Assembly  # noqa: PLC0415 - other commands start faster without
    from workers.runner import run as run_parts  # noqa: PLC0415

    telemetry.configure_logging(settings.log_level, settings.log_format)
    assembly = Assembly(settings, roles)
    parts = assembly.parts()
    if settings.processes > 1:
        parts.insert(0, processes.ParentWatch())
    return run_parts(parts, assembly.registry, settings.http_host, settings.http_port)


@cli.command(name="settings")
def list_settings() -> None:
    """List the environment variables that a worker reads, with their defaults."""
    for name, field in Settings.model_fields.items():
        value = field.get_default(call_default_factory=True)
        default = f" (default {value})" if value not in (None, "", (), {}) else ""
        description = f"  {field.description}" if field.description else ""
        typer.echo(f"{PREFIX}{name.upper()}{default}{description}")


@cli.command()
def version() -> None:
    """Print the version."""
    typer.echo(installed_version("brimful"))


def main() -> None:
    """The console script: our errors become one clear message and exit code 2."""
    try:
        cli()
    except BrimfulError as error:
        sys.stderr.write(f"brimful: {error}\n")
        sys.exit(2)
