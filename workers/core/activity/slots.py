"""What a subject's row keeps of events beyond plain windows: one small value for each thing that is asked.

A plain window (:class:`workers.core.plan.Slot`) holds times alone and serves counts up to 128 within a
sliding window; it is what most definitions need and what the hot path writes. Everything else is a
:class:`MeasureSlot`, kept in the same mapping of the row, and written by :func:`record` alone.

===================  ==================================  ===========================================
function             with a retention                    for ever (retention None)
===================  ==================================  ===========================================
count                :mod:`workers.core.activity.series`          :mod:`workers.core.activity.lifetime`
sum, min, max        a series with numbers               the same, with a total
distinct, members    :mod:`workers.core.activity.distinct`        the same
===================  ==================================  ===========================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from workers.core.activity import distinct, lifetime, series
from workers.core.conditions.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from workers.core.conditions.comparisons import Getter, Predicate
    from workers.core.facts import Moment

Function: TypeAlias = Literal["count", "sum", "min", "max", "distinct", "members"]
"""What a slot makes of its events. An average is read from a sum, first and last times from a count."""


@dataclass(frozen=True, slots=True, eq=False)
class MeasureSlot:
    """A value other than a plain window. The id changes with anything that its content depends on.

    ``read`` gets the property that is aggregated; None for ``count`` and ``members``.
    """

    id: int
    event: str
    where: Predicate | None
    function: Function
    read: Getter | None
    retention_ms: int | None


@dataclass(frozen=True, slots=True, eq=False)
class TruthSlot:
    """Since when a condition on traits has been true; ``test`` asks it."""

    id: int
    test: Callable[[Moment, dict[str, Any]], Outcome]


def record(
    slot: MeasureSlot,
    held: bytes | None,
    at_ms: int,
    now_ms: int,
    properties: Mapping[str, Any],
    member: str | None,
) -> bytes | None:
    """The slot's value with one more event; ``held`` itself where the event does not concern it.

    Args:
        slot: of ``EventPlan.measures`` of that event.
        held: what the row holds under ``slot.id``; None where there is nothing yet, also as a result.
        at_ms: when it happened; what lies ahead of ``now_ms`` happened now.
        now_ms: the time of processing.
        properties: the event's.
        member: the user, for an account's row; None in a user's own.
    """
    at_ms, retention_ms = min(at_ms, now_ms), slot.retention_ms
    if retention_ms is not None and at_ms <= now_ms - retention_ms:
        return held
    if slot.where is not None and not slot.where(properties):
        return held
    function = slot.function
    value = member if slot.read is None else slot.read(properties)
    if function in {"distinct", "members"}:
        digest = distinct.digest_of(value)
        return held if digest is None else distinct.add(held, at_ms, digest, now_ms, retention_ms)
    number = 0 if function == "count" else series.number_of(value)
    if number is None:
        return held
    fold = cast("series.Fold", function)
    if retention_ms is None:
        return lifetime.add(held, at_ms, number, fold)
    return series.add(held, at_ms, number, now_ms, retention_ms, fold)


def merge(slot: MeasureSlot, mine: bytes | None, theirs: bytes | None, now_ms: int) -> bytes | None:
    """The slot's value of two subjects that are one, as if all events had been theirs."""
    if slot.function in {"distinct", "members"}:
        return distinct.merge(mine, theirs, now_ms, slot.retention_ms)
    fold = cast("series.Fold", slot.function)
    if slot.retention_ms is None:
        return lifetime.merge(mine, theirs, fold)
    return series.merge(mine, theirs, now_ms, slot.retention_ms, fold)


def follow(
    slots: Iterable[TruthSlot], held: Mapping[int, bytes], moment: Moment, at_ms: int
) -> dict[int, bytes | None]:
    """What to change in a row after traits of the subject, or of its account, changed at ``at_ms``.

    None as a value: take the slot out of the row. ``moment`` has the new traits, ``held`` is the row's
    mapping.
    """
    changes: dict[int, bytes | None] = {}
    for slot in slots:
        is_true = slot.test(moment, {}) is Outcome.TRUE
        if is_true is not (slot.id in held):
            changes[slot.id] = (
                min(at_ms, moment.now_ms).to_bytes(8, "little", signed=True) if is_true else None
            )
    return changes


def since_ms(held: bytes | None) -> int | None:
    """Since when a condition has been true, as :func:`follow` wrote it down; None where it is not."""
    return None if held is None else int.from_bytes(held, "little", signed=True)
