"""What a condition is compiled to, and what it is compiled with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from schemas.workspace import SustainedCondition, Where
    from workers.core.activity.needs import Need
    from workers.core.conditions.outcome import Outcome
    from workers.core.facts import Moment
    from workers.core.zones import Zones

    Values: TypeAlias = dict[str, Any]
    Test: TypeAlias = Callable[[Moment, Values], Outcome]
    Changes: TypeAlias = Callable[[Moment], int | None]

Found = TypeVar("Found")

LOOK_UP: Final = 0
"""Cost of reading a trait."""
SEARCH: Final = 1
"""Cost of going through the subject's messages or enrollments."""
COUNT: Final = 2
"""Cost of counting in a window."""


class Names(Protocol):
    """What conditions refer to by name, resolved when the plan is made."""

    def slot_id(self, event: str, where: Where | None) -> int:
        """The plain slot that an event is recorded in."""

    def measure_id(self, need: Need) -> int:
        """The slot that serves a need (:mod:`workers.core.activity.needs`)."""

    def truth_id(self, condition: SustainedCondition) -> int:
        """The slot that says since when a condition on traits has been true."""

    def journeys(self, names: Iterable[str], tags: Iterable[str]) -> frozenset[str]:
        """The journeys of those names, and those that have one of the tags."""

    def zones(self) -> Zones:
        """Zones and dates; reads the zone tables when it is called for the first time."""


def never(moment: Moment) -> int | None:  # noqa: ARG001  what only records change
    """The outcome does not change by itself."""
    return None


@dataclass(frozen=True, slots=True, eq=False)
class CompiledCondition:
    """One condition. ``test`` notes the values it looks at under names that people understand.

    ``changes_at_ms(moment)`` is the earliest instant after now at which the outcome may differ though nothing
    else happens: perhaps too early, never too late. None: it stays as it is.

    ``slots`` are all that it asks about beside the time; None: it asks about more than slots.
    """

    label: str
    cost: int
    test: Test
    changes_at_ms: Changes = never
    slots: frozenset[int] | None = None


_UNREAD: Final[Any] = object()


def shared(key: tuple[Any, ...], read: Callable[[Moment], Found]) -> Callable[[Moment], Found]:
    """``read``, done once for a moment however many conditions ask: what they ask for has the same ``key``.

    It may depend on the windows and the time alone.
    """

    def once(moment: Moment) -> Found:
        known = moment.readings
        found: Found = known.get(key, _UNREAD)
        if found is _UNREAD:
            found = known[key] = read(moment)
        return found

    return once


def earliest(instants: Iterable[int | None], after_ms: int) -> int | None:
    """The first of some instants after one; None where there is none."""
    return min((one for one in instants if one is not None and one > after_ms), default=None)
