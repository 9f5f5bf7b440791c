"""Engagement of people with messages, kept per person: when they last did each thing on each channel.

Who unsubscribes or complains has refused that channel, in the same transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from schemas import wire
from workers.core.consent import Said
from workers.identity.places import elsewhere
from workers.shell import Subject
from workers.state import ENGAGEMENT, EngagementRow
from workers.stream.decoding import decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.shell import EngineParts
    from workers.stream.batch import TP, Batch
    from workers.stream.view import View


REFUSALS: Final = frozenset({"unsubscribed", "complained"})
"""What takes the consent to a channel back."""


class Engagements:
    """What one partition does with its engagement records."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Decode the records."""
        del now_ms
        taken = decoded(batch, view, wire.decode_engagement)
        return taken, [ENGAGEMENT.key(engagement.person.encode()) for _, engagement in taken]

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Remember the latest of each kind; of an id that was merged, for the person it belongs to."""
        rows = view.table(ENGAGEMENT)
        for _, engagement in items:
            key = engagement.person.encode()
            row = rows.get(key)
            if row is None:
                away = elsewhere(view, self._parts, key, engagement.at_ms, now_ms)
                if away is not None:
                    if away.into is not None:
                        moved = replace(engagement, person=away.into)
                        view.send(tp.topic, away.into.encode(), wire.encode(moved))
                    continue
                row = EngagementRow()
            kind = f"{engagement.channel}:{engagement.type}"
            row.last_ms[kind] = max(row.last_ms.get(kind, 0), engagement.at_ms)
            row.count[kind] = row.count.get(kind, 0) + 1
            rows.put(key, row)
            if engagement.type in REFUSALS:
                words = (Said(engagement.channel, None, opted_in=False),)
                subject = Subject("user", key, view, self._parts)
                subject.note_consent(words, engagement.at_ms, engagement.type, now_ms)
