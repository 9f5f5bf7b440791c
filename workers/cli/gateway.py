"""``brimful keys`` and ``brimful openapi``: API keys for the gateway, and its description for tools."""

from __future__ import annotations

import os
import secrets
from typing import Annotated

import msgspec
import typer

from workers.errors import Misconfigured
from workers.gateway_settings import Known, api_settings
from workers.intake.keys import SCOPES, make_key
from workers.intake.openapi import document
from workers.settings import from_env

cli: typer.Typer = typer.Typer()
keys: typer.Typer = typer.Typer(no_args_is_help=True, help="API keys of the gateway: make one, list them.")

Name = Annotated[str, typer.Argument(help="What the key is called in logs of sources: crm, shop, ...")]
Scopes = Annotated[str, typer.Option("--scopes", help=f"With commas; there are {', '.join(SCOPES)}.")]


@keys.command()
def new(name: Name, scopes: Scopes) -> None:
    """Make a key. It is printed once, on standard output; the line to configure goes to standard error.

    The line holds a digest of the key and may be kept where settings are kept.
    """
    wanted = [one.strip() for one in scopes.split(",") if one.strip()]
    try:
        key, configured = make_key(name, wanted, secrets.token_bytes(32))
    except Misconfigured as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo("for BRIMFUL_API_KEYS, or a line of the file BRIMFUL_API_KEYS_FILE:", err=True)
    typer.echo(configured.line(), err=True)
    typer.echo("the key, which is shown this once:", err=True)
    typer.echo(key)


@keys.command(name="list")
def list_keys() -> None:
    """List the configured keys: name, scopes and the beginning of the digest."""
    settings = api_settings(from_env(os.environ), Known(lambda: None))
    for one in settings.keys if settings is not None else ():
        scopes = ",".join(scope for scope in SCOPES if scope in one.scopes)
        typer.echo(f"{one.name}  {scopes}  {one.digest[:12]}")
    if settings is None:
        typer.echo("no API key is configured", err=True)


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document of the gateway, as JSON."""
    typer.echo(msgspec.json.format(msgspec.json.encode(document()), indent=2).decode())
