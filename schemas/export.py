"""JSON Schemas and the AsyncAPI document, generated from the models and committed beside them.

The output depends on the models, the topics and the examples alone, so that a difference in git is a
difference in the contract. Pure: :func:`exports` gives file names and texts, the command writes them.
"""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from schemas.asyncapi import document
from schemas.catalog import SCHEMAS, RecordSchema
from schemas.workspace import Experiment, Journey, ObjectType, Settings, TrackingPlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel

    from schemas.topics import Topic

PACKAGE_DIR = Path(__file__).parent
EXAMPLES_DIR = PACKAGE_DIR / "examples"
JSON_DIR = "json"
ASYNCAPI_FILE = "asyncapi.yaml"

WORKSPACE_FILES: dict[str, type[BaseModel]] = {
    "experiment": Experiment,
    "journey": Journey,
    "object": ObjectType,
    "tracking_plan": TrackingPlan,
    "workspace": Settings,
}
"""Files of a workspace that have a JSON Schema of their own, by name without ending."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(schema: RecordSchema) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what readers of a topic accept, one ``$defs`` entry per object.

    It says less than the models in one point: a day that its month does not have is refused by them alone.
    """
    body = schema.adapter.json_schema(mode="validation")
    named = {
        "$schema": _DIALECT,
        "$id": f"urn:brimful:schema:{schema.name}:v{schema.version}",
        "title": schema.name,
    }
    body.pop("title", None)
    plain: dict[str, Any] = without_discriminators(body)
    return named | plain


def file_schema(name: str, model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a file of the workspace, for editors that complete and check it."""
    body = model.model_json_schema(mode="validation")
    named = {"$schema": _DIALECT, "$id": f"urn:brimful:workspace:{name}", "title": name}
    body.pop("title", None)
    plain: dict[str, Any] = without_discriminators(body)
    return named | plain


def without_discriminators(node: Any) -> Any:
    """A copy without ``discriminator``: a word of OpenAPI's that JSON Schema does not know."""
    if isinstance(node, dict):
        return {
            key: without_discriminators(value)
            for key, value in node.items()
            if not (key == "discriminator" and isinstance(value, dict) and "propertyName" in value)
        }
    if isinstance(node, list):
        return [without_discriminators(item) for item in node]
    return node


def load_examples(folder: Path = EXAMPLES_DIR) -> dict[str, dict[str, Any]]:
    """The valid examples of every topic: topic to name to decoded record, in order of their names."""
    return {
        topic.name: {
            path.stem: json.loads(path.read_text("utf-8")) for path in sorted(topic.glob("v*/valid/*.json"))
        }
        for topic in sorted(folder.iterdir())
        if topic.is_dir()
    }


def exports(topics: Iterable[Topic], examples: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Every exported file: its path below the package, and its text."""
    files = {f"{JSON_DIR}/{schema.file_name}": json_text(json_schema(schema)) for schema in SCHEMAS}
    for name, model in WORKSPACE_FILES.items():
        files[f"{JSON_DIR}/{name}.schema.json"] = json_text(file_schema(name, model))
    files[ASYNCAPI_FILE] = yaml_text(document(topics, examples))
    return files


def differences(files: Mapping[str, str], folder: Path) -> list[str]:
    """Where a folder differs from the exported files, one sentence each; empty where all is up to date."""
    found = []
    for name, text in sorted(files.items()):
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif path.read_text("utf-8") != text:
            found.append(f"{name} is out of date")
    present = {f"{JSON_DIR}/{path.name}" for path in (folder / JSON_DIR).glob("*.json")}
    return found + [f"{name} is left over: nothing exports it" for name in sorted(present - set(files))]


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write the exported files below ``folder`` and remove JSON Schemas that nothing exports any more."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for path in (folder / JSON_DIR).glob("*.json"):
        if f"{JSON_DIR}/{path.name}" not in files:
            path.unlink()


def json_text(value: Any) -> str:
    """Deterministic JSON for people to read: sorted keys, two blanks, a newline at the end."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def yaml_text(value: Any) -> str:
    """Deterministic YAML for people to read: block style, keys in the order given, no anchors."""
    yaml: Any = YAML(typ="safe", pure=True)  # its attributes are untyped
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 100
    yaml.representer.ignore_aliases = lambda _: True
    out = StringIO()
    yaml.dump(value, out)
    return out.getvalue()
