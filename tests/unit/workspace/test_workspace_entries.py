"""Lint of entries and experiments: what is wrong, at its place in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from tests.unit.workspace.test_workspace import folder
from workers.cli.workspace import cli
from workers.workspace.files import BadWorkspace, load_workspace

if TYPE_CHECKING:
    from pathlib import Path

JOURNEY = """\
journey: play
subject: user
entry:
  on: {on}
{more}steps:
  - send: {{in_app: banner}}
"""
SCORE = """\
score: pql
subject: user
half_life: 7d
contributions: [{event: used, points: 1}]
thresholds: {hot: 5}
"""
OTHERS = {
    "segments": [
        "segment: users\nrequire: [{performed: used, within: 7d}]\n",
        "segment: teams\nsubject: account\nrequire: [{trait: size, gte: 5}]\n",
    ],
    "scores": [SCORE, SCORE.replace("pql", "heat").replace("user", "account")],
    "experiments": [
        "experiment: offer\nvariants: {a: 50, b: 50}\n",
    ],
}


def workspace(tmp_path: Path, on: str, more: str = "", **files: list[str]) -> Path:
    """A workspace with a journey that is entered so, and some things that it may name."""
    made = folder(tmp_path, JOURNEY.format(on=on, more=more))
    for kind, texts in {**OTHERS, **files}.items():
        (made / kind).mkdir()
        for number, text in enumerate(texts):
            (made / kind / f"d{number}.yaml").write_text(text)
    return made


@pytest.mark.parametrize(
    ("on", "more", "place", "field", "says"),
    [
        ("{segment: gone}", "", (4, 8), "entry.on.segment", "no segment 'gone'; there are teams, users"),
        ("{segment: teams}", "", (4, 8), "entry.on.segment", "a segment of accounts"),
        (
            "[{event: x}, {segment: gone}]",
            "",
            (4, 21),
            "entry.on[1].segment",
            "there is no segment 'gone'",
        ),
        ("{score: gone, threshold: hot}", "", (4, 8), "entry.on.score", "there is no score 'gone'"),
        ("{score: heat, threshold: hot}", "", (4, 8), "entry.on.score", "a score of accounts"),
        (
            "{score: pql, threshold: warm}",
            "",
            (4, 20),
            "entry.on.threshold",
            "no threshold 'warm'",
        ),
        ("{schedule: '0 25 * * *'}", "", (4, 8), "entry.on.schedule", "field 2 (hour) of the schedule"),
        ("{schedule: '0 9 * *'}", "", (4, 8), "entry.on.schedule", "five fields"),
        ("{schedule: '0 9 31 2 *'}", "", (4, 8), "entry.on.schedule", "no day is ever like this"),
        ("{schedule: '0 9 * * *', timezone: Mars}", "", (4, 31), "entry.on.timezone", "Mars"),
        ("{schedule: '0 9 * * *', segment: gone}", "", (4, 31), "entry.on.segment", "no segment 'gone'"),
        ("{changed: plan, from: a, to: a}", "", (4, 32), "entry.on.to", "this never comes"),
        ("[{event: x}, {event: x}]", "", (3, 1), "entry", "the same trigger stands here twice"),
        (
            "{segment: users, change: left, existing: true}",
            "",
            (4, 3),
            "entry.on",
            "leave it out",
        ),
        ("{segment: users}", "  key: properties.x\n", (3, 1), "entry", "other triggers have none"),
        ("{event: x}", "  key: x\n", (3, 1), "entry", "key is a property of the event"),
        (
            "{event: x}",
            "exit: [{when: {event: y, match: properties.z}}]\n",
            (1, 1),
            "journey",
            "add key: properties.NAME",
        ),
        (
            "{event: x}",
            "experiments: [gone]\n",
            (5, 15),
            "experiments[0]",
            "there are offer",
        ),
        (
            "{event: x}",
            "  require: [{experiment: offer, is: a}]\nexperiments: [offer]\n",
            (5, 14),
            "entry.require[0].experiment",
            "ask for it in a branch",
        ),
        (
            "[{event: x}, {event: y}]",
            "  require: [{performed: x, reaches: 3, within: 7d}]\n",
            (5, 28),
            "entry.require[0].reaches",
            "entered on that event alone, not on 'x', 'y'",
        ),
    ],
)
def test_what_is_wrong_is_named_at_its_place(
    tmp_path: Path, on: str, more: str, place: tuple[int, int], field: str, says: str
) -> None:
    """With file, line, column and field, and what there is instead."""
    with pytest.raises(BadWorkspace) as caught:
        load_workspace(workspace(tmp_path, on, more))
    (problem,) = caught.value.problems
    assert (problem.file, (problem.line, problem.column), problem.field) == ("journeys/j0.yaml", place, field)
    assert says in problem.detail


@pytest.mark.parametrize(
    ("on", "more", "says"),
    [
        ("{schedule: '0 9 * * *'}", "", "everybody is a candidate each time"),
        ("{segment: users}", "  require: [{property: seats, gte: 3}]\n", "no event begins this journey"),
    ],
)
def test_what_looks_wrong_is_a_warning(tmp_path: Path, on: str, more: str, says: str) -> None:
    """The workspace can be used."""
    (warning,) = load_workspace(workspace(tmp_path, on, more)).warnings
    assert says in warning.detail


def test_weights_are_looked_at_in_their_file(tmp_path: Path) -> None:
    """The sum is told."""
    bad = "experiment: offer\nvariants:\n  a: 50\n  b: 40\n"
    with pytest.raises(BadWorkspace) as caught:
        load_workspace(workspace(tmp_path, "{event: x}", experiments=[bad]))
    (problem,) = caught.value.problems
    assert str(problem) == "experiments/d0.yaml:2:1: variants: the weights add up to 90, not to 100"


def test_lint_lists_experiments_with_their_shares(tmp_path: Path) -> None:
    """And takes the workspace's holdout from its settings."""
    made = workspace(tmp_path, "{event: x}")
    (made / "workspace.yaml").write_text("holdout: {share: 5%}\n")
    result = CliRunner().invoke(cli, [str(made)])
    assert result.exit_code == 0
    assert "offer  experiment on users  offer a 50 %, b 50 %" in result.output
    holdout = load_workspace(made).workspace.holdout
    assert holdout is not None
    assert holdout.share == 500
