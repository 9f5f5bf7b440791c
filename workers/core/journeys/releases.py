"""What a publication puts in force: of each journey the newest version, and what becomes of the older ones.

A roll-back is a publication of an older version. Nothing here reads or writes; see :mod:`workers.versions`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

from schemas import wire
from workers.core.compile import journey_version
from workers.core.journeys.alignment import align
from workers.core.journeys.lineage import Lines, Move, Pinned, Running, carry, is_shadow
from workers.core.journeys.progress import ELIGIBLE_MAX_AGE_MS, Enrollment, Position, TriggerFacts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from schemas.fields import EditPolicy, SubjectType
    from schemas.workspace import Journey, Workspace
    from workers.core.plan import Plan

HISTORY_MAX: Final = 25
"""Publications that are remembered, and can be rolled back to."""

OLDER_MAX: Final = 25
"""Older versions of one journey that may be pinned or drain at once: every worker compiles each."""

KEPT_MS: Final = ELIGIBLE_MAX_AGE_MS
"""An older version is kept this long although nobody is inside: records on their way may still name it."""

ChangeKind: TypeAlias = Literal["added", "removed", "changed", "same"]


class TooManyVersionsError(ValueError):
    """More versions of a journey are in use than workers compile. Operator action: publish with follow."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a publication does to one journey. ``shadow``: it runs beside the version that was in force."""

    journey: str
    kind: ChangeKind
    before: str | None
    after: str | None
    policy: EditPolicy | None = None
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a publication is asked for, by journey: another policy, moves of steps, or to run as a shadow."""

    policies: Mapping[str, EditPolicy] = field(default_factory=dict)
    moves: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shadows: Collection[str] = ()


class Cell(NamedTuple):
    """Where people are: at the steps of a version of a journey; at several while parts run side by side."""

    subject: SubjectType
    journey: str
    version: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fate:
    """What a publication means for those of one cell.

    ``version`` and ``steps`` are where they are afterwards; None and none: they end, with the ``reason``.
    """

    cell: Cell
    people: int
    version: str | None
    steps: tuple[str, ...]
    reason: str = ""

    @property
    def is_stuck(self) -> bool:
        """Whether they cannot go on."""
        return self.version is None


def next_in_force(
    previous: wire.InForce | None,
    before: Mapping[str, Journey],
    workspace: Workspace,
    publication: wire.Publication,
    wishes: Wishes,
) -> tuple[wire.InForce, list[Change]]:
    """What is in force after a publication of ``workspace``, and what that changes.

    ``before`` are the newest versions of the journeys as ``previous`` has them. ``publication`` names the
    version that ``workspace`` is. The journeys' own ``on_edit`` holds where ``wishes`` name no policy: that
    of the new file, for a journey that was removed that of the old one.

    Raises:
        TooManyVersionsError: naming the journey.
    """
    lines = dict(previous.journeys) if previous is not None else {}
    ours = {journey.journey: journey for journey in workspace.journeys}
    now: dict[str, wire.JourneyLine] = {}
    changes = []
    for name in sorted(lines.keys() | ours.keys()):
        line, change = _next_line(
            lines.get(name, wire.JourneyLine(older={})),
            before.get(name),
            ours.get(name),
            publication,
            wishes,
            name,
        )
        if sum(1 for one in line.older.values() if one.policy != "follow") > OLDER_MAX:
            raise TooManyVersionsError(
                f"{name}: more than {OLDER_MAX} older versions are pinned or drain; publish with follow"
            )
        if line.version is not None or line.shadow is not None or line.older:
            now[name] = line
        changes.append(change)
    history = [*(previous.history if previous is not None else ()), publication][-HISTORY_MAX:]
    serial = previous.serial + 1 if previous is not None else 1
    in_force = wire.InForce(
        workspace=workspace.name,
        version=publication.version,
        serial=serial,
        journeys=now,
        history=history,
        at_ms=publication.at_ms,
    )
    return in_force, changes


def _next_line(
    line: wire.JourneyLine,
    before: Journey | None,
    journey: Journey | None,
    publication: wire.Publication,
    wishes: Wishes,
    name: str,
) -> tuple[wire.JourneyLine, Change]:
    source = publication.version
    version = journey_version(journey) if journey is not None else None
    if journey is not None and (journey.shadow or name in wishes.shadows):
        shadowed = wire.JourneyLine(
            version=line.version,
            source=line.source,
            shadow=version,
            shadow_source=source,
            shadow_at_ms=(line.shadow == version and line.shadow_at_ms) or publication.at_ms,
            older=line.older,
        )
        kind: ChangeKind = "same" if line.shadow == version else "added" if line.shadow is None else "changed"
        return shadowed, Change(name, kind, line.shadow, version, None, shadow=True)
    older = dict(line.older)
    if version is not None:
        older.pop(version, None)
    following = wire.JourneyLine(version=version, source=source if version is not None else None, older=older)
    if line.version == version:
        return following, Change(name, "same", version, version)
    if line.version is None:
        return following, Change(name, "added", None, version)
    policy = wishes.policies.get(name) or (journey or before or _FOLLOW).on_edit
    aligned = None
    if policy == "follow" and before is not None and journey is not None:
        aligned = align(before, journey, {**journey.moves, **wishes.moves.get(name, {})})
    older[line.version] = wire.OlderVersion(
        policy=policy,
        source=line.source or source,
        to=version if policy == "follow" else None,
        moves=aligned.changed() if aligned is not None else {},
        longer_ms=aligned.longer_ms if aligned is not None else {},
        at_ms=publication.at_ms,
    )
    kind = "removed" if version is None else "changed"
    return following, Change(name, kind, line.version, version, policy)


class _Follow(NamedTuple):
    on_edit: EditPolicy = "follow"


_FOLLOW: Final = _Follow()
"""For a journey of which no file is known any more."""


def needed(in_force: wire.InForce) -> set[str]:
    """The workspace versions that must be loaded to run what is in force."""
    versions = {in_force.version}
    for line in in_force.journeys.values():
        versions |= {one for one in (line.source, line.shadow_source) if one is not None}
        versions |= {older.source for older in line.older.values() if older.policy != "follow"}
    return versions


def newest_journeys(in_force: wire.InForce, workspaces: Mapping[str, Workspace]) -> dict[str, Journey]:
    """The newest version of each journey, of those whose workspace version is there."""
    return {
        name: _journey(workspaces, line.source, name)
        for name, line in in_force.journeys.items()
        if line.source is not None and line.source in workspaces
    }


def readable(in_force: wire.InForce, workspaces: Collection[str]) -> wire.InForce:
    """What is in force, with only these workspace versions.

    Where others are needed their people follow the newest version of the journey, and shadows end: a
    workspace that nobody can run must not keep people from publishing one that runs.
    """
    lines = {}
    for name, line in in_force.journeys.items():
        older = {
            version: one
            if one.policy == "follow" or one.source in workspaces
            else wire.OlderVersion(
                policy="follow", source=one.source, to=line.version, moves={}, longer_ms={}, at_ms=one.at_ms
            )
            for version, one in line.older.items()
        }
        lines[name] = replace(line, older=older)
        if line.shadow_source not in workspaces:
            lines[name] = replace(lines[name], shadow=None, shadow_source=None, shadow_at_ms=None)
    return replace(in_force, journeys=lines)


def with_strays(in_force: wire.InForce, people: Mapping[Cell, int]) -> wire.InForce:
    """What is in force, with the versions of people who are inside and of which nothing was published.

    They come from workers that ran a folder. Their steps are taken for those of the same path.
    """
    lines = dict(in_force.journeys)
    for cell in people:
        line = lines.get(cell.journey, wire.JourneyLine(older={}))
        if is_shadow(cell.journey) or cell.version == line.version or cell.version in line.older:
            continue
        stray = wire.OlderVersion(
            policy="follow",
            source=in_force.version,
            to=line.version,
            moves={},
            longer_ms={},
            at_ms=in_force.at_ms,
        )
        lines[cell.journey] = replace(line, older={**line.older, cell.version: stray})
    return replace(in_force, journeys=lines)


def compose(
    in_force: wire.InForce,
    workspaces: Mapping[str, Workspace],
    states: Iterable[wire.JourneyState] = (),
) -> tuple[Workspace, Lines]:
    """The workspace to run, and what runs beside it; ``workspaces`` holds all that are :func:`needed`.

    Raises:
        KeyError: a version that is needed, or the journey in it, is not there.
    """
    journeys: list[Journey] = []
    shadows: list[Journey] = []
    pinned: list[Pinned] = []
    moves: dict[str, dict[str, Move]] = {}
    for name, line in in_force.journeys.items():
        if line.version is not None and line.source is not None:
            journeys.append(_journey(workspaces, line.source, name))
        if line.shadow is not None and line.shadow_source is not None:
            shadows.append(_journey(workspaces, line.shadow_source, name))
        for version, older in line.older.items():
            if older.policy == "follow":
                move = Move(older.to, older.moves, older.longer_ms, older.at_ms)
                moves.setdefault(name, {})[version] = move
            else:
                journey = _journey(workspaces, older.source, name)
                pinned.append(Pinned(journey, version, older.policy == "pin"))
    running = {state.journey: running_of(state) for state in states}
    versions = {name: line.version for name, line in in_force.journeys.items() if line.version is not None}
    newest = workspaces[in_force.version]
    composed = newest.model_copy(update={"journeys": tuple(journeys)})
    began_ms = {
        name: line.shadow_at_ms or in_force.at_ms
        for name, line in in_force.journeys.items()
        if line.shadow is not None
    }
    return composed, Lines(tuple(pinned), tuple(shadows), moves, running, versions, began_ms)


def running_of(state: wire.JourneyState) -> Running:
    """What a word about a journey means to the engine."""
    resumed_at_ms = state.at_ms if state.state != "paused" else 0
    return Running(state.state, state.paused_at_ms, resumed_at_ms, state.spread_ms)


def fates(plan: Plan, people: Mapping[Cell, int]) -> list[Fate]:
    """What becomes of those inside under a plan, as the engine itself decides it."""
    found = []
    for cell in sorted(people):
        subject_plan = plan.user if cell.subject == "user" else plan.account
        positions = tuple(Position(step, 0) for step in cell.steps)
        enrollment = Enrollment(
            "", cell.journey, cell.version, 0, _NO_TRIGGER, cell.steps[0], positions=positions
        )
        journey, carried, reason = carry(subject_plan, enrollment)
        if journey is None:
            found.append(Fate(cell, people[cell], None, (), reason))
        else:
            steps = tuple(sorted(position.step for position in carried.places))
            found.append(Fate(cell, people[cell], carried.version, steps))
    return found


def without_left(in_force: wire.InForce, people: Mapping[Cell, int], now_ms: int) -> wire.InForce:
    """What is in force without older versions that nobody is inside of, a week after they were replaced."""
    inside = {(cell.journey, cell.version) for cell, number in people.items() if number}
    lines = {}
    for name, line in in_force.journeys.items():
        older = {
            version: one
            for version, one in line.older.items()
            if (name, version) in inside
            or now_ms - one.at_ms < KEPT_MS
            or _leads_on(line, version, name, inside)
        }
        lines[name] = replace(line, older=older)
    kept = {name: line for name, line in lines.items() if line.version or line.shadow or line.older}
    return replace(in_force, journeys=kept)


def _leads_on(line: wire.JourneyLine, version: str, name: str, inside: Collection[tuple[str, str]]) -> bool:
    """Whether people of a version before this one have to come through it."""
    for other in line.older:
        at: str | None = other
        while at is not None and (name, other) in inside:
            at = line.older[at].to if at in line.older else None
            if at == version:
                return True
    return False


def _journey(workspaces: Mapping[str, Workspace], source: str, name: str) -> Journey:
    for journey in workspaces[source].journeys:
        if journey.journey == name:
            return journey.model_copy(update={"shadow": False})
    raise KeyError(f"{source} has no journey {name}")


_NO_TRIGGER: Final = TriggerFacts("", "", 0, {})
