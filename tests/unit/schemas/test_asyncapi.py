"""The exported files are up to date, and the AsyncAPI document keeps the rules of AsyncAPI 3.0."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from schemas.asyncapi import document
from schemas.catalog import SCHEMAS, TOPICS
from schemas.commands import cli
from schemas.export import ASYNCAPI_FILE, PACKAGE_DIR, differences, exports, json_schema, load_examples, write
from schemas.topics import load_topics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = re.compile(r"^[A-Za-z0-9._-]+$")


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    """The document as it is committed, read back from its YAML."""
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(
        (PACKAGE_DIR / ASYNCAPI_FILE).read_text("utf-8")
    )
    return loaded


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def _resolve(root: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/")
    node: Any = root
    for step in reference.removeprefix("#/").split("/"):
        node = node[step.replace("~1", "/").replace("~0", "~")]
    return node


def test_the_exported_files_are_up_to_date() -> None:
    """Models, topics, examples and what is published say the same: else run `brimful schemas export`."""
    assert differences(exports(load_topics(), load_examples()), PACKAGE_DIR) == []


def test_an_export_is_the_same_every_time() -> None:
    """A difference in git is a difference in the contract."""
    assert exports(load_topics(), load_examples()) == exports(load_topics(), load_examples())


def test_what_differs_from_the_export_is_named(tmp_path: Path) -> None:
    """Missing, changed and left-over files, each by its name; exporting again mends all of them."""
    files = {"json/a.schema.json": "{}\n", "asyncapi.yaml": "asyncapi: 3.0.0\n"}
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "old.schema.json").write_text("{}\n")
    (tmp_path / "asyncapi.yaml").write_text("asyncapi: 2.6.0\n")
    assert differences(files, tmp_path) == [
        "asyncapi.yaml is out of date",
        "json/a.schema.json is missing",
        "json/old.schema.json is left over: nothing exports it",
    ]
    write(files, tmp_path)
    assert differences(files, tmp_path) == []


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_every_exported_json_schema_is_one(schema: Any) -> None:
    """It keeps the rules of draft 2020-12 and has no words of other dialects."""
    exported = json_schema(schema)
    jsonschema.Draft202012Validator.check_schema(exported)
    assert "discriminator" not in exported


def test_every_reference_of_the_document_leads_somewhere(committed: dict[str, Any]) -> None:
    """The document stands alone: no file beside it, no net."""
    references = list(_references(committed))
    assert references
    for reference in references:
        assert _resolve(committed, reference)


def test_the_document_has_what_asyncapi_3_asks_for(committed: dict[str, Any]) -> None:
    """Version, info and names in the form of the specification."""
    assert committed["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(committed["info"])
    parts = (committed["channels"], committed["operations"], *committed["components"].values())
    assert all(NAME.match(name) for part in parts for name in part)


def test_every_public_topic_is_a_channel(committed: dict[str, Any]) -> None:
    """Address, description, messages and the settings that readers rely on."""
    assert set(committed["channels"]) == set(TOPICS)
    for topic, channel in committed["channels"].items():
        assert channel["address"] == topic
        assert channel["description"]
        assert set(channel["messages"]) == set(TOPICS[topic].models)
        assert channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"]


def test_every_channel_is_written_by_one_and_read_by_one(committed: dict[str, Any]) -> None:
    """Each operation sends or receives messages of its own channel."""
    done = set()
    for name, operation in committed["operations"].items():
        channel = operation["channel"]["$ref"].removeprefix("#/channels/")
        assert operation["action"] in {"send", "receive"}
        assert name.endswith(f".{operation['action']}.{channel}")
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"#/channels/{channel}/messages/")
        done.add((operation["action"], channel))
    assert done == {(action, topic) for action in ("send", "receive") for topic in TOPICS}


def test_every_message_has_examples_that_fit_its_payload(committed: dict[str, Any]) -> None:
    """What the documentation shows is what the schema says."""
    for message in committed["components"]["messages"].values():
        assert message["summary"]
        assert message["bindings"]["kafka"]["key"]["description"]
        assert message["examples"]
        schema = {**committed, **message["payload"]}
        for example in message["examples"]:
            jsonschema.Draft202012Validator(schema).validate(example["payload"])


def test_a_record_shape_without_a_topic_is_refused() -> None:
    """A shape that nobody can find in Kafka is a mistake in topics.yaml."""
    some = [topic for topic in load_topics() if topic.name != "feeds"]
    with pytest.raises(ValueError, match=r"not declared in topics.yaml: feeds$"):
        document(some, load_examples())


def test_the_commands_check_validate_and_tell_what_is_wrong(tmp_path: Path) -> None:
    """Exit code 0 where all is well, 1 with a sentence per problem, 2 for a wrong argument."""
    run = CliRunner().invoke
    assert run(cli, ["export", "--check"]).exit_code == 0
    assert run(cli, ["check"]).exit_code == 0
    bad = tmp_path / "events.jsonl"
    bad.write_text('{"type":"page","messageId":"m","userId":"u","timestamp":"yesterday"}\n')
    result = run(cli, ["validate", "product-events", str(bad)])
    assert result.exit_code == 1
    assert f"{bad}:1: timestamp: 'yesterday' is not an ISO 8601 date and time" in result.stderr
    assert "1 records, 1 of them not valid for product-events" in result.stdout
    assert run(cli, ["validate", "events", str(bad)]).exit_code == 2


def test_the_commands_export_and_release_into_a_folder(tmp_path: Path) -> None:
    """A check without anything released fails loudly, and releasing is refused where it breaks somebody."""
    run = CliRunner().invoke
    where = ["--dir", str(tmp_path)]
    for topic, examples in load_examples().items():
        (tmp_path / "examples" / topic).mkdir(parents=True)
        assert examples
    assert run(cli, ["export", "--check", *where]).exit_code == 1
    assert run(cli, ["export", *where]).exit_code == 0
    assert run(cli, ["export", "--check", *where]).exit_code == 0
    result = run(cli, ["check", *where])
    assert result.exit_code == 1
    assert "run `brimful schemas release`" in result.stderr
    assert run(cli, ["release", *where]).exit_code == 0
    assert run(cli, ["check", *where]).exit_code == 0
    released = tmp_path / "released" / "deliveries.v1.schema.json"
    released.write_text(released.read_text().replace('"latency_ms"', '"latency"'))
    result = run(cli, ["release", *where])
    assert result.exit_code == 1
    assert "deliveries.v1: latency: field_removed" in result.stderr
    assert run(cli, ["release", "--breaking", *where]).exit_code == 0
    assert run(cli, ["check", *where]).exit_code == 0
