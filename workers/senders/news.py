"""What a provider's answer tells of the person beside what became of the message: records for the engine.

Each has an id made of the message's, so that the same news of one message is the same record.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas import wire
from workers.core.addresses import number_id
from workers.core.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.wire import Message
    from workers.senders.channels.base import DeliveryResult
    from workers.stream.view import View

COUNTRY: Final = "country"
"""The trait, the person's or else the account's, that says where a number without a country code is from."""


def region_of(message: Message) -> str | None:
    """Where the person is (ISO 3166), by the trait ``country``; None where no code of two letters says it."""
    holders: tuple[Mapping[str, Any], ...] = (message.context.user, message.context.account)
    for holder in holders:
        said = holder.get(COUNTRY)
        if isinstance(said, str) and len(said.strip()) == 2:  # noqa: PLR2004 - ISO 3166-1 alpha-2
            return said.strip().upper()
    return None


def tell(
    message: Message, result: DeliveryResult, topics: Callable[[str], str], view: View, now_ms: int
) -> None:
    """Send on what an answer to ``message`` tells."""
    news, key = result.news, message.person.encode()
    if news.opted_out:
        refusal = wire.ConsentChange(
            id=stable_id("opted_out", message.id),
            subject=message.person,
            channel=message.channel,
            state="opted_out",
            source="provider",
            at_ms=now_ms,
        )
        view.send(topics("scheduler"), key, wire.encode(refusal))
    if news.dead:
        view.send(topics("engagement"), key, wire.encode(_engagement(message, "bounced", None, now_ms)))
    for mark in news.gone:
        gone = _engagement(message, "unregistered", mark, now_ms)
        view.send(topics("engagement"), key, wire.encode(gone))
    if news.number is not None:
        alias = number_id(news.number)
        view.send(topics("product-events"), key, _alias(message.person, alias, now_ms))


def _engagement(message: Message, kind: Any, device: str | None, now_ms: int) -> wire.Engagement:
    return wire.Engagement(
        id=stable_id(kind, message.id, device or ""),
        type=kind,
        person=message.person,
        message_id=message.id,
        channel=message.channel,
        journey=message.journey,
        step=message.step,
        device=device,
        at_ms=now_ms,
    )


def _alias(person: str, previous: str, now_ms: int) -> bytes:
    """The number's id is the person's: what they answer finds them. Said again within a day it is dropped."""
    event = {
        "type": "alias",
        "messageId": stable_id("number", person, previous),
        "timestamp": datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "previousId": previous,
        "userId": person,
    }
    return msgspec.json.encode(event)
