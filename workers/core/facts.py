"""What a decision may know about a subject at one instant."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from workers.core.activity import windows
from workers.core.activity.windows import Inside
from workers.core.consent import TRAIT, consents, known
from workers.core.devices import address_of
from workers.core.engaged import NOTHING, EngagementRow
from workers.core.journeys.progress import last_received_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from workers.core.consent import Consents
    from workers.core.devices import Devices
    from workers.core.journeys.progress import Progress
    from workers.core.objects.facts import ObjectFacts
    from workers.core.objects.row import Held
    from workers.core.scoring.row import Scored


class Facts(Protocol):
    """The newest state of one subject as of one ``now_ms``, without its progress. Reading changes nothing."""

    @property
    def traits(self) -> Mapping[str, Any]:
        """Traits of the subject itself: the user's, or in an account's journey the account's."""

    @property
    def account_traits(self) -> Mapping[str, Any]:
        """Traits of the account that is looked at; of an account, the same as ``traits``."""

    def of_account(self, account: str | None) -> Facts:
        """The same, looking at another of the user's accounts.

        None: at the present one. Of an account that the user has left, nothing is known.
        """

    def in_account(self, account: str | None) -> bool:
        """Whether the user is in the account; of None, and of an account's own facts, always."""

    @property
    def event_properties(self) -> Mapping[str, Any]:
        """Properties of the event being looked at; empty where there is none."""

    @property
    def event(self) -> tuple[str, int] | None:
        """Name and time (ms) of the event being looked at, which windows hold already; None where none is."""

    def count(self, slot_id: int, within_ms: int) -> int:
        """How many occurrences the subject's plain slot holds in ``(now - within_ms, now]``."""

    def inside(self, slot_id: int, within_ms: int) -> Inside | None:
        """The same, with how it goes on by time alone; None where the slot holds nothing."""

    def held(self, slot_id: int) -> bytes | None:
        """What a slot that is not plain holds (:mod:`workers.core.activity.slots`); None for nothing."""

    def in_segment(self, name: str) -> bool:
        """Whether the subject is in the segment now."""

    def account_in_segment(self, name: str) -> bool | None:
        """Whether the account that is looked at is in a segment of accounts; None: it has not told."""

    def score(self, name: str) -> float | None:
        """The subject's score now; None where there is none of that name."""

    def score_crosses_ms(self, name: str, level: float) -> int | None:
        """When, after now, time alone takes the score to the other side of ``level``; None: never."""

    def consent(self, channel: str, topic: str | None) -> bool | None:
        """Whether the person consents; ``topic`` None: to the channel. None where they never said.

        The one answer to this question; whether a message may go then, :mod:`workers.core.consent` says.
        """

    def converted_at_ms(self, journeys: frozenset[str]) -> int | None:
        """When the subject last reached the goal of one of the journeys; None where it never did."""

    def related(self, object_type: str, relationship: str | None) -> Iterable[Held]:
        """The objects of a type that are related so (None: in any way) to the subject; also ended ones."""

    def attribute(self, object_type: str, object_id: str, path: tuple[str, ...]) -> Any:
        """An attribute of an object, or of the one that it refers to; None where it is not known."""

    def shown(self) -> dict[str, list[dict[str, Any]]]:
        """The related objects that templates see, by relationship."""

    def engagement(self) -> EngagementRow:
        """What the person does with messages, and which channels are closed to them."""

    def push_address(self) -> str | None:
        """Where push notifications to the person go (:func:`workers.core.devices.address_of`)."""


@dataclass(frozen=True, slots=True)
class SubjectFacts:
    """The :class:`Facts` made of a subject's state rows.

    ``windows`` are those of its :class:`workers.core.activity.row.Activity`; ``retentions_ms`` is
    ``SubjectPlan.retentions_ms``: the retention of each plain slot by its id. ``segments``, ``scored``,
    ``conversions_ms`` by journey and ``objects`` are what rows know of those; empty, or None, where no row
    keeps them. ``consented`` reads the row of consents, where somebody asks. ``account_traits`` are those of
    a user's present account, unless another is asked for; ``accounts`` holds the traits of each (None: nobody
    asks for others).
    """

    now_ms: int
    traits: Mapping[str, Any] = field(default_factory=dict)
    account_traits: Mapping[str, Any] = field(default_factory=dict)
    event_properties: Mapping[str, Any] = field(default_factory=dict)
    windows: Mapping[int, bytes] = field(default_factory=dict)
    retentions_ms: Mapping[int, int] = field(default_factory=dict)
    event: tuple[str, int] | None = None
    segments: frozenset[str] = frozenset()
    scored: Scored | None = None
    consented: Callable[[], Consents | None] | None = None
    conversions_ms: Mapping[str, int] = field(default_factory=dict)
    objects: ObjectFacts | None = None
    accounts: Mapping[str, Mapping[str, Any]] | None = None
    engaged: Callable[[], EngagementRow] | None = None
    """Reads the row of engagement; it is read where a message is decided, and nowhere else."""

    devices: Callable[[], Devices | None] | None = None
    """Reads the row of devices, likewise."""

    account_segments: Mapping[str, bool] = field(default_factory=dict)
    """What the account that is looked at told of its segments."""

    segments_of: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    """The same of each account of a user that told something."""

    def of_account(self, account: str | None) -> SubjectFacts:
        """See :meth:`Facts.of_account`."""
        if account is None or self.accounts is None:
            return self
        return replace(
            self,
            account_traits=self.accounts.get(account, {}),
            account_segments=self.segments_of.get(account, {}),
        )

    def in_account(self, account: str | None) -> bool:
        """See :meth:`Facts.in_account`."""
        return account is None or self.accounts is None or account in self.accounts

    def count(self, slot_id: int, within_ms: int) -> int:
        """See :meth:`Facts.count`; ``slot_id`` is one of the plan's."""
        held = self.windows.get(slot_id)
        return windows.count(held, self.now_ms, within_ms, self.retentions_ms[slot_id]) if held else 0

    def inside(self, slot_id: int, within_ms: int) -> Inside | None:
        """See :meth:`Facts.inside`."""
        held = self.windows.get(slot_id)
        return Inside(held, self.now_ms, within_ms, self.retentions_ms[slot_id]) if held else None

    def held(self, slot_id: int) -> bytes | None:
        """See :meth:`Facts.held`."""
        return self.windows.get(slot_id)

    def in_segment(self, name: str) -> bool:
        """See :meth:`Facts.in_segment`."""
        return name in self.segments

    def account_in_segment(self, name: str) -> bool | None:
        """See :meth:`Facts.account_in_segment`."""
        return self.account_segments.get(name)

    def score(self, name: str) -> float | None:
        """See :meth:`Facts.score`."""
        return self.scored.value(name, self.now_ms) if self.scored is not None else None

    def score_crosses_ms(self, name: str, level: float) -> int | None:
        """See :meth:`Facts.score_crosses_ms`."""
        return self.scored.crosses_ms(name, level, self.now_ms) if self.scored is not None else None

    def consent(self, channel: str, topic: str | None) -> bool | None:
        """See :meth:`Facts.consent`."""
        row = self.consented() if self.consented is not None else None
        return consents(known(row, self.traits.get(TRAIT)), channel, topic)

    def converted_at_ms(self, journeys: frozenset[str]) -> int | None:
        """See :meth:`Facts.converted_at_ms`."""
        return max((at_ms for name, at_ms in self.conversions_ms.items() if name in journeys), default=None)

    def engagement(self) -> EngagementRow:
        """See :meth:`Facts.engagement`."""
        return self.engaged() if self.engaged is not None else NOTHING

    def push_address(self) -> str | None:
        """See :meth:`Facts.push_address`."""
        return address_of(self.devices()) if self.devices is not None else None

    def related(self, object_type: str, relationship: str | None) -> Iterable[Held]:
        """See :meth:`Facts.related`."""
        return () if self.objects is None else self.objects.related(object_type, relationship)

    def attribute(self, object_type: str, object_id: str, path: tuple[str, ...]) -> Any:
        """See :meth:`Facts.attribute`."""
        return None if self.objects is None else self.objects.attribute(object_type, object_id, path)

    def shown(self) -> dict[str, list[dict[str, Any]]]:
        """See :meth:`Facts.shown`."""
        return {} if self.objects is None else self.objects.shown()


@dataclass(frozen=True, slots=True)
class Moment:
    """All that a condition looks at: the facts, and how far the subject is in its journeys.

    ``rechecking``: an enrolment looks again at what made the subject eligible. A count that the trigger made
    reach its number has been reached for good. ``properties`` are those of the trigger, where the event that
    is looked at is another one, or none; None: the event is the trigger. ``variants`` are the enrollment's,
    ``llm`` what came of its LLM steps.
    """

    facts: Facts
    progress: Progress
    now_ms: int
    rechecking: bool = False
    properties: Mapping[str, Any] | None = None
    variants: Mapping[str, str] | None = None
    llm: Mapping[str, str] | None = None
    readings: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What conditions read of windows at this moment, so that those that ask for the same read it once."""

    @property
    def event_properties(self) -> Mapping[str, Any]:
        """Properties of the event that conditions call the triggering one."""
        return self.facts.event_properties if self.properties is None else self.properties

    def received_at_ms(self, tags: frozenset[str], channel: str | None, lo_ms: int, hi_ms: int) -> int | None:
        """When the newest message with one of ``tags`` (empty: any) over ``channel`` (None: any) was sent.

        None where there was none in ``[lo_ms, hi_ms)`` until now.
        """
        return last_received_ms(self.progress, tags, channel, lo_ms - 1, min(hi_ms - 1, self.now_ms))

    def enrolled(self, journeys: frozenset[str]) -> str | None:
        """The first of the subject's active journeys that is among ``journeys``; None where none is."""
        active = (held.journey for held in self.progress.enrollments if held.is_active)
        return next((journey for journey in active if journey in journeys), None)

    def entered_at_ms(self, journeys: frozenset[str]) -> int | None:
        """When the subject last entered one of ``journeys``; None where it never did."""
        entered = self.progress.entered
        return max((entered[name] for name in journeys if name in entered), default=None)
