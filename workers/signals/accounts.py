"""Accounts' signals: what members did, counted over all; who they are; what the account is like."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from schemas import wire
from workers import telling_traits
from workers.core.activity import row as windows
from workers.core.activity.backfill import stamp_of, unknown_to
from workers.core.activity.row import Activity
from workers.core.ids import stable_id
from workers.core.journeys.inside import Happened
from workers.core.plan import EventPlan
from workers.shell import Subject
from workers.signals.account_events import Counted, Departed, Described, Item, Occurred, decode
from workers.signals.reactions import only_counts, react, traits_changed
from workers.signals.traits import merge_traits
from workers.state import ACCOUNTS, BOOKS
from workers.telling import greet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workers.core.plan import Slot
    from workers.shell import EngineParts
    from workers.stream.batch import TP, Batch
    from workers.stream.view import View

MEMBERS_MAX = 20_000
"""Members kept of one account; at some 30 bytes each the row stays below Kafka's message limit."""

NOTHING = EventPlan()
_NONE: frozenset[int] = frozenset()


class Bundle(NamedTuple):
    """One record of ``account-events``, unpacked."""

    record: Any
    items: list[Item]


class AccountSignals:
    """What one partition does with what its accounts' members did."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._plans = parts.plan.account.events
        self._segments = parts.plan.account.segments.by_event
        self._stamp = stamp_of(parts.plan.account).encode()
        self._read = parts.read_of("account")[1:]
        self._counting = frozenset(name for name in self._plans if self._only_counts(name))

    def _only_counts(self, event: str) -> bool:
        """Whether an event takes no other rows of its account than those of windows and of memberships."""
        plan, concerned = self._plans[event], self._segments.get(event, frozenset())
        decides = plan.entries or plan.exits or plan.goals or plan.waits or plan.looks
        more = bool(decides or plan.scored or plan.fills)
        return not more and only_counts(concerned, self._parts.plan.account)

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[list[Bundle], list[bytes]]:
        """The bundles, and their accounts' rows."""
        del now_ms
        taken: list[Bundle] = []
        counting: set[str] = set()
        settling: set[str] = set()
        deciding: set[str] = set()
        for source in batch.records:
            try:
                items = decode(source.value or b"")
            except msgspec.DecodeError as error:
                view.dead_letter(batch.tp, source, "unreadable", str(error))
                continue
            taken.append(Bundle(source, items))
            for item in items:
                if isinstance(item, Counted) and item.event not in self._segments:
                    counting.add(item.account)
                elif isinstance(item, Counted | Occurred) and item.event in self._counting:
                    settling.add(item.account)
                else:
                    deciding.add(item.account)
        prefix, memberships = ACCOUNTS.activity.prefix, ACCOUNTS.memberships.prefix
        keys = [prefix + account.encode() for account in counting | settling | deciding]
        keys += [memberships + account.encode() for account in settling]
        for account in deciding:
            key = account.encode()
            keys += [one + key for one in self._read]
        return taken, keys

    def apply(self, tp: TP, items: Sequence[Bundle], view: View, now_ms: int) -> None:
        """Count, describe, decide; all items of an account together, in their order."""
        del tp
        for missing, bundles in groupby(items, lambda bundle: self._missing(bundle.record.key, view)):
            self._take(bundles, missing, view, now_ms)

    def _missing(self, stamp: bytes | None, view: View) -> frozenset[int]:
        """The slots that do not count items of a worker with an older plan: their past is brought apart."""
        if stamp is None or stamp == self._stamp:
            return _NONE
        book = view.table(BOOKS).get(b"account")
        return unknown_to(book, stamp.decode(errors="replace")) if book is not None else _NONE

    def _take(self, bundles: Iterable[Bundle], missing: frozenset[int], view: View, now_ms: int) -> None:
        by_account: dict[str, list[Item]] = {}
        for bundle in bundles:
            for item in bundle.items:
                held = by_account.get(item.account)
                if held is None:
                    by_account[item.account] = [item]
                else:
                    held.append(item)
        for account, happened in by_account.items():
            self._account(account.encode(), happened, missing, view, now_ms)

    def _account(  # noqa: C901  one kind of item after the other
        self, key: bytes, items: list[Item], missing: frozenset[int], view: View, now_ms: int
    ) -> None:
        """All of one account's items, in order; occurrences are gathered until something decides on them."""
        rows = view.table(ACCOUNTS.activity)
        known = rows.get(key)
        row = known or Activity()
        rows.put(key, row)
        subject = Subject("account", key, view, self._parts, _latest_ms(items))
        gathered: dict[Slot, list[int]] = {}
        concerned: frozenset[str] = frozenset()
        for item in items:
            if isinstance(item, Described | Departed):
                self._describe(item, key, view, now_ms)
                continue
            plan = _without(self._plans.get(item.event, NOTHING), missing)
            concerned |= self._segments.get(item.event, frozenset())
            if isinstance(item, Counted):
                for slot in plan.slots:
                    gathered.setdefault(slot, []).extend(item.times_ms)
                continue
            for slot in plan.slots:
                if slot.where is None or slot.where(_properties(item)):
                    gathered.setdefault(slot, []).append(item.at_ms)
            if plan.measures:
                windows.measure(row, plan.measures, item.at_ms, now_ms, _properties(item), item.user)
            if plan.scored:
                subject.scores.record(item.event, item.message_id, _properties(item), item.at_ms, now_ms)
            if plan.fills:
                subject.relate(plan.fills, _properties(item), item.at_ms)
            if plan.entries or plan.exits or plan.goals or plan.waits or plan.looks:
                _count(row, gathered, now_ms)
                gathered = {}
                subject.segments.settle(now_ms, concerned)
                concerned = frozenset()
                happened = Happened(item.event, _properties(item), item.message_id, item.at_ms)
                react(happened, plan, subject, now_ms)
                subject.look(now_ms)
        _count(row, gathered, now_ms)
        looked_at = None if known is None and subject.plan.segments.ordered else concerned
        subject.segments.settle(now_ms, looked_at)
        if concerned:
            subject.look(now_ms)

    def _describe(self, item: Described | Departed, key: bytes, view: View, now_ms: int) -> None:
        if isinstance(item, Departed):
            subject = Subject("account", key, view, self._parts)
            profile = subject.profile
            if profile.members.pop(item.user, None) is not None:
                subject.put_profile(profile)
            return
        subject = Subject("account", key, view, self._parts, item.at_ms)
        profile = subject.profile
        known = profile.members.get(item.user)
        is_new = known is None and len(profile.members) < MEMBERS_MAX
        if known is None and not is_new:
            self._parts.metrics.members_refused()
        elif is_new or (item.role and item.role != known):
            profile.members[item.user] = item.role
        before, told = dict(profile.traits), subject.memberships.told
        changed = merge_traits(profile.traits, item.traits)
        subject.put_profile(profile)
        message_id = stable_id("described", item.account, item.user, str(item.at_ms))
        if changed:
            traits_changed(before, message_id, item.at_ms, subject, now_ms)
        all_told = changed and telling_traits.changed(key, changed, message_id, view, self._parts, now_ms)
        if is_new and not all_told:
            telling_traits.introduce(key, (item.user,), message_id, view, self._parts, now_ms)
        # Where the segments are others by now, all members were told of them, the new one too.
        if is_new and subject.memberships.told == told:
            greet(key, (item.user,), view, self._parts, now_ms)


def _latest_ms(items: Iterable[Item]) -> int | None:
    """When the last of what happened did; None where nobody says."""
    times_ms = (
        max(one.times_ms) if isinstance(one, Counted) else one.at_ms
        for one in items
        if not isinstance(one, Departed)
    )
    return max(times_ms, default=None)


def _without(plan: EventPlan, missing: frozenset[int]) -> EventPlan:
    if not missing:
        return plan
    return replace(
        plan,
        slots=tuple(slot for slot in plan.slots if slot.id not in missing),
        measures=tuple(slot for slot in plan.measures if slot.id not in missing),
    )


def _count(row: Activity, gathered: dict[Slot, list[int]], now_ms: int) -> None:
    for slot, times_ms in gathered.items():
        windows.record_all(row, slot.id, times_ms, now_ms, slot.retention_ms)


def _properties(item: Occurred) -> dict[str, Any]:
    return wire.values(msgspec.Raw(item.properties)) if item.properties else {}
