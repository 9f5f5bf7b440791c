"""Spans of time resolved for a subject at an instant: where they begin and end, and when that changes."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from schemas.workspace.spans import BILLING, CALENDAR, LIFETIME, BillingPeriod, span_text
from schemas.workspace.values import is_plain_date
from workers.core.conditions.comparisons import compile_path
from workers.core.zones import day_start_ms, from_ms, local_day, to_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.workspace import FieldRef, SpanValue
    from workers.core.facts import Moment
    from workers.core.zones import Zones

    Bounds: TypeAlias = Callable[[Moment, int], tuple[int, int] | None]
    Edge: TypeAlias = Callable[[Moment], int | None]

MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}
ANCHOR: Final = "billing_anchor"
"""The trait with the date of a renewal, of the subject or else of its account, where none is named."""

_UTC: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """A span, compiled.

    ``sliding_ms`` is the length of one that ends now, else None. ``bounds(moment, back)`` are the beginning
    and the end, half-open, of the span itself (``back`` 0) or of the one that many before it; None where the
    subject has no such span. ``edge_ms(moment)`` is when the calendar moves the bounds on, after now; None
    where it never does. A sliding span moves at every instant, and ``lifetime`` never.
    """

    label: str
    sliding_ms: int | None
    bounds: Bounds
    edge_ms: Edge


def compile_span(span: SpanValue, zones: Zones | None) -> Span:
    """The span; ``zones`` are needed unless it slides or is ``lifetime``."""
    label = span_text(span)
    if isinstance(span, int):
        return Span(label, span, _sliding(span), _never)
    if span == LIFETIME:
        return Span(label, None, _ever, _never)
    assert zones is not None, "periods of the calendar need zones"
    if isinstance(span, BillingPeriod):
        return _billing(label, span.billing_period, MONTHS[span.every], int(span.previous), zones)
    if span in BILLING:
        return _billing(label, None, 1, BILLING[span], zones)
    unit, back = CALENDAR[span]
    return _calendar(label, unit, back, zones)


def needs_zones(span: SpanValue) -> bool:
    """Whether the span depends on a zone."""
    return not isinstance(span, int) and span != LIFETIME


def _never(moment: Moment) -> int | None:  # noqa: ARG001  a span that the calendar does not move
    return None


def _ever(moment: Moment, back: int) -> tuple[int, int] | None:  # noqa: ARG001  there is one lifetime
    return -(2**62), moment.now_ms + 1


def _sliding(within_ms: int) -> Bounds:
    def bounds(moment: Moment, back: int) -> tuple[int, int] | None:
        # Half-open at the old end, as all windows: what happened exactly ``within_ms`` ago is outside.
        end_ms = moment.now_ms + 1 - back * within_ms
        return end_ms - within_ms, end_ms

    return bounds


def _calendar(label: str, unit: str, offset: int, zones: Zones) -> Span:
    def start_ms(moment: Moment, shift: int) -> int:
        zone = zones.of(moment)
        return day_start_ms(_shifted(local_day(moment.now_ms, zone), unit, shift), zone)

    def bounds(moment: Moment, back: int) -> tuple[int, int] | None:
        return start_ms(moment, -back - offset), start_ms(moment, 1 - back - offset)

    return Span(label, None, bounds, lambda moment: start_ms(moment, 1))


def _shifted(day: date, unit: str, shift: int) -> date:
    """The first day of the unit that ``day`` is in, or of another one before or after it."""
    if unit == "day":
        return day + timedelta(days=shift)
    if unit == "week":
        return day + timedelta(days=7 * shift - day.weekday())
    months = MONTHS[unit]
    index = (day.year * 12 + day.month - 1) // months * months + shift * months
    return date(index // 12, index % 12 + 1, 1)


def _billing(label: str, field: FieldRef | None, months: int, offset: int, zones: Zones) -> Span:
    read = _field(field)

    def renewals(moment: Moment) -> tuple[Callable[[int], int], int] | None:
        """When the n-th renewal is, and the n of the last one until now."""
        value = read(moment)
        anchor_ms = zones.date_ms(value, moment)
        if anchor_ms is None:
            return None
        # A date without a time renews at the subject's midnight; a moment is one everywhere: UTC.
        zone = zones.of(moment) if isinstance(value, str) and is_plain_date(value) else _UTC
        try:
            anchor, now = from_ms(anchor_ms, zone), from_ms(moment.now_ms, zone)
        except OverflowError:
            return None

        def renewal_ms(number: int) -> int:
            return to_ms(_months_later(anchor, number * months))

        latest = ((now.year - anchor.year) * 12 + now.month - anchor.month) // months
        while renewal_ms(latest) > moment.now_ms:
            latest -= 1
        return renewal_ms, latest

    def bounds(moment: Moment, back: int) -> tuple[int, int] | None:
        found = renewals(moment)
        if found is None:
            return None
        renewal_ms, latest = found
        first = latest - back - offset
        return renewal_ms(first), renewal_ms(first + 1)

    def edge_ms(moment: Moment) -> int | None:
        found = renewals(moment)
        return None if found is None else found[0](found[1] + 1)

    return Span(label, None, bounds, edge_ms)


def _months_later(anchor: datetime, months: int) -> datetime:
    """The same day and time some months later, or the last day of a month that has no such day."""
    index = anchor.year * 12 + anchor.month - 1 + months
    year, month = index // 12, index % 12 + 1
    return anchor.replace(year=year, month=month, day=min(anchor.day, monthrange(year, month)[1]), fold=0)


def _field(field: FieldRef | None) -> Callable[[Moment], Any]:
    if field is None:

        def usual(moment: Moment) -> Any:
            own = moment.facts.traits.get(ANCHOR)
            return own if own is not None else moment.facts.account_traits.get(ANCHOR)

        return usual
    return compile_field(field)


def compile_field(field: FieldRef) -> Callable[[Moment], Any]:
    """A function that reads another field of the same subject; None where it is not there."""
    read = compile_path(field.path)
    if field.kind == "trait":
        return lambda moment: read(moment.facts.traits)
    if field.kind == "account":
        return lambda moment: read(moment.facts.account_traits)
    return lambda moment: read(moment.event_properties)
