"""What all records of ours have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from schemas.fields import Version  # noqa: TC001  pydantic reads it at run time


class Part(BaseModel):
    """An object inside a record: immutable, strict (no text for numbers), unknown fields ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Record(Part):
    """A record of one of our topics.

    Unknown fields are ignored on reading, so that a newer writer breaks no older reader; our own examples
    are tested with unknown fields refused. Optional fields are absent or null, which mean the same.
    """

    v: Version = 1
