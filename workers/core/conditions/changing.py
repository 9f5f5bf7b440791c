"""When what a span holds changes by time alone: at the next occurrence that passes one of its bounds.

A count only falls while nothing happens, so that its outcome changes when it falls below one of a few numbers
(*limits*), and not before: that instant is found, and what lies in between wakes nobody. Sums, extremes,
averages and trends may go either way with every occurrence that leaves.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from math import ceil, floor, isfinite
from typing import TYPE_CHECKING

from workers.core.activity import distinct, series
from workers.core.conditions.comparisons import is_number
from workers.core.conditions.compiled import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from schemas.workspace import MeasureCondition, Operators
    from workers.core.conditions.compiled import Changes
    from workers.core.conditions.spans import Span
    from workers.core.facts import Moment


def limits_between(least: int, most: int | None) -> tuple[int, ...]:
    """The limits of a count that is to be between two numbers; None: there is no upper one."""
    return _falling({least} if most is None else {least, most + 1})


def limits_of(comparison: Operators) -> tuple[int, ...] | None:
    """The limits of a count that is compared so; None where other things than the count decide too."""
    limits: set[int] = set()
    if getattr(comparison, "divided_by", None) is not None:
        return None
    for name, number in comparison.operators().items():
        if not is_number(number) or not isfinite(number):
            return None
        if name in {"gte", "lt", "eq", "ne"}:
            limits.add(ceil(number))
        if name in {"gt", "lte", "eq", "ne"}:
            limits.add(floor(number) + 1)
    return _falling(limits)


def until_below(limits: Sequence[int], count: int) -> int | None:
    """How many have to leave until a count falls below the next of the limits; None: below none of them."""
    for limit in limits:
        if limit <= count:
            return count - limit + 1
    return None


def passing(
    span: Span, windows: int, slot_id: int, times_of: Callable[[bytes | None], Sequence[int]]
) -> Changes:
    """When an occurrence next passes a bound of one of the windows, or the calendar moves them.

    ``times_of`` gives the occurrences of what the slot holds in order of time.
    """
    within_ms = span.sliding_ms
    if within_ms is None:
        return span.edge_ms
    ages_ms = [back * within_ms for back in range(windows + 1)]

    def passes_ms(moment: Moment) -> int | None:
        times_ms, now_ms, first_ms = times_of(moment.facts.held(slot_id)), moment.now_ms, None
        for age_ms in ages_ms:
            at = bisect_right(times_ms, now_ms - age_ms)
            if at < len(times_ms) and (first_ms is None or times_ms[at] + age_ms < first_ms):
                first_ms = times_ms[at] + age_ms
        return first_ms

    return shared(("passing", slot_id, within_ms, windows), passes_ms)


def measure_changes(condition: MeasureCondition, span: Span, slot_id: int) -> Changes:
    """When the outcome of a measure may change."""
    has_distinct, within_ms = condition.function in {"distinct", "members"}, span.sliding_ms
    times_of = distinct.times if has_distinct else series.times
    limits = limits_of(condition) if condition.trend is None and condition.reaches is None else None
    counts = has_distinct or condition.function == "count"
    if within_ms is None or limits is None or not counts or condition.windows > 1:
        return passing(span, condition.windows, slot_id, times_of)
    return _falling_below(limits, slot_id, within_ms, times_of, _one_each if has_distinct else _several)


def _falling_below(
    limits: Sequence[int],
    slot_id: int,
    within_ms: int,
    times_of: Callable[[bytes | None], Sequence[int]],
    counts_of: Callable[[bytes | None, int, int], Sequence[int]],
) -> Changes:
    """When a sliding count falls below the next of its limits, or something comes that is dated ahead."""

    def read(moment: Moment) -> tuple[Sequence[int], Sequence[int], int | None]:
        """The times inside, how many there are up to each, and the first time after now."""
        held = moment.facts.held(slot_id)
        times_ms = times_of(held)
        begins, ends = (bisect_right(times_ms, at_ms) for at_ms in (moment.now_ms - within_ms, moment.now_ms))
        ahead_ms = times_ms[ends] if ends < len(times_ms) else None
        return times_ms[begins:ends], counts_of(held, begins, ends), ahead_ms

    inside = shared(("falling", slot_id, within_ms), read)

    def changes_at_ms(moment: Moment) -> int | None:
        times_ms, counts, ahead_ms = inside(moment)
        number = until_below(limits, counts[-1]) if counts else None
        if number is None:
            return ahead_ms
        left_ms = times_ms[bisect_left(counts, number)] + within_ms
        return left_ms if ahead_ms is None else min(left_ms, ahead_ms)

    return changes_at_ms


def _one_each(held: bytes | None, begins: int, ends: int) -> Sequence[int]:  # noqa: ARG001  values occur once
    return range(1, max(begins, ends) - begins + 1)


def _several(held: bytes | None, begins: int, ends: int) -> Sequence[int]:
    return list(accumulate(many for _, many, _ in series.entries(held)[begins:ends]))


def _falling(limits: Iterable[int]) -> tuple[int, ...]:
    """The highest first; a count is never below 0."""
    return tuple(sorted({limit for limit in limits if limit > 0}, reverse=True))
