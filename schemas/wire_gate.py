"""The records of the gate as structs; see :mod:`schemas.records.gate` and :mod:`schemas.wire`."""

from __future__ import annotations

from schemas.fields import Channel, Millis, Text, Values  # noqa: TC001  msgspec reads them at run time
from schemas.wire_base import Record


class SendAsk(Record, tag_field="type", tag="send_ask", frozen=True, kw_only=True):
    """A person's gate asks an account whether a message to one of its members may go out now."""

    id: Text
    message: Text
    subject: Text
    user: Text
    journey: Text
    enrollment: str | None = None
    channel: Channel
    tags: list[str]
    capped: bool
    watched: Values | None = None
    on_cap: str | None = None
    at_ms: Millis


class SendAnswer(Record, tag_field="type", tag="send_answer", frozen=True, kw_only=True):
    """The account's answer, to the person's partition."""

    id: Text
    ask: Text
    message: Text
    subject: Text
    account: Text
    granted: bool
    counted: bool
    reason: str | None = None
    action: str | None = None
    until_ms: Millis | None = None
    at_ms: Millis


class SendSettled(Record, tag_field="type", tag="send_settled", frozen=True, kw_only=True):
    """What became of a message that an account had granted: sent, or (None) not."""

    id: Text
    ask: Text
    subject: Text
    sent_at_ms: Millis | None = None
    at_ms: Millis


class Suppress(Record, tag_field="type", tag="suppress", frozen=True, kw_only=True):
    """A channel is closed to a person, or opened again, by a list that is kept elsewhere."""

    id: Text
    subject: Text
    channel: Channel
    list_name: Text
    address: str | None = None
    suppressed: bool
    at_ms: Millis
