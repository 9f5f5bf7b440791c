"""The API about objects and lists: checked against the workspace, taken whole or refused whole."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import wire
from schemas.catalog import problems_of
from tests.unit.intake.kit import NOW_MS
from tests.unit.intake.test_people import CONFIGURED, Api
from workers.core.objects.plan import TypesPlan
from workers.intake.settings import ApiSettings, Definitions

TYPES = TypesPlan(attributes={"product": {"price": "number", "name": "string"}})
DEFINED = Definitions(frozenset(), TYPES, {"vip": "user", "big": "account"})


@pytest.fixture
def api() -> Api:
    """A type of objects, and two lists."""
    return Api(more={"api": ApiSettings((CONFIGURED,), lambda: DEFINED)})


async def test_objects_are_told_as_statements(api: Api) -> None:
    """On the topic of objects, keyed by type and id."""
    body = {
        "source": "shop",
        "objects": [
            {"object": "product", "object_id": "a/1", "attributes": {"price": "12.50", "name": None}},
            {
                "object": "product",
                "object_id": "b",
                "attributes": {"other": 1},
                "at": "2026-02-01T10:00:00Z",
            },
        ],
    }
    answer = await api.call("POST", "/v1/objects", body)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    records = api.publisher.of("objects")
    assert [record.key for record in records] == [b"product:a/1", b"product:b"]
    assert all(problems_of("objects", record.value) == [] for record in records)
    first, second = (wire.decode_object_attributes(record.value) for record in records)
    assert (first.source, first.at_ms, first.attributes) == ("shop", NOW_MS, {"price": "12.50", "name": None})
    assert second.at_ms == 1_769_940_000_000
    assert first.id != second.id


GOOD = {"object": "product", "object_id": "a", "attributes": {}}


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        ([], "1 to 1000"),
        ([GOOD, {**GOOD, "object": "car"}], "objects[1]: object: the workspace has no type 'car'"),
        ([{**GOOD, "attributes": {"price": "cheap"}}], "objects[0]: attributes.price: a number"),
        ([{**GOOD, "object_id": ""}], "$.objects[0].object_id"),
        ([{**GOOD, "id": "a"}], "id"),
    ],
)
async def test_wrong_objects_are_refused_whole(api: Api, objects: Any, why: str) -> None:
    """With the place of the first, and a list of them."""
    answer = await api.call("POST", "/v1/objects", {"objects": objects})
    assert (answer.status_code, why in answer.json()["message"]) == (400, True), answer.text
    assert api.publisher.records == []


async def test_the_same_objects_again_are_the_same_statements(api: Api) -> None:
    """With the same Idempotency-Key; the engine drops them by their ids."""
    for _ in range(2):
        await api.call("POST", "/v1/objects", {"objects": [GOOD, GOOD]}, idempotency_key="k")
    ids = [wire.decode_object_attributes(record.value).id for record in api.publisher.of("objects")]
    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("method", "segment", "kind", "member"),
    [("POST", "vip", "user", True), ("DELETE", "vip", "user", False), ("POST", "big", "account", True)],
)
async def test_lists_are_added_to_and_taken_off(
    api: Api, method: str, segment: str, kind: str, member: bool
) -> None:
    """Of the subjects that the segment is of."""
    answer = await api.call(method, f"/v1/lists/{segment}/members", {"members": ["x1", "x2"]})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    entries = api.told()
    assert [one.subject for one in entries] == ["x1", "x2"]
    assert {(one.segment, one.subject_type, one.member, one.at_ms) for one in entries} == {
        (segment, kind, member, NOW_MS)
    }


@pytest.mark.parametrize(
    ("segment", "body", "status"),
    [
        ("nobody", {"members": ["x"]}, 404),
        ("vip", {"members": []}, 400),
        ("vip", {"members": ["x", " "]}, 400),
        ("vip", {"members": [5]}, 400),
        ("vip", {}, 400),
    ],
)
async def test_wrong_lists_and_members_are_refused(
    api: Api, segment: str, body: dict[str, Any], status: int
) -> None:
    """The engine would pass over a segment that is no list."""
    answer = await api.call("POST", f"/v1/lists/{segment}/members", body)
    assert answer.status_code == status
    assert api.publisher.records == []


async def test_without_a_workspace_neither_can_be_checked() -> None:
    """Which is said, rather than taken and passed over."""
    api = Api(more={"api": ApiSettings((CONFIGURED,))})
    for path, body in (("/v1/objects", {"objects": [GOOD]}), ("/v1/lists/vip/members", {"members": ["x"]})):
        answer = await api.call("POST", path, body)
        assert (answer.status_code, answer.json()["code"]) == (501, "not_configured")
    assert api.publisher.records == []
