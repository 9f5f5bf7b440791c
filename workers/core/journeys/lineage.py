"""The versions of a journey that people are inside of, and how they get from one to the next.

An enrollment keeps the version that it runs. A version that was replaced has a :class:`Move` (its people
follow), or is still among the plan's ``pinned`` (they finish it). Moves make chains: someone who slept
through three publications takes all three moves when they are looked at, and ends up where someone would
who took each as it came. A version that is put in force again loses its own move, so no chain is a circle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from msgspec.structs import replace

from workers.core.ids import bucket
from workers.core.journeys.step_plans import RepeatStepPlan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schemas.fields import JourneyCondition
    from schemas.workspace import Journey
    from workers.core.journeys.progress import Enrollment, Position
    from workers.core.plan import JourneyPlan, SubjectPlan

_Kept = TypeVar("_Kept")

SPREAD_MS: Final = 600_000
"""Those whose wait is over because it became shorter go on within ten minutes, not all in one second."""

UNKNOWN: Final = "version_unknown"
"""A version that this worker has not heard of yet: its people are left as they are until it has."""

UNKNOWN_RETRY_MS: Final = 60_000
"""When somebody of an unknown version is looked at again: a worker is behind for seconds, or refuses it."""

SHADOW_MARK: Final = "~shadow"
"""Behind a journey's name: its shadow, whose history is kept apart from that of the journey itself."""


@dataclass(frozen=True, slots=True)
class Move:
    """How an older version is left: for version ``to`` of the journey, or for none (None).

    ``steps`` has the new path of each step whose path differs (None: there is no such step any more), and the
    same of what else is known by a step's path (:func:`workers.core.journeys.alignment.align`). ``longer_ms``
    says by how much the wait at an old path became longer (below 0: shorter; None: only the step itself can
    say). ``at_ms`` is when it was published.
    """

    to: str | None
    steps: Mapping[str, str | None]
    longer_ms: Mapping[str, int | None]
    at_ms: int


@dataclass(frozen=True, slots=True)
class Running:
    """Whether a journey runs.

    After a pause from ``paused_at_ms`` to ``resumed_at_ms`` what fell due meanwhile runs within
    ``spread_ms``, in the order in which it was due. ``paused_at_ms`` is None where there was none.
    """

    condition: JourneyCondition = "running"
    paused_at_ms: int | None = None
    resumed_at_ms: int = 0
    spread_ms: int = 0

    @property
    def refuses(self) -> str | None:
        """Why nobody may enter: paused, draining, stopped; None where they may."""
        return None if self.condition == "running" else self.condition

    def released_ms(self, due_ms: int) -> int:
        """When what was due at ``due_ms`` runs after the pause."""
        if self.paused_at_ms is None or due_ms >= self.resumed_at_ms:
            return due_ms
        length_ms = max(1, self.resumed_at_ms - self.paused_at_ms)
        into_ms = max(0, due_ms - self.paused_at_ms)
        return self.resumed_at_ms + into_ms * min(self.spread_ms, length_ms) // length_ms


RUNNING: Final = Running()


@dataclass(frozen=True, slots=True)
class Pinned:
    """An older version of a journey that people are inside of. ``takes_entries``: see ``JourneyPlan``."""

    journey: Journey
    version: str
    takes_entries: bool


@dataclass(frozen=True, slots=True)
class Lines:
    """What is in force beside a workspace's own journeys: older versions, shadows, pauses.

    ``moves`` by journey and version; ``running`` by journey, the missing ones run. ``versions`` are those of
    the newest journeys as they were published, by another Brimful perhaps, which hashes them otherwise.
    ``shadows_since_ms``: when the shadow of a journey was published.
    """

    pinned: tuple[Pinned, ...] = ()
    shadows: tuple[Journey, ...] = ()
    moves: Mapping[str, Mapping[str, Move]] = field(default_factory=dict)
    running: Mapping[str, Running] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    shadows_since_ms: Mapping[str, int] = field(default_factory=dict)


def plan_name(journey: Journey) -> str:
    """The name of a journey in plans, rows and records: a shadow's has a mark."""
    return journey.journey + SHADOW_MARK if journey.shadow else journey.journey


class Carried(NamedTuple):
    """An enrollment in the version that governs it now.

    ``journey`` is None where there is none, with the ``reason``: journey_gone, version_gone where the
    enrollment's step has no successor, or :data:`UNKNOWN`.
    """

    journey: JourneyPlan | None
    enrollment: Enrollment
    reason: str = ""


def carry(plan: SubjectPlan, enrollment: Enrollment) -> Carried:
    """The enrollment as its journey's versions have it now: its version, and where it stands until when.

    What fell due during a pause that is over has the time at which it is released. The timer and its time
    stay what they were: that is for who keeps the enrollment so.

    Of a workspace that was not published, an older version is followed by the newest, if that has the steps.
    Of a published one every version that people are inside of is known; where one is not, this worker is
    behind those who put the enrollment there, and must not guess (:data:`UNKNOWN`).
    """
    moved = enrollment
    for move in _moves(plan, enrollment.journey, enrollment.version):
        if move.to is None:
            return Carried(None, enrollment, "journey_gone")
        if (following := _moved(moved, move, move.to)) is None:
            return Carried(None, enrollment, "version_gone")
        moved = following
    journey = plan.version(moved.journey, moved.version)
    may_guess = not plan.inside or is_shadow(moved.journey)
    if not may_guess and (journey is None or journey.version != moved.version):
        return Carried(None, enrollment, UNKNOWN)
    if journey is None:
        return Carried(None, enrollment, "journey_gone")
    if any(position.step not in journey.steps for position in moved.places):
        return Carried(None, enrollment, "version_gone")
    if moved is not enrollment or moved.version != journey.version:
        moved = _settled(replace(moved, version=journey.version), journey)
    return Carried(journey, _released(moved, journey.running))


def step_now(plan: SubjectPlan, journey: str, version: str, step: str) -> str | None:
    """The path by which the version that follows ``version`` now has a step; None: it is gone."""
    for move in _moves(plan, journey, version):
        moved = move.steps.get(step, step) if move.to is not None else None
        if moved is None:
            return None
        step = moved
    return step


def version_now(plan: SubjectPlan, journey: str, version: str) -> JourneyPlan | None:
    """The version of a journey that follows ``version`` now, or is pinned; None: the journey is gone."""
    followed: str | None = version
    for move in _moves(plan, journey, version):
        followed = move.to
    return plan.version(journey, followed) if followed is not None else None


def _moves(plan: SubjectPlan, journey: str, version: str) -> Iterator[Move]:
    """The moves from a version on, in their order."""
    moves = plan.moves.get(journey, {})
    while (move := moves.get(version)) is not None:
        yield move
        if move.to is None:
            return
        version = move.to


def _moved(enrollment: Enrollment, move: Move, to: str) -> Enrollment | None:
    """The enrollment in the next version; None where a step that it stands at is gone."""
    earliest_ms = move.at_ms + SPREAD_MS * bucket("follow", enrollment.id) // 10_000
    positions = []
    for position in enrollment.places:
        step = move.steps.get(position.step, position.step)
        if step is None:
            return None
        longer_ms = move.longer_ms.get(position.step, 0)
        rounds = _renamed(position.rounds, move)
        positions.append(_timed(replace(position, step=step, rounds=rounds), longer_ms, earliest_ms))
    ran = move.steps.get(enrollment.step, enrollment.step)
    return replace(
        enrollment,
        version=to,
        # Where the step that ran last is gone, nothing but the place is left to tell of.
        step=ran if ran is not None else positions[0].step,
        positions=tuple(positions),
        early=_renamed(enrollment.early, move),
    )


def _renamed(held: Mapping[str, _Kept], move: Move) -> dict[str, _Kept]:
    """What is kept by paths, by those of the next version; without that of which there is no such path."""
    renamed = ((move.steps.get(path, path), kept) for path, kept in held.items())
    return {path: kept for path, kept in renamed if path is not None}


def _timed(position: Position, longer_ms: int | None, earliest_ms: int) -> Position:
    """The position at a wait that was made longer or shorter: its end is counted from its beginning."""
    if longer_ms == 0:
        return position
    due_ms, until_ms = position.due_ms, position.until_ms
    if longer_ms is None:
        # Asked again, the step says from when it was come to how long it waits now.
        return replace(position, due_ms=min(due_ms, earliest_ms), until_ms=None)
    over_ms = due_ms + longer_ms
    if longer_ms < 0:
        over_ms = min(due_ms, max(over_ms, earliest_ms))
    return replace(position, due_ms=over_ms, until_ms=None if until_ms is None else over_ms)


def _settled(enrollment: Enrollment, journey: JourneyPlan) -> Enrollment:
    """The enrollment in a version that it was not in before: one position at a place, in the loops around it.

    Who comes to stand in a loop without having been in it is in its first round.
    """
    loops = [step for step in journey.steps.values() if isinstance(step, RepeatStepPlan)]
    loops.sort(key=lambda loop: -len(loop.inside))
    positions: list[Position] = []
    for position in sorted(enrollment.places, key=lambda one: one.due_ms):
        rounds = {
            loop.path: position.rounds.get(loop.path, 1) for loop in loops if position.step in loop.inside
        }
        if position.step in position.rounds:
            rounds[position.step] = position.rounds[position.step]
        if not any((one.step, one.rounds) == (position.step, rounds) for one in positions):
            positions.append(replace(position, rounds=rounds))
    step = enrollment.step if enrollment.step in journey.steps else positions[0].step
    return replace(enrollment, step=step, positions=tuple(positions))


def _released(enrollment: Enrollment, running: Running) -> Enrollment:
    """The enrollment with what fell due during a pause, which is over, due within the time for that."""
    if running.condition == "paused" or running.paused_at_ms is None:
        return enrollment
    places = enrollment.places
    released = tuple(replace(one, due_ms=running.released_ms(one.due_ms)) for one in places)
    return enrollment if released == places else replace(enrollment, positions=released)


def governing(plan: SubjectPlan, enrollment: Enrollment) -> JourneyPlan | None:
    """The version whose exits and goal hold for an enrollment, ended ones too; None: there is none."""
    if not plan.moves and not plan.pinned:
        return plan.journeys.get(enrollment.journey)
    version: str | None = enrollment.version
    for move in _moves(plan, enrollment.journey, enrollment.version):
        version = move.to
    return plan.version(enrollment.journey, version or "")


def is_shadow(journey: str) -> bool:
    """Whether a journey's name is that of a shadow."""
    return journey.endswith(SHADOW_MARK)
