"""Engagement of people with messages, kept per person: when they last did each thing on each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from schemas import wire
from workers.core.engaged import SUPPRESSING, EngagementRow, address_hash, engage, suppress
from workers.core.facts import Moment, SubjectFacts
from workers.core.progress import Progress
from workers.core.zones import from_ms
from workers.identity.places import elsewhere
from workers.signals.traits import CONSENT, merge_traits
from workers.state import ENGAGEMENT, USERS
from workers.stream.decoding import decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.shell import EngineParts
    from workers.stream.batch import TP, Batch
    from workers.stream.view import View


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
            profile = view.table(USERS.profiles).get(key)
            facts = SubjectFacts(now_ms, *((profile.traits, profile.account_traits) if profile else ()))
            zone = self._parts.plan.gate.zones().of(Moment(facts, Progress(engagement.person), now_ms))
            hour = from_ms(engagement.at_ms, zone).hour
            engage(row, engagement.channel, engagement.type, engagement.at_ms, hour)
            if engagement.type in SUPPRESSING:
                address = facts.traits.get("email") if engagement.channel == "email" else None
                # A mailbox that does not exist is no word about the person's next one; a complaint is.
                about = engagement.type == "bounced" and isinstance(address, str)
                digest = address_hash(str(address)) if about else None
                suppress(row, engagement.channel, engagement.type, engagement.at_ms, digest)
            elif engagement.type == "unsubscribed" and profile is not None:
                if profile.traits.get(CONSENT) is not False:
                    merge_traits(profile.traits, {CONSENT: {engagement.channel: False}})
                view.table(USERS.profiles).put(key, profile)
            rows.put(key, row)
