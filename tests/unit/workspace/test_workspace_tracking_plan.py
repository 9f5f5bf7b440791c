"""The file ``tracking_plan.yaml``: what is refused, where, and what is asked of the journeys beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from schemas.export import file_schema
from schemas.workspace import TrackingPlan, Workspace
from workers.cli.workspace import cli
from workers.core.compile import compile_workspace
from workers.workspace.files import (
    TRACKING_PLAN_MAX_BYTES,
    BadWorkspace,
    load_tracking_plan,
    load_workspace,
)
from workers.workspace.yaml_text import MAX_VALUES, read_document

SHIPPED = sorted((Path(__file__).parents[3] / "deploy" / "workspaces").glob("*/tracking_plan.yaml"))

JOURNEY = """\
journey: upsell
subject: {subject}
entry:
  on: {{event: {event}, where: {{{where}}}}}
  require:
    - {condition}
exit:
  - when: {{changed: {changed}}}
  - when: {{event: paid}}
goal: {{event: paid, within: 1d, revenue: properties.{revenue}}}
{recipients}
steps:
  - send: {{in_app: banner}}
"""
USUAL = {
    "subject": "user",
    "event": "limit_reached",
    "where": "limit_type: seats",
    "condition": "{trait: plan, eq: free}",
    "changed": "plan",
    "revenue": "mrr_delta",
    "recipients": "",
}
PLAN = """\
unknown_events: allow
events:
  limit_reached:
    properties:
      limit_type: {type: string}
      used: {type: object, properties: {seats: {type: integer}}}
      "a.b": {type: string}
      old: {deprecated: true}
  paid:
    properties: {mrr_delta: {type: number}}
  gone: {deprecated: true}
  bare: {}
identify:
  traits: {plan: {type: string}, company: {type: object}}
group:
  traits: {seats: {type: integer}}
"""


def folder(tmp_path: Path, plan: str = PLAN, **journey: str) -> Path:
    """A workspace with this plan, and the usual journey with some parts changed."""
    (tmp_path / "journeys").mkdir()
    (tmp_path / "templates").mkdir()
    (tmp_path / "journeys" / "upsell.yaml").write_text(JOURNEY.format(**(USUAL | journey)))
    (tmp_path / "templates" / "banner.yaml").write_text("channel: in_app\nform: banner\ntitle: A\nbody: B\n")
    (tmp_path / "tracking_plan.yaml").write_text(plan)
    return tmp_path


def test_a_workspace_has_its_tracking_plan(tmp_path: Path) -> None:
    """Or none, without the file; a change of the plan is a change of the workspace, not of its journeys."""
    path = folder(tmp_path)
    loaded = load_workspace(path)
    assert loaded.workspace.tracking_plan is not None
    assert set(loaded.workspace.tracking_plan.events) == {"limit_reached", "paid", "gone", "bare"}
    assert loaded.warnings == ()
    (path / "tracking_plan.yaml").unlink()
    without = load_workspace(path)
    assert without.workspace.tracking_plan is None
    before, after = compile_workspace(loaded.workspace), compile_workspace(without.workspace)
    assert before.version != after.version
    assert before.user.journeys["upsell"].version == after.user.journeys["upsell"].version


@pytest.mark.parametrize(
    ("plan", "place", "field", "says"),
    [
        ("events: {x: {propertys: {}}}", (1, 14), "events.x.propertys", "allowed: description, owner"),
        ("on_violation: drop", (1, 1), "on_violation", "'flag' or 'dead_letter'"),
        ("unknown_events: drop", (1, 1), "unknown_events", "'allow', 'flag' or 'dead_letter'"),
        (
            "events: {x: {properties: {y: {type: text}}}}",
            (1, 31),
            "events.x.properties.y.type[0]",
            "'string'",
        ),
        ("events: {x: {properties: {y: {type: 5}}}}", (1, 31), "events.x.properties.y.type", "a type is"),
        ("events: {x: {properties: {y: string}}}", (1, 27), "events.x.properties.y", "a mapping is expected"),
        (
            "events:\n  x:\n    properties:\n      y: {type: string, minimum: 1}",
            (4, 7),
            "events.x.properties.y",
            "minimum is for type number or integer; the type is string",
        ),
        (
            "events: {x: {properties: {y: {minimum: 2, maximum: 1}}}}",
            (1, 27),
            "events.x.properties.y",
            "above",
        ),
        (
            "events: {x: {properties: {y: {pattern: '('}}}}",
            (1, 31),
            "events.x.properties.y.pattern",
            "no regular",
        ),
        (
            "events: {x: {properties: {y: {enum: []}}}}",
            (1, 31),
            "events.x.properties.y.enum",
            "at least 1 item",
        ),
        (
            "events: {x: {properties: {y: {enum: [[a]]}}}}",
            (1, 38),
            "events.x.properties.y.enum[0]",
            "a text, a",
        ),
        (
            "events: {x: {properties: {y: {type: integer, enum: [1, a]}}}}",
            (1, 27),
            "events.x.properties.y",
            "'a' in enum is not of type integer",
        ),
        ("identify: {properties: {}}", (1, 12), "identify.properties", "allowed: description, owner"),
        ("version: 0", (1, 1), "version", "greater than or equal to 1"),
        ("events: {x: {}, x: {}}", (1, 17), "yaml", "duplicate"),
        ("", (1, 1), "yaml", "a mapping is expected"),
    ],
)
def test_what_the_file_cannot_say_is_refused_at_its_place(
    tmp_path: Path, plan: str, place: tuple[int, int], field: str, says: str
) -> None:
    """File, line, column and field, by the workspace and by the plan alone."""
    path = folder(tmp_path, plan)
    for load in (load_workspace, load_tracking_plan):
        with pytest.raises(BadWorkspace) as caught:
            load(path)
        (problem,) = caught.value.problems
        assert (problem.file, problem.line, problem.column) == ("tracking_plan.yaml", *place)
        assert problem.field == field
        assert says in problem.detail


def test_objects_are_described_to_a_depth() -> None:
    """Before anything is compiled."""
    rules: dict[str, Any] = {"type": "string"}
    for _ in range(4):
        rules = {"type": "object", "properties": {"x": rules}}
    TrackingPlan.model_validate({"events": {"e": {"properties": {"x": rules}}}})
    deeper = {"type": "array", "items": rules}
    with pytest.raises(ValueError, match="at most 5 deep"):
        TrackingPlan.model_validate({"events": {"e": {"properties": {"x": deeper}}}})


def test_a_plan_is_read_from_its_file_or_its_folder(tmp_path: Path) -> None:
    """Without the journeys; a file that is not there is named with what makes one."""
    path = folder(tmp_path)
    assert load_tracking_plan(path) == load_tracking_plan(path / "tracking_plan.yaml")
    with pytest.raises(BadWorkspace, match="`brimful plan infer` proposes one"):
        load_tracking_plan(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("journey", "place", "field", "says"),
    [
        (
            {"event": "limit_reachd"},
            (4, 8),
            "entry.on.event",
            "no event 'limit_reachd'; did you mean 'limit_reached'?",
        ),
        (
            {"event": "zzz"},
            (4, 8),
            "entry.on.event",
            "no event 'zzz'; it has bare, gone, limit_reached, paid",
        ),
        ({"event": "gone", "where": "x: 1"}, (4, 8), "entry.on.event", "calls the event 'gone' deprecated"),
        (
            {"where": "limit_typ: seats"},
            (4, 38),
            "entry.on.where.limit_typ",
            "property 'limit_typ'; did you mean",
        ),
        ({"where": "old: 1"}, (4, 38), "entry.on.where.old", "calls the property 'old' of its event"),
        ({"where": "used.seat: 1"}, (4, 38), "entry.on.where.used.seat", "did you mean 'used.seats'?"),
        (
            {"condition": "{performed: piad, within: 1d}"},
            (6, 8),
            "entry.require[0].performed",
            "mean 'paid'?",
        ),
        (
            {"condition": "{not: {performed: paid, within: 1d, where: {mrr: {gt: 1}}}}"},
            (6, 51),
            "entry.require[0].not.where.mrr",
            "no property 'mrr'; it has mrr_delta",
        ),
        (
            {"condition": "{trait: plam, eq: free}"},
            (6, 8),
            "entry.require[0].trait",
            "identify call has no trait",
        ),
        (
            {"condition": "{account: {trait: plan, eq: free}}"},
            (6, 18),
            "entry.require[0].account.trait",
            "group call has no trait 'plan'",
        ),
        ({"changed": "plam"}, (8, 12), "exit[0].when.changed", "no trait 'plam'; did you mean 'plan'?"),
        (
            {"changed": "{account: pan}"},
            (8, 22),
            "exit[0].when.changed.account",
            "the tracking plan's group call has no trait 'pan'",
        ),
        ({"revenue": "mrr"}, (10, 33), "goal.revenue", "no property 'mrr'; it has mrr_delta"),
    ],
)
def test_a_journey_is_asked_about_names_that_the_plan_does_not_have(
    tmp_path: Path, journey: dict[str, str], place: tuple[int, int], field: str, says: str
) -> None:
    """A warning with the nearest name: a typo there is a journey that nobody ever enters."""
    (warning,) = load_workspace(folder(tmp_path, **journey)).warnings
    assert (warning.file, warning.line, warning.column) == ("journeys/upsell.yaml", *place)
    assert (warning.field, warning.severity) == (field, "warning")
    assert says in warning.detail


@pytest.mark.parametrize(
    "journey",
    [
        {"where": "used.seats: 1"},
        {"where": "a.b: 1"},
        {"event": "bare", "where": "anything: 1"},
        {"condition": "{trait: company.size, gt: 5}"},
        {"condition": "{account: {trait: seats, gt: 5}}"},
        {"condition": "{performed: email_clicked, within: 1d}"},
        {"condition": "{performed: in_app_opened, within: 1d}"},
    ],
)
def test_a_journey_is_not_asked_about_what_the_plan_leaves_open(
    tmp_path: Path, journey: dict[str, str]
) -> None:
    """Inside objects and events that it does not describe, and what people do with messages."""
    assert load_workspace(folder(tmp_path, **journey)).warnings == ()


def test_the_traits_of_an_accounts_journey_are_the_accounts(tmp_path: Path) -> None:
    """Of the group call."""
    journey = {"subject": "account", "recipients": "recipients: {role: admin}", "changed": "seats"}
    (warning,) = load_workspace(folder(tmp_path, **journey)).warnings
    assert warning.detail == "the tracking plan's group call has no trait 'plan'; it has seats"


def test_a_plan_without_the_calls_says_nothing_of_traits(tmp_path: Path) -> None:
    """Traits may come from elsewhere."""
    plan = PLAN[: PLAN.index("identify:")]
    assert load_workspace(folder(tmp_path, plan, changed="whatever")).warnings == ()


@pytest.mark.parametrize(
    ("pattern", "warns"),
    [
        ("(a+)+b", True),
        ("(a*){2,}", True),
        ("((a|b)+)*", True),
        ("^[a-z]+$", False),
        ("(-[0-9a-f]{4}){3}", False),
    ],
)
def test_a_pattern_that_may_take_forever_is_pointed_out(tmp_path: Path, pattern: str, warns: bool) -> None:
    """It would run in the engine, on what anybody sends."""
    traits = f"{{plan: {{}}, x: {{items: {{pattern: '{pattern}'}}}}}}"
    plan = f"unknown_events: allow\nidentify:\n  traits: {traits}\n"
    journey = {"event": "email_sent", "condition": "{trait: plan, eq: free}"}
    warnings = [
        one for one in load_workspace(folder(tmp_path, plan, **journey)).warnings if "tracking" in one.file
    ]
    assert [(one.line, one.field) for one in warnings] == (
        [(3, "identify.traits.x.items.pattern")] if warns else []
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_what_is_shipped_is_a_plan_in_every_way(path: Path) -> None:
    """By the models, by the exported JSON Schema, and read back as the record of a workspace."""
    schema = file_schema("tracking_plan", TrackingPlan)
    document = read_document(path).content
    jsonschema.Draft202012Validator(schema).validate(document)
    plan = TrackingPlan.model_validate(document)
    workspace = Workspace(name="test", tracking_plan=plan)
    plain = json.loads(json.dumps(workspace.model_dump(mode="json", exclude_defaults=True)))
    assert Workspace.model_validate(plain) == workspace


def test_the_example_of_the_documentation_is_a_plan(tmp_path: Path) -> None:
    """Whoever copies it can use it; an unquoted day is a text."""
    text = (Path(__file__).parents[3] / "docs" / "tracking-plan.md").read_text()
    path = tmp_path / "tracking_plan.yaml"
    path.write_text(text.split("```yaml\n")[1].split("```")[0])
    plan = load_tracking_plan(path)
    assert plan.events["plan_limit_reached"].since == "2026-03-02"
    assert plan.events["Limit Hit"].deprecated


def test_a_large_plan_is_read_and_a_larger_one_refused(tmp_path: Path) -> None:
    """One file holds all events of a product: more values than a journey may have."""
    path = tmp_path / "tracking_plan.yaml"
    names = [f"p{number}" for number in range(MAX_VALUES // 50)]
    properties = ", ".join(f"{name}: {{enum: [{', '.join(['1'] * 60)}]}}" for name in names)
    path.write_text(f"events: {{e: {{properties: {{{properties}}}}}}}")
    assert set(load_tracking_plan(path).events["e"].properties) == set(names)
    path.write_text("#" * (TRACKING_PLAN_MAX_BYTES + 1))
    with pytest.raises(BadWorkspace, match=f"larger than {TRACKING_PLAN_MAX_BYTES} bytes"):
        load_tracking_plan(path)


def test_lint_tells_of_the_plan(tmp_path: Path) -> None:
    """That it was found, and how much is in it."""
    result = CliRunner().invoke(cli, [str(folder(tmp_path))])
    assert (result.exit_code, "tracking plan  version 1  4 event(s)\n" in result.output) == (0, True)


def test_the_json_schema_refuses_what_the_models_refuse() -> None:
    """An editor shows it while it is written."""
    validator = jsonschema.Draft202012Validator(file_schema("tracking_plan", TrackingPlan))
    refused: tuple[dict[str, Any], ...] = (
        {"on_violation": "drop"},
        {"events": {"x": {"propertys": {}}}},
        {"events": {"x": {"properties": {"y": {"type": "text"}}}}},
        {"events": {"x": {"properties": {"y": {"enum": [None]}}}}},
    )
    for wrong in refused:
        assert list(validator.iter_errors(wrong)), wrong
    validator.validate({"events": {"x": {"properties": {"y": {"type": ["string", "integer"]}}}}})
