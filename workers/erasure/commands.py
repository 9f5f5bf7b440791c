"""``brimful erase``: forget a person, and prove it."""

from __future__ import annotations

import os
from typing import Annotated, Any

import msgspec
import typer

from schemas.workspace.base import parse_duration_ms
from workers.erasure.request import Wish
from workers.erasure.request import erase as run
from workers.settings import from_env

cli: typer.Typer = typer.Typer()


def _duration_ms(text: str) -> int:
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Person = Annotated[str, typer.Argument(help="Any id of the person: a user id or an anonymous id.")]
Accounts = Annotated[
    list[str] | None,
    typer.Option("--account", help="Remove them from this account too, if it should still list them."),
]
Reason = Annotated[str | None, typer.Option(help="Kept in the record of the request, such as a ticket.")]
Suppress = Annotated[
    int | None,
    typer.Option(
        parser=_duration_ms, metavar="DURATION", help="Count nothing of them so long, such as 365d."
    ),
]
Wait = Annotated[float, typer.Option("--wait", min=1, help="Seconds to wait for all workers.")]


@cli.command()
def erase(
    person: Person,
    account: Accounts = None,
    reason: Reason = None,
    suppress: Suppress = None,
    wait: Wait = 60.0,
) -> None:
    """Forget a person everywhere, and prove it: a report in JSON of who answered and what was looked through.

    Exit code 0: every worker has answered, and no newest value of any state names the person. 1: not so
    within the time; the report says what is missing or left, and asking again does no harm.
    """
    if not person:
        raise typer.BadParameter("PERSON must not be empty")
    report: dict[str, Any] = run(
        from_env(os.environ), Wish(person, tuple(account or ()), reason, suppress, wait)
    )
    typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    if not report["complete"]:
        raise typer.Exit(1)
