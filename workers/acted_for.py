"""Notes whom users act for, from which product event on: see :mod:`workers.core.activity.acted_for`.

Nearly everybody is in one account for ever: their profile says since when, and a row of its own begins with
the second change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.core.activity.acted_for import UNKNOWN, ActedFor, change
from workers.state import ACTED_FOR, USERS, Profile

if TYPE_CHECKING:
    from workers.core.activity.acted_for import Turn
    from workers.stream.view import View


def turns_of(view: View, key: bytes, present: str | None) -> list[Turn]:
    """The turns of a user whose account is ``present`` now, as far as the tables tell."""
    row = view.table(ACTED_FOR).get(key)
    if row is not None:
        return list(row.turns)
    profile = view.table(USERS.profiles).get(key)
    joined = profile.joined if profile is not None else {}
    if present is None:
        return []
    # Rows of an older version may hold several, and do not tell when each was the present one.
    return [(joined[present], present)] if joined.keys() == {present} else [(0, UNKNOWN)]


def note(view: View, key: bytes, before: str | None, after: str | None, offset: int) -> None:
    """A user's present account became ``after`` at an offset of their partition of ``product-events``."""
    if before == after:
        return
    rows, profiles = view.table(ACTED_FOR), view.table(USERS.profiles)
    profile = profiles.get(key) or Profile()
    if before is None and after is not None and rows.get(key) is None:
        profile.joined = {after: offset}
        profiles.put(key, profile)
        return
    row = ActedFor(turns_of(view, key, before))
    change(row, offset, after)
    rows.put(key, row)
    if profile.joined:
        profile.joined = {}
        profiles.put(key, profile)
