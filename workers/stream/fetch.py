"""Unpacking fetched records in runs: what aiokafka does record by record in Python, done batch by batch.

aiokafka builds a dataclass for every record in a generator, about 1.3 us each, and the kernel reads only
offset, timestamp, key, value and headers, which the decoder's own record objects have. This module
leaves aiokafka's fetching, positions and error handling alone and replaces one thing: how the records of
a fetched partition are iterated. It relies on aiokafka 0.14's ``PartitionRecords`` and ``FetchResult``;
``tests/contract/test_fetch.py`` holds both ways together, aborted transactions and compressed batches
included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult
from aiokafka.errors import CorruptRecordException

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiokafka import AIOKafkaConsumer
    from aiokafka.consumer.fetcher import PartitionRecords


class RunOfRecords:
    """Stands in for a ``PartitionRecords`` that nobody has iterated yet."""

    def __init__(self, records: PartitionRecords) -> None:
        self._fetched = records
        self.next_fetch_offset: int = records.next_fetch_offset

    def __iter__(self) -> Iterator[Any]:
        """All records that a reader may see, at once; afterwards ``next_fetch_offset`` is behind them."""
        return iter(self._unpack())

    def _unpack(self) -> list[Any]:
        fetched = self._fetched
        log = fetched._records  # noqa: SLF001 - see the module's docstring
        run: list[Any] = []
        while log.has_next():
            batch = log.next_batch()
            if fetched._check_crcs and not batch.validate_crc():  # noqa: SLF001
                raise CorruptRecordException(f"a batch of {fetched._tp} fails its checksum")  # noqa: SLF001
            if not self._hidden(batch):
                if batch.base_offset >= self.next_fetch_offset:
                    run.extend(batch)
                else:
                    # A seek landed inside this batch; Kafka only ever sends whole ones.
                    run.extend(record for record in batch if record.offset >= self.next_fetch_offset)
            self.next_fetch_offset = batch.next_offset
        return run

    def _hidden(self, batch: Any) -> bool:
        """Whether a batch is a transaction marker or belongs to an aborted transaction."""
        fetched = self._fetched
        if fetched._isolation_level == READ_COMMITTED and batch.producer_id is not None:  # noqa: SLF001
            fetched._consume_aborted_up_to(batch.base_offset)  # noqa: SLF001
            aborted: set[int] = fetched._aborted_producers  # noqa: SLF001
            if batch.is_control_batch:
                if fetched._contains_abort_marker(batch):  # noqa: SLF001
                    aborted.discard(batch.producer_id)
            elif batch.is_transactional and batch.producer_id in aborted:
                return True
        return bool(batch.is_control_batch)


class _Results(dict[Any, Any]):
    """A fetcher's results by partition; those that hold records are made to unpack in runs."""

    def __setitem__(self, tp: Any, result: Any) -> None:
        if type(result) is FetchResult:
            result._partition_records = RunOfRecords(result._partition_records)  # noqa: SLF001
        super().__setitem__(tp, result)


def unpack_in_runs(consumer: AIOKafkaConsumer) -> None:
    """Make a started consumer unpack in runs. It must be read with ``getmany`` without a limit."""
    consumer._fetcher._records = _Results()  # noqa: SLF001
