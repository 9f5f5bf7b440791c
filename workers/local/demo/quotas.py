"""When an account reaches a limit of its subscription.

Every allowance is a row of the source's subscriptions, taken as it is: ``quantity`` of ``units`` between
``start`` and ``end``. None is invented, scaled or inferred. A month runs from the row's start to the same
day of the next month, and each month brings the allowance anew, also within a row of 6 or 12 months.

- **searches, meetings** (units ``search``, ``schedule_meeting``) add up over the month.
- **seats** (units ``users``) are used side by side: the seats in use are the different users active on one
  UTC day. The source's own rule is the same: no more users are active on a day than there are seats.

A limit is reported when its use first reaches 80 % and 100 % in a month. After that:

- a search or meeting beyond the allowance is reported, at most once per user and day;
- **a further day on which every seat is in use is reported once, when the last seat is taken.** This is
  a day *at* the limit: the source has no record of the person who found no seat, so nobody can be said
  to have been blocked.

The person of a report is always the one whose own action is the reason.

**In the bundled slice only seats are ever reached.** The rows allow every account 5,000 searches and 5,000
meetings a month, because the source's generator writes each add-on for every account, bought or not; it
holds accounts to smaller allowances of their plans, which are in no row and are therefore not used here.
"""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from workers.local.demo.history import Opening, Subscription, Use, day_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY_MS = 86_400_000
THRESHOLDS = (80, 100)
LIMIT_TYPES = {"users": "seats", "search": "searches", "schedule_meeting": "meetings"}


@dataclass(frozen=True, slots=True)
class LimitHit:
    """A limit that ``use`` reached: its type, the plan in force, the use in whole percent rounded down."""

    limit_type: str
    current_plan: str
    usage_percentage: int


@dataclass(slots=True)
class _Meter:
    """The use of one allowance within the month ``[from_ms, until_ms)``."""

    from_ms: int
    until_ms: int
    quantity: int
    used: int = 0
    reached: int = 0
    day: int = -1
    of_day: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Subscription rows of one account and unit, by start."""

    starts: list[int]
    rows: list[Subscription]

    def in_force(self, at_ms: int) -> Subscription | None:
        """The row that covers ``at_ms``; None when there is none."""
        position = bisect_right(self.starts, at_ms) - 1
        if position < 0 or self.rows[position].end_ms <= at_ms:
            return None
        return self.rows[position]


class Quotas:
    """The allowances of all accounts. Feed it every use in time order; it tells the limits each one reaches.

    The only state is what was fed: equal feeds give equal answers.
    """

    def __init__(
        self, subscriptions: Iterable[Subscription], openings: Iterable[Opening], start_ms: int
    ) -> None:
        grouped: dict[tuple[int, str], list[Subscription]] = {}
        for row in sorted(subscriptions, key=lambda row: row.start):
            grouped.setdefault((row.account, row.units), []).append(row)
        self._rows = {key: _Rows([row.start_ms for row in rows], rows) for key, rows in grouped.items()}
        self._meters: dict[tuple[int, str], _Meter] = {}
        for opening in openings:
            meter = self._meter(opening.account, opening.units, start_ms)
            if meter is not None:
                meter.used, meter.reached = opening.used, opening.reached

    def plan(self, account: int, at_ms: int) -> Subscription | None:
        """The plan of ``account`` in force at ``at_ms``: its row of seats; None without a subscription."""
        return self.allowance(account, "users", at_ms)

    def allowance(self, account: int, units: str, at_ms: int) -> Subscription | None:
        """The row in force for ``units``; None without one."""
        rows = self._rows.get((account, units))
        return rows.in_force(at_ms) if rows is not None else None

    def record(self, use: Use) -> tuple[LimitHit, ...]:
        """Counts ``use`` and returns the limits that it reached, seats first."""
        plan = self.plan(use.account, use.at_ms)
        if plan is None:
            return ()
        hits = []
        seats = self._meter(use.account, "users", use.at_ms)
        percent = None if seats is None else _take_seat(seats, use)
        if percent is not None:
            hits.append(LimitHit("seats", plan.plan, percent))
        if use.event_type in LIMIT_TYPES:
            meter = self._meter(use.account, use.event_type, use.at_ms)
            percent = None if meter is None else _consume(meter, use)
            if percent is not None:
                hits.append(LimitHit(LIMIT_TYPES[use.event_type], plan.plan, percent))
        return tuple(hits)

    def openings(self, at_ms: int) -> tuple[Opening, ...]:
        """The state of every allowance in force at ``at_ms``, to begin another ``Quotas`` with."""
        found = []
        for account, units in sorted(self._rows):
            meter = self._meter(account, units, at_ms)
            if meter is not None and (meter.used or meter.reached):
                found.append(Opening(account, units, meter.used, meter.reached))
        return tuple(found)

    def _meter(self, account: int, units: str, at_ms: int) -> _Meter | None:
        meter = self._meters.get((account, units))
        if meter is not None and meter.from_ms <= at_ms < meter.until_ms:
            return meter
        row = self.allowance(account, units, at_ms)
        if row is None:
            return None
        from_ms, until_ms = month_of(row, at_ms)
        meter = _Meter(from_ms, until_ms, row.quantity)
        self._meters[account, units] = meter
        return meter


def month_of(row: Subscription, at_ms: int) -> tuple[int, int]:
    """The month ``[from_ms, until_ms)`` of ``row`` that contains ``at_ms``, never past the row's end."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).date()
    months = (at.year - row.start.year) * 12 + at.month - row.start.month
    if add_months(row.start, months) > at:
        months -= 1
    until_ms = day_ms(add_months(row.start, months + 1))
    return day_ms(add_months(row.start, months)), min(until_ms, row.end_ms)


def add_months(day: date, months: int) -> date:
    """The same day ``months`` later; the last day of that month where it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _take_seat(meter: _Meter, use: Use) -> int | None:
    """Marks the user active today; the percentage to report, None when there is nothing to report."""
    day = use.at_ms // DAY_MS
    if day != meter.day:
        meter.day, meter.of_day = day, set()
    if use.user in meter.of_day:
        return None
    meter.of_day.add(use.user)
    in_use = len(meter.of_day)
    meter.used = max(meter.used, in_use)
    percent = in_use * 100 // meter.quantity
    if _crosses(meter, percent) or in_use == meter.quantity:
        return percent
    return None


def _consume(meter: _Meter, use: Use) -> int | None:
    """Adds one use; the percentage to report, None when there is nothing to report."""
    meter.used += 1
    percent = meter.used * 100 // meter.quantity
    if _crosses(meter, percent):
        return percent
    day = use.at_ms // DAY_MS
    if day != meter.day:
        meter.day, meter.of_day = day, set()
    if meter.used > meter.quantity and use.user not in meter.of_day:
        meter.of_day.add(use.user)
        return percent
    return None


def _crosses(meter: _Meter, percent: int) -> bool:
    """Whether ``percent`` reaches a threshold for the first time in the meter's month; remembers it."""
    reached = max((threshold for threshold in THRESHOLDS if threshold <= percent), default=0)
    if reached <= meter.reached:
        return False
    meter.reached = reached
    return True
