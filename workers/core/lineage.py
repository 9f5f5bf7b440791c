"""The versions of a journey that people are inside of, and how they get from one to the next.

An enrollment keeps the version that it runs. A version that was replaced has a :class:`Move` (its people
follow), or is still among the plan's ``pinned`` (they finish it). Moves make chains: someone who slept
through three publications takes all three moves when they are looked at, and ends up where someone would
who took each as it came. A version that is put in force again loses its own move, so no chain is a circle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from workers.core.ids import bucket

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schemas.fields import JourneyCondition
    from schemas.workspace import Journey
    from workers.core.plan import JourneyPlan, SubjectPlan
    from workers.core.progress import Enrollment

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

    ``steps`` has the new path of each step whose path differs (None: there is no such step any more);
    ``longer_ms`` by how much the wait at an old path became longer (below 0: shorter). ``at_ms`` is when it
    was published.
    """

    to: str | None
    steps: Mapping[str, str | None]
    longer_ms: Mapping[str, int]
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
    """

    pinned: tuple[Pinned, ...] = ()
    shadows: tuple[Journey, ...] = ()
    moves: Mapping[str, Mapping[str, Move]] = field(default_factory=dict)
    running: Mapping[str, Running] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


class Carried(NamedTuple):
    """An enrollment in the version that governs it now.

    ``journey`` is None where there is none, with the ``reason``: journey_gone, version_gone where the
    enrollment's step has no successor, or :data:`UNKNOWN`.
    """

    journey: JourneyPlan | None
    enrollment: Enrollment
    reason: str = ""


def carry(plan: SubjectPlan, enrollment: Enrollment) -> Carried:
    """The enrollment as its journey's versions have it now: its version, its step, its due time.

    Of a workspace that was not published, an older version is followed by the newest, if that has the step.
    Of a published one every version that people are inside of is known; where one is not, this worker is
    behind those who put the enrollment there, and must not guess (:data:`UNKNOWN`).
    """
    moved = enrollment
    for move in _moves(plan, enrollment):
        if move.to is None:
            return Carried(None, enrollment, "journey_gone")
        step = move.steps.get(moved.step, moved.step)
        if step is None:
            return Carried(None, enrollment, "version_gone")
        moved = replace(moved, version=move.to, step=step, due_ms=_due_ms(moved, move))
    journey = plan.version(moved.journey, moved.version)
    may_guess = not plan.inside or is_shadow(moved.journey)
    if not may_guess and (journey is None or journey.version != moved.version):
        return Carried(None, enrollment, UNKNOWN)
    if journey is None or moved.step not in journey.steps:
        return Carried(None, enrollment, "journey_gone" if journey is None else "version_gone")
    return Carried(
        journey, moved if moved.version == journey.version else replace(moved, version=journey.version)
    )


def _moves(plan: SubjectPlan, enrollment: Enrollment) -> Iterator[Move]:
    """The moves from an enrollment's version on, in their order."""
    moves, version = plan.moves.get(enrollment.journey, {}), enrollment.version
    while (move := moves.get(version)) is not None:
        yield move
        if move.to is None:
            return
        version = move.to


def _due_ms(enrollment: Enrollment, move: Move) -> int | None:
    """When a wait that was made longer or shorter is over, counted from its beginning."""
    due_ms, longer_ms = enrollment.due_ms, move.longer_ms.get(enrollment.step, 0)
    if due_ms is None or longer_ms >= 0:
        return due_ms if due_ms is None else due_ms + longer_ms
    earliest_ms = move.at_ms + SPREAD_MS * bucket("follow", enrollment.id) // 10_000
    return min(due_ms, max(due_ms + longer_ms, earliest_ms))


def governing(plan: SubjectPlan, enrollment: Enrollment) -> JourneyPlan | None:
    """The version whose exits and goal hold for an enrollment, ended ones too; None: there is none."""
    if not plan.moves and not plan.pinned:
        return plan.journeys.get(enrollment.journey)
    version: str | None = enrollment.version
    for move in _moves(plan, enrollment):
        version = move.to
    return plan.version(enrollment.journey, version or "")


def held(enrollment: Enrollment) -> Enrollment:
    """The enrollment of a paused journey whose time came: without a timer, due since then."""
    return replace(enrollment, timer_id=None)


def is_held(enrollment: Enrollment) -> bool:
    """Whether it waits for the end of a pause."""
    return enrollment.is_active and enrollment.timer_id is None and enrollment.due_ms is not None


def is_shadow(journey: str) -> bool:
    """Whether a journey's name is that of a shadow."""
    return journey.endswith(SHADOW_MARK)
