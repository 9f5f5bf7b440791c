"""When an account reaches a limit of its subscription."""

from __future__ import annotations

from datetime import date

import pytest

from workers.local.demo.history import Opening, Subscription, Use, day_ms
from workers.local.demo.quotas import DAY_MS, LimitHit, Quotas, add_months, month_of

START = date(2026, 1, 10)
START_MS = day_ms(START)


def row(
    product: str, units: str, quantity: int, start: date = START, end: date = date(2026, 2, 10)
) -> Subscription:
    """A subscription row of account 1."""
    return Subscription(1, product, start, end, 100.0, quantity, units)


SEATS = row("starter_mthly", "users", 5)
SEARCHES = row("search_unlimited", "search", 10)


def quotas(*rows: Subscription, openings: tuple[Opening, ...] = ()) -> Quotas:
    """The allowances ``rows``, from the first day."""
    return Quotas(rows, openings, START_MS)


def use(user: int, day: float = 0, event_type: str = "quote", account: int = 1) -> Use:
    """A use by ``user``, ``day`` days after the first day."""
    return Use(START_MS + int(day * DAY_MS), account, user, event_type)


def percents(meter: Quotas, uses: list[Use]) -> list[list[int]]:
    """The percentages that each use reports."""
    return [[hit.usage_percentage for hit in meter.record(each)] for each in uses]


def test_seats_are_reported_at_80_and_at_100_percent_of_the_row() -> None:
    """With 5 seats the fourth user of the day reaches 80 %, the fifth 100 % of the row's quantity."""
    assert percents(quotas(SEATS), [use(user) for user in range(5)]) == [[], [], [], [80], [100]]


def test_a_report_names_the_limit_the_plan_in_force_and_the_percentage() -> None:
    """The plan is named without its billing rhythm."""
    meter = quotas(SEATS)
    for user in range(3):
        meter.record(use(user))
    assert meter.record(use(3)) == (LimitHit("seats", "starter", 80),)


def test_a_user_takes_one_seat_however_much_they_do() -> None:
    """Ten uses by one person are one seat."""
    assert percents(quotas(SEATS), [use(0) for _ in range(10)]) == [[]] * 10


def test_seats_are_free_again_on_the_next_day() -> None:
    """Three users today and two others tomorrow are never five seats at once."""
    uses = [use(0), use(1), use(2), use(3, day=1), use(4, day=1)]
    assert percents(quotas(SEATS), uses) == [[]] * 5


def test_a_further_full_day_is_reported_once_and_80_percent_is_not_again() -> None:
    """After the first full day of a month, only the last seat of each further full day is told."""
    meter = quotas(SEATS)
    first = percents(meter, [use(user) for user in range(5)])
    assert first[-1] == [100]
    again = percents(meter, [use(user, day=3) for user in (0, 1, 2, 3, 4, 0, 4)])
    assert again == [[], [], [], [], [100], [], []]


def test_searches_add_up_and_each_user_is_told_once_a_day_that_they_are_beyond_them() -> None:
    """10 searches: the 8th reaches 80 %, the 10th 100 %; beyond that one report per user and day."""
    meter = quotas(SEATS, SEARCHES)
    search = "search"
    uses = [use(0, day, search) for day in range(10)]
    assert percents(meter, uses) == [[]] * 7 + [[80], [], [100]]
    beyond = [use(0, 10, search), use(0, 10, search), use(1, 10, search), use(0, 11, search)]
    assert percents(meter, beyond) == [[110], [], [130], [140]]


def test_what_is_no_allowance_reaches_no_limit() -> None:
    """Creating a search is not searching: only the row's own units count."""
    uses = [use(0, event_type="create_search") for _ in range(100)]
    assert percents(quotas(SEATS, SEARCHES), uses) == [[]] * 100


def test_one_allowance_that_is_not_reached_reports_nothing() -> None:
    """One use short of 80 % is silence."""
    meter = quotas(SEATS, row("search_unlimited", "search", 5000))
    assert not any(percents(meter, [use(0, event_type="search") for _ in range(3999)]))
    assert meter.record(use(0, event_type="search")) == (LimitHit("searches", "starter", 80),)


def test_a_new_month_brings_the_allowance_anew_within_a_row_of_a_year() -> None:
    """A yearly row gives its quantity every month, from the day of the month on which it began."""
    yearly = (
        row("starter_annual", "users", 5, end=date(2027, 1, 10)),
        row("search_unlimited", "search", 10, end=date(2027, 1, 10)),
    )
    meter = quotas(*yearly)
    assert percents(meter, [use(0, 0, "search") for _ in range(9)])[7] == [80]
    last_moment = Use(day_ms(date(2026, 2, 10)) - 1, 1, 0, "search")
    assert [hit.usage_percentage for hit in meter.record(last_moment)] == [100]
    month_2 = Use(day_ms(date(2026, 2, 10)), 1, 0, "search")
    assert percents(meter, [month_2] * 8) == [[]] * 7 + [[80]]


def test_a_larger_plan_begins_with_its_own_seats() -> None:
    """The row in force decides: five users are half of ten seats."""
    larger = row("basic_mthly", "users", 10, start=date(2026, 2, 10), end=date(2026, 3, 10))
    meter = quotas(SEATS, larger)
    assert percents(meter, [use(user, day=31) for user in range(9)]) == [[]] * 7 + [[80], []]
    assert meter.record(use(9, day=31)) == (LimitHit("seats", "basic", 100),)


def test_without_a_subscription_there_is_no_limit() -> None:
    """Neither before a row, nor at the instant at which it ends, nor for an unknown account."""
    meter = quotas(SEATS)
    late = Use(day_ms(date(2026, 2, 10)), 1, 0, "search")
    assert not any(percents(meter, [use(user, day=-1) for user in range(5)]))
    assert not any(percents(meter, [late] * 5))
    assert not any(percents(meter, [use(user, account=2) for user in range(5)]))


def test_an_opening_continues_where_the_history_was_cut() -> None:
    """What was used and told before the cut is neither counted nor told twice: a cut changes no report."""
    rows = (SEATS, SEARCHES)
    uses = [use(number % 5, number / 4, "search") for number in range(80)]
    whole = quotas(*rows)
    expected = percents(whole, uses)
    before = quotas(*rows)
    cut_ms = START_MS + 2 * DAY_MS
    early = [each for each in uses if each.at_ms < cut_ms]
    assert percents(before, early) == expected[: len(early)]
    after = Quotas(rows, before.openings(cut_ms), cut_ms)
    assert percents(after, uses[len(early) :]) == expected[len(early) :]


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),  # a short month gives its last day
        (date(2024, 1, 31), 1, date(2024, 2, 29)),  # a leap year
        (date(2026, 1, 31), 2, date(2026, 3, 31)),  # counted from the start, so the 31st comes back
        (date(2026, 12, 15), 1, date(2027, 1, 15)),  # over the year's end
        (date(2026, 5, 15), 0, date(2026, 5, 15)),
        (date(2026, 1, 15), -1, date(2025, 12, 15)),
    ],
)
def test_months_are_added_by_the_calendar(day: date, months: int, expected: date) -> None:
    """The same day of a later month, or that month's last day."""
    assert add_months(day, months) == expected


def test_a_month_of_a_row_never_reaches_past_its_end() -> None:
    """A row cut short in its second month ends that month with it."""
    short = row("starter_mthly", "users", 5, end=date(2026, 2, 20))
    assert month_of(short, day_ms(date(2026, 2, 15))) == (
        day_ms(date(2026, 2, 10)),
        day_ms(date(2026, 2, 20)),
    )
