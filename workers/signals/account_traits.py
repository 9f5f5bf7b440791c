"""Accounts' traits from systems that know no person: imports and billing, on the topic ``account-traits``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from schemas import wire
from workers import telling_traits
from workers.core.activity import row as activities
from workers.core.activity.row import Activity
from workers.core.ids import stable_id
from workers.core.journeys.actions import SOURCE
from workers.shell import Subject
from workers.signals.intake import FUTURE_TOLERANCE_MS
from workers.signals.reactions import traits_changed
from workers.signals.traits import merge_traits
from workers.state import ACCOUNTS
from workers.stream.decoding import decoded
from workers.stream.partitioner import partition_of
from workers.stream.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from workers.shell import EngineParts
    from workers.stream.batch import TP, Batch
    from workers.stream.view import View

SOURCES_MAX = 64
"""Sources kept of one account: who said something last stays, so that a row does not grow without end."""


class Sources(msgspec.Struct, array_like=True):
    """When each source of an account's traits spoke last, in UTC milliseconds, the latest speaker last."""

    at_ms: dict[str, int] = msgspec.field(default_factory=dict)


SOURCES = Table("account_sources", b"f", Sources)


class Told(NamedTuple):
    """One record of ``account-traits``."""

    record: Any
    told: wire.AccountTraits


class AccountTraitSignals:
    """What one partition does with traits of its accounts."""

    def __init__(self, partition: int, parts: EngineParts) -> None:
        self._partition = partition
        self._parts = parts

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[list[Told], list[bytes]]:
        """The readable records, and their accounts' rows."""
        taken: list[Told] = []
        keys: list[bytes] = []
        for record, told in decoded(batch, view, wire.decode_account_traits):
            if told.at_ms > now_ms and told.source.startswith(f"{SOURCE}:"):
                # A step's word, by the clock of the worker that has the person.
                told = msgspec.structs.replace(told, at_ms=now_ms)  # noqa: PLW2901
            if told.at_ms > now_ms + FUTURE_TOLERANCE_MS:
                # Kept as the source's last word it would silence the source until then.
                ahead_s = (told.at_ms - now_ms) // 1000
                detail = f"at_ms is {ahead_s} s ahead of the engine's clock"
                view.dead_letter(batch.tp, record, "future", detail)
                continue
            taken.append(Told(record, told))
            key = told.account.encode()
            keys += (ACCOUNTS.activity.key(key), ACCOUNTS.profiles.key(key))
            keys += (ACCOUNTS.progress.key(key), SOURCES.key(key))
        return taken, keys

    def apply(self, tp: TP, items: Sequence[Told], view: View, now_ms: int) -> None:
        """Merge what is news, tell the members, end what another value ends."""
        for record, told in items:
            key = told.account.encode()
            right = partition_of(key, self._parts.partitions)
            if right != self._partition:
                view.send(tp.topic, key, record.value, right)
                self._parts.metrics.rekeyed("partition")
            elif self._is_news(told, key, view, now_ms):
                self._learn(told, key, view, now_ms)

    def _is_news(self, told: wire.AccountTraits, key: bytes, view: View, now_ms: int) -> bool:
        """Whether it is no repeat, and not older than what its source said last."""
        rows, sources = view.table(ACCOUNTS.activity), view.table(SOURCES)
        row = rows.get(key) or Activity()
        if activities.is_duplicate(row, told.id, now_ms):
            self._parts.metrics.events("duplicate", 1)
            return False
        rows.put(key, row)
        said = sources.get(key) or Sources()
        last_ms = said.at_ms.pop(told.source, None)
        if last_ms is not None and told.at_ms < last_ms:
            said.at_ms[told.source] = last_ms
            self._parts.metrics.events("late", 1)
            return False
        if len(said.at_ms) >= SOURCES_MAX:
            del said.at_ms[next(iter(said.at_ms))]
        said.at_ms[told.source] = told.at_ms
        sources.put(key, said)
        return True

    def _learn(self, told: wire.AccountTraits, key: bytes, view: View, now_ms: int) -> None:
        subject = Subject("account", key, view, self._parts, told.at_ms)
        profile = subject.profile
        before = dict(profile.traits)
        changed = merge_traits(profile.traits, told.traits)
        if not changed:
            return
        subject.put_profile(profile)
        message_id = stable_id("told", told.account, told.id)
        traits_changed(before, message_id, min(told.at_ms, now_ms), subject, now_ms)
        telling_traits.changed(key, changed, message_id, view, self._parts, now_ms)
