"""Messages that accounts' journeys ask for and the person's gate holds: requests as they came, bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from schemas import wire
from workers.core.ids import stable_id
from workers.core.journeys.progress import Answer, with_waiting

if TYPE_CHECKING:
    from workers.core.journeys.progress import Progress

HELD_MAX: Final = 64
HELD_MAX_BYTES: Final = 200_000
"""Of all requests together: two persons' rows that are merged still fit a record."""

HELD: Final = "held "
"""In the place of an enrollment, a timer of a held request has its key behind this."""


class HeldRequests(msgspec.Struct, array_like=True):
    """State row of a person: the requests that are held, by the message's key, as they came (JSON)."""

    requests: dict[str, bytes] = msgspec.field(default_factory=dict)

    def has_room(self, record: wire.MessageRequest) -> bool:
        """Whether one more fits."""
        held_bytes = sum(map(len, self.requests.values())) + len(wire.encode(record))
        return len(self.requests) < HELD_MAX and held_bytes <= HELD_MAX_BYTES


def key_of(record: wire.MessageRequest) -> str:
    """What a request is held under: the same for every id of a person."""
    return record.request or record.id


def timer_id(person: str, key: str) -> str:
    """The timer of a held request."""
    return stable_id("held", person, key)


def decode(raw: bytes) -> wire.MessageRequest:
    """A request as it was kept."""
    record = wire.decode_scheduler(raw)
    assert isinstance(record, wire.MessageRequest), "nothing else is held"
    return record


def renamed(record: wire.MessageRequest, person: str) -> wire.MessageRequest:
    """The request under another id of the person it is for."""
    of_request = record.request is not None
    new_id = stable_id("request", record.request or "", person) if of_request else record.id
    return replace(record, subject=person, id=new_id)


def merge_held(mine: HeldRequests, theirs: HeldRequests, person: str) -> HeldRequests:
    """All requests of both, those of ``theirs`` under the person's id; one that both have is held once."""
    moved = {key: wire.encode(renamed(decode(raw), person)) for key, raw in theirs.requests.items()}
    return HeldRequests({**moved, **mine.requests})


def heard(progress: Progress, told: wire.SendAnswer) -> Progress | None:
    """The row in which a held message knows the account's answer; None: nobody waits for it any more."""
    waiting = progress.held_message(told.message)
    if waiting is None or waiting.ask != told.ask:
        return None
    enrollment = progress.enrollment(waiting.enrollment)
    if not waiting.requested and (enrollment is None or not enrollment.is_active):
        return None
    answer = Answer(
        told.granted, told.at_ms, told.reason or "", told.action or "skip", told.until_ms or told.at_ms
    )
    return with_waiting(progress, replace(waiting, answer=answer))
