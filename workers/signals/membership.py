"""Which accounts a user is in: joined by group calls, the present one the last acted for, and left.

A group call with the trait ``remove: true`` takes its user out of the account, as Intercom's own calls do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workers.acted_for import note
from workers.core.activity import row as activities
from workers.core.journeys.account_exits import leave
from workers.shell import Subject
from workers.signals.account_events import Departed, Described
from workers.signals.traits import without_role
from workers.state import USERS

if TYPE_CHECKING:
    from typing import Any

    from workers.core.activity.row import Activity
    from workers.shell import EngineParts
    from workers.signals.account_events import Outbox
    from workers.stream.view import View

REMOVE: Final = "remove"
"""The trait of a group call that ends a membership."""


class Memberships:
    """The accounts of one user inside one transaction. ``row`` is the user's own.

    ``offset`` is that of the event in ``product-events``; for one by another topic, that of the next there.
    """

    def __init__(
        self, key: bytes, row: Activity, outbox: Outbox, view: View, parts: EngineParts, offset: int
    ) -> None:
        self._key = key
        self._row = row
        self._outbox = outbox
        self._view = view
        self._offset = offset
        self._subject = Subject("user", key, view, parts)

    def group(self, account: str, traits: dict[str, Any], at_ms: int, message_id: str, now_ms: int) -> None:
        """A group call: the user is in the account, or not any more; the account has these traits."""
        before = self._present
        if traits.get(REMOVE) is True:
            if account in self._row.accounts:
                self._leave(account, message_id, now_ms)
                self._note(before)
                self._follow(at_ms, now_ms)
            return
        switched = activities.join_account(self._row, account, at_ms)
        role = traits.get("role") or self._subject.profile.traits.get("role")
        described = {name: value for name, value in without_role(traits).items() if name != REMOVE}
        told = role if isinstance(role, str) else ""
        self._outbox.described(Described(account, self._key.decode(), told, at_ms, described))
        while len(self._row.accounts) > activities.ACCOUNTS_MAX:
            self._leave(self._row.accounts[0], message_id, now_ms)
        self._note(before)
        if switched:
            self._follow(at_ms, now_ms)

    def act(self, account: str, at_ms: int, now_ms: int) -> None:
        """The user acted for an account: if it is another of theirs, conditions look at that from now on."""
        before = self._present
        if activities.act_for(self._row, account, at_ms):
            self._note(before)
            self._follow(at_ms, now_ms)

    @property
    def _present(self) -> str | None:
        return self._row.accounts[-1] if self._row.accounts else None

    def _note(self, before: str | None) -> None:
        note(self._view, self._key, before, self._present, self._offset)

    def _leave(self, account: str, message_id: str, now_ms: int) -> None:
        self._row.accounts.remove(account)
        profiles = self._view.table(USERS.profiles)
        profile = profiles.get(self._key)
        if profile is not None and any(
            account in held for held in (profile.accounts, profile.account_segments)
        ):
            profile.accounts.pop(account, None)
            profile.account_segments.pop(account, None)
            profiles.put(self._key, profile)
        self._outbox.described(Departed(account, self._key.decode()))
        subject = self._subject
        subject.take(leave(subject.plan, account, message_id, subject.progress, now_ms), now_ms)

    def _follow(self, at_ms: int, now_ms: int) -> None:
        self._subject.follow(at_ms, now_ms)
        if self._subject.plan.told_scores:
            self._subject.scores.look(now_ms)
        self._subject.settle_all(now_ms, counted=False)
