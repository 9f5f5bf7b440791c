"""Rows that were not imported, one JSON object a line: where each stands, why, and what it holds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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
        self._lines: list[bytes] = []

    def add(self, run: int, source: str, row: Row, rejected: Rejected) -> None:
        """One row, written by the next :meth:`flush`."""
        told = {
            "run": run,
            "source": source,
            "line": row.line,
            "column": rejected.column or None,
            "reason": rejected.reason,
            "row": {_text(name): _plain(value) for name, value in row.values.items()},
        }
        self._lines.append(msgspec.json.encode(told) + b"\n")

    def flush(self) -> None:
        """Bring what was added to the disk.

        Raises:
            Misconfigured: the file cannot be written.
        """
        if not self._lines:
            return
        try:
            opened = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, OWNER_ONLY)
            with os.fdopen(opened, "ab") as file:
                file.writelines(self._lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Misconfigured(f"{self.path}: rejected rows cannot be written: {error.strerror}") from error
        self._lines.clear()


def _plain(value: object) -> object:
    """A value as JSON can hold it; bytes that are no text in an escaped form."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return _text(value)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()
