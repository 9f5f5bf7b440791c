"""Every example of docs/templates.md is what the page says it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from workers.core.templates.compile import TemplateSource, compile_template
from workers.core.templates.html import document
from workers.core.templates.language import compile_part
from workers.workspace.mail_html import MailHtml

if TYPE_CHECKING:
    from workers.core.templates.parts import Mode

PAGE = (Path(__file__).parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")
FENCED = [(str(kind), str(text)) for kind, text in re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)]
TEMPLATES = [text for kind, text in FENCED if kind == "yaml" and "channel: " in text]
TEXTS = [text for kind, text in FENCED if kind in ("", "html") and "{" in text]


def fields_of(text: str) -> dict[str, Any]:
    """The fields of a template's file."""
    return dict(YAML(typ="safe").load(text))


@pytest.mark.parametrize("text", TEMPLATES)
def test_the_templates_of_the_page_are_templates(text: str) -> None:
    """E-mails are finished as a workspace's are."""
    fields = fields_of(text)
    source = TemplateSource("t", fields.pop("channel"), fields)
    assert compile_template(MailHtml().finish(source)).version


@pytest.mark.parametrize("text", TEXTS)
def test_the_texts_of_the_page_are_texts(text: str) -> None:
    """Those of html as html."""
    mode: Mode = "html" if "<p>" in text else "text"
    assert compile_part(document(text, "") if mode == "html" else text, mode).variables


def test_the_page_was_found() -> None:
    """A page whose fences changed would have no examples, and all would pass."""
    assert len(TEMPLATES) == 5
    assert len(TEXTS) == 3
