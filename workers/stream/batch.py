"""A run of records of one partition, as the transport hands it to an agent: one Faust event per run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from faust.types.tuples import TP

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TP", "Batch", "Record"]


class Record(Protocol):
    """What the kernel reads of a consumed record (aiokafka's ``ConsumerRecord`` fits)."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of ``tp`` with offsets in ``[start, end)``, in order.

    Offsets may be missing inside (transaction markers, compaction), never at the seams: the next batch
    of the partition starts at this one's ``end``.
    """

    tp: TP
    records: Sequence[Any]
    start: int
    end: int

    def split(self, most: int) -> list[Batch]:
        """The same records as batches of at most ``most`` records."""
        if len(self.records) <= most:
            return [self]
        parts = []
        start = self.start
        for at in range(0, len(self.records), most):
            records = self.records[at : at + most]
            end = self.end if at + most >= len(self.records) else records[-1].offset + 1
            parts.append(Batch(self.tp, records, start, end))
            start = end
        return parts
