"""Events out of files: plain and gzipped, with what is no event counted and named."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from workers.errors import Misconfigured
from workers.reading.events import Events, read_file
from workers.reading.topics import Found

if TYPE_CHECKING:
    from pathlib import Path

GOOD = b'{"type":"identify","messageId":"m","timestamp":"2026-03-14T10:02:00Z","userId":"u"}'


def nothing(_done: int, _total: int) -> None:
    """Nobody looks at the progress."""


@pytest.mark.parametrize("name", ["events.ndjson", "events.ndjson.gz"])
def test_lines_are_records_with_their_number(tmp_path: Path, name: str) -> None:
    """Empty lines count as lines and are no records; the last one may lack its end."""
    path = tmp_path / name
    content = GOOD + b"\r\n\n  \n" + GOOD
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = list(read_file(path, nothing))
    assert found == [Found(-1, 1, GOOD), Found(-1, 4, GOOD)]
    assert found[1].place == "line 4"


def test_progress_ends_at_the_whole_file(tmp_path: Path) -> None:
    """In bytes of the file."""
    path = tmp_path / "events.ndjson"
    path.write_bytes((GOOD + b"\n") * 5_000)
    told: list[tuple[int, int]] = []
    assert len(list(read_file(path, lambda done, total: told.append((done, total))))) == 5_000
    size = path.stat().st_size
    assert len(told) > 1
    assert told[-1] == (size, size)
    assert all(0 < done <= size == total for done, total in told)


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(GOOD * 100)[:-20], b"\x1f\x8b\x08\x00" + b"x" * 60]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    """Also one that is cut off."""
    path = tmp_path / "events.gz"
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match=r"events\.gz"):
        list(read_file(path, nothing))
    with pytest.raises(Misconfigured, match="gone"):
        list(read_file(tmp_path / "gone", nothing))


def test_a_file_without_line_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it fills the memory."""
    monkeypatch.setattr("workers.reading.events.MAX_LINE_BYTES", 100)
    path = tmp_path / "events.json"
    path.write_bytes(b"[" + GOOD * 10)
    with pytest.raises(Misconfigured, match="line 1: longer than 100 bytes; one JSON event a line"):
        list(read_file(path, nothing))


def test_what_is_no_event_is_counted_by_reason_with_its_first_place() -> None:
    """The rest goes on, and no content is told."""
    records = [
        Found(3, 7, GOOD),
        Found(3, 8, b"no json"),
        Found(3, 9, b"\xff"),
        Found(3, 10, b'{"type":"track","messageId":"m","timestamp":"2026-03-14T10:02:00Z","userId":"u"}'),
        Found(3, 11, b'{"type":5}'),
        Found(3, 12, GOOD),
    ]
    events = Events(records)
    assert [found.place for found, _ in events] == ["partition 3 offset 7", "partition 3 offset 12"]
    assert events.read == 6
    assert events.refused == {
        "not readable as JSON": (2, "partition 3 offset 8"),
        "event is required in the call track and must not be empty": (1, "partition 3 offset 10"),
        "Expected `str`, got `int` - at `$.type`": (1, "partition 3 offset 11"),
    }
