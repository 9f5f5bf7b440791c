"""What breaks a tracking plan, what is told of it, and what it costs to be good."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas import wire
from schemas.workspace import TrackingPlan
from workers.core.tracking.plan import (
    MAX_SHOWN,
    TrackingPlanChecks,
    compile_tracking_plan,
    is_refused,
    library_of,
    producer_of,
    sentence,
)
from workers.core.tracking.rules import MAX_PATTERN_TEXT_CHARS, MAX_VIOLATIONS
from workers.core.tracking.shapes import compile_shape


def plan(**fields: Any) -> TrackingPlan:
    """A plan as a file would say it."""
    return TrackingPlan.model_validate(fields)


def checks(properties: dict[str, Any], **more: Any) -> TrackingPlanChecks:
    """The checks of a plan with one event ``e``."""
    return compile_tracking_plan(plan(events={"e": {"properties": properties}}, **more))


def broken(rules: dict[str, Any], values: Any) -> list[tuple[str, str]]:
    """Rule and property of everything that ``values`` break, as properties of ``e``."""
    found = checks(rules).check("track", "e", msgspec.Raw(msgspec.json.encode(values)))
    return [(violation.rule, violation.property) for violation in found]


TYPES: dict[str, list[Any]] = {
    "string": ["", "text", "2026-03-14T10:02:00Z"],
    "number": [0, -1.5, 5.0, 10**30],
    "integer": [0, -7, 5.0, 2**70],
    "boolean": [True, False],
    "date-time": ["2026-03-14T10:02:00Z", "2026-03-14 10:02:00.123456+02:00", "2026-03-14T10:02:00"],
    "array": [[], [1, "a", None]],
    "object": [{}, {"a": 1}],
}
"""Values of each type; those of others are not, but for the exceptions below."""

ALSO = {("string", "date-time"), ("number", "integer"), ("integer", "number")}
"""Pairs of types that share values: a whole number may be written 5.0, a moment is a text."""


@pytest.mark.parametrize("declared", TYPES)
@pytest.mark.parametrize("sent", TYPES)
def test_a_value_is_of_its_type(declared: str, sent: str) -> None:
    """The types of the plan are those of JSON Schema: 5.0 is an integer, true is no number."""
    if declared == sent:
        assert [broken({"x": {"type": declared}}, {"x": value}) for value in TYPES[sent]] == [[]] * len(
            TYPES[sent]
        )
    elif (declared, sent) not in ALSO:
        # A text of "string" may have the form of a moment: only the others are no moment.
        for value in TYPES[sent]:
            if declared != "date-time" or not str(value).startswith("2026"):
                assert broken({"x": {"type": declared}}, {"x": value}) == [("type_mismatch", "x")]


@pytest.mark.parametrize(
    "text", ["2026-03-14", "2026-03-14T10:02Z", "2026-02-30T10:02:00Z", "10:02:00", "1773482520000", ""]
)
def test_what_is_no_moment_is_refused_as_a_date_time(text: str) -> None:
    """A day alone, a time without seconds, a day that is not: as in an event's own timestamp."""
    assert broken({"x": {"type": "date-time"}}, {"x": text}) == [("type_mismatch", "x")]


@pytest.mark.parametrize(
    ("rules", "values", "expected"),
    [
        # required and null
        ({"x": {"required": True}}, {}, [("required_missing", "x")]),
        ({"x": {"required": True}}, {"x": None}, [("null_value", "x")]),
        ({"x": {"required": True, "nullable": True}}, {"x": None}, []),
        ({"x": {"required": True, "nullable": True}}, {}, [("required_missing", "x")]),
        ({"x": {"type": "string"}}, {}, []),
        ({"x": {"type": "string"}}, {"x": None}, [("null_value", "x")]),
        ({"x": {}}, {"x": None}, [("null_value", "x")]),
        ({"x": {}}, {"x": [1]}, []),
        # several types
        ({"x": {"type": ["string", "integer"]}}, {"x": 5}, []),
        ({"x": {"type": ["string", "integer"]}}, {"x": "5"}, []),
        ({"x": {"type": ["string", "integer"]}}, {"x": True}, [("type_mismatch", "x")]),
        ({"x": {"type": ["date-time", "string"]}}, {"x": "a"}, []),
        # enum: 1 is not true, 5 is not "5", and 5.0 is 5
        ({"x": {"enum": ["a", "b"]}}, {"x": "a"}, []),
        ({"x": {"enum": ["a", "b"]}}, {"x": "c"}, [("not_in_enum", "x")]),
        ({"x": {"enum": [1]}}, {"x": True}, [("not_in_enum", "x")]),
        ({"x": {"enum": [True]}}, {"x": 1}, [("not_in_enum", "x")]),
        ({"x": {"enum": [5]}}, {"x": "5"}, [("not_in_enum", "x")]),
        ({"x": {"enum": [5]}}, {"x": 5.0}, []),
        ({"x": {"enum": [0.5]}}, {"x": 0.5}, []),
        ({"x": {"enum": ["a"]}}, {"x": ["a"]}, [("not_in_enum", "x")]),
        ({"x": {"type": "string", "enum": ["a"]}}, {"x": 1}, [("type_mismatch", "x")]),
        ({"x": {"type": "string", "enum": ["a"], "nullable": True}}, {"x": None}, []),
        # limits: of numbers alone, both ends allowed
        ({"x": {"type": "number", "minimum": 0, "maximum": 1}}, {"x": 0}, []),
        ({"x": {"type": "number", "minimum": 0, "maximum": 1}}, {"x": 1.0}, []),
        ({"x": {"type": "number", "minimum": 0, "maximum": 1}}, {"x": -0.1}, [("out_of_range", "x")]),
        ({"x": {"type": "integer", "maximum": 1}}, {"x": 2}, [("out_of_range", "x")]),
        ({"x": {"minimum": 3}}, {"x": True}, []),
        ({"x": {"type": ["number", "string"], "minimum": 3}}, {"x": "a"}, []),
        # patterns: found anywhere unless held to the ends
        ({"x": {"type": "string", "pattern": "b"}}, {"x": "abc"}, []),
        ({"x": {"type": "string", "pattern": "^b$"}}, {"x": "abc"}, [("pattern_mismatch", "x")]),
        ({"x": {"pattern": "b"}}, {"x": 5}, []),
        (
            {"x": {"type": "string", "pattern": "a"}},
            {"x": "a" * (MAX_PATTERN_TEXT_CHARS + 1)},
            [("pattern_mismatch", "x")],
        ),
        # inside objects and lists
        ({"x": {"properties": {"y": {"required": True}}}}, {"x": {}}, [("required_missing", "x.y")]),
        ({"x": {"type": "object", "properties": {"y": {"type": "integer"}}}}, {"x": {"y": 1, "z": 2}}, []),
        ({"x": {"properties": {"y": {"type": "integer"}}}}, {"x": "no object"}, []),
        ({"x": {"type": "array", "items": {"type": "integer"}}}, {"x": [1, 2]}, []),
        ({"x": {"items": {"type": "integer"}}}, {"x": [1, "a", "b"]}, [("type_mismatch", "x[]")]),
        ({"x": {"items": {"type": "integer"}}}, {"x": [None]}, [("null_value", "x[]")]),
        (
            {"x": {"type": "array", "items": {"type": "object", "properties": {"sku": {"required": True}}}}},
            {"x": [{"sku": 1}, {}]},
            [("required_missing", "x[].sku")],
        ),
        # names as producers write them
        ({"A b": {"type": "string"}, "f0": {"type": "integer"}}, {"A b": "a", "f0": 1}, []),
        ({"A b": {"type": "string"}, "f0": {"type": "integer"}}, {"f0": "a"}, [("type_mismatch", "f0")]),
        ({'a"\\': {"type": "string"}}, {'a"\\': 1}, [("type_mismatch", 'a"\\')]),
        # all of it at once, in the order of the plan
        (
            {"a": {"required": True}, "b": {"type": "integer"}, "c": {"enum": ["x"]}},
            {"c": "y", "b": "z"},
            [("required_missing", "a"), ("type_mismatch", "b"), ("not_in_enum", "c")],
        ),
    ],
)  # fmt: skip
def test_what_breaks_which_rule(
    rules: dict[str, Any], values: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """The table of the plan's documentation, row by row."""
    assert broken(rules, values) == expected


def test_properties_beside_the_plan_are_allowed_flagged_or_refused() -> None:
    """As the event says, else as the plan says."""
    values = msgspec.Raw(b'{"x":1,"y":2}')
    rules = {"x": {"type": "integer"}}

    def found(of_plan: str, of_event: str | None) -> list[tuple[str, str, bool]]:
        planned = {"properties": rules} | ({} if of_event is None else {"unknown_properties": of_event})
        compiled = compile_tracking_plan(plan(unknown_properties=of_plan, events={"e": planned}))
        return [(one.rule, one.property, one.dead_letter) for one in compiled.check("track", "e", values)]

    assert found("allow", None) == []
    assert found("flag", None) == [("unknown_property", "y", False)]
    assert found("dead_letter", None) == [("unknown_property", "y", True)]
    assert found("dead_letter", "allow") == []
    assert found("allow", "flag") == [("unknown_property", "y", False)]


@pytest.mark.parametrize(("unknown", "expected"), [("allow", []), ("flag", [False]), ("dead_letter", [True])])
def test_events_beside_the_plan_are_allowed_flagged_or_refused(unknown: str, expected: list[bool]) -> None:
    """Track events alone: a call that the plan does not describe is nobody's mistake."""
    compiled = compile_tracking_plan(plan(unknown_events=unknown))
    assert [one.dead_letter for one in compiled.check("track", "other")] == expected
    assert all(one.rule == "unknown_event" for one in compiled.check("track", "other"))
    assert compiled.check("identify", None) == compiled.check("page", None) == ()


def test_what_becomes_of_a_violation_is_the_events_choice_before_the_plans() -> None:
    """One strict event in a lenient plan, and one lenient in a strict plan."""
    rules = {"x": {"required": True}}
    events = {
        "strict": {"properties": rules, "on_violation": "dead_letter"},
        "lenient": {"properties": rules, "on_violation": "flag"},
        "plain": {"properties": rules},
    }
    lenient = compile_tracking_plan(plan(on_violation="flag", events=events))
    strict = compile_tracking_plan(plan(on_violation="dead_letter", events=events))
    assert [is_refused(lenient.check("track", name)) for name in events] == [True, False, False]
    assert [is_refused(strict.check("track", name)) for name in events] == [True, False, True]
    assert not is_refused(())


def test_traits_of_identify_and_group_are_checked() -> None:
    """Page and screen calls have properties, as track events have."""
    rule = {"x": {"type": "integer"}}
    compiled = compile_tracking_plan(
        plan(
            identify={"traits": rule},
            group={"traits": rule},
            page={"properties": rule},
            screen={"properties": rule},
        )
    )
    bad = msgspec.Raw(b'{"x":"a"}')
    for call in ("identify", "group", "page", "screen"):
        (violation,) = compiled.check(call, None, bad)
        part = "traits" if call in ("identify", "group") else "properties"
        assert violation.detail == f"{part}.x is string, not integer"
        values = wire.ABSENT if part == "properties" else bad
        event = wire.ProductEvent(
            call,
            "m",
            wire._EPOCH,
            traits=values,
            properties=bad if part == "properties" else wire.ABSENT,
        )
        assert compiled.check_event(event) == (violation,)


def test_an_event_without_properties_misses_what_is_required() -> None:
    """Absent, null, and empty are the same."""
    compiled = checks({"x": {"required": True}})
    for values in (wire.ABSENT, msgspec.Raw(b"null"), msgspec.Raw(b"{}")):
        assert [one.rule for one in compiled.check("track", "e", values)] == ["required_missing"]
    assert checks({"x": {}}).check("track", "e") == ()


def test_a_number_that_cannot_be_read_is_told_and_raises_nothing() -> None:
    """1e999 passes as JSON and is no number of this machine."""
    (violation,) = checks({"x": {"type": "integer"}}).check("track", "e", msgspec.Raw(b'{"x":1e999}'))
    assert (violation.rule, violation.property) == ("type_mismatch", "")
    assert violation.detail.startswith("properties cannot be read: ")


def test_no_value_is_ever_told() -> None:
    """Values may be personal data: details name properties, types and the plan's own words."""
    secret = "ada@example.com"
    rules = {
        "a": {"type": "integer"},
        "b": {"enum": ["x"]},
        "c": {"type": "string", "pattern": "^x$"},
        "d": {"type": "object", "properties": {"e": {"type": "boolean"}}},
        "f": {"type": "number", "maximum": 1},
    }
    values = {"a": secret, "b": secret, "c": secret, "d": {"e": secret}, "f": 4242, "g": secret}
    found = checks(rules, unknown_properties="flag").check(
        "track", "e", msgspec.Raw(msgspec.json.encode(values))
    )
    assert len(found) == 6
    assert secret not in sentence(found) + repr(found)
    assert "4242" not in repr(found)


def test_what_is_told_of_one_event_is_bounded() -> None:
    """A producer may add any number of properties, of any length."""
    values = {f"{'n' * 500}{index}": index for index in range(1_000)} | {f"u{n}": n for n in range(1_000)}
    found = checks({}, unknown_properties="dead_letter").check(
        "track", "e", msgspec.Raw(msgspec.json.encode(values))
    )
    assert 0 < len(found) <= MAX_VIOLATIONS
    assert max(len(one.property) for one in found) <= 80


def test_the_sentence_of_a_dead_letter_names_the_first_and_counts_the_rest() -> None:
    """People read it."""
    rules = {f"p{index}": {"required": True} for index in range(MAX_SHOWN + 2)}
    found = checks(rules).check("track", "e")
    assert sentence(found[:1]) == "against the tracking plan: properties.p0 is required"
    assert sentence(found).endswith("properties.p4 is required; and 2 more")


@pytest.mark.parametrize(
    ("payload", "library"),
    [
        (b'{"context":{"library":{"name":"analytics-node","version":"3.1.0"}}}', ("analytics-node", "3.1.0")),
        (b'{"context":{"library":{"name":"@segment/node"}}}', ("@segment/node", "")),
        (b'{"context":{"library":{"name":""}}}', ("unknown", "")),
        (b'{"context":{"library":"node"}}', ("unknown", "")),
        (b'{"context":{"library":null}}', ("unknown", "")),
        (b'{"context":null}', ("unknown", "")),
        (b"{}", ("unknown", "")),
        (b"no json", ("unknown", "")),
        (b'{"context":{"library":{"name":"' + b"x" * 500 + b'"}}}', ("x" * 80, "")),
    ],
)
def test_the_producer_is_the_library_that_sent_it(payload: bytes, library: tuple[str, str]) -> None:
    """Whatever stands in its place, an event has a producer."""
    name, version = library
    assert library_of(payload) == library
    assert producer_of(payload) == (f"{name}/{version}" if version else name)


def test_the_shape_accepts_the_usual_rules_and_no_dictionary_is_built() -> None:
    """Rules that no type says leave the event to the rules alone; all others have a shape."""
    model = plan(
        events={
            "usual": {
                "properties": {
                    "a": {"type": "string", "required": True, "enum": ["x", "y"]},
                    "b": {"type": "number", "minimum": 0},
                    "c": {"type": ["string", "boolean"], "nullable": True},
                    "d": {"type": "array", "items": {"type": "object", "properties": {"e": {}}}},
                    "f": {"type": "date-time"},
                }
            },
            "odd": {"properties": {"a": {"enum": [0.5, True]}}},
        }
    )
    shape = compile_shape(model.events["usual"].properties, closed=False)
    assert shape is not None
    shape(b'{"a":"x","b":1,"c":null,"d":[{"e":[]}],"f":"2026-03-14T10:02:00Z","more":{}}')
    assert compile_shape(model.events["odd"].properties, closed=False) is None


@pytest.mark.parametrize(
    ("limits", "good", "bad"),
    [
        ({"minimum": 0.5}, [1, 0.5, 2**70], [0, 0.4, -1]),
        ({"maximum": 1.5}, [1, 1.5, -(2**70)], [2, 1.6]),
        ({"minimum": -1.5, "maximum": -0.5}, [-1, -1.5], [-2, 0]),
    ],
)
def test_limits_with_a_fraction_have_a_shape(
    limits: dict[str, float], good: list[float], bad: list[float]
) -> None:
    """Of whole numbers too: the next one inside."""
    rules = {"x": {"type": "number", **limits}}
    shape = compile_shape(plan(events={"e": {"properties": rules}}).events["e"].properties, closed=False)
    assert shape is not None
    for value in good:
        shape(msgspec.json.encode({"x": value}))
    for value in bad:
        with pytest.raises(msgspec.ValidationError):
            shape(msgspec.json.encode({"x": value}))


def test_a_pattern_beside_a_list_has_no_shape() -> None:
    """The library that decodes would spoil the memory of the process."""
    rules = {"x": {"type": ["string", "array"], "pattern": "a"}}
    properties = plan(events={"e": {"properties": rules}}).events["e"].properties
    assert compile_shape(properties, closed=False) is None
    assert broken(rules, {"x": ["b"]}) == broken(rules, {"x": "a"}) == []
    assert broken(rules, {"x": "b"}) == [("pattern_mismatch", "x")]
