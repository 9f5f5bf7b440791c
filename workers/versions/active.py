"""The workspace that a process runs: compiled from a folder, or from what is published."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.core.compile import CircularSegmentsError, SlotCollisionError, compile_workspace
from workers.core.journeys.releases import compose, needed
from workers.errors import BrimfulError, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.workspace import TrackingPlan, Workspace
    from schemas.workspace.tracking import LinkTracking
    from workers.core.plan import Plan
    from workers.core.templates.compile import CompiledTemplate
    from workers.versions.published import Published
    from workers.workspace.files import LoadedWorkspace


@dataclass(frozen=True)
class Active:
    """A workspace as the roles use it. ``serial`` counts publications; 0: it was not published.

    ``templates`` are those of the newest version; one that it has no more comes from an older version that
    somebody is still inside of. ``published_at_ms`` is None for a folder. ``workspace`` is what is in force
    of it, without older versions and shadows.
    """

    name: str
    version: str
    serial: int
    published_at_ms: int | None
    plan: Plan
    templates: Mapping[str, CompiledTemplate]
    tracking_plan: TrackingPlan | None
    tracking: LinkTracking
    workspace: Workspace


def from_folder(loaded: LoadedWorkspace) -> Active:
    """The workspace of a folder."""
    plan = compile_workspace(loaded.workspace)
    workspace = loaded.workspace
    return Active(
        workspace.name,
        plan.version,
        0,
        None,
        plan,
        loaded.templates,
        workspace.tracking_plan,
        workspace.tracking,
        workspace,
    )


class NotUsable(Misconfigured):
    """What is published cannot be run here. Operator action: publish what can, or update the workers."""


class Loader:
    """Makes published workspaces usable; keeps the versions that are in use, so that each is read once."""

    def __init__(self) -> None:
        self._loaded: dict[str, LoadedWorkspace] = {}

    def load(self, published: Published, name: str) -> Active:
        """What is in force, compiled. Takes time: use a thread.

        Raises:
            NotUsable: nothing of that name is published, or it cannot be run. What was made before stays.
        """
        in_force = published.in_force.get(name)
        if in_force is None:
            raise NotUsable(f"no workspace {name!r} is published: run `brimful publish FOLDER`")
        try:
            loaded = {
                version: self._loaded.get(version) or published.bundle(name, version).load()
                for version in sorted(needed(in_force))
            }
            workspaces = {version: one.workspace for version, one in loaded.items()}
            workspace, lines = compose(in_force, workspaces, published.states_of(name))
            plan = compile_workspace(workspace, lines)
        except (BrimfulError, KeyError, SlotCollisionError, CircularSegmentsError) as error:
            raise NotUsable(f"workspace {name}@{in_force.version} cannot be used: {error}") from error
        self._loaded = loaded
        newest = loaded[in_force.version].templates
        older = [one.templates for version, one in loaded.items() if version != in_force.version]
        return Active(
            name,
            in_force.version,
            in_force.serial,
            in_force.at_ms,
            plan,
            ChainMap(dict(newest), *map(dict, older)),
            workspace.tracking_plan,
            workspace.tracking,
            workspace,
        )


def name_of(published: Published, wanted: str | None) -> str:
    """The workspace to run: the wanted one, or the only one that there is.

    Raises:
        Misconfigured: there is none, or there are several and none is wanted.
    """
    if wanted is not None:
        return wanted
    names = sorted(published.in_force)
    if not names:
        raise Misconfigured("no workspace is published: run `brimful publish FOLDER`")
    if len(names) > 1:
        raise Misconfigured(
            f"several workspaces are published ({', '.join(names)}): set BRIMFUL_WORKSPACE_NAME"
        )
    return names[0]
