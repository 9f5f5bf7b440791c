"""Product events read once, from a topic (:mod:`workers.reading.topics`) or a file, for commands that end."""

from __future__ import annotations

import glob
import gzip
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas import wire
from workers.errors import Misconfigured
from workers.reading.topics import FETCH_RECORDS, Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from schemas.wire import ProductEvent

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Longest line of a file: far above any record, far below what a file without line ends would take."""


ENDINGS: Final = (".ndjson", ".jsonl", ".json", ".gz")
"""Files of a folder that hold events."""


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
            for found in read_lines(lines, str(path)):
                if found.offset % FETCH_RECORDS == 0:
                    progress(plain.tell(), size)
                yield found
            progress(size, size)
    except (OSError, EOFError, zlib.error) as error:
        raise Misconfigured(f"{path}: {error}") from error


def read_lines(lines: BinaryIO, name: str) -> Iterator[Found]:
    """The lines of an open stream that are not empty; ``name`` stands in messages.

    Raises:
        Misconfigured: a line is longer than :data:`MAX_LINE_BYTES`.
    """
    number = 0
    while line := lines.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES:
            raise Misconfigured(
                f"{name}, line {number}: longer than {MAX_LINE_BYTES} bytes; one JSON event a line "
                "is expected"
            )
        line = line.strip()
        if line:
            yield Found(-1, number, line)


def files_of(given: Iterable[str]) -> list[Path]:
    """The files that paths, folders and patterns (``*``, ``**``) name: each once, by their names.

    Of a folder those that end in :data:`ENDINGS`, and what is in the folders in it.

    Raises:
        Misconfigured: one of these names no file.
    """
    found: set[Path] = set()
    for one in given:
        path = Path(one)
        if path.is_dir():
            files = [file for file in path.rglob("*") if file.name.endswith(ENDINGS) and file.is_file()]
        elif path.exists():
            files = [path]
        else:
            files = [
                Path(file)
                for file in glob.glob(one, recursive=True)  # noqa: PTH207  absolute ones too
                if Path(file).is_file()
            ]
        if not files:
            where = (
                f"no file in it ends in {', '.join(ENDINGS)}" if path.is_dir() else "there is no such file"
            )
            raise Misconfigured(f"{one}: {where}")
        found.update(files)
    return sorted(found)
