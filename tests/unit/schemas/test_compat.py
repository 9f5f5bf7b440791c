"""Each kind of change that breaks somebody is found and told; each that breaks nobody passes."""

from __future__ import annotations

import copy
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model

from schemas.catalog import SCHEMAS
from schemas.compat import REMEDIES, Finding, compare, compare_all
from schemas.export import PACKAGE_DIR, json_schema
from schemas.releases import RELEASED_DIR, breaks, load_released


class Inner(BaseModel):
    """A part of the record."""

    title: str
    note: str | None = None


class Released(BaseModel):
    """The record as it was released."""

    id: str = Field(min_length=1, max_length=100)
    kind: Literal["entry", "send"]
    count: int = Field(ge=0)
    amount: float | None = None
    place: str | None = None
    flag: bool
    items: list[Inner]
    values: dict[str, Any]


def _changed(*, without: str = "", **fields: Any) -> dict[str, Any]:
    """The schema of the record with fields changed, added or taken away."""
    kept = {
        name: (field.annotation, copy.copy(field))
        for name, field in Released.model_fields.items()
        if name != without and name not in fields
    }
    model: type[BaseModel] = create_model("Released", **{**kept, **fields})
    return model.model_json_schema()


class _InnerWithoutNote(BaseModel):
    title: str


class _InnerWithOneMoreRequired(Inner):
    style: str


class _Closed(Released):
    model_config = ConfigDict(extra="forbid")


OLD = Released.model_json_schema()

# What changed, what is found by field and rule when we write the record, and when producers do.
CASES: list[tuple[str, dict[str, Any], list[tuple[str, str]], list[tuple[str, str]]]] = [
    ("nothing", _changed(), [], []),
    ("optional field added", _changed(extra=(str | None, None)), [], []),
    (
        "field removed",
        _changed(without="place"),
        [("place", "field_removed")],
        [("place", "field_removed")],
    ),
    (
        "required field added",
        _changed(extra=(str, ...)),
        [("extra", "field_newly_required")],
        [("extra", "field_newly_required")],
    ),
    (
        "optional field made required",
        _changed(place=(str | None, ...)),
        [("place", "field_newly_required")],
        [("place", "field_newly_required")],
    ),
    (
        "required field made optional",
        _changed(flag=(bool, True)),
        [("flag", "field_no_longer_required")],
        [],
    ),
    (
        "type narrowed",
        _changed(amount=(int | None, None)),
        [("amount", "type_narrowed")],
        [("amount", "type_narrowed")],
    ),
    (
        "null no longer accepted",
        _changed(place=(str, "")),
        [("place", "type_narrowed")],
        [("place", "type_narrowed")],
    ),
    ("type widened", _changed(flag=(bool | int, ...)), [("flag", "type_widened")], []),
    ("null added", _changed(flag=(bool | None, ...)), [("flag", "type_widened")], []),
    (
        "type replaced",
        _changed(flag=(str, ...)),
        [("flag", "type_narrowed"), ("flag", "type_widened")],
        [("flag", "type_narrowed")],
    ),
    (
        "value of an enumeration removed",
        _changed(kind=(Literal["entry"], ...)),
        [("kind", "values_narrowed")],
        [("kind", "values_narrowed")],
    ),
    (
        "value of an enumeration added",
        _changed(kind=(Literal["entry", "send", "exit"], ...)),
        [("kind", "values_widened")],
        [],
    ),
    ("enumeration opened", _changed(kind=(str, ...)), [("kind", "values_widened")], []),
    (
        "text made an enumeration",
        _changed(id=(Literal["a"], Field(min_length=1, max_length=100))),
        [("id", "values_narrowed")],
        [("id", "values_narrowed")],
    ),
    (
        "shorter text",
        _changed(id=(str, Field(min_length=1, max_length=50))),
        [("id", "limit_tightened")],
        [("id", "limit_tightened")],
    ),
    ("longer text", _changed(id=(str, Field(min_length=1, max_length=200))), [], []),
    ("limit removed", _changed(id=(str, ...)), [], []),
    (
        "higher minimum",
        _changed(count=(int, Field(ge=1))),
        [("count", "limit_tightened")],
        [("count", "limit_tightened")],
    ),
    (
        "pattern added",
        _changed(id=(str, Field(min_length=1, max_length=100, pattern="^a"))),
        [("id", "limit_tightened")],
        [("id", "limit_tightened")],
    ),
    (
        "field of an item removed",
        _changed(items=(list[_InnerWithoutNote], ...)),
        [("items[].note", "field_removed")],
        [("items[].note", "field_removed")],
    ),
    (
        "required field of an item added",
        _changed(items=(list[_InnerWithOneMoreRequired], ...)),
        [("items[].style", "field_newly_required")],
        [("items[].style", "field_newly_required")],
    ),
    (
        "values of an object narrowed",
        _changed(values=(dict[str, str], ...)),
        [("values{}", "type_narrowed")],
        [("values{}", "type_narrowed")],
    ),
    (
        "unknown fields refused",
        _Closed.model_json_schema(),
        [("", "unknown_fields_refused")],
        [("", "unknown_fields_refused")],
    ),
    (
        "condition between fields added",
        {**OLD, "anyOf": [{"required": ["place"]}, {"required": ["amount"]}]},
        [("", "condition_changed")],
        [("", "condition_changed")],
    ),
]


@pytest.mark.parametrize(
    ("new", "ours", "theirs"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_change_is_judged_by_whom_it_breaks(
    new: dict[str, Any], ours: list[tuple[str, str]], theirs: list[tuple[str, str]]
) -> None:
    """Old writers always count; readers of new records count where we write them."""
    found = compare("record.v1", OLD, new, written_by_us=True)
    assert [(finding.field, finding.rule) for finding in found] == ours
    found = compare("record.v1", OLD, new, written_by_us=False)
    assert [(finding.field, finding.rule) for finding in found] == theirs


def _scheduler() -> dict[str, Any]:
    (schema,) = (schema for schema in SCHEMAS if schema.name == "scheduler")
    return copy.deepcopy(json_schema(schema))


def test_a_type_that_leaves_a_union_breaks_and_so_does_one_that_joins() -> None:
    """Records of the type lie in the topic; readers of today do not know a new one."""
    whole, part = _scheduler(), _scheduler()
    del part["oneOf"][1]
    (lost,) = compare("scheduler.v1", whole, part, written_by_us=True)
    assert (lost.field, lost.rule) == ("<account_facts>", "variant_removed")
    (gained,) = compare("scheduler.v1", part, whole, written_by_us=True)
    assert (gained.field, gained.rule) == ("<account_facts>", "variant_added")
    assert compare("scheduler.v1", part, whole, written_by_us=False) == []


def test_a_change_inside_a_union_names_the_type() -> None:
    """The finding leads to the record and the field."""
    new = _scheduler()
    del new["$defs"]["Trigger"]["properties"]["properties"]
    found = compare("scheduler.v1", _scheduler(), new, written_by_us=False)
    assert [finding.field for finding in found] == ["<eligible>.trigger.properties"]


def test_a_schema_that_is_gone_is_a_break_and_a_new_one_is_none() -> None:
    """Old records are read as long as they lie in a topic."""
    assert compare_all({}, {"record.v1": OLD}, {}) == []
    (found,) = compare_all({"record.v1": OLD}, {}, {})
    assert (found.record, found.rule) == ("record.v1", "schema_removed")


def test_a_finding_says_record_field_rule_and_what_to_do() -> None:
    """Whoever breaks a shape reads what to do instead."""
    (found,) = compare("record.v1", OLD, _changed(without="place"), written_by_us=True)
    assert str(found) == (
        "record.v1: place: field_removed: it was part of the record; "
        "keep the field, or publish the new shape as the next version beside this one"
    )


def test_every_rule_has_a_case_that_breaks_it() -> None:
    """A rule that no test can break may be one that finds nothing."""
    broken = {rule for case in CASES for _, rule in case[2]}
    assert broken | {"variant_removed", "variant_added", "schema_removed"} == set(REMEDIES)


def test_a_schema_that_refers_to_itself_is_refused() -> None:
    """The comparison says so instead of running forever."""
    tree = {
        "$ref": "#/$defs/Tree",
        "$defs": {"Tree": {"type": "object", "properties": {"child": {"$ref": "#/$defs/Tree"}}}},
    }
    with pytest.raises(ValueError, match="refers to itself"):
        compare("tree.v1", tree, tree, written_by_us=True)


def test_the_present_shapes_fit_the_last_release() -> None:
    """The check of `brimful schemas check`, and that it really loaded every released schema."""
    released = load_released(PACKAGE_DIR / RELEASED_DIR)
    assert set(released) == {f"{schema.name}.v{schema.version}" for schema in SCHEMAS}
    assert breaks(PACKAGE_DIR) == []


def test_findings_of_all_records_come_in_order() -> None:
    """The same change gives the same text, whatever the order of files."""
    new = _changed(without="place")
    found = compare_all({"b": OLD, "a": OLD}, {"a": new, "b": new}, {"a": True})
    assert found == [
        Finding("a", "place", "field_removed", "it was part of the record"),
        Finding("b", "place", "field_removed", "it was part of the record"),
    ]
