"""The bundled history and its file format."""

from __future__ import annotations

import gzip
from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from workers.errors import Misconfigured
from workers.local.demo.history import (
    History,
    Opening,
    Subscription,
    Use,
    day_ms,
    dump_history,
    load_history,
    parse_history,
)

if TYPE_CHECKING:
    from pathlib import Path

START_MS = day_ms(date(2026, 1, 10))
HISTORY = History(
    START_MS,
    START_MS + 86_400_000,
    {1: "NY", 2: None},
    (Subscription(1, "starter_mthly", date(2026, 1, 1), date(2026, 2, 1), 85.0, 5, "users"),),
    (Opening(1, "users", 4, 80),),
    (Use(START_MS + 1000, 1, 0, "search"), Use(START_MS + 61_000, 1, 3, "win_opportunity", 12.5)),
)


def test_what_is_written_is_read_back() -> None:
    """Nothing is lost or changed on the way through the file."""
    assert parse_history(dump_history(HISTORY, {"licence": "MIT"}), "x") == HISTORY


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (2, '["account"]'),  # a field is missing
        (3, '["use",1,1,0,99]'),  # an event type that the header does not list
        (4, "not JSON"),
        (2, '["subscription",1,"x","not a day","2026-02-01",1,1,"users"]'),
    ],
)
def test_a_damaged_file_is_refused_with_its_name(line: int, text: str) -> None:
    """A person learns which file is bad, and is not shown a traceback of ours."""
    lines = dump_history(HISTORY, {}).splitlines()
    lines[line - 1] = text
    with pytest.raises(Misconfigured, match=r"demo history slice\.gz, line"):
        parse_history("\n".join(lines), "slice.gz")


def test_a_file_that_is_no_gzip_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """A truncated download or a wrong file says how to get a right one."""
    bad = tmp_path / "slice.jsonl.gz"
    bad.write_bytes(b"no gzip")
    with pytest.raises(Misconfigured, match=r"slice\.jsonl\.gz.*cut_slice"):
        load_history(bad)
    bad.write_bytes(gzip.compress(dump_history(HISTORY, {}).encode())[:-9])
    with pytest.raises(Misconfigured, match="cut_slice"):
        load_history(bad)


def test_the_bundled_history_is_small_in_order_and_within_its_bounds() -> None:
    """Seven weeks, under 2 MB, sorted, and every use belongs to a listed account."""
    history = load_history()
    times = [use.at_ms for use in history.uses]
    assert history.end_ms - history.start_ms == 49 * 86_400_000
    assert times == sorted(times)
    assert history.start_ms <= times[0]
    assert times[-1] < history.end_ms
    assert {use.account for use in history.uses} == set(history.countries)
    data = files("workers.local.demo").joinpath("data", "crm5_slice.jsonl.gz").read_bytes()
    assert len(data) < 2_000_000


def test_licence_and_origin_travel_with_the_bundled_history() -> None:
    """The source's licence stands beside the file and inside it."""
    data = files("workers.local.demo").joinpath("data")
    assert "Permission is hereby granted" in data.joinpath("LICENSE-fightchurn.txt").read_text()
    first = gzip.decompress(data.joinpath("crm5_slice.jsonl.gz").read_bytes()).splitlines()[0].decode()
    assert "MIT" in first
    assert "Permission is hereby granted" in first
    assert "fightchurn" in first
    assert "not representative" in first
