"""Engagement of people with messages, kept per person: when they last did each thing on each channel.

Who unsubscribes or complains has refused that channel, in the same transaction.
Journeys and segments may ask for it as for any event of the person, by channel and kind: ``email_clicked``,
with the properties ``journey``, ``step``, ``message_id``, ``channel``, ``url`` and ``link``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from schemas import wire
from workers.core.addresses import address_of
from workers.core.consent import Said
from workers.core.engaged import SEEN_MAX, SUPPRESSING, EngagementRow, address_hash, engage, suppress
from workers.core.facts import Moment
from workers.core.ids import stable_id
from workers.core.zones import from_ms
from workers.identity.places import elsewhere
from workers.shell import Subject
from workers.signals.devices import forget_device
from workers.signals.intake import Carried
from workers.state import ENGAGEMENT
from workers.stream.batch import TP
from workers.stream.decoding import decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.shell import EngineParts
    from workers.signals.users import UserSignals
    from workers.stream.batch import Batch
    from workers.stream.view import View


UNREGISTERED: Final = "unregistered"
REFUSALS: Final = frozenset({"unsubscribed", "complained"})
"""What takes the consent to a channel back."""


class Engagements:
    """What one partition does with its engagement records."""

    def __init__(self, partition: int, parts: EngineParts, users: UserSignals) -> None:
        self._parts = parts
        self._users = users
        self._events = TP(parts.topics("product-events"), partition)
        self._asked = parts.plan.user.events.keys() | parts.plan.account.events.keys()

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
            if engagement.id in row.seen:
                continue
            row.seen = [*row.seen[1 - SEEN_MAX :], engagement.id]
            if engagement.prefetch:
                # A machine on the way did it, not the person: nothing counts it, and no journey hears of it.
                rows.put(key, row)
                continue
            subject = Subject("user", key, view, self._parts)
            self._count(row, engagement, subject, now_ms)
            rows.put(key, row)
            if engagement.device is not None and engagement.type == UNREGISTERED:
                forget_device(engagement.device, key, view)
            if engagement.type in REFUSALS:
                words = (Said(engagement.channel, None, opted_in=False),)
                subject.note_consent(words, engagement.at_ms, engagement.type, now_ms)
            if event_name(engagement) in self._asked:
                value = as_event(engagement, now_ms)
                event = wire.decode_product_event(value)
                taken = (Carried(value), event, key, wire.at_ms(event))
                self._users.apply(self._events, (taken,), view, now_ms)

    def _count(self, row: EngagementRow, engagement: wire.Engagement, subject: Subject, now_ms: int) -> None:
        """When, how often, at which hour of the person's; and whether it closes a channel."""
        facts = subject.facts(now_ms, {})
        zone = self._parts.plan.gate.zones().of(Moment(facts, subject.progress, now_ms))
        hour = from_ms(engagement.at_ms, zone).hour
        engage(row, engagement.channel, engagement.type, engagement.at_ms, hour)
        if engagement.type in SUPPRESSING:
            address = address_of(engagement.channel, facts.traits)
            # A mailbox that does not exist is no word about the person's next one; a complaint is.
            known = address_hash(address) if isinstance(address, str) else None
            digest = (engagement.address or known) if engagement.type == "bounced" else None
            suppress(row, engagement.channel, engagement.type, engagement.at_ms, digest)


def event_name(engagement: wire.Engagement) -> str:
    """What definitions call it."""
    return f"{engagement.channel}_{engagement.type}"


def as_event(engagement: wire.Engagement, now_ms: int) -> bytes:
    """The engagement as a product event of the person; one that comes twice has the same message id."""
    at_ms = min(engagement.at_ms, now_ms)
    told = {
        "journey": engagement.journey,
        "step": engagement.step,
        "message_id": engagement.message_id,
        "channel": engagement.channel,
        "url": engagement.url,
        "link": engagement.link,
    }
    event = {
        "type": "track",
        "messageId": stable_id("engagement", engagement.id),
        "timestamp": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "userId": engagement.person,
        "event": event_name(engagement),
        "properties": {name: value for name, value in told.items() if value is not None},
    }
    return msgspec.json.encode(event)
