"""One run of an import: rows in, records and rejects out, a checkpoint behind each chunk.

The order within a chunk is what makes it restartable: rejects are on disk, then records are acknowledged,
then the checkpoint is. Whatever is killed in between is done again, and gives the same records with the same
ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from schemas import wire
from workers.core.ids import stable_id
from workers.errors import BrimfulError
from workers.imports.rows import Mapped, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.workspace.imports import ImportMapping
    from workers.clock import Clock
    from workers.imports.checkpoints import Checkpoints
    from workers.imports.metrics import ImportMetrics
    from workers.imports.output import Output
    from workers.imports.rejects import Rejects
    from workers.imports.rows import Row, RowMapper, Sent
    from workers.imports.sources import Source

CHUNK_ROWS: Final = 5_000
"""Rows between two checkpoints: some 0.2 s of work, which is what a kill costs."""


class TooManyRejected(BrimfulError):
    """More rows were rejected than the operator allowed.

    Operator action: look at the rejects file; mend the source, the mapping or the limit; run it again.
    """


class Listener(Protocol):
    """Is told how a run goes on."""

    def at(self, checkpoint: wire.ImportCheckpoint, source: Source) -> None:
        """A chunk is through, or a run goes on from here."""
        ...


@dataclass
class _Chunk:
    """What was read since the last checkpoint."""

    records: list[Sent] = field(default_factory=list)
    read: int = 0
    sent: int = 0
    unchanged: int = 0
    rejected: list[tuple[Row, Rejected]] = field(default_factory=list)
    position: str | None = None
    newest_ms: int | None = None


@dataclass(frozen=True)
class ImportRun:
    """What a run needs; ``pause`` is called after each chunk with the rows it had, to hold a rate.

    ``rejected_max`` is the largest number of rejected rows with which the run still goes on.
    """

    mapping: ImportMapping
    source: Source
    mapper: RowMapper
    checkpoints: Checkpoints
    output: Output
    rejects: Rejects
    metrics: ImportMetrics
    clock: Clock
    listener: Listener
    rejected_max: int
    pause: Callable[[int], None]
    chunk_rows: int = CHUNK_ROWS

    def run(self, *, restart: bool = False) -> wire.ImportCheckpoint:
        """Import, from where the last run stopped unless ``restart``; the last checkpoint.

        Raises:
            TooManyRejected: the limit was reached; what was read up to there is through.
            Retryable: Kafka or the source went away; the next run goes on.
            Misconfigured: the source cannot be read any further.
        """
        last = self.checkpoints.load(self.mapping.name)
        fingerprint = stable_id(self.source.fingerprint(), self.mapping.model_dump_json())
        now = begin(last, self.mapping.name, fingerprint, self.clock.now_ms(), restart=restart)
        since_ms = None
        if self.mapping.updated_at is not None and now.mark_ms is not None:
            since_ms = now.mark_ms - self.mapping.overlap
        self.listener.at(now, self.source)
        chunk = _Chunk()
        for row in self.source.rows(self.mapper.columns, now.position, since_ms):
            self._take(row, now, since_ms, chunk)
            if chunk.read >= self.chunk_rows:
                now = self._commit(now, chunk)
                chunk = _Chunk()
        return self._commit(now, chunk, done=True)

    def _take(self, row: Row, now: wire.ImportCheckpoint, since_ms: int | None, chunk: _Chunk) -> None:
        mapped = self.mapper.map(row, now.run, now.started_at_ms)
        chunk.read += 1
        chunk.position = row.position
        match mapped:
            case Rejected():
                chunk.rejected.append((row, mapped))
            case Mapped(records, updated_ms):
                if updated_ms is not None:
                    if since_ms is not None and updated_ms < since_ms:
                        chunk.unchanged += 1
                        return
                    # A moment ahead of the clock would hide all that changes until then.
                    believed_ms = min(updated_ms, now.started_at_ms)
                    chunk.newest_ms = max(chunk.newest_ms or 0, believed_ms)
                chunk.records += records
                chunk.sent += 1

    def _commit(
        self, now: wire.ImportCheckpoint, chunk: _Chunk, *, done: bool = False
    ) -> wire.ImportCheckpoint:
        for row, rejected in chunk.rejected:
            self.rejects.add(now.run, self.source.name, row, rejected)
        self.rejects.flush()
        self.output.send(chunk.records)
        newest_ms = _newest(now.newest_ms, chunk.newest_ms)
        position = chunk.position or now.position
        after = msgspec.structs.replace(
            now,
            position=None if done else position,
            rows_read=now.rows_read + chunk.read,
            rows_sent=now.rows_sent + chunk.sent,
            rows_rejected=now.rows_rejected + len(chunk.rejected),
            mark_ms=_newest(now.mark_ms, newest_ms) if done else now.mark_ms,
            newest_ms=newest_ms,
            done=done,
            at_ms=self.clock.now_ms(),
        )
        over = after.rows_rejected > self.rejected_max
        if over and done:
            # The rows are through; only that the run is accepted is left to the operator.
            after = msgspec.structs.replace(after, done=False, mark_ms=now.mark_ms, position=position)
        self.checkpoints.save(after)
        self.metrics.count(chunk.read, chunk.sent, chunk.unchanged, len(chunk.rejected))
        self.listener.at(after, self.source)
        if over:
            raise TooManyRejected(
                f"{after.rows_rejected} of {after.rows_read} rows were rejected, more than "
                f"{self.rejected_max} (--max-errors); the reasons are in {self.rejects.path}"
            )
        self.pause(chunk.read)
        return after


def begin(
    last: wire.ImportCheckpoint | None, name: str, source: str, now_ms: int, *, restart: bool
) -> wire.ImportCheckpoint:
    """Where a run begins: behind the last one's rows if that one was cut off and the source is the same.

    ``restart`` begins a new run over all rows, whatever was before.
    """
    if last is not None and not last.done and not restart and last.source == source:
        return last
    return wire.ImportCheckpoint(
        name=name,
        run=last.run + 1 if last is not None else 1,
        source=source,
        rows_read=0,
        rows_sent=0,
        rows_rejected=0,
        mark_ms=last.mark_ms if last is not None and not restart else None,
        done=False,
        started_at_ms=now_ms,
        at_ms=now_ms,
    )


def _newest(one_ms: int | None, other_ms: int | None) -> int | None:
    known = [at_ms for at_ms in (one_ms, other_ms) if at_ms is not None]
    return max(known, default=None)
