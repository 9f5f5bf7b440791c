"""Conditions on what happened, compiled: counts, sums and the like of spans, first and last times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from schemas.workspace import FirstCondition, PerformedCondition
from schemas.workspace.spans import LIFETIME, span_text
from workers.core.activity import distinct, lifetime, series
from workers.core.activity.needs import is_plain, need_of, sustained_need
from workers.core.conditions.changing import limits_between, measure_changes, passing, until_below
from workers.core.conditions.comparisons import compile_where
from workers.core.conditions.compiled import COUNT, CompiledCondition, earliest, never, shared
from workers.core.conditions.dates import compile_check
from workers.core.conditions.labels import bounds_text, operators_text, where_label
from workers.core.conditions.outcome import Outcome, of
from workers.core.conditions.reaching import reached
from workers.core.conditions.spans import compile_span, needs_zones

if TYPE_CHECKING:
    from collections.abc import Callable

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
    counted = _counted(condition, span, names)
    count, changes = counted.count, counted.changes_at_ms
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
    slots = None if needs_zones(condition.within) else frozenset((counted.slot_id,))
    return CompiledCondition(f"{name} {bounds_text(least, most)}", COUNT, test, changes, slots)


def measured(condition: MeasureCondition, names: Names) -> CompiledCondition:
    """What events amount to: see :class:`schemas.workspace.MeasureCondition`."""
    span, slot_id = _span(condition, names), names.measure_id(need_of(condition))
    read = _reader(condition.function, for_ever=condition.within == LIFETIME)
    what = f"{condition.path} of {condition.event}" if condition.path else condition.event
    name = f"{condition.function} {what}{where_label(condition.where)} within {span.label}"
    compared = condition if condition.trend is None else condition.trend
    check = compile_check(compared, names)
    value_of = _values(condition.function, slot_id, span, condition.windows, read)
    changes = measure_changes(condition, span, slot_id)
    if condition.reaches is not None:
        test = reached(condition, span, name, value_of[0])
        return CompiledCondition(f"{name} reaches {condition.reaches}", COUNT, test, changes)
    if condition.trend is not None:
        name = f"trend of {name}"

        def test(moment: Moment, values: Values) -> Outcome:
            now, before = value_of[0](moment), value_of[1](moment)
            ratio = now / before if now is not None and before is not None and before > 0 else None
            values[name] = ratio
            return check.test(ratio, moment)
    elif condition.each_of_last is None:
        now_of, compare = value_of[0], check.test

        def test(moment: Moment, values: Values) -> Outcome:
            found = values[name] = now_of(moment)
            return compare(found, moment)
    else:
        name = f"{name}, each of the last {condition.each_of_last}"

        def test(moment: Moment, values: Values) -> Outcome:
            found = [value(moment) for value in value_of]
            values[name] = found[0] if len(found) == 1 else found
            outcomes = {check.test(one, moment) for one in found}
            return next(one for one in (Outcome.FALSE, Outcome.MISSING, Outcome.TRUE) if one in outcomes)

    asks_more = needs_zones(condition.within) or compared.references()
    slots = None if asks_more else frozenset((slot_id,))
    return CompiledCondition(f"{name} {operators_text(compared)}", COUNT, test, changes, slots)


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
    # Durations and ``exists``; dates and periods of the calendar depend on a zone.
    is_plain_time = all(isinstance(one, int) for one in condition.operators().values())
    slots = frozenset((slot_id,)) if is_plain_time else None
    return CompiledCondition(f"{name} {operators_text(condition)}", COUNT, test, changes, slots)


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

    return CompiledCondition(name, COUNT, test, changes_at_ms, frozenset((slot_id,)))


def _span(condition: PerformedCondition | MeasureCondition, names: Names) -> Span:
    return compile_span(condition.within, names.zones() if needs_zones(condition.within) else None)


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """How many occurrences a span holds (None: the subject has no such span), and when that may change."""

    slot_id: int
    count: Count
    changes_at_ms: Changes


def _counted(condition: PerformedCondition, span: Span, names: Names) -> _Counted:
    if is_plain(condition):
        return _plain(condition, span, names)
    slot_id = names.measure_id(need_of(condition))
    read = _reader("count", for_ever=condition.within == LIFETIME)
    counts = _values("count", slot_id, span, condition.windows, read)
    changes = passing(span, condition.windows, slot_id, series.times)
    return _Counted(slot_id, lambda moment, back: cast("int | None", counts[back](moment)), changes)


def _plain(condition: PerformedCondition, span: Span, names: Names) -> _Counted:
    """In a plain window, with the very instant at which so many have left that the outcome is another."""
    slot_id, within_ms = names.slot_id(condition.performed, condition.where), span.sliding_ms
    assert within_ms is not None
    least, most = condition.bounds()
    limits = limits_between(least, condition.reaches or most)
    inside = shared(("inside", slot_id, within_ms), lambda moment: moment.facts.inside(slot_id, within_ms))

    def count(moment: Moment, back: int) -> int:  # noqa: ARG001  there is one span
        found = inside(moment)
        return 0 if found is None else found.count

    def changes_at_ms(moment: Moment) -> int | None:
        found = inside(moment)
        if found is None:
            return None
        # A clock that was ahead may have dated something in the future.
        ahead_ms, number = found.ahead_ms, until_below(limits, found.count)
        if number is None:
            return ahead_ms
        left_ms = found.left_ms(number)
        return left_ms if ahead_ms is None else min(left_ms, ahead_ms)

    return _Counted(slot_id, count, changes_at_ms)


def _values(
    function: str, slot_id: int, span: Span, windows: int, read: Read
) -> tuple[Callable[[Moment], float | None], ...]:
    """What a slot comes to in a span, and in each of those before it; None: the subject has no such span."""

    def value_of(back: int) -> Callable[[Moment], float | None]:
        def value(moment: Moment) -> float | None:
            bounds = span.bounds(moment, back)
            return None if bounds is None else read(moment.facts.held(slot_id), *bounds)

        if span.sliding_ms is None:
            return value
        return shared(("value", function, slot_id, span.sliding_ms, back), value)

    return tuple(value_of(back) for back in range(windows))


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
