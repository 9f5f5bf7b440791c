"""CSV files, plain or gzipped, as rows. A broken row is told with its line, and the next one is read."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from hashlib import blake2b
from typing import IO, TYPE_CHECKING, Any, Final

from workers.errors import Misconfigured
from workers.imports.rows import Row
from workers.imports.sources import once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from schemas.workspace.imports import CsvFormat

FIELD_MAX_CHARS: Final = 16 * 1024 * 1024
"""A longer field is a quote that was never closed."""

_SAMPLE_BYTES = 64 * 1024
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class CsvFile:
    """A CSV file with a header line.

    Raises:
        Misconfigured: the file cannot be read, its encoding is unknown, or its header is no header.
    """

    def __init__(self, path: Path, form: CsvFormat) -> None:
        self.name = path.name
        self._path = path
        self._form = form
        self._read = 0.0
        self._raw: IO[bytes] | None = None
        self._text: io.TextIOWrapper | None = None
        try:
            self._size = path.stat().st_size
            self._open()
            self.columns: Sequence[str] = self._header()
        except OSError as error:
            raise Misconfigured(f"{path}: cannot be read: {error.strerror or error}") from error
        except LookupError:
            raise Misconfigured(f"{path}: there is no encoding {form.encoding!r}") from None
        except (csv.Error, UnicodeError) as error:
            raise Misconfigured(f"{path}:1: the header is not readable: {error}") from error
        finally:
            self.close()

    def fingerprint(self) -> str:
        """Of size, time of change and the first 64 KiB."""
        changed = self._path.stat()
        with self._path.open("rb") as file:
            digest = blake2b(file.read(_SAMPLE_BYTES), digest_size=8)
        digest.update(f"{changed.st_size}:{changed.st_mtime_ns}:{self._form!r}".encode())
        return digest.hexdigest()

    def rows(self, columns: Sequence[str], after: str | None, since_ms: int | None) -> Iterator[Row]:
        """See :class:`workers.imports.sources.Source`; a position is the number of rows up to it."""
        del columns, since_ms
        self._open()
        try:
            yield from self._rows(int(after) if after else 0)
        finally:
            self._read = self.progress()[0]
            self.close()

    def _rows(self, skip: int) -> Iterator[Row]:
        reader = self._reader()
        names, width, number = self.columns, len(self.columns), 0
        next(reader)
        while True:
            line = reader.line_num + 1
            problem, fields = None, []
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "field limit" in str(error):
                    detail = f"a field is longer than {FIELD_MAX_CHARS} characters: is a quote left open?"
                    raise Misconfigured(f"{self.name}:{line}: {detail}") from error
                problem = f"is not CSV: {error}"
            except (UnicodeError, EOFError, OSError) as error:
                raise Misconfigured(f"{self.name}:{line}: cannot be read any further: {error}") from error
            if not fields and problem is None:
                continue
            number += 1
            if number <= skip:
                continue
            if problem is None and len(fields) != width:
                problem = f"has {len(fields)} fields where the header has {width}"
            # A broken row keeps what was read of it, for whoever mends it.
            yield Row(str(number), line, dict(zip(names, fields, strict=False)), problem)

    def progress(self) -> tuple[float, float | None]:
        """In bytes on disk."""
        is_open = self._raw is not None and not self._raw.closed
        return (self._raw.tell() if self._raw is not None and is_open else self._read), self._size

    def close(self) -> None:
        """Close the file."""
        for file in (self._text, self._raw):
            if file is not None:
                file.close()

    def _open(self) -> None:
        self.close()
        self._raw = self._path.open("rb")
        file: Any = gzip.GzipFile(fileobj=self._raw) if self._path.suffix == ".gz" else self._raw
        encoding = self._form.encoding or _marked(file.peek(4))
        # Bytes that are no text are kept apart, so that one bad row is one rejected row.
        errors = "strict" if encoding.startswith("utf-16") else "surrogateescape"
        self._text = io.TextIOWrapper(file, encoding, errors, newline="")

    def _reader(self) -> Any:
        csv.field_size_limit(FIELD_MAX_CHARS)
        assert self._text is not None, "opened before"
        form = self._form
        return csv.reader(self._text, delimiter=form.delimiter, quotechar=form.quote, strict=True)

    def _header(self) -> tuple[str, ...]:
        header: list[str] = next(self._reader(), [])
        if not header:
            raise Misconfigured(
                f"{self.name}: the file is empty: a header with the columns' names is expected"
            )
        columns = [column.strip() for column in header]
        if len(columns) == 1:
            other = next((mark for mark in ";\t|," if mark in columns[0]), None)
            if other:
                raise Misconfigured(
                    f"{self.name}:1: with the delimiter {self._form.delimiter!r} there is one column only; "
                    f"is the delimiter {other!r}?"
                )
        return once(f"{self.name}:1", columns)


def _marked(start: bytes) -> str:
    """The encoding that the first bytes name, else UTF-8."""
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), "utf-8")
