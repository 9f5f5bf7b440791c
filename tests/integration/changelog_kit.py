"""Rows in the changelog of an application, as the owner of a partition writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.stream.partition import SEAL
from workers.stream.transaction import PartitionProducer

if TYPE_CHECKING:
    from collections.abc import Mapping


def write_rows(
    kafka: str, app_id: str, number: int, rows: Mapping[bytes, bytes | None], *, commit: bool
) -> None:
    """One transaction of a partition's owner, committed or aborted. ``app_id`` has the prefix."""
    producer = PartitionProducer(kafka, app_id, number, {})
    producer.fence()
    producer.begin()
    producer.produce(f"{app_id}-changelog", number, rows.items(), (SEAL, b""), ())
    producer.flush()
    if commit:
        producer.commit()
        producer.close()
    else:
        # Whoever owns the partition next ends what its former owner left open.
        PartitionProducer(kafka, app_id, number, {}).fence()
