"""How a run goes on, for a person at a terminal; silent otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console

    from schemas.wire import ImportCheckpoint
    from workers.imports.sources import Source


class Bar:
    """A bar with rows, rate and time to go, on standard error.

    Args:
        console: shows nothing unless it is a terminal.
        seconds: a monotonic clock.
    """

    def __init__(self, console: Console, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._began: tuple[float, int] | None = None
        self._progress = Progress(
            TextColumn("{task.fields[rows]:,} rows"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]:,.0f} rows/s"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[rejected]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, rows=0, rate=0.0, rejected="")

    def at(self, checkpoint: ImportCheckpoint, source: Source) -> None:
        """See :class:`workers.imports.run.Listener`."""
        now = self._seconds()
        if self._began is None:
            self._began = (now, checkpoint.rows_read)
        since, rows = self._began
        done, total = source.progress()
        bad = checkpoint.rows_rejected
        self._progress.update(
            self._task,
            completed=done,
            total=total,
            rows=checkpoint.rows_read,
            rate=(checkpoint.rows_read - rows) / max(now - since, 0.001),
            rejected=f"{bad:,} rejected" if bad else "",
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
