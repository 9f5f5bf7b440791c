"""The one event that brings a count or a sum from below a number to it: a crossing, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workers.core.activity import series
from workers.core.conditions.comparisons import compile_path, compile_where
from workers.core.conditions.outcome import Outcome, of

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.workspace import MeasureCondition
    from workers.core.conditions.compiled import Values
    from workers.core.conditions.spans import Span
    from workers.core.facts import Moment

DECIMALS: Final = 6
"""Digits behind the point to which sums are compared. To take an event's number off a sum gives what was
before it but for the last bits of a float, and these must not make a second crossing of one, nor none."""


def reached(
    condition: MeasureCondition, span: Span, name: str, value_of: Callable[[Moment], float | None]
) -> Callable[[Moment, Values], Outcome]:
    """Whether the event that is looked at, which ``value_of`` has in it, makes the value reach the number.

    What has left the span counts on neither side, so that a number is reached again once it was not held.
    """
    limit, where = condition.reaches, compile_where(condition.where)
    read = None if condition.path is None else compile_path(condition.path)

    def test(moment: Moment, values: Values) -> Outcome:
        if moment.rechecking:
            return Outcome.TRUE
        found, bounds = value_of(moment), span.bounds(moment, 0)
        values[name] = found
        if bounds is None or found is None:
            return Outcome.MISSING
        number = brought(moment, *bounds)
        return of(number is not None and round(found - number, DECIMALS) < limit <= round(found, DECIMALS))

    def brought(moment: Moment, lo_ms: int, hi_ms: int) -> float | None:
        """What the event is in the value; None where it is not in it."""
        event, properties = moment.facts.event, moment.event_properties
        if event is None or event[0] != condition.event:
            return None
        if not lo_ms <= min(event[1], moment.now_ms) < hi_ms or (where is not None and not where(properties)):
            return None
        return 1 if read is None else series.number_of(read(properties))

    return test
