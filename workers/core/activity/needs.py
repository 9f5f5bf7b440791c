"""Which slots a condition reads, said once: to collect them for the plan and to compile what reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from schemas.workspace import (
    FirstCondition,
    LastCondition,
    MeasureCondition,
    PerformedCondition,
    SustainedCondition,
)
from schemas.workspace.conditions import MAX_COUNT, children
from schemas.workspace.spans import lookback_ms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.workspace import Condition, Where
    from workers.core.activity.slots import Function


@dataclass(frozen=True, slots=True)
class PlainNeed:
    """A plain window of an event, at least ``within_ms`` long."""

    event: str
    where: Where | None
    within_ms: int


@dataclass(frozen=True, slots=True)
class Need:
    """A measure of an event over at least ``lookback_ms``; None: for ever."""

    function: Function
    event: str
    where: Where | None
    path: str | None
    lookback_ms: int | None

    def key(self) -> tuple[str, ...]:
        """What needs share that one slot can serve: it must be kept for the longest of them."""
        kept = "ever" if self.lookback_ms is None else "lately"
        return self.function, self.event, where_text(self.where), self.path or "", kept


def is_plain(condition: PerformedCondition) -> bool:
    """Whether a plain window answers exactly: one sliding window, and a number up to what it keeps singly."""
    most = max((number for number in condition.bounds() if number is not None), default=0)
    return isinstance(condition.within, int) and condition.windows == 1 and most <= MAX_COUNT


def need_of(condition: PerformedCondition | MeasureCondition | FirstCondition | LastCondition) -> Need:
    """What a condition needs that no plain window serves."""
    match condition:
        case PerformedCondition():
            reach_ms = lookback_ms(condition.within, condition.windows)
            return Need("count", condition.performed, condition.where, None, reach_ms)
        case MeasureCondition():
            function = "sum" if condition.function == "average" else condition.function
            reach_ms = lookback_ms(condition.within, condition.windows)
            return Need(
                cast("Function", function), condition.event, condition.where, condition.path, reach_ms
            )
        case FirstCondition():
            return Need("count", condition.first, condition.where, None, None)
        case LastCondition():
            return Need("count", condition.last, condition.where, None, None)


def sustained_need(condition: SustainedCondition) -> Need:
    """What a sustained count needs: every window that ended during that time."""
    inner = condition.sustained
    assert isinstance(inner, PerformedCondition)
    assert isinstance(inner.within, int)
    return Need("count", inner.performed, inner.where, None, inner.within + condition.for_)


def needs(condition: Condition) -> Iterator[PlainNeed | Need]:
    """Every slot that a condition, with those inside it, reads of events."""
    match condition:
        case PerformedCondition() if is_plain(condition):
            yield PlainNeed(condition.performed, condition.where, cast("int", condition.within))
        case PerformedCondition() | MeasureCondition() | FirstCondition() | LastCondition():
            yield need_of(condition)
        case SustainedCondition() if isinstance(condition.sustained, PerformedCondition):
            yield sustained_need(condition)
        case _:
            for inner in children(condition):
                yield from needs(inner)


def where_text(where: Where | None) -> str:
    """A text that two ``where`` share only if they mean the same."""
    if where is None:
        return ""
    plain = {
        path: comparison.model_dump(mode="json", exclude_defaults=True) for path, comparison in where.items()
    }
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))
