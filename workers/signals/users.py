"""Users' signals: product events into windows and profiles, candidates into eligible records, at once.

This is the hot path: it runs for every event. What an event of no interest to any definition costs is
one look-up; what a counted event costs is one row. Only events that can start, end or convert an
enrollment read more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas import wire
from workers.core.activity import row as activities
from workers.core.activity import windows
from workers.core.activity.backfill import stamp_of
from workers.core.activity.row import Activity, measure
from workers.core.consent import of_trait
from workers.core.journeys.inside import Happened
from workers.core.plan import EventPlan, Slot, SubjectPlan
from workers.identity.places import elsewhere, forward_event, link, places_of
from workers.shell import Subject
from workers.signals.account_events import Described, Outbox
from workers.signals.devices import note_device
from workers.signals.intake import Carried, Taken, is_misplaced, source_of, take
from workers.signals.membership import Memberships
from workers.signals.reactions import only_counts, react, traits_changed
from workers.signals.traits import CONSENT, merge_traits
from workers.state import USERS, Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.shell import EngineParts
    from workers.stream.batch import TP, Batch
    from workers.stream.view import View

NOTHING = EventPlan()
DESCRIBING = frozenset({"identify", "group", "alias"})


@dataclass(frozen=True, slots=True)
class EventUse:
    """What one event is used for, in the form in which the loop asks.

    ``decides``: it can start, end, convert or take on a user's enrollment. ``segments``: those of users that
    it may change. ``for_accounts``: accounts count it; with ``account_decides`` each occurrence goes there by
    itself, with its properties. ``reads``: it needs other rows of its user than that with the windows, all of
    them unless it only ``counts`` for segments. ``opens``: something of the user asks for its properties.
    ``other``: there is more to it than counting.
    """

    plan: EventPlan
    slots: tuple[Slot, ...]
    segments: frozenset[str]
    decides: bool
    for_accounts: bool
    account_decides: bool
    reads: bool
    counts: bool
    opens: bool
    other: bool


UNUSED = EventUse(
    NOTHING,
    (),
    frozenset(),
    decides=False,
    for_accounts=False,
    account_decides=False,
    reads=False,
    counts=False,
    opens=False,
    other=True,
)


class UserSignals:
    """What one partition does with its product events; ``position`` is the offset of the next one."""

    def __init__(self, partition: int, parts: EngineParts) -> None:
        self._partition = partition
        self._parts = parts
        self.position = 0
        user, account = parts.plan.user.events, parts.plan.account.events
        names = user.keys() | account.keys()
        plan = parts.plan
        self._uses = {name: _use(name, plan.user, plan.account) for name in names}
        self._stamp = stamp_of(plan.account).encode()
        reading = {name: use for name, use in self._uses.items() if use.reads}
        self._deciding = frozenset(name for name, use in reading.items() if not use.counts)
        self._settling = frozenset(name for name, use in reading.items() if use.counts)

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[list[Taken], list[bytes]]:
        """The usable events, and their subjects' rows."""
        taken = take(batch, view, now_ms, self._parts.metrics, self._parts.tracking)
        prefix = USERS.activity.prefix
        keys = [prefix + key for key in {key for _, _, key, _ in taken}]
        deciding, settling = self._deciding, self._settling
        for key in {key for _, event, key, _ in taken if event.event in deciding} if deciding else ():
            keys += USERS.rows_of(key)[1:]
            keys += places_of(self._parts, key)
        for key in {key for _, event, key, _ in taken if event.event in settling} if settling else ():
            keys.append(USERS.memberships.prefix + key)
            keys += places_of(self._parts, key)
        return taken, keys

    def apply(  # noqa: C901, PLR0912, PLR0915 - the hot loop, without a call per event
        self, tp: TP, items: Sequence[Taken], view: View, now_ms: int
    ) -> None:
        """Count each event, forward what accounts count, decide what it may change."""
        table = view.table(USERS.activity)
        rows, dirty, load, use_of = table.rows, table.dirty, table.get, self._uses.get
        is_duplicate, add, values = activities.is_duplicate, windows.add, wire.values
        outbox = Outbox(self._parts.partitions, self._stamp)
        fresh: list[bytes] = []
        duplicates = late = untracked = away = 0
        for source, event, key, at_ms in items:
            kind = event.type
            name = event.event if kind == "track" else kind
            context = event.context
            account = context.group_id if context is not None else None
            use = use_of(name)  # type: ignore[arg-type]  # take() saw to it that a track call has an event
            if use is None:
                if kind not in DESCRIBING:
                    untracked += 1
                    if account and (row := rows.get(key) or load(key)) is not None and len(row.accounts) > 1:
                        dirty.add(key)
                        self._act(account, (source, event, key, at_ms), row, outbox, view, now_ms)
                    continue
                use = UNUSED
            row = rows.get(key) or load(key)
            if row is None:
                if self._is_away((source, event, key, at_ms), tp, view, now_ms):
                    away += 1
                    continue
                row = rows[key] = Activity()
                fresh.append(key)
            if account and len(row.accounts) > 1:
                # Before repeats are dropped, as of what nobody asks about, of which no ids are kept.
                dirty.add(key)
                self._act(account, (source, event, key, at_ms), row, outbox, view, now_ms)
            if is_duplicate(row, event.message_id, now_ms):
                duplicates += 1
                continue
            dirty.add(key)
            held = row.windows
            properties = values(event.properties) if use.opens else {}
            for slot in use.slots:
                if slot.where is None or slot.where(properties):
                    if at_ms <= now_ms - slot.retention_ms:
                        late += 1
                    else:
                        held[slot.id] = add(held.get(slot.id), at_ms, now_ms, slot.retention_ms)
            if use.other:
                self._more((source, event, key, at_ms), use, properties, row, outbox, view, now_ms)
            elif use.for_accounts:
                # What _more would do, without the call: most events take this way.
                if not account and row.accounts:
                    account = row.accounts[-1]
                if account:
                    times = outbox.times(name)  # type: ignore[arg-type]
                    if account in times:
                        times[account].append(at_ms)
                    else:
                        times[account] = [at_ms]
        if items and not isinstance(items[-1][0], Carried):
            self.position = items[-1][0].offset + 1
        self._meet(fresh, view, now_ms)
        outbox.send(self._parts.topics("account-events"), view)
        metrics = self._parts.metrics
        metrics.events("counted", len(items) - duplicates - untracked - away)
        metrics.events("duplicate", duplicates)
        metrics.events("late", late)
        metrics.events("untracked", untracked)

    def _is_away(self, one: Taken, tp: TP, view: View, now_ms: int) -> bool:
        """Whether an id without a row has none for a reason, so that its event is not counted here.

        It is of another partition, or was merged into another: the event is sent on. Or the person was
        erased: the event is dropped.
        """
        record, _, key, at_ms = one
        if is_misplaced(key, self._partition, self._parts.partitions, tp.topic, record.value, view):
            self._parts.metrics.rekeyed("partition")
            return True
        found = elsewhere(view, self._parts, key, at_ms, now_ms)
        if found is None:
            return False
        if found.into is not None:
            forward_event(view, self._parts, found.into, record.value, at_ms, now_ms)
        self._parts.metrics.events("erased" if found.into is None else "forwarded", 1)
        return True

    def _meet(self, fresh: Sequence[bytes], view: View, now_ms: int) -> None:
        """Look at all segments of people who are seen for the first time.

        Those that what they did concerns have been looked at as they did it.
        """
        if self._parts.plan.user.segments.ordered:
            for key in fresh:
                Subject("user", key, view, self._parts).settle(now_ms, None, counted=False)

    def _more(
        self,
        one: Taken,
        use: EventUse,
        properties: dict[str, Any],
        row: Activity,
        outbox: Outbox,
        view: View,
        now_ms: int,
    ) -> None:
        """What rarer events bring: traits and memberships, decisions for the account and for the user."""
        _, event, key, at_ms = one
        if use.plan.measures:
            measure(row, use.plan.measures, at_ms, now_ms, properties, None)
        if event.type in DESCRIBING:
            self._describe(one, row, outbox, view, now_ms)
        name = event.event or event.type
        subject = Subject("user", key, view, self._parts, at_ms)
        if use.plan.scored:
            subject.scores.record(name, event.message_id, properties, at_ms, now_ms)
        account = wire.account(event) or (row.accounts[-1] if row.accounts else None)
        if use.for_accounts and account is not None:
            if use.account_decides:
                if not use.opens:
                    # Read here, where only this event fails if it cannot be: in a bundle others would too.
                    wire.values(event.properties)
                outbox.occurred(account, event, at_ms)
            else:
                outbox.times(name).setdefault(account, []).append(at_ms)
        if use.plan.fills:
            subject.relate(use.plan.fills, properties, at_ms)
        subject.settle(now_ms, use.segments)
        if use.decides:
            happened = Happened(name, properties, event.message_id, at_ms, wire.account(event))
            react(happened, use.plan, subject, now_ms)
        if use.reads:
            subject.look(now_ms)

    def _accounts(self, one: Taken, row: Activity, outbox: Outbox, view: View) -> Memberships:
        record, _, key, _ = one
        offset = self.position if isinstance(record, Carried) else record.offset
        return Memberships(key, row, outbox, view, self._parts, offset)

    def _act(self, account: str, one: Taken, row: Activity, outbox: Outbox, view: View, now_ms: int) -> None:
        """An event names an account: whatever asks for it, for the present one hangs on no definition."""
        at_ms = one[3]
        if row.accounts[-1] == account:
            activities.act_for(row, account, at_ms)
        else:
            self._accounts(one, row, outbox, view).act(account, at_ms, now_ms)

    def _describe(self, one: Taken, row: Activity, outbox: Outbox, view: View, now_ms: int) -> None:
        """Take in traits (identify), membership (group), and other ids of the person (alias, identify)."""
        record, event, key, at_ms = one
        if event.type == "alias":
            link(view, self._parts, key.decode(), event.previous_id or "", "alias", at_ms)
            return
        if event.type == "identify" and event.user_id and event.anonymous_id:
            link(view, self._parts, key.decode(), event.anonymous_id, "identify", at_ms)
        if event.type == "identify" and event.context is not None and event.context.device is not wire.ABSENT:
            note_device(event.context.device, key, view, at_ms)
        traits = wire.values(event.traits)
        if event.type == "group":
            accounts = self._accounts(one, row, outbox, view)
            accounts.group(event.group_id or "", traits, at_ms, event.message_id, now_ms)
            return
        profiles = view.table(USERS.profiles)
        profile = profiles.get(key) or Profile()
        user = key.decode()
        if CONSENT in traits:
            words = of_trait(traits[CONSENT])
            Subject("user", key, view, self._parts).note_consent(words, at_ms, source_of(record), now_ms)
        before = dict(profile.traits)
        changed = merge_traits(profile.traits, traits)
        profiles.put(key, profile)
        if "role" in changed and row.accounts and isinstance(profile.traits.get("role"), str):
            outbox.described(Described(row.accounts[-1], user, profile.traits["role"], at_ms, {}))
        if changed:
            subject = Subject("user", key, view, self._parts, at_ms)
            traits_changed(before, event.message_id, at_ms, subject, now_ms)


def _use(name: str, users: SubjectPlan, accounts: SubjectPlan) -> EventUse:
    user, account = users.events.get(name, NOTHING), accounts.events.get(name)
    decides = bool(user.entries or user.exits or user.goals or user.waits or user.looks)
    concerned = users.segments.by_event.get(name, frozenset())
    account_decides = account is not None and _needs_each(account)
    decided = decides or user.scored or user.fills
    reads = bool(decided or concerned)
    filtered = any(slot.where is not None for slot in user.slots)
    return EventUse(
        plan=user,
        slots=user.slots,
        segments=concerned,
        decides=decides,
        for_accounts=account is not None,
        account_decides=account_decides,
        reads=reads,
        counts=not decided and only_counts(concerned, users),
        opens=bool(decided or filtered or user.measures),
        other=bool(reads or account_decides or name in DESCRIBING or user.measures),
    )


def _needs_each(plan: EventPlan) -> bool:
    """Whether accounts must see each occurrence with its properties, and not only when it happened."""
    decides = plan.entries or plan.exits or plan.goals or plan.waits or plan.looks
    return bool(decides or plan.measures or plan.scored or plan.fills) or any(
        slot.where for slot in plan.slots
    )
