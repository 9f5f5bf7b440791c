"""Days, dates and periods at the edges of clocks and calendars."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter

from schemas.workspace.spans import Span as SpanModel
from tests.unit.core.kit import DAY, HOUR
from workers.core.conditions.spans import compile_span
from workers.core.facts import Moment, SubjectFacts
from workers.core.journeys.progress import Progress
from workers.core.zones import Zones, day_start_ms, from_ms, local_day, zone_table

_adapter: TypeAdapter[Any] = TypeAdapter(SpanModel)


def ms(text: str) -> int:
    """Of an ISO 8601 moment."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def moment(now: str, traits: dict[str, Any] | None = None, account: dict[str, Any] | None = None) -> Moment:
    """A subject at an instant."""
    now_ms = ms(now)
    facts = SubjectFacts(now_ms=now_ms, traits=traits or {}, account_traits=account or {})
    return Moment(facts, Progress("u1"), now_ms)


def bounds(span: Any, at: Moment, back: int = 0) -> tuple[str, str] | None:
    """A span of a workspace in Oslo, as ISO 8601 moments."""
    found = compile_span(_adapter.validate_python(span), Zones("Europe/Oslo")).bounds(at, back)
    if found is None:
        return None
    lo, hi = (datetime.fromtimestamp(one / 1000, UTC).isoformat() for one in found)
    return lo.replace("+00:00", "Z"), hi.replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("span", "now", "expected"),
    [
        # Oslo is one hour ahead of UTC until 2026-03-29T01:00Z, then two
        ("today", "2026-03-29T12:00:00Z", ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")),  # 23 hours
        ("today", "2026-10-25T12:00:00Z", ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")),  # 25 hours
        ("today", "2026-03-28T22:59:59.999Z", ("2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z")),
        ("today", "2026-03-28T23:00:00Z", ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")),  # midnight
        ("yesterday", "2026-03-29T22:00:00Z", ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")),
        ("this_week", "2026-03-29T12:00:00Z", ("2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z")),  # Sunday
        ("this_week", "2026-03-30T12:00:00Z", ("2026-03-29T22:00:00Z", "2026-04-05T22:00:00Z")),  # Monday
        ("previous_week", "2026-03-30T12:00:00Z", ("2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z")),
        ("this_month", "2026-03-31T22:00:00Z", ("2026-03-31T22:00:00Z", "2026-04-30T22:00:00Z")),  # April
        ("previous_month", "2026-01-10T00:00:00Z", ("2025-11-30T23:00:00Z", "2025-12-31T23:00:00Z")),
        ("this_quarter", "2026-05-10T00:00:00Z", ("2026-03-31T22:00:00Z", "2026-06-30T22:00:00Z")),
        ("previous_quarter", "2026-01-10T00:00:00Z", ("2025-09-30T22:00:00Z", "2025-12-31T23:00:00Z")),
        ("this_year", "2026-01-01T00:00:00Z", ("2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z")),
        ("previous_year", "2026-01-01T00:00:00Z", ("2024-12-31T23:00:00Z", "2025-12-31T23:00:00Z")),
    ],
)
def test_periods_are_those_of_the_wall_clock(span: str, now: str, expected: tuple[str, str]) -> None:
    """Half-open, from midnight to midnight, however long the day is."""
    assert bounds(span, moment(now)) == expected


@pytest.mark.parametrize(
    ("anchor", "now", "expected"),
    [
        # a month that has no such day renews on its last
        ("2026-01-31", "2026-02-28T12:00:00Z", ("2026-02-27T23:00:00Z", "2026-03-30T22:00:00Z")),
        ("2026-01-31", "2026-02-27T22:59:59.999Z", ("2026-01-30T23:00:00Z", "2026-02-27T23:00:00Z")),
        ("2026-01-31", "2026-04-30T12:00:00Z", ("2026-04-29T22:00:00Z", "2026-05-30T22:00:00Z")),
        ("2024-01-31", "2024-02-29T12:00:00Z", ("2024-02-28T23:00:00Z", "2024-03-30T23:00:00Z")),  # leap
        # an anchor to come, and one long ago
        ("2026-12-15", "2026-02-14T12:00:00Z", ("2026-01-14T23:00:00Z", "2026-02-14T23:00:00Z")),
        ("2019-05-15", "2026-02-15T12:00:00Z", ("2026-02-14T23:00:00Z", "2026-03-14T23:00:00Z")),
        # a moment renews at its time of day, in UTC
        (
            "2026-01-31T10:30:00Z",
            "2026-02-28T10:29:59.999Z",
            ("2026-01-31T10:30:00Z", "2026-02-28T10:30:00Z"),
        ),
        ("2026-01-31T10:30:00Z", "2026-02-28T10:30:00Z", ("2026-02-28T10:30:00Z", "2026-03-31T10:30:00Z")),
        # Unix time, as a billing system sends it
        (1_769_855_400, "2026-02-28T10:30:00Z", ("2026-02-28T10:30:00Z", "2026-03-31T10:30:00Z")),
        ("none", "2026-02-28T10:30:00Z", None),
        (True, "2026-02-28T10:30:00Z", None),
        (None, "2026-02-28T10:30:00Z", None),
        (1e30, "2026-02-28T10:30:00Z", None),  # further away than calendars reach
    ],
)
def test_a_billing_period_lies_between_renewals(anchor: Any, now: str, expected: Any) -> None:
    """By the anchor's day, with the rule for the end of a month; none without an anchor."""
    assert bounds("billing_period", moment(now, {"billing_anchor": anchor})) == expected


def test_a_yearly_period_of_february_29_renews_on_the_28th() -> None:
    """And on the 29th where there is one."""
    span = {"billing_period": {"account": "renews_on"}, "every": "year"}
    at = moment("2026-05-01T00:00:00Z", account={"renews_on": "2024-02-29"})
    assert bounds(span, at) == ("2026-02-27T23:00:00Z", "2027-02-27T23:00:00Z")
    assert bounds(span, at, back=2) == ("2024-02-28T23:00:00Z", "2025-02-27T23:00:00Z")


@pytest.mark.parametrize(
    ("traits", "account", "zone"),
    [
        ({"timezone": "Asia/Tokyo"}, {"timezone": "America/Lima"}, "Asia/Tokyo"),
        ({}, {"timezone": "America/Lima"}, "America/Lima"),
        ({"timezone": "Nowhere/Land"}, {"timezone": "America/Lima"}, "America/Lima"),
        ({"timezone": 9}, {"timezone": None}, "Europe/Oslo"),
        ({}, {}, "Europe/Oslo"),
    ],
)
def test_the_zone_is_the_subjects_else_the_accounts_else_the_workspaces(
    traits: dict[str, Any], account: dict[str, Any], zone: str
) -> None:
    """A name that is no zone counts as none."""
    found = Zones("Europe/Oslo").of(moment("2026-01-01T00:00:00Z", traits, account))
    assert found.key == zone


def test_an_unknown_zone_of_the_workspace_is_refused() -> None:
    """Before anything runs."""
    with pytest.raises(ValueError, match="'Oslo' is no time zone"):
        Zones("Oslo")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-29", "2026-03-28T23:00:00Z"),  # midnight in Oslo
        ("2026-03-29T02:30:00+02:00", "2026-03-29T00:30:00Z"),
        ("2026-03-29T02:30:00", "2026-03-29T02:30:00Z"),  # without an offset: UTC
        ("20260329T023000Z", "2026-03-29T02:30:00Z"),
        (1_774_751_400, "2026-03-29T02:30:00Z"),
        (1_774_751_400_000, "2026-03-29T02:30:00Z"),
        (1_774_751_400.5, "2026-03-29T02:30:00.500Z"),
        ("2026-02-30", None),
        ("tomorrow", None),
        ("1774751400", None),
        (True, None),
        ([], None),
        (float("nan"), None),
    ],
)
def test_a_trait_holds_a_date_in_several_forms(value: Any, expected: str | None) -> None:
    """ISO 8601, or Unix time in seconds or milliseconds; anything else is none."""
    found = Zones("Europe/Oslo").date_ms(value, moment("2026-01-01T00:00:00Z"))
    assert found == (None if expected is None else ms(expected))


def test_a_clock_set_back_over_midnight_does_not_bring_a_day_back() -> None:
    """Newfoundland until 2011: at 00:01 it was 23:01 again. The day that had begun went on."""
    zone = ZoneInfo("America/St_Johns")
    again_ms = ms("2010-11-07T02:45:00Z")
    assert from_ms(again_ms, zone).day == 6
    assert local_day(again_ms, zone).day == 7


def test_a_skipped_midnight_begins_the_day_at_the_skip() -> None:
    """Cairo sets its clock forward at midnight."""
    zone = ZoneInfo("Africa/Cairo")
    start_ms = day_start_ms(datetime(2026, 4, 24, tzinfo=UTC).date(), zone)
    assert from_ms(start_ms, zone).isoformat() == "2026-04-24T01:00:00+03:00"
    assert from_ms(start_ms - 1, zone).day == 23


def test_days_follow_each_other_in_zones_everywhere() -> None:
    """No gap and no overlap, each instant in its day, though clocks change by up to two hours (Troll)."""
    first = datetime(2026, 1, 1, tzinfo=UTC).date()
    for zone in zone_table().values():
        before_ms = day_start_ms(first, zone)
        for number in range(1, 365, 2):
            day = first.fromordinal(first.toordinal() + number)
            start_ms = day_start_ms(day, zone)
            assert before_ms < start_ms
            assert local_day(start_ms, zone) == day
            assert local_day(start_ms - 1, zone).toordinal() == day.toordinal() - 1
            assert (
                22 * HOUR
                <= day_start_ms(day.fromordinal(day.toordinal() + 1), zone) - start_ms
                <= DAY + 2 * HOUR
            )
            before_ms = start_ms


def test_every_zone_is_at_a_quarter_of_an_hour_from_utc() -> None:
    """So that calendar periods begin where folded occurrences do: their counts are exact in every zone."""
    for zone in zone_table().values():
        for month in range(1, 13):
            start_ms = day_start_ms(datetime(2026, month, 1, tzinfo=UTC).date(), zone)
            assert start_ms % (15 * 60_000) == 0, zone.key
