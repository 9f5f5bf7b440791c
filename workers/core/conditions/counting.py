"""Conditions on what happened, compiled: counts, sums and the like of spans, first and last times."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, TypeAlias, cast

from schemas.workspace import FirstCondition, PerformedCondition
from schemas.workspace.spans import LIFETIME, span_text
from workers.core.activity import distinct, lifetime, series
from workers.core.activity.needs import is_plain, need_of, sustained_need
from workers.core.conditions.comparisons import compile_where
from workers.core.conditions.compiled import COUNT, CompiledCondition, earliest, never
from workers.core.conditions.dates import compile_check
from workers.core.conditions.labels import bounds_text, operators_text, where_label
from workers.core.conditions.outcome import Outcome, of
from workers.core.conditions.reaching import reached
from workers.core.conditions.spans import compile_span, needs_zones

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.workspace import LastCondition, MeasureCondition, SustainedCondition
    from workers.core.conditions.compiled import Changes, Names, Values
    from workers.core.conditions.spans import Span
    from workers.core.facts import Moment

    Read: TypeAlias = Callable[[bytes | None, int, int], float | None]
    Count: TypeAlias = Callable[[Moment, int], int | None]


def performed(condition: PerformedCondition, names: Names) -> CompiledCondition:
    """How often an event happened: see :class:`schemas.workspace.PerformedCondition`."""
    span = _span(condition, names)
    name = f"performed {condition.performed}{where_label(condition.where)} within {span.label}"
    count, changes = _counted(condition, span, names)
    least, most = condition.bounds()
    if condition.reaches is not None:
        label = f"{name} reaches {condition.reaches}"
        return CompiledCondition(label, COUNT, _reaches(condition, span, name, count), changes)
    if condition.each_of_last is not None:
        name = f"{name}, each of the last {condition.each_of_last}"
    windows = range(condition.windows)

    def test_one(moment: Moment, values: Values) -> Outcome:
        found = values[name] = count(moment, 0)
        if found is None:
            return Outcome.MISSING
        return Outcome.TRUE if found >= least and (most is None or found <= most) else Outcome.FALSE

    def test_each(moment: Moment, values: Values) -> Outcome:
        counts = values[name] = [count(moment, back) for back in windows]
        if None in counts:
            return Outcome.MISSING
        return of(all(one >= least and (most is None or one <= most) for one in cast("list[int]", counts)))

    test = test_one if condition.each_of_last is None else test_each
    return CompiledCondition(f"{name} {bounds_text(least, most)}", COUNT, test, changes)


def measured(condition: MeasureCondition, names: Names) -> CompiledCondition:
    """What events amount to: see :class:`schemas.workspace.MeasureCondition`."""
    span, slot_id = _span(condition, names), names.measure_id(need_of(condition))
    read = _reader(condition.function, for_ever=condition.within == LIFETIME)
    what = f"{condition.path} of {condition.event}" if condition.path else condition.event
    name = f"{condition.function} {what}{where_label(condition.where)} within {span.label}"
    compared = condition if condition.trend is None else condition.trend
    check = compile_check(compared, names)

    def value_of(moment: Moment, back: int) -> float | None:
        bounds = span.bounds(moment, back)
        return None if bounds is None else read(moment.facts.held(slot_id), *bounds)

    changes = _measure_changes(condition, span, slot_id)
    if condition.reaches is not None:
        test = reached(condition, span, name, lambda moment: value_of(moment, 0))
        return CompiledCondition(f"{name} reaches {condition.reaches}", COUNT, test, changes)
    if condition.trend is not None:
        name = f"trend of {name}"

        def test(moment: Moment, values: Values) -> Outcome:
            now, before = value_of(moment, 0), value_of(moment, 1)
            ratio = now / before if now is not None and before is not None and before > 0 else None
            values[name] = ratio
            return check.test(ratio, moment)
    else:
        windows = range(condition.windows)
        if condition.each_of_last is not None:
            name = f"{name}, each of the last {condition.each_of_last}"

        def test(moment: Moment, values: Values) -> Outcome:
            found = [value_of(moment, back) for back in windows]
            values[name] = found[0] if len(found) == 1 else found
            outcomes = {check.test(one, moment) for one in found}
            return next(one for one in (Outcome.FALSE, Outcome.MISSING, Outcome.TRUE) if one in outcomes)

    return CompiledCondition(f"{name} {operators_text(compared)}", COUNT, test, changes)


def happened(condition: FirstCondition | LastCondition, names: Names) -> CompiledCondition:
    """When an event happened for the first or the last time."""
    slot_id, is_first = names.measure_id(need_of(condition)), isinstance(condition, FirstCondition)
    event = condition.first if isinstance(condition, FirstCondition) else condition.last
    name = f"{'first' if is_first else 'last'} {event}{where_label(condition.where)}"
    check = compile_check(condition, names, in_ms=True)
    changes_at_ms = check.changes_at_ms

    def at_ms(moment: Moment) -> int | None:
        known = lifetime.read(moment.facts.held(slot_id))
        if known is None:
            return None
        return known.first_ms if is_first else known.last_ms

    def test(moment: Moment, values: Values) -> Outcome:
        found = values[name] = at_ms(moment)
        return check.test(found, moment)

    changes = never if changes_at_ms is None else lambda moment: changes_at_ms(at_ms(moment), moment)
    return CompiledCondition(f"{name} {operators_text(condition)}", COUNT, test, changes)


def sustained_count(condition: SustainedCondition, names: Names) -> CompiledCondition:
    """Whether a count was within its bounds at every instant of a time that ends now."""
    inner = condition.sustained
    assert isinstance(inner, PerformedCondition)
    within_ms, for_ms = cast("int", inner.within), condition.for_
    slot_id = names.measure_id(sustained_need(condition))
    least, most = inner.bounds()
    name = (
        f"performed {inner.performed}{where_label(inner.where)} within {span_text(inner.within)} "
        f"{bounds_text(least, most)} for {span_text(for_ms)}"
    )

    def test(moment: Moment, values: Values) -> Outcome:
        begin_ms = moment.now_ms - for_ms + 1
        steps: dict[int, int] = {begin_ms: 0}
        for at_ms, many, _ in series.entries(moment.facts.held(slot_id)):
            for instant, step in ((at_ms, many), (at_ms + within_ms, -many)):
                if instant <= moment.now_ms:
                    steps[max(instant, begin_ms)] = steps.get(max(instant, begin_ms), 0) + step
        count, held = 0, True
        for instant in sorted(steps):
            count += steps[instant]
            held = held and count >= least and (most is None or count <= most)
        values[name] = held
        return of(held)

    def changes_at_ms(moment: Moment) -> int | None:
        turns = (
            at_ms + shift for at_ms in series.times(moment.facts.held(slot_id)) for shift in (0, within_ms)
        )
        # A turn matters when it comes, and when the instant before it, and itself, leave the time asked for.
        return earliest((turn + shift for turn in turns for shift in (0, for_ms - 1, for_ms)), moment.now_ms)

    return CompiledCondition(name, COUNT, test, changes_at_ms)


def _span(condition: PerformedCondition | MeasureCondition, names: Names) -> Span:
    return compile_span(condition.within, names.zones() if needs_zones(condition.within) else None)


def _counted(condition: PerformedCondition, span: Span, names: Names) -> tuple[Count, Changes]:
    """How many occurrences a span holds (None: the subject has no such span), and when that may change."""
    if is_plain(condition):
        slot_id, within_ms = names.slot_id(condition.performed, condition.where), span.sliding_ms
        assert within_ms is not None
        least, most = condition.bounds()
        return (
            lambda moment, _: moment.facts.count(slot_id, within_ms),
            _plain_changes(slot_id, within_ms, least, condition.reaches or most),
        )
    slot_id = names.measure_id(need_of(condition))
    read = _reader("count", for_ever=condition.within == LIFETIME)

    def count(moment: Moment, back: int) -> int | None:
        bounds = span.bounds(moment, back)
        return None if bounds is None else cast("int", read(moment.facts.held(slot_id), *bounds))

    changes = _changes(span, condition.windows, lambda moment: series.times(moment.facts.held(slot_id)))
    return count, changes


def _reaches(
    condition: PerformedCondition, span: Span, name: str, count: Count
) -> Callable[[Moment, Values], Outcome]:
    """Each event adds one, so the one that reaches N is counted and finds N."""
    number, where = condition.reaches, compile_where(condition.where)

    def test(moment: Moment, values: Values) -> Outcome:
        if moment.rechecking:
            return Outcome.TRUE
        found, event, bounds = count(moment, 0), moment.facts.event, span.bounds(moment, 0)
        values[name] = found
        if bounds is None:
            return Outcome.MISSING
        if event is None or event[0] != condition.performed:
            return Outcome.FALSE
        counted = bounds[0] <= min(event[1], moment.now_ms) < bounds[1]
        return of(counted and found == number and (where is None or where(moment.event_properties)))

    return test


def _reader(function: str, *, for_ever: bool) -> Read:  # noqa: PLR0911  one per function
    """The value of a slot over ``[lo, hi)``; None where there is nothing to make it of."""
    if function in {"distinct", "members"}:
        return distinct.count
    if for_ever:
        return _ever(function)
    match function:
        case "count":
            return series.count
        case "sum":
            return lambda held, lo, hi: series.totals(held, lo, hi)[1]
        case "min":
            return lambda held, lo, hi: min(series.numbers(held, lo, hi), default=None)
        case "max":
            return lambda held, lo, hi: max(series.numbers(held, lo, hi), default=None)
        case _:

            def average(held: bytes | None, lo: int, hi: int) -> float | None:
                many, total = series.totals(held, lo, hi)
                return total / many if many else None

            return average


def _ever(function: str) -> Read:
    nothing = 0 if function in {"count", "sum"} else None

    def read(held: bytes | None, lo: int, hi: int) -> float | None:  # noqa: ARG001  of all that ever was
        known = lifetime.read(held)
        if known is None:
            return nothing
        if function == "average":
            return known.number / known.count
        return known.count if function == "count" else known.number

    return read


def _changes(span: Span, windows: int, times_of: Callable[[Moment], Sequence[int]]) -> Changes:
    """When an occurrence next passes a bound of one of the windows, or the calendar moves them.

    ``times_of`` gives the occurrences in order of time.
    """
    within_ms = span.sliding_ms
    if within_ms is None:
        return span.edge_ms
    ages_ms = [back * within_ms for back in range(windows + 1)]

    def changes_at_ms(moment: Moment) -> int | None:
        times_ms = times_of(moment)
        nexts = ((age_ms, bisect_right(times_ms, moment.now_ms - age_ms)) for age_ms in ages_ms)
        return min((times_ms[at] + age_ms for age_ms, at in nexts if at < len(times_ms)), default=None)

    return changes_at_ms


def _measure_changes(condition: MeasureCondition, span: Span, slot_id: int) -> Changes:
    times = distinct.times if condition.function in {"distinct", "members"} else series.times
    return _changes(span, condition.windows, lambda moment: times(moment.facts.held(slot_id)))


def _plain_changes(slot_id: int, within_ms: int, least: int, most: int | None) -> Changes:
    """Exactly when so many have left the window that the outcome is another."""

    def is_true(count: int) -> bool:
        return count >= least and (most is None or count <= most)

    def changes_at_ms(moment: Moment) -> int | None:
        now_ms = moment.now_ms
        held = moment.facts.occurrences(slot_id)
        begins, ends = bisect_left(held, (now_ms - within_ms + 1,)), bisect_left(held, (now_ms + 1,))
        inside = held[begins:ends]
        count = sum(many for _, many in inside)
        # A clock that was ahead may have dated something in the future.
        ahead_ms = held[ends][0] if ends < len(held) else None
        now_true = is_true(count)
        for at_ms, many in inside:
            count -= many
            if is_true(count) is not now_true:
                return earliest((at_ms + within_ms, ahead_ms), now_ms)
        return ahead_ms

    return changes_at_ms
