"""What a person's in-app feed is made of."""

from __future__ import annotations

from schemas.fields import FeedForm, Millis, Text  # noqa: TC001  pydantic reads them at run time
from schemas.records.base import Part


class FeedItem(Part):
    """One rendered in-app message."""

    id: Text
    message_id: Text
    journey: Text
    step: Text
    template: Text
    form: FeedForm
    title: str
    body: str
    cta_label: str | None = None
    cta_url: str | None = None
    created_at_ms: Millis
    expires_at_ms: Millis | None = None
