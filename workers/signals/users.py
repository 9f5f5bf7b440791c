"""Users' signals: product events into windows and profiles, candidates into eligible records, at once.

This is the hot path: it runs for every event. What an event of no interest to any definition costs is
one look-up; what a counted event costs is one row. Only events that can start, end or convert an
enrollment read more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import wire
from workers.core import activity as windows
from workers.core.activity import Activity
from workers.core.journeys import Happened
from workers.core.plan import EventPlan
from workers.shell import Subject
from workers.signals.account_events import Described, Item, Occurred, bundles
from workers.signals.reactions import react, traits_changed
from workers.signals.traits import merge_traits, without_role
from workers.signals.intake import Taken, is_misplaced, take
from workers.state import USERS, Profile
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.shell import EngineParts
    from workers.stream.batch import TP, Batch
    from workers.stream.view import View

NOTHING = EventPlan()


class UserSignals:
    """What one partition does with its product events."""

    def __init__(self, partition: int, parts: EngineParts) -> None:
        self._partition = partition
        self._parts = parts
        user, account = parts.plan.user.events, parts.plan.account.events
        # Both plans of an event in one look-up; an event in neither concerns nobody.
        self._plans = {
            name: (user.get(name, NOTHING), account.get(name)) for name in user.keys() | account.keys()
        }

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[list[Taken], list[bytes]]:
        """The usable events, and their subjects' rows."""
        taken = take(batch, view, now_ms, self._parts.metrics)
        prefix = USERS.activity.prefix
        return taken, [prefix + one.key for one in taken]

    def apply(self, tp: TP, items: Sequence[Taken], view: View, now_ms: int) -> None:
        """Count each event, forward what accounts count, decide what it may change."""
        rows = view.table(USERS.activity)
        plans = self._plans
        to_accounts: dict[int, list[Item]] = {}
        counted = duplicates = late = untracked = 0
        for one in items:
            _, event, key, at_ms = one
            name = event.event if event.type == "track" else event.type
            plan = plans.get(name)  # type: ignore[arg-type]  # a track call has an event, take() saw to it
            calls = event.type in {"identify", "group"}
            if plan is None and not calls:
                untracked += 1
                continue
            row = rows.get(key)
            if row is None:
                if is_misplaced(
                    key, self._partition, self._parts.partitions, tp.topic, one.record.value, view
                ):
                    self._parts.metrics.rekeyed("partition")
                    continue
                row = Activity()
            if windows.is_duplicate(row, event.message_id, now_ms):
                duplicates += 1
                continue
            rows.put(key, row)
            if calls:
                self._describe(one, row, to_accounts, view, now_ms)
            if plan is not None:
                late += self._count(one, row, plan, to_accounts, now_ms)
                if plan[0].entries or plan[0].exits or plan[0].goals:
                    happened = Happened(name or "", wire.values(event.properties), event.message_id, at_ms)
                    react(
                        happened, plan[0], Subject("user", key, view, self._parts), self._parts, view, now_ms
                    )
            counted += 1
        self._forward(to_accounts, view)
        metrics = self._parts.metrics
        metrics.events("counted", counted)
        metrics.events("duplicate", duplicates)
        metrics.events("late", late)
        metrics.events("untracked", untracked)

    def _count(
        self,
        one: Taken,
        row: Activity,
        plan: tuple[EventPlan, EventPlan | None],
        to_accounts: dict[int, list[Item]],
        now_ms: int,
    ) -> int:
        """Record the event in the user's windows and hand it on to the account's; 1 when it came too late to count."""
        _, event, _, at_ms = one
        too_late = 0
        for slot in plan[0].slots:
            if slot.where is None or slot.where(wire.values(event.properties)):
                if at_ms <= now_ms - slot.retention_ms:
                    too_late = 1
                    continue
                windows.record(row, slot.id, at_ms, now_ms, slot.retention_ms)
        account_plan = plan[1]
        if account_plan is not None:
            account = wire.account(event) or (row.accounts[-1] if row.accounts else None)
            if account is not None:
                properties = bytes(event.properties) if reads_properties(account_plan) else None
                user = event.user_id or event.anonymous_id or ""
                item = Occurred(account, user, event.event or event.type, at_ms, event.message_id, properties)
                self._address(account, item, to_accounts)
        return too_late

    def _address(self, account: str, item: Item, to_accounts: dict[int, list[Item]]) -> None:
        partition = partition_of(account.encode(), self._parts.partitions)
        held = to_accounts.get(partition)
        if held is None:
            to_accounts[partition] = [item]
        else:
            held.append(item)

    def _forward(self, to_accounts: dict[int, list[Item]], view: View) -> None:
        topic = self._parts.topics("account-events")
        for partition, items in to_accounts.items():
            for packed in bundles(items):
                view.send(topic, None, packed, partition)

    # -- calls that describe

    def _describe(
        self, one: Taken, row: Activity, to_accounts: dict[int, list[Item]], view: View, now_ms: int
    ) -> None:
        """Take in traits (identify) or membership (group)."""
        _, event, key, at_ms = one
        profiles = view.table(USERS.profiles)
        profile = profiles.get(key) or Profile()
        traits = wire.values(event.traits)
        if event.type == "group":
            account = event.group_id or ""
            if windows.join_account(row, account) and profile.account != account:
                profile.account, profile.account_traits = account, {}
            role = traits.get("role") or profile.traits.get("role")
            item = Described(
                account, key.decode(), role if isinstance(role, str) else "", at_ms, without_role(traits)
            )
            self._address(account, item, to_accounts)
            profiles.put(key, profile)
            return
        before = dict(profile.traits)
        changed = merge_traits(profile.traits, traits)
        profiles.put(key, profile)
        if "role" in changed and row.accounts and isinstance(profile.traits.get("role"), str):
            account = row.accounts[-1]
            self._address(
                account, Described(account, key.decode(), profile.traits["role"], at_ms, {}), to_accounts
            )
        if changed:
            subject = Subject("user", key, view, self._parts)
            traits_changed(before, event.message_id, at_ms, subject, now_ms)


def reads_properties(plan: EventPlan) -> bool:
    """Whether a definition looks at the event's properties."""
    return bool(plan.entries or plan.exits or plan.goals) or any(slot.where for slot in plan.slots)
