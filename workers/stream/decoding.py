"""Decoding the records of a batch, with those that cannot be decoded put aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.stream.batch import Batch
    from workers.stream.view import View

Shape = TypeVar("Shape")


def decoded(batch: Batch, view: View, decode: Callable[[bytes], Shape]) -> list[tuple[Any, Shape]]:
    """Each record that ``decode`` takes, with what it gave; the others are dead-lettered on ``view``."""
    taken: list[tuple[Any, Shape]] = []
    for record in batch.records:
        try:
            taken.append((record, decode(record.value or b"")))
        except msgspec.ValidationError as error:
            view.dead_letter(batch.tp, record, "invalid", str(error))
        except msgspec.DecodeError as error:
            view.dead_letter(batch.tp, record, "unreadable", str(error))
    return taken
