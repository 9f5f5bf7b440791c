"""What the page about channels shows works as it is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from workers.core.templates.compile import TemplateSource, compile_template
from workers.core.templates.owners import read_owners
from workers.senders.connections import read_connections

PAGE = (Path(__file__).parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def loaded(text: str) -> Any:
    """A block as YAML."""
    return YAML(typ="safe").load(text)


OWNERS = next(loaded(text)["owners"] for text in BLOCKS if text.startswith("owners:"))


@pytest.mark.parametrize("text", [text for text in BLOCKS if text.startswith("# webhooks/")])
def test_a_webhook_of_the_page_is_a_webhook(text: str) -> None:
    """It compiles, with the owners of the page."""
    fields = {**loaded(text), "owners": OWNERS}
    name = text.partition(".yaml")[0].removeprefix("# webhooks/")
    compile_template(TemplateSource(name, "webhook", fields))


def test_the_owners_of_the_page_are_owners() -> None:
    """All three kinds of absence."""
    assert [owner.id for owner in read_owners(OWNERS)] == ["1001", "1002", "1003"]


def test_the_connections_of_the_page_are_connections(tmp_path: Path) -> None:
    """With a variable for each secret."""
    (text,) = [text for text in BLOCKS if "secrets:" in text]
    path = tmp_path / "connections.yaml"
    path.write_text(text)
    names = re.findall(r"\$\{([A-Z_]+)\}", text)
    assert len(read_connections(path, dict.fromkeys(names, "whsec_eA=="))) == 4


@pytest.mark.parametrize("name", ["sms", "push"])
def test_the_connections_of_channels_on_the_page_are_connections(tmp_path: Path, name: str) -> None:
    """With a variable for each secret."""
    (text,) = [text for text in BLOCKS if text.startswith(f"{name}:")]
    account = {
        "project_id": "p",
        "client_email": "e",
        "private_key": "k",
        "token_uri": "https://o.example.com",
    }
    variables = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)\}", text), json.dumps(account))
    path = tmp_path / "connections.yaml"
    path.write_text(text)
    assert list(read_connections(path, variables)) == [name]


TEMPLATES = (Path(__file__).parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("channel", ["sms", "push"])
def test_the_mobile_templates_of_the_page_are_templates(channel: str) -> None:
    """As files of the workspace."""
    blocks = re.findall(r"```yaml\n(.*?)```", TEMPLATES, re.DOTALL)
    (fields,) = [loaded(text) for text in blocks if f"\nchannel: {channel}\n" in text]
    compile_template(TemplateSource("t", fields.pop("channel"), fields))
