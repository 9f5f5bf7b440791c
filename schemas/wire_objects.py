"""The records about objects as structs; see :mod:`schemas.records` and :mod:`schemas.wire`."""

from __future__ import annotations

import msgspec

from schemas.fields import Millis, ObjectId, Text, Values  # noqa: TC001  msgspec reads them at run time
from schemas.wire_base import Record


class ObjectValues(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What definitions read of one object, as it is now."""

    object: Text
    object_id: ObjectId
    attributes: Values


class ObjectsChanged(Record, tag_field="type", tag="objects_changed", frozen=True, kw_only=True):
    """Objects that changed, told to one partition; it tells those of its subjects whom it concerns."""

    id: Text
    objects: list[ObjectValues]
    at_ms: Millis


class ObjectAttributes(Record, frozen=True, kw_only=True):
    """What an object is like, from a system that knows the catalogue."""

    id: Text
    object: Text
    object_id: ObjectId
    attributes: Values
    source: Text
    at_ms: Millis
