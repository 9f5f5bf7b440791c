"""What receivers of mail bear: a new sender warms up, and a domain gets so many a second. Pure.

Mailbox providers distrust who sends much at once, and more so whom they do not know yet. Both limits are
token buckets; what does not fit waits in the state, or in its topic, and other domains pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - a dataclass names it
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

from workers.errors import Misconfigured

DAY_MS: Final = 86_400_000
SLICES_A_DAY: Final = 288
"""A day's mails leave spread over the day, at most five minutes' worth of them at once."""

OTHERS: Final = "*"
"""Each domain that has no rate of its own, by itself."""

_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+|\*")


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How many mails may leave on each day from a first day on (UTC); afterwards as many as come."""

    first_day: date
    per_day: tuple[int, ...]

    def allowance(self, now_ms: int) -> int | None:
        """Mails of the day that ``now_ms`` is in; None: the warm-up is over. Before it: the first day's."""
        day = (datetime.fromtimestamp(now_ms // 1000, UTC).date() - self.first_day).days
        return self.per_day[max(0, day)] if day < len(self.per_day) else None


@dataclass(frozen=True, slots=True)
class Pace:
    """``per_second`` by the recipient's domain; :data:`OTHERS` is for those without a rate of their own."""

    warm_up: WarmUp | None = None
    per_second: Mapping[str, float] = field(default_factory=dict)

    def rate_of(self, domain: str) -> float | None:
        """Mails a second to a domain; None: as many as come."""
        return self.per_second.get(domain, self.per_second.get(OTHERS))


def domain_of(address: str | None) -> str:
    """The domain of an address, in small letters; empty without one."""
    return (address or "").rpartition("@")[2].strip().lower()


def read_warm_up(text: str) -> WarmUp:
    """``2026-03-01:200,500,1000``: the first day, and the mails of each day from it on.

    Raises:
        Misconfigured: it is not written so, or does not grow.
    """
    first, _, numbers = text.partition(":")
    try:
        day = date.fromisoformat(first.strip())
        per_day = tuple(int(number) for number in numbers.split(","))
    except ValueError:
        raise Misconfigured(
            f"BRIMFUL_MAIL_WARM_UP {text!r} is not FIRST-DAY:MAILS,MAILS,... such as 2026-03-01:200,500,1000"
        ) from None
    if min(per_day) < 1 or list(per_day) != sorted(per_day):
        raise Misconfigured(
            f"BRIMFUL_MAIL_WARM_UP {text!r}: each day has as many mails as the one before, or more"
        )
    return WarmUp(day, per_day)


def read_rates(text: str) -> dict[str, float]:
    """``gmail.com=20,*=5``: mails a second by domain of the recipient.

    Raises:
        Misconfigured: it is not written so.
    """
    rates: dict[str, float] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        domain, _, number = pair.partition("=")
        name = domain.strip().lower()
        try:
            rates[name] = float(number)
        except ValueError:
            rates[name] = 0
        if not _DOMAIN.fullmatch(name) or not 0 < rates[name] <= 10_000:  # noqa: PLR2004 - as in connections
            raise Misconfigured(
                f"BRIMFUL_MAIL_DOMAIN_RATES {pair!r} is not DOMAIN=MAILS-A-SECOND, such as gmail.com=20"
            )
    return rates
