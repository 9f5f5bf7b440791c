"""Imports on memory: mappings, rows and a source that a test writes by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.workspace.imports import ImportMapping
from workers.clock import FixedClock
from workers.imports.checkpoints import MemoryCheckpoints
from workers.imports.metrics import ImportMetrics
from workers.imports.output import MemoryOutput
from workers.imports.rejects import Rejects
from workers.imports.rows import Row, RowMapper
from workers.imports.run import ImportRun

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from schemas.wire import ImportCheckpoint
    from workers.imports.sources import Source

NOW_MS = 1_773_482_520_000  # 2026-03-14T10:02:00Z


def mapping(**more: Any) -> ImportMapping:
    """An import of users with what a test adds."""
    return ImportMapping.model_validate({"import": "crm", "as": "users", "id": "id", **more})


class Rows:
    """A source in memory; ``mark`` stands for the file's content."""

    name = "rows"

    def __init__(self, *rows: Mapping[str, Any], mark: str = "1") -> None:
        self._rows = rows
        self.columns: Sequence[str] = tuple(dict.fromkeys(name for row in rows for name in row))
        self.mark = mark
        self.asked: list[tuple[str | None, int | None]] = []

    def fingerprint(self) -> str:
        """The mark."""
        return self.mark

    def rows(self, columns: Sequence[str], after: str | None, since_ms: int | None) -> Iterator[Row]:
        """The rows behind a position, which is a row's number."""
        del columns
        self.asked.append((after, since_ms))
        for number, values in enumerate(self._rows, 1):
            if number > int(after or 0):
                yield Row(str(number), number + 1, values)

    def progress(self) -> tuple[float, float | None]:
        """Unknown."""
        return 0, None

    def close(self) -> None:
        """Nothing to let go of."""


class Heard:
    """Remembers the checkpoints that it is told of."""

    def __init__(self) -> None:
        self.told: list[ImportCheckpoint] = []

    def at(self, checkpoint: ImportCheckpoint, source: Source) -> None:
        """Remember one."""
        del source
        self.told.append(checkpoint)


class Bench:
    """What outlives a run: checkpoints, records, the rejects file, the clock."""

    def __init__(self, folder: Path) -> None:
        self.checkpoints = MemoryCheckpoints()
        self.output = MemoryOutput()
        self.rejects = Rejects(folder / "rejects.jsonl")
        self.clock = FixedClock(NOW_MS)
        self.metrics = ImportMetrics("crm")
        self.paused: list[int] = []

    def run(
        self,
        source: Rows,
        chosen: ImportMapping | None = None,
        *,
        restart: bool = False,
        rejected_max: int = 100,
        chunk_rows: int = 2,
    ) -> ImportCheckpoint:
        """One run."""
        chosen = chosen or mapping()
        run = ImportRun(
            mapping=chosen,
            source=source,
            mapper=RowMapper(chosen, source.columns),
            checkpoints=self.checkpoints,
            output=self.output,
            rejects=self.rejects,
            metrics=self.metrics,
            clock=self.clock,
            listener=Heard(),
            rejected_max=rejected_max,
            pause=self.paused.append,
            chunk_rows=chunk_rows,
        )
        return run.run(restart=restart)

    def rows(self, outcome: str) -> float:
        """How many rows the metrics have of an outcome."""
        labels = {"import": "crm", "outcome": outcome}
        return self.metrics.registry.get_sample_value("brimful_import_rows_total", labels) or 0
