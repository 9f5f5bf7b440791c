"""Records of the gate: what a person's partition asks an account about a message, and suppression lists."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.fields import Channel, Millis, Text, Values  # noqa: TC001  pydantic reads them at run time
from schemas.records.base import Record


class SendAsk(Record):
    """A person's gate asks an account whether a message to one of its members may go out now."""

    type: Literal["send_ask"]
    id: Text
    message: Text = Field(description="The message's idempotency key, or the account's request.")
    subject: Text = Field(description="The account.")
    user: Text
    journey: Text
    enrollment: str | None = Field(None, description="The account's own, whose journey asks for the message.")
    channel: Channel
    tags: list[str]
    capped: bool = Field(description="Whether the account's caps apply.")
    watched: Values | None = Field(
        None, description="Traits whose change ends the account's journey, as its step saw them."
    )
    on_cap: str | None = Field(None, description="What becomes of it at a cap, where its step says so.")
    at_ms: Millis


class SendAnswer(Record):
    """The account's answer, to the person's partition."""

    type: Literal["send_answer"]
    id: Text
    ask: Text = Field(description="Id of the question.")
    message: Text
    subject: Text = Field(description="The member: a user id.")
    account: Text
    granted: bool
    counted: bool = Field(description="The account counts it and waits to hear what became of it.")
    reason: str | None = None
    action: str | None = Field(None, description="What becomes of a message that is not granted.")
    until_ms: Millis | None = Field(None, description="When to ask again, where it is deferred.")
    at_ms: Millis


class SendSettled(Record):
    """What became of a message that an account had granted: sent, or (None) not."""

    type: Literal["send_settled"]
    id: Text
    ask: Text
    subject: Text = Field(description="The account.")
    sent_at_ms: Millis | None = None
    at_ms: Millis


class Suppress(Record):
    """A channel is closed to a person, or opened again, by a list that is kept elsewhere."""

    type: Literal["suppress"]
    id: Text
    subject: Text = Field(description="The person: a user id.")
    channel: Channel
    list_name: Text = Field(description="Name of the list.")
    address: str | None = Field(None, description="Hash of the address that is meant; absent: any.")
    suppressed: bool
    at_ms: Millis
