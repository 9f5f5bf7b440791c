"""``brimful``: the command line."""

from __future__ import annotations

import os
import sys
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers import processes, telemetry
from workers.cli.lazy import LazyGroup
from workers.errors import BrimfulError
from workers.settings import PREFIX, Settings, from_env

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.assemble import Role


class Commands(LazyGroup):
    """Each package brings its commands; here is where."""

    places = {  # noqa: RUF012  as in the base class
        "kafka": "workers.local.commands:cli",
        "topics": "workers.local.commands:cli",
        "lint": "workers.cli.workspace:cli",
        "propensity": "workers.cli.propensity:cli",
        "plan": "workers.cli.plan:cli",
        "segment": "workers.cli.segments:cli",
        "consent": "workers.cli.consent:cli",
        "backfill": "workers.cli.backfill:cli",
        "enroll": "workers.cli.enroll:cli",
        "exit": "workers.cli.exits:cli",
        "enrollments": "workers.cli.enrollments:cli",
        "timers": "workers.cli.timers:cli",
        "suppression": "workers.cli.suppressions:cli",
        "template": "workers.cli.templates:cli",
        "bounces": "workers.cli.mail:cli",
        "doctor": "workers.cli.mail:cli",
        "erase": "workers.erasure.commands:cli",
        "keys": "workers.cli.gateway:keys",
        "openapi": "workers.cli.gateway:cli",
        "schemas": "schemas.commands:cli",
        "publish": "workers.versions.commands:cli",
        "rollback": "workers.versions.commands:cli",
        "versions": "workers.versions.commands:cli",
        "journey": "workers.cli.journeys:cli",
        "import": "workers.imports.commands:cli",
    }


cli: typer.Typer = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Usage-triggered upsell, activation and expansion on your own Kafka.",
)

ALL = "all"
BUNDLED = Path(__file__).resolve().parents[2] / "deploy" / "workspaces" / "plan_limits"

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
