"""What is proposed from what was seen, and what never stands in a proposal."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.workspace.tracking_plan import MAX_EVENTS, MAX_PROPERTIES
from workers.core.tracking.inference import (
    ENUM_PEOPLE,
    ENUM_VALUES,
    OPEN_FIELDS,
    FieldsSeen,
    StreamSeen,
    propose,
)
from workers.core.tracking.proposal import proposal, quoted

SAMPLES = 10


def seen(*events: dict[str, Any], people: int = 100) -> FieldsSeen:
    """What was seen of one event's properties, each sent by the next of some people."""
    fields = FieldsSeen()
    for number, values in enumerate(events):
        fields.observe(values, f"u{number % people}")
    return fields


def rules(*events: dict[str, Any], people: int = 100) -> dict[str, Any]:
    """The proposed rules by property."""
    return {one.name: one.rules for one in propose(seen(*events, people=people), SAMPLES)}


@pytest.mark.parametrize(
    ("values", "proposed"),
    [
        ([1, 2], {"type": "integer"}),
        ([1, 2.5], {"type": "number"}),
        ([200.0], {"type": "number"}),  # written with a point: money that happens to be whole
        ([True], {"type": "boolean"}),
        (["a"], {"type": "string"}),
        (["2026-03-14T10:02:00Z"], {"type": "date-time"}),
        (["2026-03-14T10:02:00Z", "soon"], {"type": "string"}),
        (["2026-03-14"], {"type": "string"}),
        (["a", 1], {"type": ["integer", "string"]}),
        (["a", None], {"type": "string", "nullable": True}),
        ([None], {"nullable": True}),
        ([[]], {"type": "array"}),
        ([[1], ["a"]], {"type": "array", "items": {"type": ["integer", "string"]}}),
        ([[None, 1]], {"type": "array", "items": {"type": "integer", "nullable": True}}),
        ([{}], {"type": "object"}),
        (
            [[{"sku": "a", "n": 1}, {"sku": "b"}]],
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"sku": {"type": "string"}, "n": {"type": "integer"}},
                },
            },
        ),
    ],
)
def test_types_are_those_that_were_seen(values: list[Any], proposed: dict[str, Any]) -> None:
    """A type that another contains is not named beside it; null is no type."""
    assert rules(*({"x": value} for value in values)) == {"x": proposed}


def test_what_was_always_there_is_required_after_enough_samples() -> None:
    """One sample fewer proves nothing, one event without it proves the contrary."""
    assert rules(*[{"x": 1}] * SAMPLES) == {"x": {"type": "integer", "required": True}}
    assert rules(*[{"x": 1}] * (SAMPLES - 1)) == {"x": {"type": "integer"}}
    assert rules({}, *[{"x": 1}] * SAMPLES) == {"x": {"type": "integer"}}


def test_fields_of_objects_are_required_by_the_objects_that_were_seen() -> None:
    """Not by the events."""
    fields = seen({}, *[{"x": {"y": 1}}] * SAMPLES)
    (x,) = propose(fields, SAMPLES)
    assert x.rules == {"type": "object"}
    assert [(one.name, one.rules) for one in x.fields] == [("y", {"type": "integer", "required": True})]


def texts(*values: str, each: int, name: str = "x", people: int = 100) -> Any:
    """The enum proposed for these texts, each seen so often."""
    events = [{name: value} for _ in range(each) for value in values]
    return rules(*events, people=people)[name].get("enum")


def test_few_values_of_many_people_are_an_enum() -> None:
    """In order, so that the same stream gives the same file."""
    assert texts("b", "a", each=SAMPLES) == ["a", "b"]
    assert texts(*map(str, range(ENUM_VALUES)), each=SAMPLES) is not None
    assert texts(*map(str, range(ENUM_VALUES + 1)), each=SAMPLES) is None
    assert texts("a", each=SAMPLES) is None, "one value is none to choose from"
    assert texts("a", "b", each=2) is None, "too few samples"
    assert texts("a", "x" * 61, each=SAMPLES) is None, "a long text is no word"


def test_a_value_of_few_people_never_stands_in_a_proposal() -> None:
    """It may be theirs: the whole enum is left out, for a part of it would refuse them."""
    assert texts("a", "b", each=SAMPLES, people=ENUM_PEOPLE) == ["a", "b"]
    assert texts("a", "b", each=SAMPLES, people=ENUM_PEOPLE - 1) is None
    many = [{"x": "a"} for _ in range(100)] + [{"x": "b"} for _ in range(100)] + [{"x": "rare"}]
    assert "enum" not in rules(*many)["x"]


@pytest.mark.parametrize(
    "name", ["email", "firstName", "Phone", "ip", "client_ip", "zip_code", "api_key", "age"]
)
def test_personal_data_never_stands_in_a_proposal(name: str) -> None:
    """However many people share it."""
    assert texts("Ada", "Ben", each=SAMPLES, name=name) is None


@pytest.mark.parametrize("name", ["plan", "usage", "page", "membership", "language"])
def test_usual_words_are_no_personal_data(name: str) -> None:
    """A name that contains a short one."""
    assert texts("a", "b", each=SAMPLES, name=name) == ["a", "b"]


def test_an_object_keyed_by_data_has_no_properties() -> None:
    """Its keys are ids, and would be as many properties."""
    many = {f"id-{number}": 1 for number in range(OPEN_FIELDS + 1)}
    (x,) = propose(seen({"x": many}), SAMPLES)
    assert (x.rules, x.fields) == ({"type": "object"}, ())


def test_names_beyond_what_a_plan_may_hold_are_counted() -> None:
    """Memory is bounded, and the file says what it leaves out."""
    stream = StreamSeen()
    for number in range(MAX_EVENTS + 2):
        stream.event(f"event {number}")
    assert (len(stream.events), stream.left_out) == (MAX_EVENTS, 2)
    assert stream.event("") is None
    fields = seen({f"p{number}": 1 for number in range(MAX_PROPERTIES + 3)} | {"": 1})
    assert (len(fields.by_name), fields.left_out) == (MAX_PROPERTIES, 4)
    text = proposal(StreamSeen({"e": fields}, left_out=2), SAMPLES)
    assert "# left out: 2 events" in text
    assert "# left out: 4 values" in text


def test_the_proposal_is_a_file_for_people() -> None:
    """Counts as comments, events in order, traits under their calls."""
    stream = StreamSeen()
    event, call = stream.event("Order Completed"), stream.call("identify")
    assert event is not None
    for number in range(SAMPLES):
        event.observe({"plan": "pro" if number % 2 else "free", "note": None}, f"u{number}")
        call.observe({"seats": 3, "company": {"size": 5}}, f"u{number}")
    stream.call("group").observe({}, "u")
    text = proposal(stream, SAMPLES, ["topic product-events"])
    assert text.startswith("# topic product-events\n")
    assert text.endswith("""\
events:
  Order Completed:   # 10 seen
    properties:
      plan: {type: string, enum: [free, pro], required: true}   # 10 of 10
      note: {required: true, nullable: true}   # 10 of 10, 10 null
identify:   # 10 seen
  traits:
    seats: {type: integer, required: true}   # 10 of 10
    company:   # 10 of 10
      type: object
      required: true
      properties:
        size: {type: integer, required: true}   # 10 of 10
group: {}   # 1 seen
""")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plan", "plan"),
        ("Order Completed", "Order Completed"),
        ("yes", '"yes"'),
        ("Null", '"Null"'),
        ("5", '"5"'),
        ("a: b", '"a: b"'),
        ("#", '"#"'),
        ("a\nb", '"a\\nb"'),
        ("\x85", '"\\u0085"'),
        ("é", '"é"'),
    ],
)
def test_texts_are_written_so_that_every_reader_reads_them_as_texts(text: str, written: str) -> None:
    """YAML has words that are no texts."""
    assert quoted(text) == written
