"""What a user's account tells its members: its traits, and which segments it is in.

Of an account that the user left, it is old news. What waits for a fact, or ends by it, does so now, whichever
of the user's accounts it is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import wire
from workers.core.journeys.account_exits import AccountChanged, changed_of_account, exit_by_account
from workers.shell import Subject

if TYPE_CHECKING:
    from workers.shell import EngineParts
    from workers.stream.view import View


def learn(
    told: wire.AccountFacts | wire.AccountSegments, view: View, parts: EngineParts, now_ms: int
) -> None:
    """Take over what the account tells."""
    subject = Subject("user", told.subject.encode(), view, parts)
    if told.account not in subject.accounts:
        return
    if isinstance(told, wire.AccountFacts):
        _learn_traits(told, subject, now_ms)
    else:
        _learn_segments(told, subject, now_ms)


def _learn_traits(told: wire.AccountFacts, subject: Subject, now_ms: int) -> None:
    """End what ends by another value; what is told for the first time is no change."""
    profile = subject.profile
    before = profile.accounts.get(told.account)
    profile.accounts[told.account] = told.facts
    subject.put_profile(profile)
    if told.account == subject.account:
        subject.follow(told.at_ms, now_ms)
    if before is not None and told.changed:
        traits = changed_of_account(subject.plan, told.changed, before, told.facts)
        changed = AccountChanged(told.account, traits, told.id)
        subject.take(exit_by_account(subject.plan, changed, subject.progress, now_ms), now_ms)
    subject.settle_all(now_ms, counted=False)


def _learn_segments(told: wire.AccountSegments, subject: Subject, now_ms: int) -> None:
    """The same again changes nothing. By other definitions people enter segments, and no journey."""
    profile = subject.profile
    if profile.account_segments.get(told.account) == told.segments:
        return
    profile.account_segments[told.account] = told.segments
    subject.put_profile(profile)
    subject.is_silent = told.by_definition is True
    if told.account == subject.account:
        subject.follow(told.at_ms, now_ms)
    subject.settle_all(now_ms, counted=False)
