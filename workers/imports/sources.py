"""What an import reads from: rows in an order that is the same again, so that a run can go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workers.imports.rows import Row


class Source(Protocol):
    """A file or a query. Opening it reads its columns; :meth:`close` lets go."""

    @property
    def name(self) -> str:
        """The file, or what stands for it, in messages."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns, each once."""
        ...

    def fingerprint(self) -> str:
        """Changes where a position of before would lead to another row."""
        ...

    def rows(self, columns: Sequence[str], after: str | None, since_ms: int | None) -> Iterator[Row]:
        """The rows behind position ``after`` (None: all), with at least these columns.

        ``since_ms`` lets a source leave out rows whose ``updated_at`` is older; it need not.

        Raises:
            Misconfigured: the source cannot be read any further; the message names the place.
        """
        ...

    def progress(self) -> tuple[float, float | None]:
        """How much of the source is read, and of how much: any unit; None where nobody knows."""
        ...

    def close(self) -> None:
        """Let go of file or connection."""
        ...


def once(name: str, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns.

    Raises:
        Misconfigured: one has no name or comes twice.
    """
    for number, column in enumerate(columns, 1):
        if not column.strip():
            raise Misconfigured(f"{name}: column {number} has no name")
        if column in columns[: number - 1]:
            raise Misconfigured(f"{name}: column {column!r} comes twice")
    return tuple(columns)
