"""Templates in Liquid in a workspace's folder, with their partials, and how they are published."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from workers.core.templates.compile import BadTemplates, EmailTemplate
from workers.core.templates.mobile import RenderedSms, SmsTemplate
from workers.core.templates.render import RenderedEmail, render
from workers.versions.bundle import read_bundle
from workers.workspace.files import BadWorkspace
from workers.workspace.templates import load_templates

if TYPE_CHECKING:
    from pathlib import Path

MAIL = """\
channel: email
language: liquid
subject: "{{${first_name} | default: 'Hello'}}"
html: |
  <p>Hi {{ customer.first_name | default: 'you' }}</p>
  {{ snippets.plans }}
  {%- include "footer" -%}
"""
DATA = {"user": {"first_name": "Ada", "tags": ["a", "b"]}, "event": {}, "account": {}, "message": {},
        "unsubscribe_url": "https://example.com/u/1"}  # fmt: skip


def _write(folder: Path, **partials: str) -> None:
    (folder / "partials").mkdir(parents=True)
    (folder / "mail.yaml").write_text(MAIL)
    for name, text in partials.items():
        (folder / "partials" / f"{name}.html").write_text(text)


def test_snippets_and_content_blocks_are_partials(tmp_path: Path) -> None:
    """Under the names that they have elsewhere; what they set is known behind them, as it is there."""
    _write(
        tmp_path / "templates",
        plans="{% for t in customer.tags %}<b>{{ t }}</b>{% endfor %}\n"
        "{% assign seen = 'yes' %}{{content_blocks.${inner}}}\n",
        inner="<i>{{${first_name}}}</i>",
        footer='<p>{{ seen }} <a href="{% unsubscribe_url %}">Bye</a></p>',
    )
    template = load_templates(tmp_path / "templates")["mail"]
    assert isinstance(template, EmailTemplate)
    result = render(template, DATA)
    assert isinstance(result, RenderedEmail)
    assert "<b>a</b><b>b</b>" in result.html
    assert "<i>Ada</i>" in result.html
    assert "<p>yes <a" in result.html
    assert (result.subject, "Bye (https://example.com/u/1)" in result.text) == ("Ada", True)


def test_a_mistake_in_a_partial_is_told_with_the_partials_line(tmp_path: Path) -> None:
    """And one behind it with the line of the template."""
    _write(
        tmp_path / "templates",
        plans="<p>\n{{ custmer.plan }}\n",
        footer='<a href="{{ unsubscribe_url }}">Bye</a>',
    )
    with pytest.raises(BadTemplates) as caught:
        load_templates(tmp_path / "templates")
    assert str(caught.value).startswith("templates/partials/plans.html:2: html: unknown variable 'custmer'")


def test_a_partial_that_is_not_there_is_told_with_what_to_write(tmp_path: Path) -> None:
    """The file's name, and those that there are."""
    _write(tmp_path / "templates", plans="x")
    with pytest.raises(
        BadTemplates, match=r"mail.yaml:7: html: there is no partials/footer.html; there are plans"
    ):
        load_templates(tmp_path / "templates")


def test_styles_are_put_into_the_elements_around_code(tmp_path: Path) -> None:
    """Also around Braze's braces."""
    pytest.importorskip("css_inline")
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "mail.yaml").write_text(
        "channel: email\nlanguage: liquid\ntransactional: true\nsubject: x\nhtml: |\n"
        "  <style>p {color: red}</style><p>{{${first_name}}} {{custom_attribute.${tags} | join: '-'}}</p>\n"
        '  <p title="{{${first_name}}}">{% if {{custom_attribute.${tags}}} contains "a" %}A{% endif %}</p>\n'
    )
    result = render(load_templates(folder)["mail"], DATA)
    assert isinstance(result, RenderedEmail)
    assert '<p style="color: red;">Ada a-b</p>' in result.html
    assert 'title="Ada"' in result.html
    assert result.text == "Ada a-b\n\nA"


def test_a_published_workspace_is_refused_by_a_worker_without_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is loaded, by the name of the extra; not message by message."""
    _write(tmp_path / "templates", plans="x", footer='<a href="{{ unsubscribe_url }}">This one alone</a>')
    (tmp_path / "journeys").mkdir()
    (tmp_path / "journeys" / "one.yaml").write_text(
        "journey: one\nsubject: user\nentry:\n  on: {event: a}\nsteps:\n  - send: {email: mail}\n"
    )
    bundle = read_bundle(tmp_path, "shop")
    assert "mail" in bundle.load().templates
    monkeypatch.setitem(sys.modules, "liquid", None)
    with pytest.raises(BadWorkspace, match=r"^templates/mail.yaml:2:1: language: .*'brimful\[liquid\]'$"):
        bundle.load()


def test_a_variant_is_in_the_language_of_the_whole(tmp_path: Path) -> None:
    """Its texts are Liquid as well, without saying so again; another language is refused."""
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "note.yaml").write_text("channel: sms\nlanguage: liquid\ntext: Hi {{${first_name}}}\n")
    (folder / "note.de.yaml").write_text("text: Hallo {{${first_name}}}\n")
    template = load_templates(folder)["note"]
    assert isinstance(template, SmsTemplate)
    result = render(template, {**DATA, "user": {"first_name": "Ada", "locale": "de"}})
    assert isinstance(result, RenderedSms)
    assert result.text == "Hallo Ada"
    (folder / "note.de.yaml").write_text("language: jinja\ntext: Hallo\n")
    with pytest.raises(BadTemplates, match=r"language is said in templates/note\.yaml alone"):
        load_templates(folder)
