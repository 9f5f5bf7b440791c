"""Records about who is who: two ids that turn out to be one person, and a person who is to be forgotten.

The first six travel between the partitions of the engine, on ``scheduler``; the last three are what others
may read, on ``identity``. How they work together is told in docs/identity.md.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from schemas.fields import Count, MergeCause, Millis, Text  # noqa: TC001  pydantic reads them at run time
from schemas.records.base import Record
from schemas.records.feeds import FeedItem  # noqa: TC001  pydantic reads it at run time


class MergeRequest(Record):
    """Asks the partition of one id to hand over all that it keeps of it: the id is also known as another."""

    type: Literal["merge_request"]
    id: Text
    subject: Text = Field(description="The id that goes: an anonymous or a former one.")
    into: Text = Field(description="The id that stays.")
    cause: MergeCause
    at_ms: Millis


class Merged(Record):
    """All that was kept of ``source``, for the person it belongs to."""

    type: Literal["merged"]
    id: Text
    subject: Text = Field(description="The id that stays.")
    source: Text = Field(description="The id that went.")
    path: list[str] = Field(description="The ids that the record has passed, the source first.")
    rows: str = Field(description="State rows by their table's prefix: msgpack in base64.")
    requested_at_ms: Millis
    at_ms: Millis


class Released(Record):
    """An id is not one of this person's (any more): somebody else uses the device, or it is known itself."""

    type: Literal["released"]
    id: Text
    subject: Text
    source: Text = Field(description="The id that is not this person's.")
    into: Text = Field(description="Whose it is now; the same as ``source``: its own.")
    at_ms: Millis


class Forwarded(Record):
    """A product event of an id that was merged, sent on to the person it belongs to."""

    type: Literal["forwarded"]
    id: Text
    subject: Text = Field(description="The person that the event is counted for.")
    event: Text = Field(description="The event as its producer sent it: JSON as text.")
    event_at_ms: Millis
    at_ms: Millis


class Erase(Record):
    """Forget a person: all that is kept under this id, and under the ids that were merged into it."""

    type: Literal["erase"]
    id: Text
    request: Text = Field(description="The same for all records that one request to erase brings about.")
    subject: Text
    because_of: str | None = Field(None, description="The person whose erasure includes this id.")
    only_if_merged_into: str | None = Field(
        None, description="Where the merge was only asked for: erase the id only if it came about."
    )
    accounts: list[str] = Field(description="Accounts to remove the person from, besides those known.")
    reason: str | None = None
    suppress_until_ms: Millis | None = Field(None, description="Until then no event brings the person back.")
    at_ms: Millis


class MemberMoved(Record):
    """A member of an account is known by another id, or was erased."""

    type: Literal["member_moved"]
    id: Text
    subject: Text = Field(description="The account.")
    user: Text = Field(description="The member's former id.")
    into: str | None = Field(None, description="The member's id from now on; none: erased.")
    request: str | None = Field(None, description="The request to erase that this is a part of.")
    at_ms: Millis


class PersonMerged(Record):
    """What was known of one id is known of another now; of the same id: it stands for itself again."""

    type: Literal["person_merged"]
    id: Text
    subject: Text = Field(description="The id that went.")
    into: Text = Field(description="The id that stays.")
    at_ms: Millis


class FeedMoved(Record):
    """The feed of an id that was merged, for the person it belongs to."""

    type: Literal["feed_moved"]
    id: Text
    subject: Text
    source: Text = Field(description="The id whose feed it was.")
    items: list[FeedItem]
    at_ms: Millis


class PersonErased(Record):
    """One place has forgotten a person: it answers an ``erase`` record, or tells readers to do the same."""

    type: Literal["person_erased"]
    id: Text
    request: str | None = None
    subject: Text
    app: Text = Field(description="The application that has forgotten: engine or senders.")
    place: Text = Field(description="state, account, a topic of messages; or somebody else, whose the id is.")
    account: str | None = Field(None, description="The account that the person is no member of any more.")
    ids: list[str] = Field(description="Other ids of the person, each of which is erased and answers too.")
    accounts: list[str] = Field(description="Accounts of the person, each of which answers too.")
    rows: Count = Field(description="State rows and timers that were deleted.")
    at_ms: Millis


IdentityRecord: TypeAlias = Annotated[PersonMerged | FeedMoved | PersonErased, Field(discriminator="type")]
"""One record of ``identity``."""
