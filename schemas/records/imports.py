"""Records of imports: what accounts and objects are like, told without a person; how far each import came."""

from __future__ import annotations

from pydantic import Field

from schemas.fields import Count, Millis, ObjectId, Text, Values  # noqa: TC001  pydantic reads them at run time
from schemas.records.base import Record


class AccountTraits(Record):
    """Traits of an account, from a system that knows the account and not who acts for it."""

    id: Text = Field(description="Unique per statement; a repeat within 24 hours is dropped.")
    account: Text
    traits: Values = Field(description="Merged by name; null removes a trait.")
    source: Text = Field(
        description="Who says so, as fine as it keeps its order: older statements of a source are dropped."
    )
    at_ms: Millis = Field(description="When it was so, by the source's clock.")


class ObjectAttributes(Record):
    """What an object is like: a product, a bundle, a plan, or whatever types the workspace has."""

    id: Text = Field(description="Unique per statement; a repeat is dropped.")
    object: Text = Field(description="The type of the object, as the workspace names it.")
    object_id: ObjectId
    attributes: Values = Field(description="Merged by name; null removes an attribute.")
    source: Text = Field(
        description="Who says so, as fine as it keeps its order: older statements of a source are dropped."
    )
    at_ms: Millis = Field(description="When it was so, by the source's clock.")


class ImportCheckpoint(Record):
    """How far an import came; the newest record of a name replaces the older ones."""

    name: Text
    run: Count = Field(description="Counts the runs of this import; one that goes on keeps its number.")
    source: Text = Field(description="Fingerprint of file and mapping: a run goes on only with the same.")
    position: str | None = Field(None, description="The last row that is through; null at either end.")
    rows_read: Count
    rows_sent: Count
    rows_rejected: Count
    mark_ms: Millis | None = Field(None, description="Newest updated_at of all completed runs.")
    newest_ms: Millis | None = Field(None, description="Newest updated_at of this run.")
    done: bool
    started_at_ms: Millis
    at_ms: Millis
