"""Parquet files as rows, some thousand at a time."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from workers.errors import Misconfigured
from workers.imports.rows import Row
from workers.imports.sources import once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BATCH_ROWS: Final = 5_000


class ParquetFile:
    """A Parquet file. Needs the extra ``parquet``.

    Raises:
        Misconfigured: the extra is not installed, or the file is not Parquet.
    """

    def __init__(self, path: Path) -> None:
        try:
            from pyarrow import ArrowException  # noqa: PLC0415 - only this source needs it
            from pyarrow.parquet import ParquetFile as Reader  # noqa: PLC0415
        except ImportError as error:
            raise Misconfigured("Parquet needs pyarrow: pip install 'brimful[parquet]'") from error
        self.name = path.name
        self._path = path
        self._broken: type[Exception] = ArrowException
        self._read = 0
        try:
            self._file: Any = Reader(path)
        except OSError as error:
            raise Misconfigured(f"{path}: cannot be read: {error}") from error
        except ArrowException as error:
            raise Misconfigured(f"{path}: is not Parquet: {error}") from error
        self._total: int = self._file.metadata.num_rows
        self.columns: Sequence[str] = once(self.name, self._file.schema_arrow.names)

    def fingerprint(self) -> str:
        """Of size, time of change and the file's own description."""
        changed = self._path.stat()
        told = f"{changed.st_size}:{changed.st_mtime_ns}:{self._total}:{self._file.schema_arrow}"
        return blake2b(told.encode(), digest_size=8).hexdigest()

    def rows(self, columns: Sequence[str], after: str | None, since_ms: int | None) -> Iterator[Row]:
        """See :class:`workers.imports.sources.Source`; a position is the number of rows up to it."""
        del since_ms
        skip, self._read = int(after) if after else 0, 0
        batches = self._file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns), use_threads=False)
        while True:
            try:
                batch = next(batches, None)
            except (OSError, self._broken) as error:
                place = f"{self.name}: after row {self._read}"
                raise Misconfigured(f"{place}: cannot be read any further: {error}") from error
            if batch is None:
                return
            if self._read + batch.num_rows <= skip:
                self._read += batch.num_rows
                continue
            for values in batch.to_pylist():
                self._read += 1
                if self._read > skip:
                    yield Row(str(self._read), self._read, values)

    def progress(self) -> tuple[float, float | None]:
        """In rows."""
        return self._read, self._total

    def close(self) -> None:
        """Close the file."""
        self._file.close()
