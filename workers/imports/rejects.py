"""Rows that were not imported, one JSON object a line: where each stands, why, and what it holds."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

import msgspec

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

    from workers.imports.rows import Rejected, Row

OWNER_ONLY = 0o600
"""The file holds personal data: nobody else may read it."""


class Rejects:
    """A file that is made when the first row is rejected, and added to by later runs.

    A chunk that is done again writes its rejects again; ``run`` and ``line`` tell that they are the same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def add(self, run: int, source: str, row: Row, rejected: Rejected) -> None:
        """Write one row down.

        Raises:
            Misconfigured: the file cannot be written.
        """
        told = {
            "run": run,
            "source": source,
            "line": row.line,
            "column": rejected.column or None,
            "reason": rejected.reason,
            "row": {str(name): _plain(value) for name, value in row.values.items()},
        }
        try:
            if self._file is None:
                self._file = os.fdopen(
                    os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, OWNER_ONLY), "ab"
                )
            self._file.write(msgspec.json.encode(told) + b"\n")
        except OSError as error:
            raise Misconfigured(f"{self.path}: rejected rows cannot be written: {error.strerror}") from error

    def flush(self) -> None:
        """Bring what was added to the disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()


def _plain(value: object) -> object:
    """A value as JSON can hold it; bytes that are no text in an escaped form."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()
