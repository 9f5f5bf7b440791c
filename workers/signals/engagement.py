"""Engagement of people with messages, kept per person: when they last did each thing on each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from schemas import wire
from workers.stream.decoding import decoded
from workers.stream.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.stream.batch import TP, Batch
    from workers.stream.view import View


class EngagementRow(msgspec.Struct, array_like=True):
    """State row of a person: ``last_ms`` by ``channel:type``, and how often, by the same."""

    last_ms: dict[str, int] = msgspec.field(default_factory=dict)
    count: dict[str, int] = msgspec.field(default_factory=dict)


ENGAGEMENT = Table("engagement", b"g", EngagementRow)


class Engagements:
    """What one partition does with its engagement records."""

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Decode the records."""
        del now_ms
        taken = decoded(batch, view, wire.decode_engagement)
        return taken, [ENGAGEMENT.key(engagement.person.encode()) for _, engagement in taken]

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Remember the latest of each kind."""
        del tp, now_ms
        rows = view.table(ENGAGEMENT)
        for _, engagement in items:
            key = engagement.person.encode()
            row = rows.get(key) or EngagementRow()
            kind = f"{engagement.channel}:{engagement.type}"
            row.last_ms[kind] = max(row.last_ms.get(kind, 0), engagement.at_ms)
            row.count[kind] = row.count.get(kind, 0) + 1
            rows.put(key, row)
