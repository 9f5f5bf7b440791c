"""Follows the changelog of the insights into memory: what is counted of journeys and steps, as committed.

The topic is compacted and small: a row per journey, version and outcome, and per step and reason, of each
partition. So every gateway with a console reads all of it at its start and then what changes. No group is
joined.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from workers.tail import TopicTail, place
from workers.tallies import STANDING, STEPS, TALLIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Message

    from workers.settings import Settings
    from workers.stream.tables import Table
    from workers.tallies import Standing, StepTally, Tally

CHANGELOG: Final = "brimful-insights-changelog"
_TABLES: Final = (TALLIES, STEPS, STANDING)
_MOST_RECORDS = 2_000
_WAIT_S = 0.5

Row = TypeVar("Row")


class TallyRows:
    """The newest rows of all partitions. One thread takes them in, others may read meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[bytes, dict[tuple[int, bytes], Any]] = {table.prefix: {} for table in _TABLES}

    def take(self, partition: int, key: bytes, value: bytes | None) -> None:
        """One record of the changelog; those of other tables are passed over.

        Raises:
            Misconfigured: newer insights wrote it.
            DecodeError: it is no row.
        """
        table = next((one for one in _TABLES if key[:1] == one.prefix), None)
        if table is None:
            return
        row = table.decode(value) if value else None
        with self._lock:
            if row is None:
                self._rows[table.prefix].pop((partition, key), None)
            else:
                self._rows[table.prefix][partition, key] = row

    def tallies(self) -> list[Tally]:
        """What became of journeys, by partition."""
        return self._all(TALLIES)

    def steps(self) -> list[StepTally]:
        """What came out at steps, by partition."""
        return self._all(STEPS)

    def standing(self) -> list[Standing]:
        """Who stands where, by partition of the engine."""
        return self._all(STANDING)

    def _all(self, table: Table[Row]) -> list[Row]:
        with self._lock:
            return list(self._rows[table.prefix].values())


class TallyFollower:
    """Follows the topic until it is closed."""

    def __init__(self, settings: Settings) -> None:
        self.rows = TallyRows()
        self._tail = TopicTail(
            "console",
            settings.kafka,
            settings.topic(CHANGELOG),
            self._take,
            most_records=_MOST_RECORDS,
            wait_s=_WAIT_S,
            config=settings.librdkafka(),
        )

    def start(self) -> None:
        """See :meth:`workers.tail.TopicTail.start`."""
        self._tail.start()

    async def close(self) -> None:
        """See :meth:`workers.tail.TopicTail.close`."""
        await self._tail.close()

    def ready(self) -> bool:
        """See :meth:`workers.tail.TopicTail.ready`."""
        return self._tail.ready()

    def _take(self, records: Sequence[Message]) -> None:
        for record in records:
            self.rows.take(place(record)[0], record.key() or b"", record.value())
