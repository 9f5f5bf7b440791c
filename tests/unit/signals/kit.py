"""Signals on rows in memory: events in, what a transaction would commit out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import CollectorRegistry

from tests.unit.core.kit import plan_of
from tests.unit.stream.kit import Rec
from workers.core.activity import windows
from workers.engine_metrics import SignalMetrics
from workers.shell import EngineParts
from workers.signals import account_events
from workers.signals.accounts import AccountSignals
from workers.signals.users import UserSignals
from workers.state import ACCOUNTS, USERS, Profile
from workers.stream.batch import TP, Batch
from workers.stream.decide import apply_items
from workers.stream.logic import Quiet
from workers.stream.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workers.core.activity.row import Activity

NOW = 1_773_480_000_000
DAY = 86_400_000
EVENTS = TP("product-events", 0)
BUNDLES = TP("account-events", 0)


class _Topic(Quiet):
    """One handler as the whole logic of a partition."""

    def __init__(self, handler: Any) -> None:
        self.prepare = handler.prepare
        self.apply = handler.apply


class Engine:
    """The signals of one partition, with the rows of all that was committed before."""

    def __init__(self, *journeys: Mapping[str, Any], partition: int = 0, partitions: int = 1) -> None:
        self.registry = CollectorRegistry()
        plan = plan_of(*journeys)
        self.plan = plan
        self.parts = EngineParts(plan, partitions, lambda name: name, SignalMetrics(self.registry))
        self._handlers: dict[str, Any] = {
            EVENTS.topic: UserSignals(partition, self.parts),
            BUNDLES.topic: AccountSignals(self.parts),
        }
        self.rows: dict[bytes, bytes] = {}
        self.now_ms = NOW

    def run(self, tp: TP, records: Sequence[Rec]) -> View:
        """One transaction of these records."""
        view = View(self.rows.get)
        handler = self._handlers[tp.topic]
        last = records[-1].offset + 1 if records else 0
        items, _ = handler.prepare(Batch(tp, records, 0, last), view, self.now_ms)
        apply_items(_Topic(handler), tp, items, view, self.now_ms)
        for key, row in view.changes().items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        return view

    def events(self, *events: Mapping[str, Any]) -> View:
        """One transaction of these events, each with its subject's key."""
        return self.run(EVENTS, [record(event, at) for at, event in enumerate(events)])

    def bundles(self, *bundles: list[account_events.Item]) -> View:
        """One transaction of these bundles."""
        return self.run(
            BUNDLES, [Rec(at, account_events.encode(items), None) for at, items in enumerate(bundles)]
        )

    def forward(self, view: View) -> View:
        """What the users' side sent to accounts arrives there."""
        return self.run(
            BUNDLES, [Rec(at, value, None) for at, value in enumerate(sent(view, "account-events"))]
        )

    def count(self, key: str, *, account: bool = False) -> int:
        """What the one window of a subject counts now, over all that it keeps."""
        subject = self.plan.account if account else self.plan.user
        ((slot_id, retention_ms),) = subject.retentions_ms.items()
        row = self.activity(key, account=account)
        held = row.windows.get(slot_id) if row is not None else None
        return windows.count(held, self.now_ms, retention_ms, retention_ms)

    def activity(self, key: str, *, account: bool = False) -> Activity | None:
        """A subject's row."""
        table = (ACCOUNTS if account else USERS).activity
        stored = self.rows.get(table.key(key.encode()))
        return None if stored is None else table.decode(stored)

    def profile(self, key: str, *, account: bool = False) -> Profile:
        """A subject's profile."""
        table = (ACCOUNTS if account else USERS).profiles
        stored = self.rows.get(table.key(key.encode()))
        return Profile() if stored is None else table.decode(stored)

    def outcome(self, outcome: str) -> float:
        """How many events had this outcome."""
        return self.registry.get_sample_value("brimful_events_total", {"outcome": outcome}) or 0

    def rekeyed(self, cause: str) -> float:
        """How many events were sent on."""
        return self.registry.get_sample_value("brimful_events_rekeyed_total", {"cause": cause}) or 0


_ids = iter(range(10**9))


def event(name: str = "limit", user: str = "u1", at_ms: int = NOW, **fields: Any) -> dict[str, Any]:
    """A track call; ``fields`` replace and add, None removes."""
    plain: dict[str, Any] = {
        "type": "track",
        "messageId": f"m{next(_ids)}",
        "timestamp": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "userId": user,
        "event": name,
    }
    merged = plain | fields
    return {field: value for field, value in merged.items() if value is not None}


def record(plain: Mapping[str, Any], offset: int = 0, key: bytes | None = None) -> Rec:
    """An event as a record with its subject's key, unless another is given."""
    subject = plain.get("userId") or plain.get("anonymousId") or ""
    return Rec(offset, msgspec.json.encode(plain), subject.encode() if key is None else key)


def sent(view: View, topic: str) -> list[bytes]:
    """The values sent to a topic."""
    return [output.value or b"" for output in view.outputs if output.topic == topic]


def dead(view: View) -> list[tuple[int, str]]:
    """Offset and reason of each dead letter."""
    return [(letter.offset, letter.reason) for letter in view.dead]


def items(view: View) -> list[account_events.Item]:
    """What was sent to accounts."""
    return [item for value in sent(view, "account-events") for item in account_events.decode(value)]
