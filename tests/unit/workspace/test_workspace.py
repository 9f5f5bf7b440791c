"""Loading a workspace: what is refused, where, and what the message says to do."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from schemas.workspace import Journey, Workspace, format_duration, parse_duration_ms
from workers.cli.workspace import cli
from workers.workspace.files import BadWorkspace, Problem, load_workspace

SHIPPED = Path(__file__).parents[3] / "deploy" / "workspaces"

GOOD = """\
journey: upsell
subject: user
entry:
  on: {event: limit}
steps:
  - send: {in_app: banner}
"""
BANNER = "channel: in_app\nform: banner\ntitle: Hello\nbody: There\n"
MAIL = "channel: email\nsubject: Hello\nhtml: <p><a href='{{ unsubscribe_url }}'>No</a></p>\n"


def folder(tmp_path: Path, *journeys: str, **templates: str) -> Path:
    """A workspace with these files."""
    (tmp_path / "journeys").mkdir()
    (tmp_path / "templates").mkdir()
    for number, text in enumerate(journeys):
        (tmp_path / "journeys" / f"j{number}.yaml").write_text(text)
    for name, text in ({"banner": BANNER, "mail": MAIL} | templates).items():
        (tmp_path / "templates" / f"{name}.yaml").write_text(text)
    return tmp_path


def problems(tmp_path: Path, *journeys: str, **templates: str) -> list[Problem]:
    """What a workspace is refused for."""
    with pytest.raises(BadWorkspace) as caught:
        load_workspace(folder(tmp_path, *journeys, **templates))
    return list(caught.value.problems)


def test_a_good_workspace_loads(tmp_path: Path) -> None:
    """Journeys as models, templates compiled and as records."""
    loaded = load_workspace(folder(tmp_path, GOOD))
    assert [one.journey for one in loaded.workspace.journeys] == ["upsell"]
    assert set(loaded.templates) == set(loaded.workspace.templates) == {"banner", "mail"}
    assert loaded.workspace.templates["banner"]["channel"] == "in_app"
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("old", "new", "place", "field", "says"),
    [
        # what the file cannot say
        ("subject: user", "subject: user\ncolour: red", (3, 1), "colour", "allowed: journey, subject, tags"),
        ("{event: limit}", "{event: limit, kind: x}", (4, 22), "entry.on.kind", "allowed: event, where"),
        ("subject: user", "subject: person", (2, 1), "subject", "'user' or 'account'"),
        ("subject: user\n", "", (1, 1), "subject", "this field is required"),
        ("journey: upsell", "journey: Up Sell", (1, 1), "journey", "small letters, digits and _"),
        ("  - send: {in_app: banner}", "  - ask: {event: x}", (6, 5), "steps[0]", "send, wait, wait_until"),
        ("  - send: {in_app: banner}", "  - wait: 1 day", (6, 5), "steps[0].wait", "such as 90s, 1h or 21d"),
        ("  - send: {in_app: banner}", "  - wait: 0d", (6, 5), "steps[0].wait", "above 0"),
        (
            "  - send: {in_app: banner}",
            "  - wait: 9999d",
            (6, 5),
            "steps[0].wait",
            "the longest duration is 730d",
        ),
        ("{in_app: banner}", "{fax: banner}", (6, 12), "steps[0].send.fax", "allowed: in_app, email, sms"),
        (
            "{in_app: banner}",
            "{in_app: a, email: b}",
            (6, 5),
            "steps[0].send",
            "exactly one of in_app, email",
        ),
        ("{in_app: banner}", "banner", (6, 5), "steps[0].send", "a mapping is expected"),
        ("steps:\n  - send: {in_app: banner}", "steps: []", (5, 1), "steps", "at least 1 item"),
        ("steps:", "holdout: 10\nsteps:", (5, 1), "holdout", "such as 10%"),
        ("steps:", "holdout: 101%\nsteps:", (5, 1), "holdout", "0% to 100%"),
        ("steps:", "recipients: {role: x}\nsteps:", (1, 1), "journey", "recipients are for subject: account"),
        ("subject: user", "subject: account", (1, 1), "journey", "says which members"),
        ("steps:", "goal: {event: x, within: 1d, revenue: mrr}\nsteps:", (5, 1), "goal", "properties.NAME"),
        (
            "steps:",
            "exit: [{when: {event: x}, then: {}}]\nsteps:",
            (5, 27),
            "exit[0].then.enroll",
            "this field is required",
        ),
        ("steps:", "exit: [{when: {segment: x}}]\nsteps:", (5, 9), "exit[0].when", "{changed: TRAIT}"),
        ("steps:", "exit: {when: {event: x}}\nsteps:", (5, 1), "exit", "a list is expected"),
        # conditions
        (
            "steps:",
            "  require: [{segment: x}]\nsteps:",
            (5, 13),
            "entry.require[0]",
            "a condition has one of trait",
        ),
        ("steps:", "  require: [{trait: x}]\nsteps:", (5, 13), "entry.require[0]", "an operator is needed"),
        ("steps:", "  require: [{trait: x, gt: big}]\nsteps:", (5, 24), "entry.require[0].gt", "a number"),
        (
            "steps:",
            "  require: [{trait: x, in: a}]\nsteps:",
            (5, 24),
            "entry.require[0].in",
            "a list is expected",
        ),
        (
            "steps:",
            "  require: [{trait: x, eq: 2024-01-31}]\nsteps:",
            (5, 24),
            "entry.require[0].eq",
            "quote dates",
        ),
        (
            "steps:",
            "  require: [{trait: x, eq: null}]\nsteps:",
            (5, 24),
            "entry.require[0].eq",
            "exists: false",
        ),
        ("steps:", "  require: [{trait: x, gt: .inf}]\nsteps:", (5, 24), "entry.require[0].gt", "a number"),
        (
            "steps:",
            "  require: [{trait: x, like: y}]\nsteps:",
            (5, 24),
            "entry.require[0].like",
            "allowed: eq, ne",
        ),
        (
            "steps:",
            "  require: [{trait: x, exists: true, eq: 1}]\nsteps:",
            (5, 13),
            "entry.require[0]",
            "alone",
        ),
        ("steps:", "  require: [{performed: x}]\nsteps:", (5, 13), "entry.require[0].within", "required"),
        (
            "steps:",
            "  require: [{performed: x, within: 1d, at_least: 1000001}]\nsteps:",
            (5, 40),
            "entry.require[0].at_least",
            "less than or equal to 1000000",
        ),
        (
            "steps:",
            "  require: [{performed: x, within: 1d, exactly: 1, at_most: 2}]\nsteps:",
            (5, 13),
            "entry.require[0]",
            "exactly stands alone",
        ),
        (
            "steps:",
            "  require: [{received: {}, within: 1d}]\nsteps:",
            (5, 14),
            "entry.require[0].received",
            "tag",
        ),
        (
            "steps:",
            "  require: [{not: {any: [{trait: x, eq: [1]}]}}]\nsteps:",
            (5, 37),
            "entry.require[0].not.any[0].eq",
            "a text, a number",
        ),
        ("steps:", "  again: sometimes\nsteps:", (5, 3), "entry.again", "never, always, or {after: 30d}"),
        (
            "steps:",
            "  require: [{trait: x, gte: {trait: a, account: b}}]\nsteps:",
            (5, 24),
            "entry.require[0].gte",
            "exactly one of trait, account, property",
        ),
        (
            "steps:",
            "  require: [{trait: x, after: soon}]\nsteps:",
            (5, 24),
            "entry.require[0].after",
            "a date is written in quotes",
        ),
        (
            "steps:",
            "  require: [{performed: x, within: soon}]\nsteps:",
            (5, 28),
            "entry.require[0].within",
            "one of today, yesterday",
        ),
        (
            "steps:",
            "  require: [{sum: amount, within: 7d, gte: 1}]\nsteps:",
            (5, 13),
            "entry.require[0]",
            "of: EVENT",
        ),
        (
            "steps:",
            "  require: [{performed: x, within: 1d, where: {k: {older_than: 1d}}}]\nsteps:",
            (5, 40),
            "entry.require[0].where",
            "compare with a date: before, after",
        ),
        (
            "steps:",
            "  require: [{performed: x, within: 1d, where: {k: {eq: {trait: y}}}}]\nsteps:",
            (5, 40),
            "entry.require[0].where",
            "knows the event alone",
        ),
        (
            "steps:",
            "  require: [{sustained: {trait: x, older_than: 1d}, for: 7d}]\nsteps:",
            (5, 13),
            "entry.require[0]",
            "compared without dates",
        ),
        (
            "steps:",
            "  require: [{in_segment: power_users}]\nsteps:",
            (5, 14),
            "entry.require[0].in_segment",
            "there is no segment 'power_users'; there are none",
        ),
        (
            "steps:",
            "  require: [{score: pql, gte: 50}]\nsteps:",
            (5, 14),
            "entry.require[0].score",
            "there is no score 'pql'; there are none",
        ),
        (
            "steps:",
            "  require: [{account: {trait: x, eq: 1}}]\nsteps:",
            None,
            None,
            None,
        ),
        # YAML itself
        ("subject: user", "subject: [user", (3, 6), "yaml", "expected"),
        ("subject: user", "subject: user\nsubject: user", (3, 1), "yaml", 'found duplicate key "subject"'),
        ("subject: user", "subject: user\n3: x", (3, 1), "yaml", "a field's name is a text"),
    ],
)
def test_what_a_file_may_not_say_is_refused_at_its_place(
    tmp_path: Path,
    *,
    old: str,
    new: str,
    place: tuple[int, int] | None,
    field: str | None,
    says: str | None,
) -> None:
    """File, line, column, field, and what is allowed. A row without a place is allowed."""
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    if place is None:
        load_workspace(folder(tmp_path, text))
        return
    (problem,) = problems(tmp_path, text)
    assert (problem.file, problem.line, problem.column, problem.field) == ("journeys/j0.yaml", *place, field)
    assert says is not None
    assert says in problem.detail
    assert str(problem).startswith(f"journeys/j0.yaml:{place[0]}:{place[1]}: {field}: ")


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    """Of all files, of journeys and templates, in the order of files and lines."""
    bad = GOOD.replace("upsell", "Other").replace("banner", "no such")
    found = problems(
        tmp_path, GOOD.replace("limit}", "limit, x: 1}"), bad, mail="channel: email\nsubject: Hi\n"
    )
    assert [(one.file, one.field) for one in found] == [
        ("journeys/j0.yaml", "entry.on.x"),
        ("journeys/j1.yaml", "journey"),
        ("journeys/j1.yaml", "steps[0].send.in_app"),
        ("templates/mail.yaml", "html"),
    ]


def test_a_template_that_is_not_there_or_of_another_channel_is_refused(tmp_path: Path) -> None:
    """At the step that names it, also inside a branch."""
    steps = (
        "  - branch:\n      - when: {trait: x, eq: 1}\n        steps: [send: {email: banner}]\n"
        "      - otherwise: [send: {email: gone}]\n"
    )
    first, second = problems(tmp_path, GOOD.replace("  - send: {in_app: banner}\n", steps))
    assert (first.line, first.field) == (8, "steps[0].branch[0].steps[0].send.email")
    assert first.detail == "the template 'banner' is for in_app, not for email"
    assert (second.line, second.field) == (9, "steps[0].branch[1].otherwise[0].send.email")
    assert second.detail == "there is no template 'gone'; there are banner, mail"


def test_a_journey_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A tag that nothing has is only odd."""
    text = GOOD.replace("steps:", "  exclude: [enrolled: {journey: gone}, enrolled: {tag: none}]\nsteps:")
    (problem,) = problems(tmp_path, text)
    assert (problem.line, problem.detail) == (5, "there is no journey 'gone'; there are upsell")


def test_two_files_of_one_journey_are_refused(tmp_path: Path) -> None:
    """Which of them would be meant?"""
    (problem,) = problems(tmp_path, GOOD, GOOD)
    assert str(problem).startswith("journeys/j1.yaml:1:1: journey: journeys/j0.yaml has the same journey")


@pytest.mark.parametrize(
    ("condition", "warns"),
    [
        ("{trait: plan, not_in: [pro]}", True),
        ("{trait: plan, ne: pro}", True),
        ("{not: {trait: plan, eq: pro}}", True),
        ("{trait: plan, not_in: [pro], if_missing: pass}", False),
        ("{not: {trait: plan, eq: pro, if_missing: fail}}", False),
        ("{not: {trait: plan, exists: true}}", False),
        ("{not: {performed: x, within: 1d}}", False),
        ("{trait: plan, in: [free]}", False),
        ("{any: [{account: {trait: plan, ne: pro}}]}", True),
    ],
)
def test_a_negative_condition_is_asked_what_a_missing_value_means(
    tmp_path: Path, condition: str, warns: bool
) -> None:
    """A warning, not an error."""
    loaded = load_workspace(folder(tmp_path, GOOD.replace("steps:", f"  require: [{condition}]\nsteps:")))
    assert [one.line for one in loaded.warnings] == ([5] if warns else [])
    assert all("if_missing" in one.detail for one in loaded.warnings)


def test_a_goal_that_does_not_end_the_journey_is_pointed_out(tmp_path: Path) -> None:
    """Who has bought may get the next offer to buy."""
    goal = "goal: {event: paid, within: 1d}\nsteps:"
    (warning,) = load_workspace(folder(tmp_path, GOOD.replace("steps:", goal))).warnings
    assert str(warning).startswith(
        "journeys/j0.yaml:5:8: warning: goal.event: who reaches the goal stays inside"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a mapping is expected"),
        ("- a\n- b\n", "a mapping is expected"),
        ("a: &a [1]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n" + "".join(
            f"c{n}: &c{n} [{', '.join([f'*{before}'] * 10)}]\n"
            for n, before in enumerate(["b", "c0", "c1", "c2", "c3"])
        ), "at most 20000 values"),
        ("a: " + "[" * 100 + "]" * 100, "nested at most 60 deep"),
        ("a: &a [*a]", "not known here"),
        ("a: " + "x" * 300_000, "larger than"),
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused_quickly(tmp_path: Path, text: str, says: str) -> None:
    """Empty, of another shape, an avalanche of aliases, endlessly nested, too large."""
    (problem,) = problems(tmp_path, text)
    assert says in problem.detail


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """With its name."""
    path = folder(tmp_path, GOOD)
    (path / "journeys" / "j0.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadWorkspace, match=r"^journeys/j0\.yaml:1:1: yaml: "):
        load_workspace(path)


def test_a_folder_without_journeys_is_refused(tmp_path: Path) -> None:
    """And one that is not there."""
    (problem,) = problems(tmp_path)
    assert problem.detail == "there is no journey: add journeys/NAME.yaml"
    with pytest.raises(BadWorkspace, match="there is no such folder"):
        load_workspace(tmp_path / "gone")


def test_depth_and_size_of_a_journey_are_bounded() -> None:
    """Before anything is compiled."""
    deep: dict[str, Any] = {"trait": "x", "eq": 1}
    for _ in range(8):
        deep = {"not": deep}
    plain = {
        "journey": "j",
        "subject": "user",
        "entry": {"on": {"event": "x"}, "require": [deep]},
        "steps": [{"wait": "1d"}],
    }
    with pytest.raises(ValueError, match="nested at most 8 deep"):
        Journey.model_validate(plain)
    arm = {"when": {"trait": "x", "eq": 1}, "steps": [{"wait": "1d"}] * 150}
    many = plain | {"entry": {"on": {"event": "x"}}, "steps": [{"branch": [arm, arm]}]}
    with pytest.raises(ValueError, match="at most 200 steps"):
        Journey.model_validate(many)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*/")), ids=lambda path: path.name)
def test_what_is_published_reads_back_the_same(path: Path) -> None:
    """A workspace goes through its record, as JSON, without loss."""
    workspace = load_workspace(path).workspace
    plain = workspace.model_dump(mode="json", exclude_defaults=True)
    assert Workspace.model_validate(plain) == workspace


@given(st.integers(1, 730 * 86_400).map(lambda seconds: seconds * 1000))
def test_durations_are_written_as_they_are_read(duration_ms: int) -> None:
    """Every whole number of seconds up to two years."""
    assert parse_duration_ms(format_duration(duration_ms)) == duration_ms


@pytest.mark.parametrize(
    ("text", "share"), [("0%", 0), ("10%", 1000), ("0.5%", 50), ("33.33%", 3333), ("100%", 10_000)]
)
def test_shares_are_basis_points(text: str, share: int) -> None:
    """At most two decimals."""
    plain = {
        "journey": "j",
        "subject": "user",
        "entry": {"on": {"event": "x"}},
        "steps": [{"wait": "1d"}],
        "holdout": text,
    }
    journey = Journey.model_validate(plain)
    assert journey.holdout == share
    assert Journey.model_validate(journey.model_dump(mode="json")) == journey


def test_the_error_keeps_its_problems_between_processes() -> None:
    """It may be pickled."""
    error = BadWorkspace([Problem("f", 1, 2, "x", "wrong")])
    assert pickle.loads(pickle.dumps(error)).problems == error.problems  # noqa: S301  our own bytes


def test_lint_tells_what_there_is(tmp_path: Path) -> None:
    """Exit code 0, each journey with its version; 1 with --strict where something is odd."""
    text = GOOD.replace("steps:", "  require: [{trait: plan, ne: pro}]\nsteps:")
    path = str(folder(tmp_path, text))
    result = CliRunner().invoke(cli, [path])
    assert result.exit_code == 0
    assert "upsell  version " in result.output
    assert "1 journey(s), 2 template(s), 1 warning(s)" in result.output
    assert CliRunner().invoke(cli, ["--strict", path]).exit_code == 1


def test_lint_fails_with_every_problem(tmp_path: Path) -> None:
    """Exit code 1."""
    result = CliRunner().invoke(cli, [str(folder(tmp_path, GOOD.replace("user", "person")))])
    assert result.exit_code == 1
    assert "journeys/j0.yaml:2:1: subject:" in result.output
    assert "1 problem(s)" in result.output


def test_settings_hold_for_all_journeys(tmp_path: Path) -> None:
    """The zone of those of whom none is known; without the file it is UTC."""
    assert load_workspace(folder(tmp_path, GOOD)).workspace.timezone == "UTC"
    (tmp_path / "workspace.yaml").write_text("timezone: Europe/Oslo\n")
    assert load_workspace(tmp_path).workspace.timezone == "Europe/Oslo"


@pytest.mark.parametrize(
    ("text", "line", "field", "says"),
    [
        ("timezone: Oslo", 1, "timezone", "such as Europe/Oslo"),
        ("\nzone: Europe/Oslo", 2, "zone", "allowed: timezone"),
        ("timezone: [", 1, "yaml", ""),
    ],
)
def test_settings_are_refused_at_their_place(
    tmp_path: Path, text: str, line: int, field: str, says: str
) -> None:
    """As journeys are."""
    folder(tmp_path, GOOD)
    (tmp_path / "workspace.yaml").write_text(text)
    with pytest.raises(BadWorkspace) as refused:
        load_workspace(tmp_path)
    (problem,) = refused.value.problems
    assert (problem.file, problem.line, problem.field) == ("workspace.yaml", line, field)
    assert says in problem.detail
