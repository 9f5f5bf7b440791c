"""The AsyncAPI 3.0 document: the public topics as channels, who sends and receives as operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from schemas.catalog import SCHEMAS, TOPICS, RecordSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.topics import Topic

_REF = "#/components/schemas/{model}"
_KAFKA_BINDING = "0.5.0"
"""Version of AsyncAPI's Kafka bindings that the document speaks."""

API_VERSION = "1"
"""Version of the whole set of record shapes: the ``v`` of the records."""


def document(topics: Iterable[Topic], examples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The document for the public topics among ``topics``, with the valid examples of each record.

    Topics whose records only we read (changelogs, account-events) have no public shape and are left out.

    Raises:
        ValueError: a public record shape has no declared topic.
    """
    public = [topic for topic in topics if topic.name in TOPICS]
    missing = sorted(set(TOPICS) - {topic.name for topic in public})
    if missing:
        raise ValueError(
            f"topics with a public record shape are not declared in topics.yaml: {', '.join(missing)}"
        )
    keys = {topic.name: topic.key for topic in public}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Brimful",
            "version": API_VERSION,
            "description": (
                "The public Kafka topics of Brimful and the records they carry, as JSON in UTF-8. "
                "Readers ignore fields they do not know."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in public},
        "operations": {name: operation for topic in public for name, operation in _operations(topic).items()},
        "components": {
            "messages": {
                name: _message(schema, name, keys[schema.topics[0]], examples)
                for schema in SCHEMAS
                for name in schema.models
            },
            "schemas": _payloads(),
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    schema = TOPICS[topic.name]
    configuration: dict[str, Any] = {
        "cleanup.policy": [topic.cleanup],
        "max.message.bytes": topic.max_message_bytes,
    }
    if topic.retention_ms is not None:
        configuration["retention.ms"] = topic.retention_ms
    return {
        "address": topic.name,
        "description": topic.description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in schema.models},
        "bindings": {
            "kafka": {"topicConfiguration": configuration, "bindingVersion": _KAFKA_BINDING},
        },
    }


def _operations(topic: Topic) -> dict[str, Any]:
    messages = [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in TOPICS[topic.name].models]
    parts = [("send", role) for role in topic.producers] + [("receive", role) for role in topic.consumers]
    return {
        f"{role}.{action}.{topic.name}": {
            "action": action,
            "title": f"{role} {'writes' if action == 'send' else 'reads'} {topic.name}",
            "channel": {"$ref": f"#/channels/{topic.name}"},
            "messages": messages,
        }
        for action, role in parts
    }


def _message(
    schema: RecordSchema, name: str, key: str, examples: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    model = schema.models[name]
    own = [
        {"name": f"{topic}-{example}", "payload": payload}
        for topic in schema.topics
        for example, payload in examples.get(topic, {}).items()
        if len(schema.models) == 1 or payload.get("type") == tag_of(model)
    ]
    return {
        "name": name,
        "title": name,
        "summary": (model.__doc__ or "").partition("\n")[0],
        "contentType": "application/json",
        "payload": {"$ref": _REF.format(model=name)},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": key}, "bindingVersion": _KAFKA_BINDING},
        },
        "examples": own,
    }


def tag_of(model: type[Any]) -> str:
    """The value of ``type`` that marks records of a model in a tagged union."""
    (tag,) = model.model_fields["type"].annotation.__args__
    return str(tag)


def _payloads() -> dict[str, Any]:
    inputs: list[tuple[str, Any, TypeAdapter[Any]]] = [
        (name, "validation", TypeAdapter(model))
        for schema in SCHEMAS
        for name, model in schema.models.items()
    ]
    _, generated = TypeAdapter.json_schemas(inputs, ref_template=_REF)
    return dict(sorted(generated["$defs"].items()))
