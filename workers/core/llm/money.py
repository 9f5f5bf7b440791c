"""What calls of a model cost, and how much may be spent. Whole numbers, so that sums are exact. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

DAY_MS: Final = 86_400_000
NANOS: Final = 1_000_000_000
"""Billionths: the unit of costs and caps, of the currency in which prices are declared."""

_PICOS_PER_NANO: Final = 1_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Trillionths of the currency for one token: a price of 0.15 for a million tokens is 150,000."""

    input_picos: int
    output_picos: int
    cached_input_picos: int

    def cost_nanos(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int:
        """What a call costs, rounded up to a billionth. ``cached_tokens`` are among ``input_tokens``."""
        cached = min(max(cached_tokens, 0), input_tokens)
        picos = (
            (input_tokens - cached) * self.input_picos
            + cached * self.cached_input_picos
            + output_tokens * self.output_picos
        )
        return -(-picos // _PICOS_PER_NANO)


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be spent over a connection: by one call, on one day (UTC), on one day by one journey.

    None: only the others hold.
    """

    per_day_nanos: int
    per_call_nanos: int | None = None
    per_journey_nanos: int | None = None


class Spending(msgspec.Struct, frozen=True, array_like=True):
    """State row of a connection: what was spent on a day since 1970 (UTC), by journey, and is reserved.

    What calls under way may cost at most is reserved; it counts on the day on which they come back.
    """

    day: int
    spent: dict[str, int] = {}
    reserved: dict[str, int] = {}


def on_day(spending: Spending | None, now_ms: int) -> Spending:
    """The spending of today: on a new day nothing was spent yet."""
    day = now_ms // DAY_MS
    if spending is None:
        return Spending(day)
    # A clock that goes back does not give the money back.
    return spending if spending.day >= day else Spending(day, {}, spending.reserved)


def over_cap(spending: Spending, caps: Caps, journey: str, worst_nanos: int) -> str | None:
    """Which cap a call of this worst case would break; None where it may be made."""
    if caps.per_call_nanos is not None and worst_nanos > caps.per_call_nanos:
        return "cap_per_call"
    of_journey = spending.spent.get(journey, 0) + spending.reserved.get(journey, 0)
    if caps.per_journey_nanos is not None and of_journey + worst_nanos > caps.per_journey_nanos:
        return "cap_per_journey"
    total = sum(spending.spent.values()) + sum(spending.reserved.values())
    return "cap_per_day" if total + worst_nanos > caps.per_day_nanos else None


def reserve(spending: Spending, journey: str, nanos: int) -> Spending:
    """A call begins that may cost so much."""
    return Spending(spending.day, spending.spent, _plus(spending.reserved, journey, nanos))


def settle(spending: Spending, journey: str, reserved_nanos: int, cost_nanos: int) -> Spending:
    """A call came back that cost so much."""
    return Spending(
        spending.day,
        _plus(spending.spent, journey, cost_nanos),
        _plus(spending.reserved, journey, -reserved_nanos),
    )


def _plus(by_journey: dict[str, int], journey: str, nanos: int) -> dict[str, int]:
    left = max(0, by_journey.get(journey, 0) + nanos)
    others = {name: held for name, held in by_journey.items() if name != journey}
    return {**others, journey: left} if left else others
