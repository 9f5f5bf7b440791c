"""What a decision may know about a subject at one instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from workers.core import windows
from workers.core.progress import last_received_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.progress import Progress


class Facts(Protocol):
    """The newest state of one subject as of one ``now_ms``, without its progress. Reading changes nothing."""

    @property
    def traits(self) -> Mapping[str, Any]:
        """Traits of the subject itself: the user's, or in an account's journey the account's."""

    @property
    def account_traits(self) -> Mapping[str, Any]:
        """Traits of the account: of a user's present account; of an account, the same as ``traits``."""

    @property
    def event_properties(self) -> Mapping[str, Any]:
        """Properties of the event being looked at; empty where there is none."""

    def count(self, slot_id: int, within_ms: int) -> int:
        """How many occurrences the subject's slot holds in ``(now - within_ms, now]``."""


@dataclass(frozen=True, slots=True)
class SubjectFacts:
    """The :class:`Facts` made of a subject's state rows.

    ``windows`` are those of its :class:`workers.core.activity.Activity`; ``retentions_ms`` is
    ``SubjectPlan.retentions_ms``: the retention of each slot by its id.
    """

    now_ms: int
    traits: Mapping[str, Any] = field(default_factory=dict)
    account_traits: Mapping[str, Any] = field(default_factory=dict)
    event_properties: Mapping[str, Any] = field(default_factory=dict)
    windows: Mapping[int, bytes] = field(default_factory=dict)
    retentions_ms: Mapping[int, int] = field(default_factory=dict)

    def count(self, slot_id: int, within_ms: int) -> int:
        """See :meth:`Facts.count`; ``slot_id`` is one of the plan's."""
        held = self.windows.get(slot_id)
        return windows.count(held, self.now_ms, within_ms, self.retentions_ms[slot_id]) if held else 0


@dataclass(frozen=True, slots=True)
class Moment:
    """All that a condition looks at: the facts, and how far the subject is in its journeys."""

    facts: Facts
    progress: Progress
    now_ms: int

    def received_at_ms(self, tags: frozenset[str], channel: str | None, within_ms: int) -> int | None:
        """When the newest message with one of ``tags`` (empty: any) over ``channel`` (None: any) was sent.

        None where there was none in ``(now - within_ms, now]``.
        """
        return last_received_ms(self.progress, tags, channel, self.now_ms - within_ms, self.now_ms)

    def enrolled(self, journeys: frozenset[str]) -> str | None:
        """The first of the subject's active journeys that is among ``journeys``; None where none is."""
        active = (held.journey for held in self.progress.enrollments if held.is_active)
        return next((journey for journey in active if journey in journeys), None)
