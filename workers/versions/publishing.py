"""Publishing, rolling back and pausing: from a wish to the records that carry it out, without Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from schemas import wire
from workers.core.compile import compile_workspace
from workers.core.journeys.lineage import is_shadow
from workers.core.journeys.releases import (
    TooManyVersionsError,
    compose,
    fates,
    needed,
    newest_journeys,
    next_in_force,
    readable,
    with_strays,
    without_left,
)
from workers.errors import Misconfigured
from workers.versions.published import forgotten, version_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.fields import JourneyCondition
    from schemas.workspace import Journey, Workspace
    from workers.core.journeys.releases import Cell, Change, Fate, Wishes
    from workers.core.plan import Plan
    from workers.versions.bundle import Bundle
    from workers.versions.published import Published


log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Proposal:
    """A publication that could be written: what it changes, and what becomes of those inside."""

    in_force: wire.InForce
    changes: list[Change]
    fates: list[Fate]
    plan: Plan
    records: list[wire.WorkspaceRecord]
    forget: list[bytes]

    @property
    def stuck(self) -> list[Fate]:
        """Those who could not go on; a shadow's end is nobody's loss."""
        return [fate for fate in self.fates if fate.is_stuck and not is_shadow(fate.cell.journey)]


def propose(
    published: Published,
    bundle: Bundle,
    publication: wire.Publication,
    wishes: Wishes,
    people: Mapping[Cell, int],
) -> Proposal:
    """What publishing a bundle would do; ``publication`` names its version.

    Raises:
        BadWorkspace: the bundle does not lint.
        Misconfigured: a wish names a journey that does not exist.
    """
    name = bundle.name
    previous = published.in_force.get(name)
    workspaces: dict[str, Workspace] = {}
    before: dict[str, Journey] = {}
    if previous is not None:
        workspaces = _workspaces(published, name, needed(previous))
        before = newest_journeys(previous, workspaces)
        previous = readable(previous, workspaces)
    workspaces[bundle.version] = bundle.load().workspace
    known = before.keys() | {journey.journey for journey in workspaces[bundle.version].journeys}
    unknown = sorted({*wishes.policies, *wishes.moves, *wishes.shadows} - known)
    if unknown:
        raise Misconfigured(f"there is no journey {unknown[0]!r}; there are {', '.join(sorted(known))}")
    try:
        in_force, changes = next_in_force(
            previous,
            before,
            workspaces[bundle.version],
            publication,
            wishes,
        )
    except TooManyVersionsError as error:
        raise Misconfigured(str(error)) from error
    in_force = with_strays(without_left(in_force, people, publication.at_ms), people)
    plan = compile_workspace(*compose(in_force, workspaces, published.states_of(name)))
    kept = needed(in_force) | {one.version for one in in_force.history}
    content = (
        []
        if (name, bundle.version) in published.versions
        else list(version_records(bundle, publication.at_ms))
    )
    return Proposal(
        in_force,
        changes,
        fates(plan, people),
        plan,
        [*content, in_force],
        list(forgotten(published, name, kept)),
    )


def _workspaces(published: Published, name: str, versions: Iterable[str]) -> dict[str, Workspace]:
    """Those of these versions that can be read."""
    found = {}
    for version in sorted(versions):
        try:
            found[version] = published.bundle(name, version).load().workspace
        except Misconfigured as error:
            log.warning("workspace.unreadable", version=version, detail=str(error))
    return found


def rolled_back_to(published: Published, name: str, version: str | None) -> str:
    """The version to publish again: the one that begins with ``version``, or that before the present one.

    Raises:
        Misconfigured: there is none, or several begin so.
    """
    in_force = published.in_force.get(name)
    if in_force is None:
        raise Misconfigured(f"no workspace {name!r} is published")
    earlier = [one.version for one in in_force.history if one.version != in_force.version]
    wanted = list(dict.fromkeys(one for one in reversed(earlier) if one.startswith(version or "")))
    if not wanted or (version is not None and len(wanted) > 1):
        told = ", ".join(dict.fromkeys(earlier)) or "none"
        raise Misconfigured(f"no one earlier version begins with {version or ''!r}; there are: {told}")
    return wanted[0]


def said(
    published: Published,
    name: str,
    journey: str,
    state: JourneyCondition,
    spread_ms: int,
    by: str,
    now_ms: int,
) -> wire.JourneyState:
    """The record that pauses, resumes or stops a journey.

    Raises:
        Misconfigured: nothing of that name is in force.
    """
    in_force = published.in_force.get(name)
    if in_force is None or journey not in in_force.journeys:
        there = ", ".join(sorted(in_force.journeys)) if in_force is not None else "none"
        raise Misconfigured(f"there is no journey {journey!r} in {name}; there are: {there}")
    before = published.states.get((name, journey))
    began_ms = before.paused_at_ms if before is not None and before.state == "paused" else None
    return wire.JourneyState(
        workspace=name,
        journey=journey,
        state=state,
        paused_at_ms=began_ms if began_ms is not None or state != "paused" else now_ms,
        spread_ms=spread_ms,
        by=by,
        at_ms=now_ms,
    )
