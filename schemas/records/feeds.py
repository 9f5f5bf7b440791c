"""What a person's in-app feed is made of."""

from __future__ import annotations

from pydantic import Field

from schemas.fields import (  # noqa: TC001  pydantic reads them at run time
    Count,
    FeedForm,
    FeedOnce,
    FeedPosition,
    Millis,
    Text,
)
from schemas.records.base import Part


class FeedShow(Part):
    """When the page shows an item: all that is given must hold."""

    url: str | None = Field(None, description="Pattern of the page's path or URL; * stands for anything.")
    event: str | None = Field(None, description="An event that must have been tracked on the page before.")
    delay_ms: Count | None = Field(None, description="Time on the page after the rest holds.")
    selector: str | None = Field(None, description="CSS selector of an element that must be visible.")


class FeedStep(Part):
    """One step of a checklist or of a tour."""

    title: str
    body: str | None = None
    selector: str | None = Field(None, description="Tour: CSS selector of the element that it points at.")
    event: str | None = Field(None, description="Checklist: the event by which the step is done.")
    done: bool | None = Field(None, description="Checklist: it was done before the message was sent.")
    cta_label: str | None = None
    cta_url: str | None = None


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
    enrollment: str | None = None
    priority: int | None = Field(None, description="Highest first; absent is 0.")
    once: FeedOnce | None = Field(None, description="Shown once ever, or once per browser session.")
    dismissible: bool | None = Field(None, description="false: without a button that closes it.")
    show: FeedShow | None = None
    steps: list[FeedStep] | None = Field(None, description="Of a checklist or a tour.")
    author: str | None = Field(None, description="Chat: who seems to write.")
    image_url: str | None = Field(None, description="Post and modal: a picture, by https or a path.")
    image_alt: str | None = Field(None, description="What the picture shows; empty for decoration.")
    position: FeedPosition | None = Field(None, description="Banner: where; absent is top.")
    seen_at_ms: Millis | None = Field(None, description="With once: user, when the person has seen it.")
