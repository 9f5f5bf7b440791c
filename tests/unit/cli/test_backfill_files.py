"""Which files are read, up to when they count, and what is said of their lines."""

from __future__ import annotations

import gzip
import io
import sys
from typing import TYPE_CHECKING

import pytest
import typer

from tests.unit.cli.backfill_kit import Changing
from tests.unit.cli.test_backfill import USER, asking
from tests.unit.identity.kit import DAY, NOW
from tests.unit.reading.test_archive import lines
from workers.cli.backfill_files import check_reach, given_files, read_archive, tell_archive
from workers.core.activity.backfill import Book, Mark
from workers.errors import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

    from workers.reading.past import Books

WHOLE: Books = {"user": {0: Book({1: Mark("f", 1)})}, "account": {}}


def test_folders_patterns_and_files_are_read_once_by_name(tmp_path: Path) -> None:
    """Whatever names them; other files of a folder are not events."""
    for name in ("b/2.jsonl.gz", "b/1.ndjson", "a.json", "b/readme.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = given_files([str(tmp_path / "b"), f"{tmp_path}/**/*.ndjson", str(tmp_path / "a.json")])
    assert found == [tmp_path / "a.json", tmp_path / "b" / "1.ndjson", tmp_path / "b" / "2.jsonl.gz"]
    assert given_files(["-"]) == [None]


def test_a_name_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    """Rather than filling windows from less than was meant, as a window takes from files once."""
    with pytest.raises(Misconfigured, match="there is no such file"):
        given_files([str(tmp_path / "*.gz")])
    with pytest.raises(Misconfigured, match=r"no file in it ends in \.ndjson"):
        given_files([str(tmp_path)])
    with pytest.raises(Misconfigured, match="not both"):
        given_files(["-", str(tmp_path)])


def test_what_may_be_on_its_way_to_the_topic_is_not_taken_unless_asked_for() -> None:
    """Nor what has not happened."""
    assert check_reach(WHOLE, lambda: {0: 0}, None, NOW) == NOW - DAY
    assert check_reach(WHOLE, lambda: {0: 0}, "1970-01-02T00:00:00Z", NOW) == DAY
    assert check_reach(WHOLE, lambda: {0: 0}, "1970-01-02", NOW) == DAY
    assert check_reach(WHOLE, lambda: {0: 0}, "2999-01-02", NOW) == NOW
    with pytest.raises(typer.BadParameter, match="is no time"):
        check_reach(WHOLE, lambda: {0: 0}, "yesterday", NOW)


def test_where_ids_cannot_tell_a_time_has_to() -> None:
    """The topic has dropped what windows have counted."""
    with pytest.raises(Misconfigured, match=r"partition\(s\) 0 of product-events .* --before TIME"):
        check_reach(WHOLE, lambda: {0: 5}, None, NOW)
    assert check_reach(WHOLE, lambda: {0: 5}, "1970-01-02", NOW) == DAY


def test_bad_lines_are_named_and_counted_and_the_rest_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the file, the line, and nothing of what it holds."""
    first, second = lines(2 * DAY, 3 * DAY)
    one, two = tmp_path / "1.ndjson", tmp_path / "2.ndjson.gz"
    one.write_bytes(first + b"\nsecret\n[]\nmore\n")
    two.write_bytes(gzip.compress(second + b'\n{"type":"track","messageId":"m","userId":"u"}\n'))
    cluster = Changing(asking("14d"))
    archive = cluster.archive([])
    read_archive(archive, [one, two], lambda *_: False)
    tell_archive(archive, NOW)
    told = capsys.readouterr().err
    assert archive.outcomes == {"taken": 2}
    assert "1.ndjson, line 2: not readable as JSON: 2 line(s)" in told
    assert "2.ndjson.gz, line 2: Object missing required field `timestamp`" in told
    assert "4 line(s) of the files are no events" in told
    assert "files: 2 event(s) that count" in told
    assert "the files end at 2026-03-12" in told
    assert "secret" not in told


def test_standard_input_is_read_as_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """For archives that another program unpacks or selects."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(lines(DAY, 2 * DAY)))))
    cluster = Changing(asking("14d"))
    archive = cluster.archive([])
    read_archive(archive, [None], lambda *_: False)
    assert archive.outcomes == {"taken": 2}
    assert [subject for subject, _ in archive.records(NOW)] == [USER]
