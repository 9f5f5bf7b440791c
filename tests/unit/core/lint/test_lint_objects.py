"""What the linter finds where definitions and types of objects do not fit: one case for each."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.workspace import ObjectType, Workspace
from tests.unit.core.kit import BANNER, journey
from tests.unit.signals.object_kit import COLLECTION, PLAN, PRODUCT
from workers.core.lint.objects import lint_objects
from workers.core.lint.tracking import lint_tracking
from workers.workspace.files import BadWorkspace, load_workspace

TEMPLATE = {
    "channel": "in_app",
    "fields": {"form": "banner", "title": "x", "body": "{{ related.purchased[0].id }}"},
}
BOUGHT = {"object": "product", "relationship": "purchased"}


def findings(**content: Any) -> list[tuple[str, str, str]]:
    """Place and detail of each finding."""
    plain = {
        "name": "w",
        "templates": {"banner": TEMPLATE},
        "objects": [PRODUCT, COLLECTION, PLAN],
        **content,
    }
    found = lint_objects(Workspace.model_validate(plain))
    return [(f"{one.kind}/{one.name}", ".".join(map(str, one.location)), one.detail) for one in found]


def requiring(plain: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A journey that requires this."""
    return journey("asking", entry={"on": {"event": "limit"}, "require": [plain]}, **more)


def test_a_workspace_that_fits_has_no_findings() -> None:
    """Every kind of reference, rightly used."""
    conditions: list[dict[str, Any]] = [
        {"related": {**BOUGHT, "where": {"collection.tier": "premium", "tags": {"contains": "new"}}}},
        {"related": {"object": "plan", "status": ["paused", "cancelled"]}},
        {"related": {"object": "product", "quantity": {"gte": 2}}},
        {"object": "collection", "id": "c1", "where": {"tier": "premium"}},
    ]
    ours = journey("asking", entry={"on": {"event": "limit"}, "require": conditions})
    on = {
        "object": "product",
        "relationship": "wishlisted",
        "changed": "price",
        "moved": "down",
        "where": {"name": "x"},
    }
    assert findings(journeys=[ours, journey("changed", entry={"on": on})]) == []


@pytest.mark.parametrize(
    ("plain", "place", "told"),
    [
        (
            {"related": {"object": "gadget"}},
            "related.object",
            "there is no type 'gadget' of objects; there are coll",
        ),
        ({"related": {"object": "collection"}}, "related.object", "no collection is related to users"),
        (
            {"related": {**BOUGHT, "relationship": "eaten"}},
            "related.relationship",
            "a product has no relationship 'eaten' of users; there are purchased, wishlisted",
        ),
        (
            {"related": {**BOUGHT, "relationship": "team_bought"}},
            "related.relationship",
            "'team_bought' is a relationship of accounts, and this is about users",
        ),
        (
            {"related": {**BOUGHT, "where": {"colour": "red"}}},
            "related.where.colour",
            "a product has no attribute 'colour'; it has category, collection",
        ),
        (
            {"related": {**BOUGHT, "where": {"name.first": "red"}}},
            "related.where.name.first",
            "'name' names no other object",
        ),
        (
            {"related": {**BOUGHT, "where": {"collection.colour": "red"}}},
            "related.where.collection.colour",
            "a collection has no attribute 'colour'; it has tier, title",
        ),
        (
            {"related": {**BOUGHT, "where": {"collection.tier.x": "red"}}},
            "related.where.collection.tier.x",
            "one step leads from 'collection'",
        ),
        ({"related": {**BOUGHT, "status": "paused"}}, "related.status", "it never has the status 'paused'"),
        (
            {"related": {"object": "plan", "status": "gone"}},
            "related.status",
            "it may have active, cancelled, paused",
        ),
        (
            {"related": {"object": "plan", "quantity": {"gt": 1}}},
            "related.quantity",
            "this relationship has a status and no quantity",
        ),
        ({"object": "gadget", "id": "x", "where": {"a": 1}}, "object", "there is no type 'gadget'"),
        ({"object": "product", "id": "x", "where": {"a": 1}}, "where.a", "a product has no attribute 'a'"),
    ],
)
def test_a_condition_names_what_is_not_there(plain: dict[str, Any], place: str, told: str) -> None:
    """At its place in the file, also inside others."""
    for inside, prefix in ((plain, "entry.require.0"), ({"not": plain}, "entry.require.0.not")):
        ((file, where, detail),) = findings(journeys=[requiring(inside)])
        assert (file, where) == ("journeys/asking", f"{prefix}.{place}")
        assert told in detail


@pytest.mark.parametrize(
    ("change", "place", "told"),
    [
        ({"object": "gadget"}, "object", "there is no type 'gadget'"),
        ({"relationship": "eaten"}, "relationship", "a product has no relationship 'eaten' of users"),
        ({"relationship": "team_bought"}, "relationship", "is a relationship of accounts"),
        ({"changed": "colour"}, "changed", "a product has no attribute 'colour'"),
        ({"changed": "name", "moved": "up"}, "moved", "'name' is no number"),
        ({"where": {"colour": 1}}, "where.colour", "a product has no attribute 'colour'"),
        (
            {"where": {"collection.tier": "x"}},
            "where.collection.tier",
            "compares attributes of the object itself",
        ),
    ],
)
def test_an_entry_names_what_is_not_there(change: dict[str, Any], place: str, told: str) -> None:
    """The type, the relationship, the attribute."""
    on = {"object": "product", "relationship": "wishlisted", "changed": "price", **change}
    ((_, where, detail),) = findings(journeys=[journey("changed", entry={"on": on})])
    assert where == f"entry.on.{place}"
    assert told in detail


def test_a_segment_is_not_about_one_object() -> None:
    """It would hold or not hold of everybody at once."""
    plain = {"object": "product", "id": "p1", "where": {"in_stock": True}}
    ((file, where, detail),) = findings(segments=[{"segment": "s", "require": [plain]}])
    assert (file, where) == ("segments/s", "require.0.object")
    assert "say related" in detail


def test_a_template_shows_what_nobody_is_related_by() -> None:
    """Of the journey's kind of subject."""
    ours = journey("team", subject="account", entry={"on": {"event": "limit"}}, steps=[BANNER])
    ((file, where, detail),) = findings(journeys=[ours])
    assert (file, where) == ("journeys/team", "steps.0.send.in_app")
    assert "shows related.purchased" in detail
    assert "there are team_bought" in detail


def test_a_type_refers_to_types_that_are_there() -> None:
    """One object, or a list of them."""
    plain = {"object": "kit", "attributes": {"one": {"object": "gone"}, "many": {"objects": "gone"}}}
    found = findings(objects=[plain])
    assert [where for _, where, _ in found] == ["attributes.one.object", "attributes.many.objects"]
    assert all("there is no type 'gone'" in detail for _, _, detail in found)


def test_what_is_kept_of_a_subject_fits_into_a_row() -> None:
    """Over all its relationships; accounts have rows of their own."""
    fill = {"filled_by": [{"event": "e", "id": "id"}], "keep": 500}
    roomy = {"object": "a", "relationships": {"r": fill, "s": fill, "t": {**fill, "of": "account"}}}
    assert findings(objects=[roomy]) == []
    full = {"object": "b", "relationships": {"r": {**fill, "keep": 1}}}
    ((file, where, detail),) = findings(objects=[roomy, full])
    assert (file, where) == ("objects/b", "relationships.r.keep")
    assert "would keep 1001 objects" in detail


FILL = {"event": "e", "id": "id"}


@pytest.mark.parametrize(
    ("relationship", "told"),
    [
        ({"filled_by": []}, "at least 1 item"),
        ({"filled_by": [{"event": "e"}]}, "does: add says what: id"),
        ({"filled_by": [FILL, {"event": "e", "does": "take_back"}]}, "say of what: id, or key"),
        ({"filled_by": [{**FILL, "status": "x"}]}, "a status goes with does: set or end"),
        ({"filled_by": [{**FILL, "does": "set"}]}, "does: set says which status"),
        ({"filled_by": [{**FILL, "does": "end", "quantity": "q"}]}, "a quantity goes with does: add"),
        ({"filled_by": [FILL, {**FILL, "does": "end"}]}, "either counts .* or has a status"),
        ({"filled_by": [{**FILL, "does": "take_back"}]}, "nothing begins it"),
        (
            {"filled_by": [{"event": "e", "does": "set", "status": "a", "key": "k"}]},
            "what begins it says of which object",
        ),
        (
            {"filled_by": [FILL, {"event": "e", "does": "take_back", "key": "k", "each": "items"}]},
            "each names a list",
        ),
        ({"filled_by": [FILL], "keep": 501}, "less than or equal to 500"),
    ],
)
def test_a_relationship_that_means_nothing_is_refused(relationship: dict[str, Any], told: str) -> None:
    """With what would."""
    with pytest.raises(ValueError, match=told):
        ObjectType.model_validate({"object": "a", "relationships": {"r": relationship}})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"from": True, "to": True}, "from and to are both True"),
        ({"by": "10%"}, "say in which direction"),
        ({"moved": "sideways"}, "'up' or 'down'"),
    ],
)
def test_a_change_that_cannot_be_is_refused(change: dict[str, Any], told: str) -> None:
    """From a value to itself; by a share without a direction."""
    on = {"object": "product", "relationship": "wishlisted", "changed": "price", **change}
    with pytest.raises(ValueError, match=told):
        findings(journeys=[journey("changed", entry={"on": on})])


def test_files_are_named_with_line_and_column(tmp_path: Any) -> None:
    """A wrong type of an attribute; and what speaks of a type that was refused is not at fault."""
    for name in ("journeys", "objects"):
        (tmp_path / name).mkdir()
    (tmp_path / "objects" / "product.yaml").write_text("object: product\nattributes:\n  price: money\n")
    (tmp_path / "journeys" / "j.yaml").write_text(
        "journey: j\nsubject: user\nentry:\n  on: {object: product, relationship: r, changed: price}\n"
        "steps: [{wait: 1d}]\n"
    )
    with pytest.raises(BadWorkspace) as refused:
        load_workspace(tmp_path)
    (problem,) = refused.value.problems
    assert str(problem).startswith("objects/product.yaml:3:3: attributes.price:")
    assert "'string', 'number', 'boolean', 'date' or 'list'" in problem.detail


def test_the_tracking_plan_has_the_events_that_fill_relationships() -> None:
    """And of several names of a property at least one."""
    tracked = {
        "version": 1,
        "owner": "shop",
        "events": {"bought": {"properties": {"sku": {"type": "string"}, "order": {"type": "string"}}}},
    }
    fills = [
        {"event": "bought", "id": ["product_id", "sku"], "key": "order_id"},
        {"event": "baught", "id": "sku"},
        {"event": "bought", "id": "sku", "where": {"kind": "x"}},
    ]
    plain = {"object": "a", "relationships": {"r": {"filled_by": fills}}}
    content = {"name": "w", "objects": [plain], "tracking_plan": tracked}
    found = [
        (one.severity, ".".join(map(str, one.location)), one.detail)
        for one in lint_tracking(Workspace.model_validate(content))
    ]
    assert [(severity, place) for severity, place, _ in found] == [
        ("warning", "relationships.r.filled_by.0.key"),
        ("warning", "relationships.r.filled_by.1.event"),
        ("warning", "relationships.r.filled_by.2.where.kind"),
    ]
    assert "has no property 'order_id'" in found[0][2]
    assert "no event 'baught'" in found[1][2]
