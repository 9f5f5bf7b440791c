"""Which accounts users were in while the past happened, for ``brimful backfill``, by state and events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from schemas import wire
from workers.core.activity import row as activities
from workers.signals.membership import REMOVE
from workers.state import USERS

if TYPE_CHECKING:
    from schemas.wire import ProductEvent
    from workers.core.activity.row import Activity

Known = TypeVar("Known")


@dataclass(frozen=True, slots=True)
class Members:
    """What the engine's rows tell of its users' accounts.

    ``accounts`` is the account of each user who is in only one; ``joined`` says at which offset of the user's
    partition of ``product-events`` each account was joined, where that is known.
    """

    accounts: dict[str, str] = field(default_factory=dict)
    joined: dict[str, dict[str, int]] = field(default_factory=dict)

    def take(self, key: bytes, value: bytes | None) -> None:
        """Take in one row of the state, or that it is gone (None or empty); other tables' are passed over."""
        if key.startswith(USERS.activity.prefix):
            row = USERS.activity.decode(value) if value else None
            _put(self.accounts, key, row.accounts[0] if row is not None and len(row.accounts) == 1 else None)
        elif key.startswith(USERS.profiles.prefix):
            profile = USERS.profiles.decode(value) if value else None
            _put(self.joined, key, (profile.joined or None) if profile is not None else None)

    def before(self, user: str, offset: int) -> list[str]:
        """The accounts that a user was in before ``offset`` and has not left, in order of joining."""
        joined = self.joined.get(user, {})
        return sorted((one for one in joined if joined[one] < offset), key=lambda one: joined[one])

    def dates(self, user: str) -> bool:
        """Whether the state knows when the user joined the one account that they are in."""
        return self.accounts.get(user) in self.joined.get(user, {})


def leaves(event: ProductEvent) -> bool:
    """Whether a group call ends a membership."""
    return event.type == "group" and wire.values(event.traits).get(REMOVE) is True


def follow(row: Activity, event: ProductEvent, at_ms: int) -> None:
    """Change a user's accounts as the engine does when it takes in an event of theirs."""
    acted = event.context.group_id if event.context is not None else None
    if acted and len(row.accounts) > 1:
        activities.act_for(row, acted, at_ms)
    account = wire.account(event)
    if event.type != "group" or not account:
        return
    if leaves(event):
        if account in row.accounts:
            row.accounts.remove(account)
        return
    activities.join_account(row, account, at_ms)
    del row.accounts[: -activities.ACCOUNTS_MAX]


def _put(into: dict[str, Known], key: bytes, value: Known | None) -> None:
    user = key[1:].decode()
    if value is None:
        into.pop(user, None)
    else:
        into[user] = value
