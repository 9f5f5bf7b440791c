"""The topics, declared: names, keys, partitions, retention and compaction, who writes and who reads.

The declarations stand in ``topics.yaml``; :func:`load_topics` is the only reader.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

DECLARATIONS: Final[Path] = Path(__file__).with_name("topics.yaml")

DEFAULT_PARTITIONS: Final[int] = 8
"""Partitions of the co-partitioned topics where the operator names no other number."""

DAY_MS: Final[int] = 86_400_000

MESSAGE_MAX_BYTES: Final[int] = 1_048_588
"""Kafka's own default of ``max.message.bytes``: 1 MiB of records and the overhead of their batch."""

ERASURE_LIMIT_MS: Final[int] = DAY_MS
"""A deleted value must leave a compacted topic within a day, because a person may have asked for it."""

NAME_MAX_CHARS: Final[int] = 249
"""Kafka's limit for a topic's name, which a prefix must leave room for."""

_NAME = re.compile(r"[a-zA-Z0-9._-]+")

Role = Literal["engine", "senders", "insights", "gateway", "application", "operator"]
Millis = Annotated[int, Field(gt=0)]


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Compaction(_Declared):
    """How the cleaner treats a compacted topic.

    ``min_cleanable_dirty_ratio``: share of dirty bytes that starts the cleaner. ``max_compaction_lag_ms``:
    time after which it must start anyway. ``delete_retention_ms``: how long a reader that was away
    can still see a deletion. ``segment_bytes``: the cleaner only touches closed segments, so state
    topics need small ones.
    """

    min_cleanable_dirty_ratio: float = Field(gt=0, le=1)
    max_compaction_lag_ms: int = Field(gt=0, le=ERASURE_LIMIT_MS)
    delete_retention_ms: Millis
    segment_bytes: int = Field(ge=1_048_576)


class Topic(_Declared):
    """One topic. ``partitions`` None means the number that all co-partitioned topics share in a cluster.

    ``retention_ms`` is None exactly for compacted topics, and ``compaction`` is None exactly for others.
    """

    name: str = Field(min_length=1, max_length=NAME_MAX_CHARS)
    description: str = Field(min_length=1)
    key: str = Field(min_length=1)
    co_partitioned: bool = True
    partitions: int | None = Field(default=None, ge=1)
    cleanup: Literal["delete", "compact"] = "delete"
    retention_ms: Millis | None = None
    compaction: Compaction | None = None
    max_message_bytes: int = Field(default=MESSAGE_MAX_BYTES, ge=1_024)
    producers: tuple[Role, ...] = Field(min_length=1)
    consumers: tuple[Role, ...] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _a_kafka_name(cls, name: str) -> str:
        if _NAME.fullmatch(name) is None or name in {".", ".."}:
            raise ValueError(f"{name!r} is no Kafka topic name: letters, digits, '.', '_' and '-' only")
        return name

    @model_validator(mode="after")
    def _fields_fit(self) -> Self:
        if self.co_partitioned == (self.partitions is not None):
            raise ValueError("give `partitions` exactly where co_partitioned is false")
        if (self.cleanup == "delete") != (self.retention_ms is not None):
            raise ValueError("give `retention_ms` exactly where cleanup is delete")
        if (self.cleanup == "compact") != (self.compaction is not None):
            raise ValueError("give `compaction` exactly where cleanup is compact")
        return self

    def partition_count(self, shared: int) -> int:
        """Partitions of this topic in a cluster whose co-partitioned topics have ``shared`` each."""
        return shared if self.partitions is None else self.partitions

    def config(self) -> dict[str, str]:
        """The topic's settings in Kafka's names and spelling.

        Time is the broker's append time in every topic: a producer's wrong or simulated clock must neither
        delete records early nor keep them past their retention. Event time is in the record.
        """
        settings = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(self.max_message_bytes),
            "message.timestamp.type": "LogAppendTime",
        }
        if self.retention_ms is not None:
            # Only closed segments are deleted: daily ones make the retention true to a day.
            settings |= {"retention.ms": str(self.retention_ms), "segment.ms": str(DAY_MS)}
        if self.compaction is not None:
            settings |= {
                "min.cleanable.dirty.ratio": str(self.compaction.min_cleanable_dirty_ratio),
                "max.compaction.lag.ms": str(self.compaction.max_compaction_lag_ms),
                "delete.retention.ms": str(self.compaction.delete_retention_ms),
                "segment.bytes": str(self.compaction.segment_bytes),
            }
        return settings


@functools.cache
def load_topics() -> tuple[Topic, ...]:
    """All topics in the order of ``topics.yaml``; read once per process."""
    return parse_topics(DECLARATIONS.read_text(encoding="utf-8"), DECLARATIONS.name)


def parse_topics(text: str, source: str) -> tuple[Topic, ...]:
    """The topics in a YAML text; ``source`` names it in errors.

    Raises:
        ValueError: it is no YAML, a field is wrong, or a name stands twice; the message names source, topic
            and field, or the line.
    """
    try:
        loaded = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(f"{source}: {error}") from error
    rows = loaded.get("topics") if isinstance(loaded, dict) else None
    if not isinstance(rows, list):
        raise ValueError(f"{source}: a list `topics` is missing")  # noqa: TRY004 - one error for a bad file
    topics = tuple(_topic(row, number, source) for number, row in enumerate(rows, 1))
    names = [topic.name for topic in topics]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{source}: declared more than once: {', '.join(twice)}")
    return topics


def _topic(row: Any, number: int, source: str) -> Topic:
    label = row.get("name", f"number {number}") if isinstance(row, dict) else f"number {number}"
    try:
        return Topic.model_validate(row)
    except ValidationError as error:
        told = "; ".join(_told(problem["loc"], problem["msg"]) for problem in error.errors())
        raise ValueError(f"{source}: topic {label}: {told}") from error


def _told(where: tuple[int | str, ...], what: str) -> str:
    return f"{'.'.join(map(str, where))}: {what}" if where else what
