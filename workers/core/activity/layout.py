"""Which slots a subject's rows have: as few as serve all that is asked, each kept as long as needed."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from schemas.workspace import (
    ExitEvent,
    Journey,
    OnReaching,
    PerformedCondition,
    SustainedCondition,
    WaitForStep,
)
from workers.core.activity.needs import Need, PlainNeed, needs, where_text
from workers.core.activity.slots import MeasureSlot, TruthSlot
from workers.core.conditions.comparisons import compile_path, compile_where
from workers.core.conditions.compile import compile_condition
from workers.core.ids import stable_id
from workers.core.journeys.progress import ELIGIBLE_MAX_AGE_MS
from workers.core.journeys.triggers import reaching
from workers.core.plan import Slot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from schemas.workspace import Segment, Where
    from workers.core.conditions.compile import Names


class SlotCollisionError(ValueError):
    """Two slots hash to the same id. Operator action: change the length of one of them, by a minute say."""


class SlotLayout:
    """The slots that journeys and segments need, by what they hold.

    Raises:
        SlotCollisionError: once in some billion pairs of slots; the message names them.
    """

    def __init__(self, journeys: Iterable[Journey], segments: Iterable[Segment] = ()) -> None:
        ours: tuple[Journey | Segment, ...] = (*journeys, *segments)
        found = [need for one in ours for need in _needs(one)]
        self._ids: dict[int, tuple[str, ...]] = {}
        self._plain = self._plain_slots([need for need in found if isinstance(need, PlainNeed)])
        self._measures = self._measure_slots([need for need in found if isinstance(need, Need)])
        self._truths: dict[int, SustainedCondition] = {}
        for one in ours:
            for condition in one.conditions():
                if not isinstance(condition, SustainedCondition):
                    continue
                if not isinstance(condition.sustained, PerformedCondition):
                    self._truths.setdefault(self.truth_id(condition), condition)
        self.plain = tuple(self._plain.values())
        self.measures = tuple(self._measures.values())
        self.parts: Mapping[int, tuple[str, ...]] = self._ids
        """What each of these slots is made of, by its id; its length stands last."""

    def slot_id(self, event: str, where: Where | None) -> int:
        """See :class:`workers.core.conditions.compiled.Names`."""
        return self._plain[event, where_text(where)].id

    def measure_id(self, need: Need) -> int:
        """See :class:`workers.core.conditions.compiled.Names`."""
        return self._measures[need.key()].id

    def truth_id(self, condition: SustainedCondition) -> int:
        """See :class:`workers.core.conditions.compiled.Names`. Without how long it must last."""
        inner = condition.sustained.model_dump(mode="json", exclude_defaults=True)
        return _id("truth", json.dumps(inner, sort_keys=True, separators=(",", ":")))

    def truths(self, names: Names) -> tuple[TruthSlot, ...]:
        """What is to be followed when traits change."""
        return tuple(
            TruthSlot(slot_id, compile_condition(self._truths[slot_id].sustained, names).test)
            for slot_id in sorted(self._truths)
        )

    def _plain_slots(self, found: list[PlainNeed]) -> dict[tuple[str, str], Slot]:
        longest_ms: dict[tuple[str, str], int] = defaultdict(int)
        wheres: dict[tuple[str, str], Where | None] = {}
        for need in found:
            key = (need.event, where_text(need.where))
            longest_ms[key] = max(longest_ms[key], need.within_ms)
            wheres[key] = need.where
        slots = {}
        for key in sorted(longest_ms):
            slot_id = self._claim("slot", *key, str(longest_ms[key]))
            slots[key] = Slot(slot_id, key[0], compile_where(wheres[key]), longest_ms[key])
        return slots

    def _measure_slots(self, found: list[Need]) -> dict[tuple[str, ...], MeasureSlot]:
        longest: dict[tuple[str, ...], Need] = {}
        for need in found:
            held = longest.setdefault(need.key(), need)
            if (need.lookback_ms or 0) > (held.lookback_ms or 0):
                longest[need.key()] = need
        slots = {}
        for key in sorted(longest):
            need = longest[key]
            slot_id = self._claim("measure", *key, str(need.lookback_ms))
            read = compile_path(need.path) if need.path is not None else None
            where = compile_where(need.where)
            slots[key] = MeasureSlot(slot_id, need.event, where, need.function, read, need.lookback_ms)
        return slots

    def _claim(self, *parts: str) -> int:
        slot_id = _id(*parts)
        if slot_id in self._ids:
            raise SlotCollisionError(f"{self._ids[slot_id]} and {parts} have the same id {slot_id:08x}")
        self._ids[slot_id] = parts
        return slot_id


def _id(*parts: str) -> int:
    return int(stable_id(*parts)[:8], 16)


def _needs(one: Journey | Segment) -> Iterator[PlainNeed | Need]:
    """What conditions read, and what a journey's exits and waits need until an enrolment looked for them."""
    for condition in one.top_conditions():
        yield from needs(condition)
    for trigger in one.entry.event_triggers() if isinstance(one, Journey) else ():
        if isinstance(trigger, OnReaching):
            yield from needs(reaching(trigger))
    for leaving in one.exit if isinstance(one, Journey) else ():
        if isinstance(leaving.when, ExitEvent):
            yield PlainNeed(leaving.when.event, leaving.when.where, ELIGIBLE_MAX_AGE_MS + 1)
    for step in one.all_steps() if isinstance(one, Journey) else ():
        if isinstance(step, WaitForStep) and step.wait_for.since == "entry":
            for awaited in step.wait_for.awaited():
                if awaited.match is None:
                    yield PlainNeed(awaited.event, awaited.where, ELIGIBLE_MAX_AGE_MS + 1)
