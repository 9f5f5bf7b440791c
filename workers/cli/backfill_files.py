"""The files of ``brimful backfill --files``: which, what they may bring, and what was in them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import typer

from workers.errors import Misconfigured
from workers.reading.archive import ON_ITS_WAY_MS, gone
from workers.reading.events import Events, files_of, read_file, read_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from workers.reading.archive import Archive
    from workers.reading.past import Books, Refusal
    from workers.reading.topics import Found

STDIN: Final = "-"
NAMED_MAX: Final = 20
"""Kinds of bad lines that are told with their place; the others are told by their number."""

_OUTCOMES: Final = {
    "taken": "event(s) that count",
    "in_topic": "that the topic has, too",
    "repeated": "that the files have twice",
    "late": "that happened too late to be told from what is on its way to the topic (see --before)",
    "refused": "that the tracking plan refuses",
    "strangers": "of ids that have gone to another person (shared devices): they count for no user",
    "unasked": "that no window asks for",
}


def given_files(given: Sequence[str]) -> list[Path | None]:
    """The files to read, in the order of their names; None is standard input, which is read by itself.

    Raises:
        Misconfigured: a name leads to no file, or standard input is named beside files.
    """
    if STDIN not in given:
        return list(files_of(given))
    if len(given) > 1:
        raise Misconfigured("--files -: standard input is read by itself; give files or -, not both")
    return [None]


def check_reach(
    books: Books, begins: Callable[[], Mapping[int, int]], before: str | None, now_ms: int
) -> int:
    """Before which time files count: what was asked for, or 24 hours ago.

    ``begins`` is asked for the first offset of each partition of ``product-events``.

    Raises:
        Misconfigured: it cannot be told by ids what of the files was counted, and nobody said a time.
    """
    if before is not None:
        return min(_instant_ms(before), now_ms)
    partitions = gone(books, begins())
    if partitions:
        names = ", ".join(map(str, partitions))
        raise Misconfigured(
            f"partition(s) {names} of product-events have dropped events that windows have counted, which "
            "therefore cannot be told from the files' by their ids: say with --before TIME when the first "
            "event came to Brimful; of files only what happened before that is taken"
        )
    return now_ms - ON_ITS_WAY_MS


def read_archive(archive: Archive, files: Sequence[Path | None], refused: Refusal) -> None:
    """Read the files into the archive; lines that are no events are counted, and named on standard error.

    Raises:
        Misconfigured: a file cannot be read.
    """
    bad, named = 0, 0
    for number, path in enumerate(files, 1):
        events = Events(_records(path, f"{number} of {len(files)} file(s)"))
        for found, event in events:
            archive.take(event, found.value, refused)
        typer.echo("", err=True)
        for reason, (count, place) in events.refused.items():
            bad += count
            named += 1
            if named <= NAMED_MAX:
                where = path or "standard input"
                typer.echo(f"no event: {where}, {place}: {reason}: {count} line(s)", err=True)
    if bad:
        typer.echo(f"{bad} line(s) of the files are no events and count nowhere", err=True)


def tell_archive(archive: Archive, topic_begins_ms: int | None) -> None:
    """Say what became of the files' events, and of a hole between files and topic."""
    for outcome, what in _OUTCOMES.items():
        if archive.outcomes[outcome]:
            typer.echo(f"files: {archive.outcomes[outcome]} {what}", err=True)
    ends_ms = archive.newest_ms
    if ends_ms is not None and topic_begins_ms is not None and ends_ms < topic_begins_ms:
        typer.echo(
            f"the files end at {moment(ends_ms)} and the topic begins at {moment(topic_begins_ms)}: "
            "what happened between is missing, unless nothing did",
            err=True,
        )


def moment(at_ms: int) -> str:
    """A time for people, in UTC, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def _records(path: Path | None, what: str) -> Iterator[Found]:
    if path is None:
        return read_lines(sys.stdin.buffer, "standard input")
    name = path.name
    return read_file(
        path,
        lambda done, total: typer.echo(
            f"\r{what}, {name}: {100 * done // max(total, 1)} %", err=True, nl=False
        ),
    )


def _instant_ms(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no time: write it as 2026-03-14T10:00:00Z", param_hint="--before"
        ) from error
    return int(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)
