"""What the structs of :mod:`schemas.wire` are built on."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import field

from schemas.fields import (  # noqa: TC001  msgspec reads them at run time
    Count,
    FeedForm,
    FeedOnce,
    FeedPosition,
    Millis,
    Text,
    Version,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_version_1 = cast("Callable[[], Version]", (1).__int__)


class Record(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """Base of the records that we write: immutable, every field by name, absent rather than null."""

    # A factory rather than a default: omit_defaults would leave a default out, and every record says its v.
    v: Version = field(default_factory=_version_1)


class FeedShow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """When the page shows an item: all that is given must hold."""

    url: str | None = None
    event: str | None = None
    delay_ms: Count | None = None
    selector: str | None = None


class FeedStep(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """One step of a checklist or of a tour."""

    title: str
    body: str | None = None
    selector: str | None = None
    event: str | None = None
    done: bool | None = None
    cta_label: str | None = None
    cta_url: str | None = None


class FeedItem(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
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
    priority: int | None = None
    once: FeedOnce | None = None
    dismissible: bool | None = None
    show: FeedShow | None = None
    steps: list[FeedStep] | None = None
    author: str | None = None
    image_url: str | None = None
    image_alt: str | None = None
    position: FeedPosition | None = None
    seen_at_ms: Millis | None = None


class Feed(Record, frozen=True, kw_only=True):
    """All in-app messages a person can see; the newest record of a key replaces the older ones."""

    person: Text
    items: list[FeedItem]
    updated_at_ms: Millis
