"""What holds for every plan and every event."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.workspace import TrackingPlan
from workers.core.tracking.inference import StreamSeen
from workers.core.tracking.plan import compile_tracking_plan
from workers.core.tracking.proposal import proposal
from workers.core.tracking.rules import compile_object
from workers.core.tracking.shapes import compile_shape
from workers.workspace.yaml_text import read_document

NAMES = st.sampled_from(["a", "b", "c d", "true", "é", "x: y", "#", "- z", "\x85", "\U0001f600", "a'\"\\"])
TEXTS = st.one_of(NAMES, st.text(max_size=5), st.just("2026-03-14T10:02:00Z"))
NUMBERS = st.one_of(
    st.integers(-5, 5), st.integers(), st.floats(-5, 5), st.sampled_from([5.0, 1.5, 2**64, 2**53 + 1])
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)

TYPES = ["string", "number", "integer", "boolean", "date-time", "array", "object"]


def _fit(rules: dict[str, Any]) -> dict[str, Any]:
    """Rules without what their type rules out."""
    types = rules.get("type")
    if types is not None:
        needs = {"minimum": {"number", "integer"}, "maximum": {"number", "integer"}, "pattern": {"string"}}
        needs |= {"items": {"array"}, "properties": {"object"}}
        rules = {key: value for key, value in rules.items() if key not in needs or needs[key] & set(types)}
    return rules


def _rules(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True),
            "required": st.booleans(),
            "nullable": st.booleans(),
            "minimum": st.integers(-3, 0),
            "maximum": st.sampled_from([0, 1.5, 3, 2**53]),
            "pattern": st.sampled_from(["a", "^x", "[0-9]+$"]),
            "items": inner,
            "properties": st.dictionaries(NAMES, inner, max_size=3),
        },
    ).map(_fit)


ENUMS = st.fixed_dictionaries(
    {"enum": st.lists(st.one_of(st.booleans(), NUMBERS, NAMES), min_size=1, max_size=4)},
    optional={"nullable": st.booleans(), "required": st.booleans()},
)
RULES = st.recursive(
    st.one_of(st.just({}), ENUMS), lambda inner: st.one_of(ENUMS, _rules(inner)), max_leaves=5
)
LIMITED = st.fixed_dictionaries(
    {
        "type": st.sampled_from([["number"], ["integer"], ["string"], ["number", "string"]]),
        "minimum": st.sampled_from([0.5, 1]),
        "maximum": st.sampled_from([3, 3.5]),
        "pattern": st.just("a"),
    }
).map(_fit)
PLANS = st.one_of(
    st.fixed_dictionaries({"a": st.one_of(RULES, LIMITED)}), st.dictionaries(NAMES, RULES, max_size=5)
)
HITS = st.one_of(st.fixed_dictionaries({"a": st.one_of(st.integers(-5, 9), VALUES, NUMBERS, TEXTS)}), OBJECTS)
"""Events, of which many have what many plans describe: else most would be good for want of properties."""


@settings(max_examples=300)
@given(PLANS, HITS, st.booleans())
def test_what_a_shape_accepts_breaks_no_rule(
    rules: dict[str, Any], values: dict[str, Any], closed: bool
) -> None:
    """The fast way is never more lenient than the exact one; where it refuses, the exact one decides."""
    model = TrackingPlan.model_validate({"events": {"e": {"properties": rules}}}).events["e"]
    accept = compile_shape(model.properties, closed=closed)
    unknown = "flag" if closed else "allow"
    inspect = compile_object(model.properties, "properties", dead_letter=False, unknown=unknown)  # type: ignore[arg-type]  # one of the words
    text = msgspec.json.encode(values)
    if accept is None:
        return
    try:
        accept(text)
    except msgspec.ValidationError:
        return
    assert inspect(msgspec.json.decode(text)) == []


@settings(max_examples=100)
@given(
    st.lists(st.tuples(NAMES, OBJECTS), min_size=1, max_size=8),
    st.lists(OBJECTS, max_size=3),
    st.integers(1, 4),
)
def test_a_proposal_accepts_all_that_it_was_made_from(
    tmp_path_factory: Any,
    events: list[tuple[str, dict[str, Any]]],
    traits: list[dict[str, Any]],
    samples: int,
) -> None:
    """Read back as a file, whatever the names and values, it finds nothing wrong with the same stream."""
    seen = StreamSeen()
    for number, (name, values) in enumerate(events):
        fields = seen.event(name)
        assert fields is not None
        fields.observe(values, f"u{number}")
    for values in traits:
        seen.call("identify").observe(values, "u")
    path = tmp_path_factory.mktemp("plan") / "tracking_plan.yaml"
    path.write_text(proposal(seen, samples), encoding="utf-8")
    checks = compile_tracking_plan(TrackingPlan.model_validate(read_document(path).content))
    for name, values in events:
        assert checks.check("track", name, msgspec.Raw(msgspec.json.encode(values))) == ()
    for values in traits:
        assert checks.check("identify", None, msgspec.Raw(msgspec.json.encode(values))) == ()
