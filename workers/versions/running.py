"""The workspace that an installation runs, for whoever only asks it: commands, the gateway's readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.errors import Misconfigured
from workers.versions.active import Active, Loader, from_folder, name_of
from workers.versions.topic import read
from workers.workspace.files import load_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from workers.settings import Settings


def in_force(settings: Settings, folder: Path | None = None) -> Active:
    """The workspace of ``folder``, else what workers with these settings run: published, or a folder's.

    Raises:
        Misconfigured: there is none, or it has mistakes.
        Retryable: it is published, and Kafka does not answer.
    """
    found = in_force_if_any(settings, folder)
    if found is None:
        raise Misconfigured(
            "no workspace is named: set what workers have, BRIMFUL_WORKSPACE_SOURCE=topic for the one that "
            "is published or BRIMFUL_WORKSPACE for a folder; many commands also take --workspace FOLDER"
        )
    return found


def in_force_if_any(settings: Settings, folder: Path | None = None) -> Active | None:
    """As :func:`in_force`; None where the settings name none."""
    if folder is None and settings.workspace_source == "topic":
        published = read(settings)
        return Loader().load(published, name_of(published, settings.workspace_name))
    folder = folder or settings.workspace
    return None if folder is None else from_folder(load_workspace(folder))
