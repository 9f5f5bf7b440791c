"""What the console makes of files and rows: graphs and sums."""

from __future__ import annotations

from typing import Any

import pytest

from tests.house.code import ROOT
from tests.unit.intake.console_kit import DEFINED, HOUR, UPSELL, Counted, defined_of, step, tally
from tests.unit.intake.kit import NOW_MS
from workers.core.compile import compile_workspace
from workers.core.journeys.step_plans import AgainStepPlan, JoinStepPlan
from workers.intake.console import views
from workers.intake.console.graph import Node, graph_of, paths_of
from workers.intake.console.numbers import journeys_of, outcomes_of
from workers.intake.console.texts import moment, outcome_words, span
from workers.tallies import HOUR_MS, SAMPLES, Standing
from workers.workspace.files import load_workspace

WORKSPACES = sorted(one.parent for one in (ROOT / "deploy" / "workspaces").glob("*/workspace.yaml"))


def test_there_are_ready_made_workspaces() -> None:
    """Else the next test looks at nothing."""
    assert WORKSPACES


@pytest.mark.parametrize("folder", WORKSPACES, ids=lambda one: str(one.name))
def test_the_graph_has_the_paths_by_which_steps_are_known(folder: Any) -> None:
    """Those that the compiler gives, apart from the ends of loops and of parallel parts."""
    workspace = load_workspace(folder).workspace
    plan = compile_workspace(workspace)
    for journey in workspace.journeys:
        steps = (plan.user.journeys.get(journey.journey) or plan.account.journeys[journey.journey]).steps
        made = [path for path, one in steps.items() if not isinstance(one, AgainStepPlan | JoinStepPlan)]
        assert sorted(paths_of(graph_of(journey.steps, steps))) == sorted(made)


def test_every_kind_of_step_has_its_place_and_words() -> None:
    """A branch tells its conditions, a split its shares; a way without steps is there too."""
    file = DEFINED.workspace.journeys[0]
    steps = DEFINED.plan.user.journeys[file.journey].steps
    nodes = graph_of(file.steps, steps)
    made = [path for path, one in steps.items() if not isinstance(one, AgainStepPlan | JoinStepPlan)]
    assert sorted(paths_of(nodes)) == sorted(made)
    told = {node.path: (node.kind, node.title, [lane.label for lane in node.lanes]) for node in _all(nodes)}
    assert told["mail"] == ("send", "email limit_explained, 2 variants", [])
    assert told["pause"] == ("wait", "1d", [])
    assert told["3"] == ("wait_for", "email_clicked, 3d at most", ["not in time"])
    assert told["4"][2] == ["trait plan eq team", "otherwise"]
    assert told["4.0.0"] == ("parallel", "side by side, until all are done", ["part 1", "part 2"])
    assert told["4.0.0.1.0"] == ("wait", "on mon, wed, at 09:00", [])
    assert told["4.1.0"] == ("split", "by chance", ["short, 50 %", "none, 50 %"])
    assert told["4.1.1"] == ("repeat", "3 rounds at most", ["each round"])
    assert [told[path][0] for path in ("5", "6", "7")] == ["update", "enroll", "exit"]


def _all(nodes: tuple[Node, ...]) -> list[Node]:
    return [
        one for node in nodes for one in (node, *(each for lane in node.lanes for each in _all(lane.steps)))
    ]


def test_a_branch_without_otherwise_shows_where_the_others_go() -> None:
    """On behind it."""
    branch = {"branch": [{"when": {"trait": "plan", "eq": "pro"}, "steps": [{"wait": "1d"}]}]}
    defined = defined_of(UPSELL | {"steps": [branch]})
    file = defined.workspace.journeys[0]
    (node,) = graph_of(file.steps, defined.plan.user.journeys[file.journey].steps)
    assert [(lane.label, len(lane.steps)) for lane in node.lanes] == [
        ("trait plan eq pro", 1),
        ("otherwise", 0),
    ]


def test_partitions_are_added_up_and_shadows_are_left_out() -> None:
    """What a shadow would have done is no number of the journey's."""
    rows = Counted()
    rows.made_tallies.append(tally("entry", "enrolled", 5, 5, "plan_limit_upsell~shadow"))
    rows.made_standing.append(Standing("user", "plan_limit_upsell~shadow", "v", "0", 9, NOW_MS))
    found = journeys_of(rows.tallies(), rows.steps(), rows.standing(), NOW_MS)
    assert set(found) == {"plan_limit_upsell", "welcome"}
    one = found["plan_limit_upsell"]
    assert (one.inside, one.entered.day, one.entered.total) == (1_286, 140, 5_000)
    assert (one.exited.day, one.goals.total, one.sends.total) == (72, 310, 12_345)
    view = views.journey_view("plan_limit_upsell", DEFINED, rows, NOW_MS)
    assert view is not None
    assert view.elsewhere == [("0" * 16, "old", 5), ("v", "0 (shadow)", 9)]


def test_what_rules_hold_back_is_no_problem() -> None:
    """Consent and caps are meant; they are told beside the step all the same."""
    steps = [
        step("mail", "send", "skip", "no_consent", 7, problem=True),
        step("mail", "send", "skip", "no_address", 3, problem=True),
        step("mail", "send", "skip", "no_address", 2, problem=True, hours={HOUR - 30: 2}),
    ]
    assert journeys_of((), steps, (), NOW_MS)["plan_limit_upsell"].problems == 3
    found = outcomes_of(steps, "plan_limit_upsell", NOW_MS)["mail"]
    assert [(one.reason, one.ruled, one.count, one.day) for one in found] == [
        ("no_address", False, 5, 3),
        ("no_consent", True, 7, 7),
    ]


def test_the_latest_samples_of_all_partitions_are_shown() -> None:
    """So many as one partition keeps."""
    early = step(
        "1", "send", "skip", "no_address", 1, problem=True, samples=[f"user:old{n}" for n in range(4)]
    )
    early.last_ms -= HOUR_MS
    late = step("1", "send", "skip", "no_address", 1, problem=True, samples=["account:a:1", "user:new"])
    (one,) = outcomes_of([early, late], "plan_limit_upsell", NOW_MS)["1"]
    assert len(one.samples) == SAMPLES
    assert set(one.samples[:2]) == {("account", "a:1"), ("user", "new")}


@pytest.mark.parametrize(
    ("duration_ms", "told"),
    [
        (0, "0 s"),
        (999, "0 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (7_199_999, "1 h"),
        (3 * 86_400_000, "3 d"),
    ],
)
def test_spans_are_told_in_their_largest_unit(duration_ms: int, told: str) -> None:
    """Rounded down."""
    assert span(duration_ms) == told


def test_times_are_told_as_how_long_ago_and_exactly() -> None:
    """Ahead of us too; what has not happened is a dash."""
    assert moment(None, NOW_MS) == "&ndash;"
    assert moment(NOW_MS - 60_000, NOW_MS).endswith('title="2026-03-01 09:49:00 UTC">1 min ago</time>')
    assert ">in 2 h<" in moment(NOW_MS + 2 * HOUR_MS, NOW_MS)
    assert outcome_words("llm", "would_ask") == "llm would ask"
