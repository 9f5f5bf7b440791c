"""``brimful enroll`` and ``brimful journey enroll``: what they ask for, and what they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from schemas import wire
from tests.unit.workspace.test_workspace_entries import workspace
from workers.cli import enroll as enroll_commands
from workers.cli.enroll import cli, journey_cli
from workers.errors import Misconfigured
from workers.imports.output import MemoryOutput

if TYPE_CHECKING:
    from pathlib import Path

    from typer import Typer


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryOutput:
    """What is written, with a workspace whose journey is entered on request, and three partitions."""
    made = workspace(tmp_path, "[{event: x}, {api: true}]")
    memory = MemoryOutput()
    monkeypatch.setenv("BRIMFUL_WORKSPACE", str(made))
    monkeypatch.setattr(enroll_commands, "_output", lambda _settings: memory)
    monkeypatch.setattr(enroll_commands, "partitions_of", lambda *_: 3)
    return memory


def call(commands: Typer, *words: str) -> str:
    """What a command says; its error is raised."""
    result = CliRunner().invoke(commands, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_a_request_is_keyed_by_its_subject(output: MemoryOutput) -> None:
    """Values are JSON where they can be read so, else texts."""
    said = call(cli, "play", "u1", "-p", "seats=3", "-p", "why=because", "--id", "r1")
    assert "request r1" in said
    ((topic, key, value, partition),) = output.records
    assert (topic, key, partition) == ("scheduler", b"u1", None)
    asked = wire.decode_scheduler(value)
    assert isinstance(asked, wire.EnrollRequest)
    assert (asked.id, asked.journey, asked.subject_type, asked.subject) == ("r1", "play", "user", "u1")
    assert asked.properties == {"seats": 3, "why": "because"}


def test_a_segment_is_asked_of_every_partition(output: MemoryOutput) -> None:
    """With one id, so that asking again begins nothing."""
    call(journey_cli, "play", "--segment", "users", "--rate", "7", "--id", "r2")
    assert [one.partition for one in output.records] == [0, 1, 2]
    (value,) = {one.value for one in output.records}
    asked = wire.decode_scheduler(value)
    assert isinstance(asked, wire.EnrollSegment)
    assert (asked.id, asked.segment, asked.rate) == ("r2", "users", 7)


@pytest.mark.parametrize(
    ("commands", "words", "says"),
    [
        (cli, ("gone", "u1"), "there is no journey 'gone'; there are play"),
        (journey_cli, ("play", "--segment", "gone"), "there is no segment 'gone'"),
        (journey_cli, ("play", "--segment", "teams"), "'teams' is of accounts, and 'play' of users"),
    ],
)
def test_what_the_engine_would_decline_is_refused(
    output: MemoryOutput, commands: Typer, words: tuple[str, ...], says: str
) -> None:
    """Before anything is written."""
    with pytest.raises(Misconfigured, match=says):
        call(commands, *words)
    assert output.records == []


def test_a_journey_that_nobody_enters_on_request_says_what_to_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line for its file."""
    monkeypatch.setenv("BRIMFUL_WORKSPACE", str(workspace(tmp_path, "{event: x}")))
    with pytest.raises(Misconfigured, match=r"add \{api: true\} to its entry.on"):
        call(cli, "play", "u1")
