"""``brimful exit``: what it asks for, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from schemas import wire
from tests.unit.workspace.test_workspace_entries import workspace
from workers.cli import exits as exit_commands
from workers.cli.exits import cli
from workers.errors import Misconfigured
from workers.imports.output import MemoryOutput

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryOutput:
    """What is written, with a workspace of one journey, and three partitions."""
    memory = MemoryOutput()
    monkeypatch.setenv("BRIMFUL_WORKSPACE", str(workspace(tmp_path, "{event: x}")))
    monkeypatch.setattr(exit_commands, "_output", lambda _settings: memory)
    monkeypatch.setattr(exit_commands, "partitions_of", lambda *_: 3)
    return memory


def call(*words: str) -> str:
    """What the command says; its error is raised."""
    result = CliRunner().invoke(cli, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_one_subject_is_asked_for_by_its_key(output: MemoryOutput) -> None:
    """The reason and the request's id go with it."""
    said = call("play", "u1", "--reason", "asked by phone", "--id", "r1")
    assert "user u1 leaves play: request r1" in said
    ((topic, key, value, partition),) = output.records
    assert (topic, key, partition) == ("scheduler", b"u1", None)
    asked = wire.decode_scheduler(value)
    assert isinstance(asked, wire.ExitRequest)
    assert (asked.id, asked.journey, asked.subject_type, asked.subject, asked.reason) == (
        "r1",
        "play",
        "user",
        "u1",
        "asked by phone",
    )


@pytest.mark.parametrize(
    ("words", "segment", "rate"),
    [(("--all",), None, 100), (("--segment", "users", "--rate", "7"), "users", 7)],
)
def test_many_are_asked_of_every_partition(
    output: MemoryOutput, words: tuple[str, ...], segment: str | None, rate: int
) -> None:
    """With one id, so that asking again begins nothing."""
    call("play", *words, "--id", "r2")
    assert [one.partition for one in output.records] == [0, 1, 2]
    (value,) = {one.value for one in output.records}
    asked = wire.decode_scheduler(value)
    assert isinstance(asked, wire.ExitBatch)
    assert (asked.id, asked.segment, asked.rate, asked.reason) == ("r2", segment, rate, None)


def test_a_journey_whose_file_is_gone_is_left_by_whom_it_was_of(output: MemoryOutput) -> None:
    """The workspace cannot tell any more."""
    call("gone", "a1", "--removed", "account")
    asked = wire.decode_scheduler(output.records[0].value)
    assert isinstance(asked, wire.ExitRequest)
    assert (asked.journey, asked.subject_type) == ("gone", "account")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("gone", "u1"), "there is no journey 'gone'; there are play. .* say --removed"),
        (("play", "--segment", "gone"), "there is no segment 'gone'"),
        (("play", "--segment", "teams"), "'teams' is of accounts, and 'play' of users"),
    ],
)
def test_what_the_engine_would_pass_over_is_refused(
    output: MemoryOutput, words: tuple[str, ...], says: str
) -> None:
    """Before anything is written."""
    with pytest.raises(Misconfigured, match=says):
        call(*words)
    assert output.records == []


@pytest.mark.parametrize(
    "words", [("play",), ("play", "u1", "--all"), ("play", "--all", "--segment", "users")]
)
def test_who_leaves_is_said_once(output: MemoryOutput, words: tuple[str, ...]) -> None:
    """By mistake nobody empties a journey."""
    assert "say who leaves" in call(*words).replace("\n", " ")
    assert output.records == []
