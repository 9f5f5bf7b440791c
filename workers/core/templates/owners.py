"""Who takes a lead: owners with absences, spread evenly and sticky by account. Pure.

Round robin needs a counter that all partitions share; rendezvous hashing (the owner with the highest hash of
owner and account) needs none, gives every owner the same share in expectation, and moves only the accounts of
who leaves. What was given once is remembered beside it, so that who joins takes over no account.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from workers.core.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Sequence

OWNERS_MAX: Final = 500
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner. ``fields`` is what templates read (``owner.id``, ``owner.name`` ...).

    ``away`` are half-open intervals in milliseconds: from the first day away to the day that they are back.
    """

    id: str
    fields: Mapping[str, Any]
    away: tuple[tuple[int, int], ...] = ()
    is_away: bool = False

    def is_here(self, now_ms: int) -> bool:
        """Whether they take new work now."""
        return not self.is_away and not any(start <= now_ms < end for start, end in self.away)


@dataclass(frozen=True, slots=True)
class Picked:
    """The owner of an account now, and whose name is to be remembered for it."""

    owner: Owner
    remember: str


def pick_owner(owners: Sequence[Owner], account: str, kept: str | None, now_ms: int) -> Picked:
    """The owner of ``account`` at ``now_ms``; ``kept`` is who was remembered for it, None for nobody.

    Who is remembered stays, as long as they are on the list; while they are away another one stands in.
    Where all are away, nobody is: a lead without an owner is worse than one that waits in a mailbox.
    """
    here = [owner for owner in owners if owner.is_here(now_ms)] or list(owners)
    home = next((owner for owner in owners if owner.id == kept), None)
    if home is not None and home in here:
        return Picked(home, home.id)
    best = max(here, key=lambda owner: stable_id("owner", owner.id, account))
    return Picked(best, best.id if home is None else home.id)


def read_owners(values: object) -> tuple[Owner, ...]:
    """The owners of a list as written; raises ``ValueError`` with what is wrong."""
    if not isinstance(values, list) or not 0 < len(values) <= OWNERS_MAX:
        raise ValueError(f"owners are a list of 1 to {OWNERS_MAX}, each with an id")
    owners = tuple(_owner(number, value) for number, value in enumerate(values, 1))
    if len({owner.id for owner in owners}) != len(owners):
        raise ValueError("two owners have the same id")
    return owners


def _owner(number: int, value: object) -> Owner:
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        value = {"id": str(value)}
    if not isinstance(value, Mapping) or not str(value.get("id") or "").strip():
        raise ValueError(f"owner {number} has no id")
    away = value.get("away", False)
    fields = {str(key): one for key, one in value.items() if key != "away"}
    fields["id"] = str(fields["id"])
    if any(not isinstance(one, (str, int, float, bool)) for one in fields.values()):
        raise ValueError(f"owner {number}: fields are texts, numbers or booleans")
    if isinstance(away, bool):
        return Owner(fields["id"], fields, (), away)
    if not isinstance(away, list):
        raise ValueError(f"owner {number}: away is true, or a list of {{from: DAY, back: DAY}}")  # noqa: TRY004 - of a file
    return Owner(fields["id"], fields, tuple(_absence(number, one) for one in away))


def _absence(number: int, value: object) -> tuple[int, int]:
    days = value if isinstance(value, Mapping) else {}
    start, end = _day_ms(days.get("from")), _day_ms(days.get("back"))
    if start is None or end is None or set(days) != {"from", "back"} or end <= start:
        raise ValueError(f"owner {number}: an absence has the days `from` and `back`, such as 2027-01-04")
    return start, end


def _day_ms(value: object) -> int | None:
    """The beginning of a day in UTC; None where it is no day."""
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, date) or isinstance(value, datetime):
        return None
    return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp() * 1000)
