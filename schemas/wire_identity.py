"""The records about who is who as structs; see :mod:`schemas.records.identity` and :mod:`schemas.wire`."""

from __future__ import annotations

from schemas.fields import Count, MergeCause, Millis, Text  # noqa: TC001  msgspec reads them at run time
from schemas.wire_base import FeedItem, Record


class MergeRequest(Record, tag_field="type", tag="merge_request", frozen=True, kw_only=True):
    """Asks the partition of one id to hand over all that it keeps of it: the id is also known as another."""

    id: Text
    subject: Text
    into: Text
    cause: MergeCause
    at_ms: Millis


class Merged(Record, tag_field="type", tag="merged", frozen=True, kw_only=True):
    """All that was kept of ``source``, for the person it belongs to."""

    id: Text
    subject: Text
    source: Text
    path: list[str]
    rows: str
    requested_at_ms: Millis
    at_ms: Millis


class Released(Record, tag_field="type", tag="released", frozen=True, kw_only=True):
    """An id is not one of this person's (any more): somebody else uses the device, or it is known itself."""

    id: Text
    subject: Text
    source: Text
    into: Text
    at_ms: Millis


class Forwarded(Record, tag_field="type", tag="forwarded", frozen=True, kw_only=True):
    """A product event of an id that was merged, sent on to the person it belongs to."""

    id: Text
    subject: Text
    event: Text
    event_at_ms: Millis
    at_ms: Millis


class Erase(Record, tag_field="type", tag="erase", frozen=True, kw_only=True):
    """Forget a person: all that is kept under this id, and under the ids that were merged into it."""

    id: Text
    request: Text
    subject: Text
    because_of: str | None = None
    only_if_merged_into: str | None = None
    accounts: list[str]
    reason: str | None = None
    suppress_until_ms: Millis | None = None
    at_ms: Millis


class MemberMoved(Record, tag_field="type", tag="member_moved", frozen=True, kw_only=True):
    """A member of an account is known by another id, or was erased."""

    id: Text
    subject: Text
    user: Text
    into: str | None = None
    request: str | None = None
    at_ms: Millis


class PersonMerged(Record, tag_field="type", tag="person_merged", frozen=True, kw_only=True):
    """What was known of one id is known of another now; of the same id: it stands for itself again."""

    id: Text
    subject: Text
    into: Text
    at_ms: Millis


class FeedMoved(Record, tag_field="type", tag="feed_moved", frozen=True, kw_only=True):
    """The feed of an id that was merged, for the person it belongs to."""

    id: Text
    subject: Text
    source: Text
    items: list[FeedItem]
    at_ms: Millis


class PersonErased(Record, tag_field="type", tag="person_erased", frozen=True, kw_only=True):
    """One place has forgotten a person: it answers an ``erase`` record, or tells readers to do the same."""

    id: Text
    request: str | None = None
    subject: Text
    app: Text
    place: Text
    account: str | None = None
    ids: list[str]
    accounts: list[str]
    rows: Count
    at_ms: Millis
