"""``brimful publish``, ``versions``, ``rollback`` and ``journey``: what runs, and what runs no more."""

from __future__ import annotations

import getpass
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from schemas import wire
from schemas.fields import EditPolicy
from schemas.workspace.base import parse_duration_ms
from workers.clock import SystemClock
from workers.core.journeys.lineage import SHADOW_MARK, is_shadow
from workers.core.journeys.releases import Wishes
from workers.errors import Misconfigured
from workers.settings import from_env
from workers.versions.active import name_of
from workers.versions.bundle import read_bundle
from workers.versions.inside import read_inside
from workers.versions.publishing import propose, rolled_back_to, said
from workers.versions.topic import WorkspaceWriter, read
from workers.workspace.files import BadWorkspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.fields import JourneyCondition
    from workers.core.journeys.releases import Cell, Fate
    from workers.settings import Settings
    from workers.versions.bundle import Bundle
    from workers.versions.publishing import Proposal

STUCK = 3
"""Exit code where people inside could not go on."""

cli: typer.Typer = typer.Typer()
journeys: typer.Typer = typer.Typer(
    no_args_is_help=True, help="Journeys that run: list, pause, resume or stop them."
)

Folder = Annotated[Path | None, typer.Argument(help="The workspace; BRIMFUL_WORKSPACE by default.")]
Name = Annotated[str | None, typer.Option(help="The workspace's name; by default its folder's.")]
Published = Annotated[str | None, typer.Option("--name", help="The workspace, where several are published.")]
Message = Annotated[str, typer.Option("--message", "-m", help="What changes, for the history.")]
By = Annotated[str | None, typer.Option(help="Who publishes; by default who is logged in.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would change; write nothing.")]
Force = Annotated[bool, typer.Option("--force", help="End those who could not go on.")]
Policies = Annotated[
    list[str] | None, typer.Option("--on-edit", help="JOURNEY=follow, pin or drain; instead of the file's.")
]
Moves = Annotated[
    list[str] | None,
    typer.Option("--move", help="JOURNEY:STEP=NEW_STEP, for people at a step that is gone; by path or id."),
]
Shadows = Annotated[
    list[str] | None,
    typer.Option("--shadow", help="JOURNEY: run the new version beside the old one; deliver nothing."),
]
Spread = Annotated[str, typer.Option(help="Over how long what fell due meanwhile runs, in due order.")]
JourneyName = Annotated[str, typer.Argument(help="The journey.")]


@cli.command()
def publish(
    folder: Folder = None,
    name: Name = None,
    message: Message = "",
    by: By = None,
    dry_run: DryRun = False,
    force: Force = False,
    on_edit: Policies = None,
    move: Moves = None,
    shadow: Shadows = None,
) -> None:
    """Put a workspace in force: running workers take it up. Tells first who moves and who would be stuck.

    Exit code 0: done, or nothing changes. 1: it does not lint. 3: people would be stuck; nothing was written.
    """
    settings = from_env(os.environ)
    source = folder or settings.workspace
    if source is None:
        raise typer.BadParameter("name the folder, or set BRIMFUL_WORKSPACE")
    bundle = read_bundle(source, name)
    wishes = Wishes(_policies(on_edit or ()), _moves(move or ()), frozenset(shadow or ()))
    _publish(settings, bundle, wishes, (message, by), dry_run=dry_run, force=force)


@cli.command()
def rollback(
    version: Annotated[
        str | None, typer.Argument(help="The version, or how it begins; default: the last.")
    ] = None,
    name: Published = None,
    message: Message = "",
    by: By = None,
    dry_run: DryRun = False,
    force: Force = False,
    on_edit: Policies = None,
    move: Moves = None,
) -> None:
    """Publish an earlier version again; those inside are treated as by any other publication."""
    settings = from_env(os.environ)
    published = read(settings)
    workspace = name_of(published, name)
    wanted = rolled_back_to(published, workspace, version)
    bundle = published.bundle(workspace, wanted)
    wishes = Wishes(_policies(on_edit or ()), _moves(move or ()))
    told = message or f"rolled back to {wanted}"
    _publish(settings, bundle, wishes, (told, by), dry_run=dry_run, force=force)


@cli.command()
def versions(name: Published = None) -> None:
    """List the publications, the newest first: version, when, by whom, and what for; * is in force."""
    published = read(from_env(os.environ))
    in_force = published.in_force[name_of(published, name)]
    for number, one in enumerate(reversed(in_force.history)):
        mark = "*" if number == 0 else " "
        typer.echo(f"{mark} {one.version}  {_when(one.at_ms)}  {one.by}  {one.message}".rstrip())


@journeys.command(name="list")
def list_journeys(name: Published = None) -> None:
    """List the journeys in force: state, newest version, and how many are inside each version."""
    settings = from_env(os.environ)
    published = read(settings)
    workspace = name_of(published, name)
    people = read_inside(settings, _silent)
    for journey, line in sorted(published.in_force[workspace].journeys.items()):
        state = published.states.get((workspace, journey))
        typer.echo(f"{journey}  {state.state if state else 'running'}  version {line.version or '(removed)'}")
        for text in inside_lines(journey, line.shadow, people):
            typer.echo(f"  {text}")


@journeys.command()
def pause(journey: JourneyName, name: Published = None, by: By = None) -> None:
    """Nobody enters and no step runs; exits and goals go on. Time goes on too: what falls due is held."""
    _say(journey, "paused", name, by)


@journeys.command()
def resume(journey: JourneyName, name: Published = None, by: By = None, spread: Spread = "10m") -> None:
    """Let a paused, drained or stopped journey run again."""
    try:
        spread_ms = parse_duration_ms(spread)
    except ValueError as error:
        raise typer.BadParameter(f"--spread: {error}") from error
    _say(journey, "running", name, by, spread_ms)


@journeys.command()
def stop(
    journey: JourneyName,
    name: Published = None,
    by: By = None,
    eject: Annotated[
        bool, typer.Option("--eject/--drain", help="End all inside, or let them finish.")
    ] = False,
) -> None:
    """Let nobody enter any more; those inside finish, or with --eject end at once."""
    _say(journey, "stopped" if eject else "draining", name, by)


def _publish(
    settings: Settings,
    bundle: Bundle,
    wishes: Wishes,
    words: tuple[str, str | None],
    *,
    dry_run: bool,
    force: bool,
) -> None:
    # The writer first: what is read behind it cannot be outdated by somebody else's publication.
    writer = None if dry_run else WorkspaceWriter(settings, bundle.name)
    published = read(settings)
    message, by = words
    publication = wire.Publication(
        version=bundle.version, at_ms=SystemClock().now_ms(), by=by or _who(), message=message
    )
    previous = published.in_force.get(bundle.name)
    people = read_inside(settings, _silent)
    try:
        proposal = propose(published, bundle, publication, wishes, people)
    except BadWorkspace as error:
        typer.echo(str(error), err=True)
        typer.echo(f"{len(error.problems)} problem(s): nothing was published", err=True)
        raise typer.Exit(1) from error
    if (
        previous is not None
        and previous.version == bundle.version
        and previous.journeys == proposal.in_force.journeys
    ):
        typer.echo(f"{bundle.name}@{bundle.version} is in force already")
        return
    _tell(proposal)
    if proposal.stuck and not force:
        number = sum(fate.people for fate in proposal.stuck)
        typer.echo(
            f"{number} inside could not go on: say where with --move or `moves`, keep their version with "
            f"--on-edit JOURNEY=pin, or end them with --force. Nothing was published.",
            err=True,
        )
        raise typer.Exit(STUCK)
    if writer is None:
        typer.echo(f"{bundle.name}@{bundle.version} would be published")
        return
    writer.write(proposal.records, proposal.forget)
    typer.echo(f"{bundle.name}@{bundle.version} is published (number {proposal.in_force.serial})")


def _tell(proposal: Proposal) -> None:
    for change in proposal.changes:
        if change.kind == "same":
            continue
        shadow = " as a shadow" if change.shadow else ""
        policy = f"; those inside: {change.policy}" if change.policy is not None else ""
        versions = " -> ".join(one for one in (change.before, change.after) if one is not None)
        typer.echo(f"{change.kind}{shadow}: {change.journey}  {versions}{policy}")
    for fate in proposal.fates:
        typer.echo(f"  {fate_line(fate)}")


def fate_line(fate: Fate) -> str:
    """What becomes of those of one place, for people. A shadow that ends leaves nobody stuck."""
    cell = fate.cell
    place = f"{fate.people} {cell.subject}(s) in {cell.journey} {cell.version} at {_steps(cell.steps)}"
    if fate.is_stuck:
        return f"{place}: " + ("end with the shadow" if is_shadow(cell.journey) else f"STUCK ({fate.reason})")
    if (fate.version, fate.steps) == (cell.version, cell.steps):
        return f"{place}: stay"
    return f"{place}: go on in {fate.version} at {_steps(fate.steps)}"


def inside_lines(journey: str, shadow: str | None, people: Mapping[Cell, int]) -> list[str]:
    """How many are inside each version of a journey, and inside its shadow, if one is in force."""
    of: Counter[tuple[str, str]] = Counter()
    for cell, number in people.items():
        of[cell.journey, cell.version] += number
    lines = [f"{version}  {of[name, version]} inside" for name, version in sorted(of) if name == journey]
    if shadow is not None:
        lines.append(f"shadow {shadow}  {of[journey + SHADOW_MARK, shadow]} inside")
    return lines


def _steps(paths: Sequence[str]) -> str:
    return f"step {' and '.join(paths)}"


def _say(journey: str, state: JourneyCondition, name: str | None, by: str | None, spread_ms: int = 0) -> None:
    settings = from_env(os.environ)
    workspace = name_of(read(settings), name)
    writer = WorkspaceWriter(settings, workspace)
    published = read(settings)
    record = said(published, workspace, journey, state, spread_ms, by or _who(), SystemClock().now_ms())
    writer.write([record])
    typer.echo(f"{journey} is {state}")


def _policies(given: Sequence[str]) -> dict[str, EditPolicy]:
    policies: dict[str, EditPolicy] = {}
    for one in given:
        journey, _, policy = one.partition("=")
        if policy not in get_args(EditPolicy):
            raise typer.BadParameter(f"--on-edit is JOURNEY=follow, pin or drain; not {one!r}")
        policies[journey] = cast("EditPolicy", policy)
    return policies


def _moves(given: Sequence[str]) -> dict[str, dict[str, str]]:
    moves: dict[str, dict[str, str]] = {}
    for one in given:
        journey, mark, steps = one.partition(":")
        step, equals, target = steps.partition("=")
        if not (mark and equals and step and target):
            raise typer.BadParameter(f"--move is JOURNEY:STEP=NEW_STEP, such as upsell:2=3; not {one!r}")
        moves.setdefault(journey, {})[step] = target
    return moves


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise Misconfigured("who publishes is not known here: say --by NAME") from error


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _silent(*_: Any) -> None:
    """Reading the changelog takes seconds; nobody needs to be told."""
