"""``brimful schemas``: export, check and apply the record shapes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas import export as exporting
from schemas.catalog import SCHEMAS, TOPICS
from schemas.releases import RELEASED_DIR, breaks, release_present
from schemas.topics import load_topics
from schemas.validate import validate_file

if TYPE_CHECKING:
    from schemas.compat import Finding

cli = typer.Typer(
    name="schemas", help="The record shapes: export, compatibility, validation.", no_args_is_help=True
)

Folder = Annotated[
    Path,
    typer.Option("--dir", help="The folder `schemas` of a checkout.", file_okay=False, exists=True),
]


@cli.command()
def export(
    folder: Folder = exporting.PACKAGE_DIR,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where a file is old.")] = False,
) -> None:
    """Write the JSON Schemas and the AsyncAPI document from the models."""
    files = exporting.exports(load_topics(), exporting.load_examples(folder / exporting.EXAMPLES_DIR.name))
    if not check:
        exporting.write(files, folder)
        typer.echo(f"{len(files)} files written below {folder}")
        return
    differences = exporting.differences(files, folder)
    for difference in differences:
        typer.echo(difference, err=True)
    if differences:
        typer.echo("run `brimful schemas export` and commit what it writes", err=True)
        raise typer.Exit(1)
    typer.echo(f"{len(files)} files are up to date")


@cli.command()
def check(folder: Folder = exporting.PACKAGE_DIR) -> None:
    """Compare the record shapes with the last released ones; fail on every change that breaks somebody."""
    found = _told_breaks(folder)
    if found:
        raise typer.Exit(1)
    typer.echo(f"{len(SCHEMAS)} record shapes fit the last release")


@cli.command()
def release(
    folder: Folder = exporting.PACKAGE_DIR,
    breaking: Annotated[bool, typer.Option("--breaking", help="Release although it breaks others.")] = False,
) -> None:
    """Make the present record shapes the released ones that later changes are compared with."""
    found = _told_breaks(folder) if (folder / RELEASED_DIR).is_dir() else []
    if found and not breaking:
        raise typer.Exit(1)
    release_present(folder)
    typer.echo(f"{len(SCHEMAS)} record shapes released")


@cli.command()
def validate(
    topic: Annotated[str, typer.Argument(help="A public topic, such as product-events.")],
    file: Annotated[
        Path, typer.Argument(help="JSON (a record or a list) or JSON Lines.", exists=True, dir_okay=False)
    ],
) -> None:
    """Check the records of a file; every problem is told with its line and field."""
    if topic not in TOPICS:
        raise typer.BadParameter(f"{topic!r} is not a public topic; those are {', '.join(sorted(TOPICS))}")
    report = validate_file(topic, file.read_bytes())
    for problem in report.problems:
        typer.echo(f"{file}:{problem.line}: {problem.what}", err=True)
    typer.echo(f"{report.records} records, {report.bad} of them not valid for {topic}")
    if report.problems:
        raise typer.Exit(1)


def _told_breaks(folder: Path) -> list[Finding]:
    try:
        found = breaks(folder)
    except FileNotFoundError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for finding in found:
        typer.echo(str(finding), err=True)
    return found
