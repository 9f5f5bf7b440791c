"""The examples of every topic: the valid ones are accepted everywhere, the invalid ones nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from schemas.asyncapi import tag_of
from schemas.catalog import SCHEMAS, TOPICS, RecordSchema, problems_of
from schemas.export import EXAMPLES_DIR, json_schema, load_examples
from schemas.validate import Problem, validate_file

BEYOND_JSON_SCHEMA = {"product-events/v1/invalid/timestamp_february_30.json"}
"""Refused by the models alone: a JSON Schema does not know how many days a month has."""


def _files(kind: str) -> list[str]:
    return sorted(str(path.relative_to(EXAMPLES_DIR)) for path in EXAMPLES_DIR.glob(f"*/v*/{kind}/*.json"))


def _topic(name: str) -> str:
    return Path(name).parts[0]


def _read(name: str) -> bytes:
    return (EXAMPLES_DIR / name).read_bytes()


def _validator(schema: RecordSchema) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema(schema))


VALIDATORS = {schema.name: _validator(schema) for schema in SCHEMAS}


@pytest.mark.parametrize("name", _files("valid"))
def test_a_valid_example_is_accepted_by_models_structs_and_json_schema(name: str) -> None:
    """What the documentation shows works, in every language and in our own readers; no field is misspelt."""
    schema = TOPICS[_topic(name)]
    assert problems_of(_topic(name), _read(name), refuse_unknown=True) == []
    assert list(VALIDATORS[schema.name].iter_errors(json.loads(_read(name)))) == []
    if schema.decode is not None:
        schema.decode(_read(name))


@pytest.mark.parametrize("name", _files("invalid"))
def test_an_invalid_example_is_refused_by_models_structs_and_json_schema(name: str) -> None:
    """A check that lets a wrong record through is found here, not in production."""
    schema = TOPICS[_topic(name)]
    assert problems_of(_topic(name), _read(name))
    if name not in BEYOND_JSON_SCHEMA:
        assert list(VALIDATORS[schema.name].iter_errors(json.loads(_read(name))))
    if schema.decode is not None:
        with pytest.raises(msgspec.ValidationError):
            schema.decode(_read(name))


@pytest.mark.parametrize("name", [name for name in _files("valid") if TOPICS[_topic(name)].written_by_us])
def test_an_example_of_ours_comes_back_unchanged_from_both_libraries(name: str) -> None:
    """Read and written again, a record is the same; absent and null count as the same."""
    schema, payload = TOPICS[_topic(name)], _read(name)
    given = {"v": 1} | {key: value for key, value in json.loads(payload).items() if value is not None}
    model = schema.adapter.validate_python(json.loads(payload))
    assert model.model_dump(mode="json", exclude_none=True) == given
    if schema.decode is not None:
        assert json.loads(msgspec.json.encode(schema.decode(payload))) == given


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_every_topic_has_valid_and_invalid_examples_of_every_kind(topic: str) -> None:
    """No shape without an example that must pass and one that must fail."""
    valid = load_examples()[topic]
    assert valid
    assert [name for name in _files("invalid") if _topic(name) == topic]
    models = TOPICS[topic].models
    if len(models) > 1:
        assert {tag_of(model) for model in models.values()} == {example["type"] for example in valid.values()}


def test_every_folder_of_examples_is_a_public_topic() -> None:
    """A misspelt folder would be examples that nobody checks."""
    assert {path.name for path in EXAMPLES_DIR.iterdir()} == set(TOPICS)


GOOD = b'{"type":"identify","messageId":"m","userId":"u","timestamp":"2026-03-14T10:02:00Z"}'
BAD = b'{"type":"identify","messageId":"","userId":"u","timestamp":"2026-03-14T10:02:00Z"}'
EMPTY_ID = "messageId: String should have at least 1 character"


@pytest.mark.parametrize(
    ("content", "records", "problems"),
    [
        (GOOD, 1, []),
        (GOOD + b"\n" + GOOD + b"\n", 2, []),  # JSON Lines
        (GOOD + b"\n\n" + BAD + b"\n", 2, [(3, EMPTY_ID)]),  # blank lines count as lines, not as records
        (b"[\n" + GOOD + b",\n " + BAD + b"\n]\n", 2, [(3, EMPTY_ID)]),  # a list: the line its item begins on
        (b"[]", 0, []),
        (b"\n" + BAD, 1, [(2, EMPTY_ID)]),
        (b'{\n"type": "identify",\n"messageId": m\n}', 1, [(3, "not readable as JSON")]),  # broken over lines
        (
            GOOD + b"\n{\n" + BAD,
            3,
            [(2, "not readable as JSON"), (3, EMPTY_ID)],
        ),  # it hides no other
        (b"\xff\xfe", 1, [(1, "not readable as JSON")]),
        (b"", 0, []),
    ],
)
def test_validation_of_a_file_names_line_and_field(
    content: bytes, records: int, problems: list[tuple[int, str]]
) -> None:
    """A producer finds the record to mend."""
    report = validate_file("product-events", content)
    assert report.records == records
    assert report.bad == len({line for line, _ in problems})
    assert [problem.line for problem in report.problems] == [line for line, _ in problems]
    for problem, (line, what) in zip(report.problems, problems, strict=True):
        assert problem == Problem(line, problem.what)
        assert problem.what.startswith(what)
