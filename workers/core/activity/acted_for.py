"""For which account somebody acted at each product event: the changes of their present account, by offset.

Offsets are those of ``product-events`` in the partition of the id whose row it is. A change that came by
another topic has the offset of the next event there. ``brimful backfill`` asks for offsets of long ago.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN: Final = ""
"""In place of an account: the row does not tell which one."""

TURNS_MAX: Final = 100
"""Changes kept of one user, some 4 KB; of what came before the account is not known any more."""

Turn: TypeAlias = tuple[int, str | None]
"""From this offset on, the account: None for no account, :data:`UNKNOWN`."""


class ActedFor(msgspec.Struct, array_like=True):
    """State row of a user whose present account has changed: its ``turns``, each at a later offset.

    Before the first there was no account. Who has only ever been in one account has no such row.
    """

    turns: list[Turn] = msgspec.field(default_factory=list)


def change(row: ActedFor, offset: int, account: str | None) -> None:
    """The present account is another from an offset on; of several at one offset the last counts."""
    turns = row.turns
    while turns and turns[-1][0] >= offset:
        turns.pop()
    if (turns[-1][1] if turns else None) != account:
        turns.append((offset, account))
    if len(turns) > TURNS_MAX:
        row.turns = [(0, UNKNOWN), *turns[2:]]


def account_at(turns: Sequence[Turn], offset: int) -> str | None:
    """The account at an offset; None for no account, :data:`UNKNOWN` where it is not known any more."""
    return next((account for since, account in reversed(turns) if since <= offset), None)
