"""A command line that imports a command when it is called: a worker starts without what the others need."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from typer.core import TyperGroup
from typer.main import get_group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typer._click.core import Command, Context  # as its own group's signatures have them


class LazyGroup(TyperGroup):
    """A group with its own commands, and those of ``places``, imported when one is asked for.

    ``places`` says for each name where it is, as ``module:attribute``: a Typer application that has a command
    of that name, or else is the group of that name.
    """

    places: Mapping[str, str] = {}

    def list_commands(self, ctx: Context) -> list[str]:
        """The names, own ones first."""
        return [*super().list_commands(ctx), *self.places]

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """The command, or None for a name that there is not."""
        place = self.places.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, attribute = place.split(":")
        found = get_group(getattr(import_module(module), attribute))
        found.name = cmd_name
        return found.commands.get(cmd_name, found)
