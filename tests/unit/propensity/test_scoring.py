"""Scores written back as traits, and the files that events are read from."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from schemas.records import parse_product_event
from schemas.wire import decode_product_event
from tests.unit.propensity.kit import DAY_MS, START_MS, group, history, message, spec, stamp
from workers.cli.main import cli
from workers.errors import Misconfigured
from workers.propensity.history import read_history
from workers.propensity.model import Column, Model, Sigmoid, save
from workers.propensity.scoring import score_events
from workers.propensity.sources import read_files

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.wire import ProductEvent

AT_MS = START_MS + 30 * DAY_MS
MODEL = Model(
    spec=spec(events=("invite_sent",), traits=("plan",), exclude=(("plan", "enterprise"),)),
    columns=[
        Column(feature="event.invite_sent", kind="log", mean=0.5, spread=0.5, coefficient=1.0),
        Column(feature="trait.plan", kind="level", level="starter", mean=0.5, spread=0.5, coefficient=-0.2),
        Column(feature="usage.seats", kind="missing", coefficient=0.1),
    ],
    intercept=-2.0,
    calibration=Sigmoid(1.0, 0.0),
    trained_until_ms=START_MS,
)
MESSAGES: list[dict[str, Any]] = [
    group(START_MS, "a", plan="starter", seats=10),
    *(message("invite_sent", AT_MS - number * DAY_MS, "a", f"user-{number}") for number in range(1, 5)),
    group(START_MS, "big", plan="enterprise"),
    message("invite_sent", AT_MS - DAY_MS, "big", "bea"),
    message("login", START_MS, "gone", "gil"),
]


def test_each_account_gets_a_group_call_of_its_last_member() -> None:
    """A probability, its reasons, and when; excluded accounts and those that left get none."""
    (event,) = score_events(history(MESSAGES), MODEL, AT_MS)
    assert (event["type"], event["groupId"], event["userId"]) == ("group", "a", "user-1")
    traits = event["traits"]
    assert set(traits) == {"upgrade_propensity", "upgrade_propensity_reasons", "upgrade_propensity_at"}
    assert 0 < traits["upgrade_propensity"] < 1
    assert traits["upgrade_propensity_reasons"] == [
        {"feature": "event.invite_sent", "value": 4, "direction": "up", "weight": 2.219},
        {"feature": "trait.plan", "value": "starter", "direction": "down", "weight": -0.2},
    ]
    assert traits["upgrade_propensity_at"] == event["timestamp"] == "2026-03-31T00:00:00.000Z"
    parse_product_event(json.dumps(event).encode())


def test_users_get_an_identify_call() -> None:
    """Under their own id."""
    lines = [parse_bytes(one) for one in MESSAGES]
    model = Model(**{name: getattr(MODEL, name) for name in ("columns", "intercept", "calibration")},
                  spec=spec(subject="user"), trained_until_ms=0)  # fmt: skip
    events = list(score_events(read_history(lines, "user"), model, AT_MS))
    assert {(event["type"], event["userId"]) for event in events} == {
        ("identify", user) for user in ("bea", "user-1", "user-2", "user-3", "user-4")
    }
    assert "groupId" not in events[0]


def parse_bytes(one: dict[str, Any]) -> ProductEvent:
    """A message as the readers give it."""
    return decode_product_event(json.dumps(one).encode())


def test_a_repeated_run_has_the_same_message_ids_and_another_instant_others() -> None:
    """So that sending again counts once."""
    ids = [
        [event["messageId"] for event in score_events(history(MESSAGES), MODEL, at_ms)]
        for at_ms in (AT_MS, AT_MS, AT_MS + 1)
    ]
    assert ids[0] == ids[1] != ids[2]
    assert len(ids[0][0]) <= 100


def test_the_command_scores_files_and_what_it_wrote_changes_nothing(tmp_path: Path) -> None:
    """NDJSON out; with its own output among the events, the scores stay what they were."""
    events, out = tmp_path / "events.ndjson.gz", tmp_path / "scores.ndjson"
    events.write_bytes(gzip.compress("\n".join(map(json.dumps, MESSAGES)).encode()))
    save(MODEL, tmp_path)
    options = ["propensity", "score", "--model", str(tmp_path), "--at", stamp(AT_MS), "--out", str(out)]
    first = CliRunner().invoke(cli, [*options, "--events", str(events)])
    assert first.exit_code == 0, first.output
    assert "1 scores" in first.output
    written = out.read_text()
    assert CliRunner().invoke(cli, [*options, "--events", str(tmp_path)]).exit_code == 0
    assert out.read_text() == written


def test_parquet_says_the_same_as_ndjson(tmp_path: Path) -> None:
    """Objects as JSON text and moments as text, or objects as structs and moments as timestamps."""
    (tmp_path / "e.jsonl").write_text("\n".join(map(json.dumps, MESSAGES)))
    texts = [
        {key: json.dumps(value) if isinstance(value, dict) else value for key, value in one.items()}
        for one in MESSAGES
    ]
    structs = [
        {key: value or None for key, value in one.items()}
        | {"timestamp": datetime.fromisoformat(one["timestamp"])}
        for one in MESSAGES
    ]
    wanted = read_history(read_files([tmp_path / "e.jsonl"]), "account")
    for name, rows in (("texts", texts), ("structs", structs)):
        file = tmp_path / f"{name}.parquet"
        parquet.write_table(pa.Table.from_pylist([dict.fromkeys(_keys()) | row for row in rows]), file)
        assert read_history(read_files([file]), "account") == wanted


def _keys() -> list[str]:
    return sorted({key for one in MESSAGES for key in one})


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.ndjson", b'{"type": "track"}', r"a.ndjson:1: .*messageId"),
        ("a.ndjson", json.dumps(MESSAGES[0]).encode() + b"\n\nnonsense", r"a.ndjson:3: "),
        ("a.ndjson.gz", b"not gzip", r"a.ndjson.gz: Not a gzipped file"),
        ("a.parquet", b"not parquet", r"a.parquet: "),
        ("a.txt", b"", r"there is no file that ends in .ndjson"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_its_line(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    """Nothing is skipped in silence."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Misconfigured, match=says):
        list(read_files([tmp_path]))


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    """A worker neither needs nor loads them."""
    code = (
        "import sys, workers.cli.main, workers.assemble\n"
        "import workers.propensity.model, workers.propensity.scoring\n"
        "print(sorted({'numpy', 'scipy', 'sklearn', 'pyarrow'} & set(sys.modules)))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"
