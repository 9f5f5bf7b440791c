"""Spans of time that a condition looks at: sliding, of the calendar, of billing, or all that ever was."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
)

from schemas.workspace.base import DAY_MS, Model, described, format_duration, parse_duration_ms, refuse
from schemas.workspace.values import FieldRef  # noqa: TC001  pydantic reads it at run time

HOUR_MS: Final = 3_600_000

LIFETIME: Final = "lifetime"
BILLING: Final = {"billing_period": 0, "previous_billing_period": 1}
"""Billing periods by name, with how many periods they lie back."""

CALENDAR: Final[dict[str, tuple[str, int]]] = {
    "today": ("day", 0),
    "yesterday": ("day", 1),
    "this_week": ("week", 0),
    "previous_week": ("week", 1),
    "this_month": ("month", 0),
    "previous_month": ("month", 1),
    "this_quarter": ("quarter", 0),
    "previous_quarter": ("quarter", 1),
    "this_year": ("year", 0),
    "previous_year": ("year", 1),
}
"""Calendar periods by name: the unit, and how many units they lie back. A week begins on Monday."""

LONGEST_MS: Final = {
    "day": DAY_MS + 2 * HOUR_MS,
    "week": 7 * DAY_MS + 2 * HOUR_MS,
    "month": 31 * DAY_MS + 2 * HOUR_MS,
    "quarter": 92 * DAY_MS + 2 * HOUR_MS,
    "year": 366 * DAY_MS + 2 * HOUR_MS,
}
"""How long a period of the calendar may last, also when a clock is set back in it."""

NAMES: Final = (*CALENDAR, *BILLING, LIFETIME)


class BillingPeriod(Model):
    """The period between two renewals. The anchor holds the date of any renewal, past or to come.

    A renewal falls on the anchor's day of the month, or on the last day of a month that has no such day. An
    anchor that is a plain date is counted in the subject's zone; one with a time is a moment, counted in UTC.
    """

    billing_period: FieldRef = Field(description="The field that holds the anchor.")
    every: Literal["month", "quarter", "year"] = "month"
    previous: bool = Field(default=False, description="The period before the present one.")


SpanValue: TypeAlias = int | str | BillingPeriod
"""A span as models hold it: milliseconds of a sliding window, a name, or a billing period."""


def _parse(value: Any) -> Any:
    if not isinstance(value, str) or not (value in NAMES or value[:1].isdigit()):
        refuse(
            "span",
            f"a span is a duration such as 21d, one of {', '.join(NAMES)}, "
            f"or {{billing_period: {{trait: NAME}}, every: month}}; not {described(value)}",
        )
    return value if value in NAMES else parse_duration_ms(value)


def _tag(value: Any) -> str:
    return "#billing" if isinstance(value, (dict, BillingPeriod)) else "#span"


def _plain(value: int | str) -> str:
    return format_duration(value) if isinstance(value, int) else value


def _not_lifetime(value: SpanValue) -> SpanValue:
    if value == LIFETIME:
        refuse("span", "lifetime is for counting events; here a span that ends is needed")
    return value


_NAMED = Annotated[
    int | str,
    BeforeValidator(_parse),
    PlainSerializer(_plain, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["21d", *NAMES]}),
    Tag("#span"),
]

Span: TypeAlias = Annotated[_NAMED | Annotated[BillingPeriod, Tag("#billing")], Discriminator(_tag)]
"""``21d`` slides and ends now; ``this_month`` and the like are of the calendar in the subject's zone."""

BoundedSpan: TypeAlias = Annotated[Span, AfterValidator(_not_lifetime)]
"""A span that is not ``lifetime``."""


def lookback_ms(span: SpanValue, windows: int = 1) -> int | None:
    """How far back ``windows`` spans in a row may reach from now; None for lifetime."""
    if isinstance(span, int):
        return span * windows
    if isinstance(span, BillingPeriod):
        return LONGEST_MS[span.every] * (windows + span.previous)
    if span in BILLING:
        return LONGEST_MS["month"] * (windows + BILLING[span])
    if span == LIFETIME:
        return None
    unit, back = CALENDAR[span]
    return LONGEST_MS[unit] * (windows + back)


def ends_now(span: SpanValue) -> bool:
    """Whether the present moment lies in the span, so that nothing is behind its end."""
    if isinstance(span, BillingPeriod):
        return not span.previous
    return isinstance(span, int) or (BILLING.get(span, 0) or CALENDAR.get(span, ("", 0))[1]) == 0


def span_text(span: SpanValue) -> str:
    """As decisions and labels name a span."""
    if isinstance(span, int):
        return format_duration(span)
    if isinstance(span, BillingPeriod):
        which = "previous " if span.previous else ""
        return f"{which}billing period of {span.billing_period.label} every {span.every}"
    return span
