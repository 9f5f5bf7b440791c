"""What an import counts. It ends too soon to be scraped: the values go to a file for node_exporter."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, write_to_textfile

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path


class ImportMetrics:
    """The rows of one run by what became of them, and when the import last came to its end."""

    def __init__(self, name: str, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        rows = Counter(
            "brimful_import_rows_total",
            "Rows of the newest run: read, sent, unchanged (older than the mark), rejected.",
            ("import", "outcome"),
            registry=self.registry,
        )
        self._rows = {kind: rows.labels(name, kind) for kind in ("read", "sent", "unchanged", "rejected")}
        self._completed = Gauge(
            "brimful_import_completed_timestamp_seconds",
            "When the import last came to its end, in seconds since 1970; 0 where this run did not.",
            ("import",),
            registry=self.registry,
        ).labels(name)

    def count(self, read: int, sent: int, unchanged: int, rejected: int) -> None:
        """A chunk is through."""
        for kind, rows in (("read", read), ("sent", sent), ("unchanged", unchanged), ("rejected", rejected)):
            self._rows[kind].inc(rows)

    def completed(self, at_ms: int) -> None:
        """The import came to its end."""
        self._completed.set(at_ms / 1000)

    def write(self, path: Path) -> None:
        """Write the values for node_exporter's textfile collector; the file changes in one step.

        Raises:
            Misconfigured: the file cannot be written.
        """
        try:
            write_to_textfile(os.fspath(path), self.registry)
        except OSError as error:
            raise Misconfigured(f"{path}: the metrics cannot be written: {error.strerror}") from error
