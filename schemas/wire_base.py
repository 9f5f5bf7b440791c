"""What the structs of :mod:`schemas.wire` are built on."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import field

from schemas.fields import FeedForm, Millis, Text, Version  # noqa: TC001  msgspec reads them at run time

if TYPE_CHECKING:
    from collections.abc import Callable

_version_1 = cast("Callable[[], Version]", (1).__int__)


class Record(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """Base of the records that we write: immutable, every field by name, absent rather than null."""

    # A factory rather than a default: omit_defaults would leave a default out, and every record says its v.
    v: Version = field(default_factory=_version_1)


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
