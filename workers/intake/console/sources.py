"""What the console shows comes from here: each source is given to it, and none of them is its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from schemas.fields import SubjectType
    from schemas.workspace import Workspace
    from workers.clock import Clock
    from workers.core.plan import Plan
    from workers.intake.listing import PageReader
    from workers.intake.standing import StandingReader
    from workers.tallies import Standing, StepTally, Tally


@dataclass(frozen=True, slots=True)
class Defined:
    """The workspace in force. ``published_at_ms`` is None where it is a folder's."""

    name: str
    version: str
    published_at_ms: int | None
    workspace: Workspace
    plan: Plan


class Rows(Protocol):
    """What the insights counted, by partition."""

    def tallies(self) -> Sequence[Tally]:
        """What became of journeys."""
        ...

    def steps(self) -> Sequence[StepTally]:
        """What came out at steps."""
        ...

    def standing(self) -> Sequence[Standing]:
        """Who stands where."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """All of them.

    ``ready`` says whether the rows are complete. ``defined`` may block; None: no workspace is named.
    ``decisions`` of a subject since a time, and ``timers`` that are overdue, are read from topics: they raise
    as :class:`workers.intake.standing.StandingReader` does.
    """

    clock: Clock
    rows: Rows
    ready: Callable[[], bool]
    defined: Callable[[], Defined | None]
    standing: StandingReader
    pages: PageReader
    decisions: Callable[[SubjectType, str, int], Awaitable[list[dict[str, Any]]]]
    timers: Callable[[], Awaitable[list[dict[str, Any]]]]
