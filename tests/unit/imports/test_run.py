"""Runs: chunks, checkpoints, rejects, going on, beginning again."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.imports.kit import NOW_MS, Bench, Rows, mapping
from workers.errors import Retryable
from workers.imports.output import MemoryOutput
from workers.imports.run import TooManyRejected

if TYPE_CHECKING:
    from pathlib import Path

FIVE = tuple({"id": f"u{number}", "plan": "pro"} for number in range(1, 6))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Fresh checkpoints and records."""
    return Bench(tmp_path)


def sent(bench: Bench) -> list[str]:
    """The people of the records, in order."""
    return [record.key.decode() for record in bench.output.records]


def test_all_rows_are_sent_and_the_end_is_written_down(bench: Bench) -> None:
    """In chunks, each followed by a checkpoint."""
    end = bench.run(Rows(*FIVE))
    assert sent(bench) == ["u1", "u2", "u3", "u4", "u5"]
    assert [one.position for one in bench.checkpoints.saved] == ["2", "4", None]
    assert (end.done, end.run, end.rows_read, end.rows_sent, end.rows_rejected) == (True, 1, 5, 5, 0)
    assert (bench.rows("read"), bench.rows("sent")) == (5, 5)
    assert bench.paused == [2, 2, 1]


def test_a_run_that_was_cut_off_goes_on_with_the_ids_it_had(bench: Bench) -> None:
    """What was sent behind the last checkpoint is sent again, as the same messages."""
    whole = Bench(bench.rejects.path.parent)
    whole.run(Rows(*FIVE))
    bench.output = MemoryOutput(fail_after=2)
    with pytest.raises(Retryable):
        bench.run(Rows(*FIVE))
    bench.output.fail_after = None
    bench.clock.time_ms += 60_000
    source = Rows(*FIVE)
    end = bench.run(source)
    assert source.asked == [("4", None)]
    assert (end.run, end.rows_read, end.done) == (1, 5, True)
    assert bench.output.records == whole.output.records


class _KilledError(BaseException):
    """Stands for a kill: nothing catches it."""


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 12),
    chunk=st.integers(1, 5),
    kills=st.lists(st.tuples(st.integers(0, 6), st.booleans())),
)
def test_kills_anywhere_lose_nothing_and_invent_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: int, chunk: int, kills: list[tuple[int, bool]]
) -> None:
    """Killed before or after the checkpoint of any chunk, and run again: the messages of one whole run."""
    bench, whole = (Bench(tmp_path_factory.mktemp("run")) for _ in range(2))
    people = [{"id": f"u{number}"} for number in range(rows)] or [{"id": ""}]
    whole.run(Rows(*people), chunk_rows=chunk)
    for after, saved in kills:
        save, left = bench.checkpoints.save, [after]

        def killed(checkpoint: Any, save: Any = save, left: list[int] = left, saved: bool = saved) -> None:
            left[0] -= 1
            if saved or left[0] >= 0:
                save(checkpoint)
            if left[0] < 0:
                raise _KilledError

        if bench.checkpoints.saved and bench.checkpoints.saved[-1].done:
            break
        bench.checkpoints.save = killed  # type: ignore[method-assign]
        try:
            bench.run(Rows(*people), chunk_rows=chunk)
        except _KilledError:
            bench.clock.time_ms += 1_000
        finally:
            bench.checkpoints.save = save  # type: ignore[method-assign]
    if not (bench.checkpoints.saved and bench.checkpoints.saved[-1].done):
        bench.run(Rows(*people), chunk_rows=chunk)
    if bench.checkpoints.saved[0].started_at_ms == NOW_MS:
        # A run that was killed before its first checkpoint never was: the next one has its own time.
        assert set(bench.output.records) == set(whole.output.records)
    assert sorted(set(sent(bench))) == sorted(sent(whole))
    assert bench.checkpoints.saved[-1].rows_read == whole.checkpoints.saved[-1].rows_read


def test_the_next_run_has_ids_of_its_own(bench: Bench) -> None:
    """A value that went back to what it was is not taken for a repeat of the day before."""
    bench.run(Rows({"id": "u1", "plan": "pro"}, mark="monday"))
    bench.run(Rows({"id": "u1", "plan": "starter"}, mark="tuesday"))
    bench.run(Rows({"id": "u1", "plan": "pro"}, mark="wednesday"))
    assert len({json.loads(record.value)["messageId"] for record in bench.output.records}) == 3


def test_another_file_or_mapping_does_not_go_on_at_a_place_of_the_old_one(bench: Bench) -> None:
    """A position means nothing in another source."""
    bench.output.fail_after = 1
    with pytest.raises(Retryable):
        bench.run(Rows(*FIVE))
    bench.output.fail_after = None
    replaced = Rows(*FIVE, mark="2")
    assert bench.run(replaced).run == 2
    assert replaced.asked == [(None, None)]


def test_restart_begins_again_with_all_rows(bench: Bench) -> None:
    """Also those behind the mark."""
    chosen = mapping(updated_at="at", overlap="1m")
    rows = Rows({"id": "u1", "at": "2026-03-01T00:00:00Z"})
    bench.run(rows, chosen)
    bench.run(rows, chosen)
    bench.run(rows, chosen, restart=True)
    assert [since for _, since in rows.asked] == [None, 1_772_323_200_000 - 60_000, None]


def test_an_incremental_run_takes_what_changed_since_the_last_one(bench: Bench) -> None:
    """From an overlap before the newest moment seen; rows without a moment are taken each time."""
    chosen = mapping(updated_at="at", overlap="1h")
    first = bench.run(
        Rows({"id": "u1", "at": "2026-03-14T08:00:00Z"}, {"id": "u2", "at": "2026-03-14T06:00:00Z"}), chosen
    )
    assert first.mark_ms == NOW_MS - 7_320_000
    bench.output.records.clear()
    second = bench.run(
        Rows(
            {"id": "u1", "at": "2026-03-14T07:30:00Z"},
            {"id": "u2", "at": "2026-03-14T06:59:59Z"},
            {"id": "u3", "at": "2026-03-14T09:00:00Z"},
            {"id": "u4", "at": ""},
            mark="2",
        ),
        chosen,
    )
    assert sent(bench) == ["u1", "u3", "u4"]
    assert (bench.rows("unchanged"), second.mark_ms) == (1, NOW_MS - 3_720_000)


def test_the_mark_moves_only_at_the_end_and_never_ahead_of_the_clock(bench: Bench) -> None:
    """Files are not in the order of time; a moment of next year would hide a year's changes."""
    chosen = mapping(updated_at="at")
    rows = Rows(*({"id": f"u{number}", "at": "2027-01-01T00:00:00Z"} for number in range(3)))
    end = bench.run(rows, chosen)
    assert [one.mark_ms for one in bench.checkpoints.saved] == [None, NOW_MS]
    assert end.newest_ms == NOW_MS


def test_bad_rows_are_written_down_and_the_import_goes_on(bench: Bench) -> None:
    """With file, line, column, reason and the row, for its owner's eyes only."""
    end = bench.run(Rows({"id": "u1", "n": 1}, {"id": " ", "n": 2}, {"id": "u3", "n": "\udcff"}))
    assert (sent(bench), end.rows_rejected, end.done) == (["u1"], 2, True)
    lines = [json.loads(line) for line in bench.rejects.path.read_text().splitlines()]
    assert lines[0] == {
        "run": 1,
        "source": "rows",
        "line": 3,
        "column": "id",
        "reason": "is empty",
        "row": {"id": " ", "n": 2},
    }
    assert lines[1]["column"] == "n"
    assert stat.S_IMODE(bench.rejects.path.stat().st_mode) == 0o600


def test_too_many_bad_rows_stop_the_import_and_keep_what_is_through(bench: Bench) -> None:
    """With a higher limit the next run goes on; a wrong column is not rejected a million times."""
    rows = ({"id": "u1"}, {"id": ""}, {"id": ""}, {"id": "u4"}, {"id": "u5"})
    with pytest.raises(TooManyRejected, match="2 of 4 rows were rejected, more than 1"):
        bench.run(Rows(*rows), rejected_max=1)
    assert sent(bench) == ["u1", "u4"]
    with pytest.raises(TooManyRejected):
        bench.run(Rows(*rows), rejected_max=1)
    assert not bench.checkpoints.saved[-1].done
    end = bench.run(Rows(*rows), rejected_max=2)
    assert (sent(bench), end.done, end.run) == (["u1", "u4", "u5"], True, 1)


def test_an_empty_source_is_an_import_of_nothing(bench: Bench) -> None:
    """It is done, and sends nothing."""
    source = Rows()
    source.columns = ("id",)
    assert bench.run(source).done
    assert bench.output.records == []
