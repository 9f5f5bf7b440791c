"""Loading what stands beside the journeys of a workspace: segments and scores."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from schemas.workspace import Score, Segment
from tests.unit.workspace.test_workspace import GOOD, folder
from workers.cli.workspace import cli
from workers.workspace.files import BadWorkspace, load_workspace

DOCS = Path(__file__).parents[3] / "docs"

SCORE = """\
score: pql
subject: account
half_life: 7d
contributions:
  - event: invite_sent
    points: 10
  - trait: plan
    in: [free]
    points: 5
thresholds:
  warm: 25
  hot: {reaches: 60, falls_below: 40}
"""


def with_scores(tmp_path: Path, *scores: str) -> Path:
    """A workspace with one good journey and these scores."""
    made = folder(tmp_path, GOOD)
    (made / "scores").mkdir()
    for number, text in enumerate(scores):
        (made / "scores" / f"s{number}.yaml").write_text(text)
    return made


SEGMENT = """\
segment: ready
subject: user
require:
  - in_segment: beta
  - performed: limit
    at_least: 3
    within: 14d
"""
BETA = "segment: beta\nstatic: true\n"


ASKING = "segment: asking\nrequire:\n  - account: {in_segment: beta}\n"


def with_segments(tmp_path: Path, *segments: str, journey: str = GOOD) -> Path:
    """A workspace with one good journey and these segments."""
    made = folder(tmp_path, journey)
    (made / "segments").mkdir()
    for number, text in enumerate(segments):
        (made / "segments" / f"g{number}.yaml").write_text(text)
    return made


def test_segments_load_beside_journeys(tmp_path: Path) -> None:
    """They are part of the workspace, and lint tells of them."""
    made = with_segments(tmp_path, SEGMENT, BETA)
    assert [one.segment for one in load_workspace(made).workspace.segments] == ["ready", "beta"]
    result = CliRunner().invoke(cli, [str(made)])
    assert "ready  segment of users" in result.output
    assert "beta  static segment of users" in result.output


@pytest.mark.parametrize(
    ("segments", "place", "field", "says"),
    [
        ((SEGMENT,), (4, 5), "require[0].in_segment", "there is no segment 'beta'; there are ready"),
        (
            (SEGMENT, "segment: beta\nsubject: account\nstatic: true\n"),
            (4, 5),
            "require[0].in_segment",
            "and this is about users: ask `account: {in_segment: beta}`",
        ),
        (
            (ASKING, BETA),
            (3, 15),
            "require[0].account.in_segment",
            "'beta' is a segment of users, and this is about accounts: ask `in_segment: beta`",
        ),
        (
            (ASKING,),
            (3, 15),
            "require[0].account.in_segment",
            "there is no segment 'beta'; there are asking",
        ),
        (
            (ASKING + "subject: account\n", "segment: beta\nsubject: account\nstatic: true\n"),
            (3, 15),
            "require[0].account.in_segment",
            "ask `in_segment: beta`, without `account:`",
        ),
        (
            (ASKING.replace("in_segment: beta", "performed: limit, within: 14d"),),
            (3, 5),
            "require[0]",
            "put `performed` into the conditions of a segment with `subject: account`, and ask `account: {",
        ),
        (
            (ASKING.replace("beta", "beta, eq: true"),),
            (3, 33),
            "require[0].account.eq",
            "allowed: in_segment, if_missing",
        ),
        ((SEGMENT.replace("at_least", "reaches"), BETA), (6, 5), "require[1].reaches", "say at_least"),
        ((SEGMENT.replace("beta", "ready"),), (4, 5), "require[0].in_segment", "in a circle: ready"),
        ((SEGMENT.replace("within: 14d", "within: 14"), BETA), (7, 5), "require[1].within", "such as 21d"),
        (("segment: x\nsubject: user\n",), (1, 1), "segment", "require says who belongs to it"),
    ],
)
def test_a_wrong_segment_is_refused_at_its_place(
    tmp_path: Path, segments: tuple[str, ...], place: tuple[int, int], field: str, says: str
) -> None:
    """File, line, column, field, and what to write instead."""
    with pytest.raises(BadWorkspace) as caught:
        load_workspace(with_segments(tmp_path, *segments))
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == ("segments/g0.yaml", *place)
    assert problem.field == field
    assert says in problem.detail


@pytest.mark.parametrize(("inner", "warnings"), [("", 1), (", if_missing: fail", 0)])
def test_not_to_be_told_is_asked_about(tmp_path: Path, inner: str, warnings: int) -> None:
    """A negative condition says what it means that the account has not told."""
    asking = f"segment: asking\nrequire:\n  - not:\n      account: {{in_segment: teams{inner}}}\n"
    made = with_segments(tmp_path, asking, "segment: teams\nsubject: account\nstatic: true\n")
    found = [
        one.detail for one in load_workspace(made).warnings if "where the value is missing" in one.detail
    ]
    assert len(found) == warnings


def test_a_journey_names_segments_that_are_there(tmp_path: Path) -> None:
    """And is refused where it names another."""
    asking = GOOD.replace("entry:\n", "entry:\n  require:\n    - in_segment: betta\n")
    with pytest.raises(BadWorkspace, match="there is no segment 'betta'; there are beta"):
        load_workspace(with_segments(tmp_path, BETA, journey=asking))


def test_scores_load_beside_journeys(tmp_path: Path) -> None:
    """They are part of the workspace, and lint tells of them."""
    made = with_scores(tmp_path, SCORE)
    (score,) = load_workspace(made).workspace.scores
    assert (score.score, score.thresholds["hot"].floor(), score.thresholds["warm"].floor()) == ("pql", 40, 25)
    result = CliRunner().invoke(cli, [str(made)])
    assert "pql  score of accounts  half-life 7d  2 contribution(s), 2 threshold(s)" in result.output


@pytest.mark.parametrize(
    ("old", "new", "place", "field", "says"),
    [
        ("subject: account", "subject: account\ncolour: x", (3, 1), "colour", "allowed: score, subject"),
        ("half_life: 7d", "half_life: 7", (3, 1), "half_life", "such as 90s, 1h or 21d"),
        ("half_life: 7d\n", "", (1, 1), "half_life", "this field is required"),
        ("points: 10", "points: 0", (6, 5), "contributions[0].points", "not 0"),
        ("points: 10", "points: many", (6, 5), "contributions[0].points", "points are a number"),
        ("points: 10", "points: .inf", (6, 5), "contributions[0].points", "points are a number"),
        ("points: 10", "points: 10\n    cap: 3", (7, 5), "contributions[0].cap", "a mapping is expected"),
        (
            "points: 10",
            "points: 1\n    cap: {times: 21, per: 1d}",
            (7, 11),
            "contributions[0].cap.times",
            "20",
        ),
        ("- event: invite_sent", "- segment: x", (5, 5), "contributions[0]", "{event: NAME, points: N}"),
        ("in: [free]\n", "exists: 1\n", (8, 5), "contributions[1].exists", "boolean"),
        ("    in: [free]\n", "", (7, 5), "contributions[1]", "an operator is needed"),
        ("- trait: plan\n    in: [free]", "- event: invite_sent", (4, 1), "contributions", "add up"),
        ("falls_below: 40", "falls_below: 61", (12, 3), "thresholds.hot", "at most reaches (60)"),
        ("warm: 25", "warm: lots", (11, 3), "thresholds.warm.reaches", "a number of points"),
        ("warm: 25", "Warm: 25", (11, 3), "thresholds.Warm", "small letters"),
    ],
)
def test_a_wrong_score_is_refused_at_its_place(
    tmp_path: Path, old: str, new: str, place: tuple[int, int], field: str, says: str
) -> None:
    """File, line, column, field, and what to write instead."""
    assert SCORE.count(old) == 1
    with pytest.raises(BadWorkspace) as caught:
        load_workspace(with_scores(tmp_path, SCORE.replace(old, new)))
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == ("scores/s0.yaml", *place)
    assert problem.field == field
    assert says in problem.detail


def test_two_scores_of_one_name_are_refused(tmp_path: Path) -> None:
    """The second file is told of the first."""
    with pytest.raises(BadWorkspace, match=r"scores/s1.yaml:1:1: score: scores/s0.yaml has the same score"):
        load_workspace(with_scores(tmp_path, SCORE, SCORE))


@pytest.mark.parametrize(("page", "model"), [("segments", Segment), ("scores", Score)])
def test_the_example_of_the_docs_is_a_definition(page: str, model: type[Segment | Score]) -> None:
    """Whoever copies it has a file that works."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    example = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    assert model.model_validate(YAML(typ="safe", pure=True).load(example))
