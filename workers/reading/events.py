"""Product events read once, from a topic (:mod:`workers.reading.topics`) or a file, for commands that end."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas import wire
from workers.errors import Misconfigured
from workers.reading.topics import FETCH_RECORDS, Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from schemas.wire import ProductEvent

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Longest line of a file: far above any record, far below what a file without line ends would take."""


@dataclass(slots=True)
class Events:
    """The events among records: iterate once. What is none is counted by its reason, with its first place."""

    records: Iterable[Found]
    read: int = 0
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[Found, ProductEvent]]:
        for record in self.records:
            self.read += 1
            try:
                event = wire.decode_product_event(record.value)
            except (msgspec.DecodeError, AttributeError) as error:
                invalid = isinstance(error, msgspec.ValidationError)
                self._refuse(record, str(error) if invalid else "not readable as JSON")
                continue
            problem = wire.problem(event)
            if problem is not None:
                self._refuse(record, problem)
                continue
            yield record, event

    def _refuse(self, record: Found, reason: str) -> None:
        count, place = self.refused.get(reason, (0, record.place))
        self.refused[reason] = (count + 1, place)


def read_file(path: Path, progress: Callable[[int, int], None]) -> Iterator[Found]:
    """The lines of an NDJSON file, also a gzipped one (``.gz``); empty lines are skipped.

    ``progress`` is told how many bytes are read, of how many.

    Raises:
        Misconfigured: the file cannot be read, or has a line longer than :data:`MAX_LINE_BYTES`.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as plain:
            lines: Any = gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain
            number = 0
            while line := lines.readline(MAX_LINE_BYTES):
                number += 1
                if len(line) == MAX_LINE_BYTES:
                    raise Misconfigured(
                        f"{path}, line {number}: longer than {MAX_LINE_BYTES} bytes; one JSON event a line "
                        f"is expected"
                    )
                if number % FETCH_RECORDS == 0:
                    progress(plain.tell(), size)
                line = line.strip()
                if line:
                    yield Found(-1, number, line)
            progress(size, size)
    except (OSError, EOFError, zlib.error) as error:
        raise Misconfigured(f"{path}: {error}") from error
