"""Rows as records."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas import wire
from schemas.catalog import problems_of
from tests.unit.imports.kit import NOW_MS, mapping
from workers.imports.rows import BadColumnsError, Mapped, Rejected, Row, RowMapper, Sent

HOUR_MS = 3_600_000


def mapped(values: dict[str, Any], run: int = 1, position: str = "1", **more: Any) -> Mapped | Rejected:
    """One row through a mapping."""
    return RowMapper(mapping(**more), tuple(values)).map(Row(position, 2, values), run, NOW_MS)


def records(values: dict[str, Any], **more: Any) -> list[Sent]:
    """The records of a good row; each is valid on its topic."""
    found = mapped(values, **more)
    assert isinstance(found, Mapped)
    for record in found.records:
        assert problems_of(record.topic, record.value) == []
    return list(found.records)


def ids(values: dict[str, Any], **more: Any) -> list[str]:
    """The message ids of a row."""
    return [json.loads(record.value).get("messageId", "") for record in records(values, **more)]


def test_a_person_becomes_an_identify_event() -> None:
    """Keyed by the person, dated by the run where the row has no time."""
    (record,) = records({"id": "u1", "plan": "pro", "seats": 5})
    event = json.loads(record.value)
    assert (record.topic, record.key) == ("product-events", b"u1")
    assert (event["type"], event["userId"], event["timestamp"]) == (
        "identify",
        "u1",
        "2026-03-14T10:02:00.000Z",
    )
    assert event["traits"] == {"plan": "pro", "seats": 5}


def test_a_person_with_an_account_joins_it() -> None:
    """A group event follows, with the role; who has no account joins none."""
    more = {"account": "acct", "role": "role"}
    identify, group = records({"id": "u1", "acct": "acme", "role": "admin"}, **more)
    event = json.loads(group.value)
    assert json.loads(identify.value)["traits"] == {}
    assert (group.key, event["type"], event["groupId"], event["traits"]) == (
        b"u1",
        "group",
        "acme",
        {"role": "admin"},
    )
    assert len(records({"id": "u1", "acct": " ", "role": "admin"}, **more)) == 1
    assert json.loads(records({"id": "u1", "acct": "a", "role": None}, **more)[1].value)["traits"] == {}


def test_an_account_needs_no_person() -> None:
    """Its traits go to a topic of their own, keyed by the account."""
    (record,) = records({"id": 7, "mrr": 240.5}, **{"as": "accounts"})
    told = wire.decode_account_traits(record.value)
    assert (record.topic, record.key) == ("account-traits", b"7")
    assert (told.account, told.traits, told.source, told.at_ms) == ("7", {"mrr": 240.5}, "import:crm", NOW_MS)


def test_columns_are_renamed_skipped_or_taken_as_they_are() -> None:
    """With traits only those; without, all others but the skipped ones, spaces and dots as _."""
    row = {"id": "u1", "Plan Name": "pro", "a.b": 1, "secret": "x"}
    named = mapped(row, traits={"plan": "Plan Name"})
    everything = mapped(row, skip=["secret"])
    assert isinstance(named, Mapped)
    assert named.preview == {"id": "u1", "plan": "pro"}
    assert isinstance(everything, Mapped)
    assert everything.preview == {"id": "u1", "Plan_Name": "pro", "a_b": 1}


@pytest.mark.parametrize(("empty", "traits"), [("keep", {"b": 1}), ("remove", {"a": None, "b": 1})])
def test_an_empty_value_keeps_or_removes_the_trait(empty: str, traits: dict[str, Any]) -> None:
    """A null removes it in the engine."""
    (record,) = records({"id": "u1", "a": "", "b": 1}, empty=empty)
    assert json.loads(record.value)["traits"] == traits


def test_the_row_says_when_it_was_so() -> None:
    """A moment that lies ahead is a clock that is off: the run's own time is taken."""
    found = mapped({"id": "u1", "at": "2026-03-14T09:00:00Z"}, updated_at="at")
    ahead = mapped({"id": "u1", "at": "2027-01-01T00:00:00Z"}, updated_at="at")
    assert isinstance(found, Mapped)
    assert isinstance(ahead, Mapped)
    assert found.updated_ms == NOW_MS - HOUR_MS - 120_000
    assert json.loads(found.records[0].value)["timestamp"] == "2026-03-14T09:00:00.000Z"
    assert json.loads(ahead.records[0].value)["timestamp"] == "2026-03-14T10:02:00.000Z"


def test_the_same_row_of_the_same_run_has_the_same_ids() -> None:
    """So a chunk that is sent again is dropped by the engine."""
    row = {"id": "u1", "plan": "pro", "acct": "acme"}
    assert ids(row, account="acct") == ids(row, account="acct")
    assert len(set(ids(row, account="acct"))) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"run": 2},  # a value that went there and back between runs is news
        {"position": "2"},
        {"values": {"id": "u1", "plan": "starter"}},
        {"import": "other"},
    ],
)
def test_what_differs_has_another_id(other: dict[str, Any]) -> None:
    """An id that is taken for a repeat loses a row."""
    row = {"id": "u1", "plan": "pro"}
    assert ids(row) != ids(other.pop("values", row), **other)


@pytest.mark.parametrize(
    ("row", "more", "column", "reason"),
    [
        ({"id": ""}, {}, "id", "is empty"),
        ({"id": "u", "n": "x"}, {"traits": {"n": {"column": "n", "type": "number"}}}, "n", "is no number"),
        ({"id": "u", "at": "soon"}, {"updated_at": "at"}, "at", "is not a date or time"),
        ({"id": "u", "at": "1969-12-31T00:00:00Z"}, {"updated_at": "at"}, "at", "lies before 1970"),
        ({"id": "u", "name": "\udcff"}, {}, "name", "bytes that are not text"),
        ({"id": "\udcff"}, {}, "id", "bytes that are not text"),
        ({"id": "u", "r": "\udcff", "a": "x"}, {"account": "a", "role": "r"}, "r", "bytes that are not text"),
        ({"id": "u", "big": "x" * 900_001}, {}, "", "larger than 900000 bytes"),
    ],
)
def test_a_bad_row_is_told_with_its_column(
    row: dict[str, Any], more: dict[str, Any], column: str, reason: str
) -> None:
    """Whoever mends the source knows where to look."""
    found = mapped(row, **more)
    assert isinstance(found, Rejected)
    assert found.column == column
    assert reason in found.reason


def test_what_the_source_could_not_read_is_rejected_with_its_reason() -> None:
    """A broken line is a row too."""
    found = RowMapper(mapping(), ("id",)).map(Row("1", 2, {}, "is not CSV"), 1, NOW_MS)
    assert found == Rejected("", "is not CSV")


def test_a_column_that_is_not_there_is_refused_before_anything_is_sent() -> None:
    """With the columns that are."""
    with pytest.raises(BadColumnsError, match="the mapping names 'plan', and the columns are id, Plan"):
        RowMapper(mapping(traits={"plan": "plan"}), ("id", "Plan"))


def test_two_columns_do_not_become_one_trait() -> None:
    """The second would overwrite the first."""
    with pytest.raises(BadColumnsError, match=r"'a b' and 'a\.b' would both be the trait 'a_b'"):
        RowMapper(mapping(), ("id", "a b", "a.b"))


def test_an_object_becomes_its_attributes() -> None:
    """Keyed by type and id, as the engine keeps it; values of the types that the mapping says."""
    typed = {"price": {"column": "price", "type": "number"}, "name": "title"}
    more: dict[str, Any] = {"as": "objects", "object": "product", "id": "sku", "traits": typed}
    (record,) = records({"sku": 17, "price": "12.5", "title": "Beans"}, **more)
    told = wire.decode_object_attributes(record.value)
    assert (record.topic, record.key) == ("objects", b"product:17")
    assert (told.object, told.object_id, told.source) == ("product", "17", "import:crm")
    assert told.attributes == {"price": 12.5, "name": "Beans"}
    rejected = mapped({"sku": "ø" * 200, "price": "1", "title": ""}, **more)
    assert rejected == Rejected("sku", "an object's id has at most 256 bytes")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"as": "objects"}, "names the type of the objects"),
        ({"object": "product"}, "names the type of the objects"),
        ({"as": "objects", "object": "product", "account": "a"}, "account and role are for users"),
    ],
)
def test_an_import_of_objects_says_of_which_type(more: dict[str, Any], told: str) -> None:
    """And nothing else has a type of objects."""
    with pytest.raises(ValueError, match=told):
        mapping(**more)
