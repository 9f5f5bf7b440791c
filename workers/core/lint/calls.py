"""Webhooks of accounts' journeys: called once for the account, they are about no person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workers.core.lint.templates import senders
from workers.core.templates.compile import TemplateProblem, reads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.workspace import Workspace
    from workers.core.templates.compile import Templates

_PERSON: Final = "user"


def lint_calls(workspace: Workspace, templates: Templates) -> Iterator[TemplateProblem]:
    """Errors: values of a person in webhooks that accounts' journeys call, where nothing makes them good.

    Each has the file and line on which it is read. A fallback of the whole message does not count: it would
    be sent at every call.
    """
    journeys_of = senders(workspace)
    for source in (*templates.sources.values(), *templates.variants.values()):
        if source.channel != "webhook":
            continue
        accounts = [one.journey for one in journeys_of.get(source.name, ()) if one.subject == "account"]
        for read in reads(source) if accounts else ():
            root, *path = read.variable.name.replace("[", ".").split(".")
            if root == _PERSON and path and not read.variable.has_default:
                detail = (
                    f"{accounts[0]!r} is a journey of accounts and calls this once for the account, about no "
                    f"person: {read.variable.name} is never there. Read account, event or owner, give it a "
                    "default, or let a journey of users call it"
                )
                yield TemplateProblem(source.name, read.file, read.line, read.field, detail)
