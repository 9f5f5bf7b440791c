"""What was decided on one subject, read from the partition of ``decisions`` that holds it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas import wire
from workers.reading.changelogs import options_of
from workers.reading.topics import read_topic
from workers.stream.admin import partitions_of
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.fields import SubjectType
    from workers.settings import Settings

DECISIONS: Final = 50
"""Decisions that are told of a subject: the latest."""


def read_decisions(
    settings: Settings,
    kind: SubjectType,
    subject: str,
    since: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[dict[str, Any]]:
    """The latest decisions on a subject that were recorded at ``since`` (UTC ms) or later, in order.

    ``progress`` is told how many records are read, of how many; what it raises ends the reading.

    Raises:
        Misconfigured: there is no such topic.
        Retryable: no broker answers.
    """
    topic = settings.topic("decisions")
    partitions = partitions_of(settings.kafka, topic, settings.librdkafka())
    only = (partition_of(subject.encode(), partitions),)
    found: deque[dict[str, Any]] = deque(maxlen=DECISIONS)
    for record in read_topic(options_of(settings), topic, since, progress, only=only):
        if record.key == subject.encode():
            decision = wire.decode_decision(record.value)
            if decision.subject_type == kind:
                found.append(msgspec.to_builtins(decision))
    return list(found)
