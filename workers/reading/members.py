"""Which accounts users acted for while the past happened, as the engine noted, for ``brimful backfill``."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Final, TypeVar

from workers.core.activity.acted_for import UNKNOWN, account_at
from workers.state import ACTED_FOR, IDENTITIES, USERS, Identity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.core.activity.acted_for import Turn
    from workers.state import Profile

Known = TypeVar("Known")

NOBODY: Final[tuple[Turn, ...]] = ()
"""Of whom the state tells nothing: they were in no account."""


class Members:
    """What the engine's rows tell of its users' accounts, if ``accounts`` are asked for, and of their ids.

    Some 270 bytes for each user who is in one, 100 for each change of a present account, 300 for each id that
    was merged.
    """

    def __init__(self, *, accounts: bool = True) -> None:
        self._accounts = accounts
        self._since: dict[str, int] = {}
        self._only: dict[str, tuple[Turn]] = {}
        self._turns: dict[str, tuple[Turn, ...]] = {}
        self._merged: dict[str, tuple[str, int]] = {}
        self._before_merge: dict[str, tuple[Turn, ...]] = {}

    def take(self, key: bytes, value: bytes | None) -> None:
        """Take in one row of the state, or that it is gone (None or empty); other tables' are passed over."""
        if key.startswith(IDENTITIES.prefix):
            identity = IDENTITIES.decode(value) if value else Identity()
            _put(self._since, key, identity.since or None)
            if self._accounts:
                self._take_merged(key, identity)
        elif not self._accounts:
            return
        elif key.startswith(USERS.profiles.prefix):
            _put(self._only, key, _only(USERS.profiles.decode(value)) if value else None)
        elif key.startswith(ACTED_FOR.prefix):
            _put(self._turns, key, _slim(ACTED_FOR.decode(value).turns) if value else None)

    def since(self, user: str) -> int:
        """From which offset on an id's events are of the person it is of; of another one they were before."""
        return self._since.get(user, 0)

    def account_at(self, user: str, offset: int) -> str | None:
        """The account that an id acted for at an offset of its own partition of ``product-events``.

        None: it was in none; ``UNKNOWN``: the state does not tell. What a merged id did is the person's; who
        has only ever been in one account acted for that.
        """
        merged = self._merged.get(user)
        if merged is None:
            return account_at(self._of(user), offset)
        into, since = merged
        if offset >= since:
            return self._one_of(into) if offset >= self.since(user) else UNKNOWN
        return account_at(self._before_merge.get(user, NOBODY), offset)

    def only_account(self, user: str) -> str | None:
        """The one account that a user has ever acted for, as far as is known; None: none, or several."""
        accounts = {account for _, account in self._of(user) if account is not None}
        return accounts.pop() if len(accounts) == 1 and UNKNOWN not in accounts else None

    def has_been_in_none(self, user: str, offset: int) -> bool:
        """Whether an id was in no account until then, as far as the engine knew."""
        turns = self._before_merge.get(user, NOBODY) if user in self._merged else self._of(user)
        return all(since > offset for since, _ in turns)

    def _take_merged(self, key: bytes, identity: Identity) -> None:
        into, turns = identity.merged_into, identity.acted_for
        _put(self._merged, key, (into, turns[-1][0] if turns else 0) if into is not None else None)
        _put(self._before_merge, key, _slim(turns[:-1]) or None)

    def _of(self, user: str) -> tuple[Turn, ...]:
        turns = self._turns.get(user)
        return self._only.get(user, NOBODY) if turns is None else turns

    def _one_of(self, person: str) -> str | None:
        """The account of whoever an id went to; None: never in one."""
        passed: set[str] = set()
        while (merged := self._merged.get(person)) is not None and person not in passed:
            passed.add(person)
            person = merged[0]
        return (self.only_account(person) or UNKNOWN) if self._of(person) else None


def _only(profile: Profile) -> tuple[Turn] | None:
    if len(profile.joined) == 1:
        ((account, offset),) = profile.joined.items()
        return ((offset, intern(account)),)
    # Rows that an older version wrote say of accounts, but not since when: unless a row of turns is there.
    return ((0, UNKNOWN),) if profile.joined or profile.accounts else None


def _slim(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    return tuple((since, intern(account) if account else account) for since, account in turns)


def _put(into: dict[str, Known], key: bytes, value: Known | None) -> None:
    user = key[1:].decode()
    if value is None:
        into.pop(user, None)
    else:
        into[user] = value
