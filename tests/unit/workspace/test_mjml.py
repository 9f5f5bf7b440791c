"""MJML is checked before it is compiled: what the compiler would drop is refused with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from workers.core.templates.compile import BadTemplates, EmailTemplate
from workers.core.templates.render import RenderedEmail, render_email
from workers.workspace.templates import load_templates

if TYPE_CHECKING:
    from pathlib import Path

LINK = (
    '<mj-section><mj-column><mj-text><a href="{{ unsubscribe_url }}">x</a></mj-text></mj-column></mj-section>'
)


def write(folder: Path, body: str, head: str = "") -> Path:
    """A workspace's folder of templates with one mail of MJML."""
    (folder / "mail.yaml").write_text("channel: email\nsubject: Hi\nmjml_file: mail.mjml\n")
    (folder / "mail.mjml").write_text(f"<mjml>{head}<mj-body>{body}</mj-body></mjml>")
    return folder


def html(folder: Path, body: str, **event: object) -> str:
    """The mail of this MJML for an event."""
    template = load_templates(write(folder, body + LINK))["mail"]
    assert isinstance(template, EmailTemplate)
    context = {"user": {}, "account": {}, "event": event, "unsubscribe_url": "https://e.example/u"}
    result = render_email(template, context)
    assert isinstance(result, RenderedEmail), result
    return result.html


def column(inner: str) -> str:
    """A section of one column."""
    return f"<mj-section><mj-column>{inner}</mj-column></mj-section>"


def test_expressions_and_statements_come_through(tmp_path: Path) -> None:
    """Between sections and columns, in texts and in attributes, with quotes and signs of any kind."""
    body = (
        "{% for one in event.rows %}"
        + column('<mj-text>{{ one | default("a") }}{% if event.n < 2 %}few{% endif %}</mj-text>')
        + "{% endfor %}"
        + column('{% block b %}<mj-button href="{{ event.url }}">Go</mj-button>{% fallback %}'
                 "<mj-text>no button</mj-text>{% endblock %}")
    )  # fmt: skip
    shown = html(tmp_path, body, rows=["<p>", "q"], n=1, url="https://e.example/a?b=1&c=2")
    assert shown.count("few") == 2
    assert "&lt;p&gt;few" in shown
    assert 'href="https://e.example/a?b=1&amp;c=2"' in shown
    assert "no button" not in shown
    assert "no button" in html(tmp_path, body, rows=[], n=1)


def test_styles_that_are_said_to_be_inline_are(tmp_path: Path) -> None:
    """As MJML has it: ``<mj-style inline="inline">``."""
    head = '<mj-head><mj-style inline="inline">.m { color: red }</mj-style></mj-head>'
    template = load_templates(write(tmp_path, column('<mj-text><b class="m">x</b></mj-text>') + LINK, head))[
        "mail"
    ]
    assert isinstance(template, EmailTemplate)
    result = render_email(template, {"unsubscribe_url": "https://e.example/u"})
    assert isinstance(result, RenderedEmail)
    assert 'style="color: red;"' in result.html
    assert "@media" in result.html
    assert result.text.startswith("x")


@pytest.mark.parametrize(
    ("body", "line", "says"),
    [
        (column("\n<mj-tex>x</mj-tex>"), 2, r"MJML has no <mj-tex>; did you mean <mj-text>\?"),
        (column("<mj-include path='x' />"), 1, "partials are included by"),
        ("\n\n<mj-text>x</mj-text>", 3, "<mj-text> cannot stand directly inside of <mj-body>"),
        (column("<p>x</p>"), 1, "<p> cannot stand directly inside of <mj-column>"),
        (column("\nwords"), 1, "text cannot stand directly inside of <mj-column>"),
        (column("{{ event.x }}"), 1, "a value cannot stand directly inside of <mj-column>"),
        (column("<mj-text><mj-button>x</mj-button></mj-text>"), 1, "inside of <mj-text>, which has text"),
        ("\n<mj-section><mj-column>\n</mj-section>", 3, "</mj-section> closes nothing, while <mj-column>"),
        ("<mj-section>", 1, "</mj-body> closes nothing, while <mj-section>"),
        (column("{{ event.x\n| default(\n'') }}\n"), 1, "a value cannot stand"),
        ("{% if\nevent.x %}\n<mj-txt></mj-txt>{% endif %}", 3, "MJML has no <mj-txt>"),
        (column("<mj-text>{{ event.x() }}</mj-text>"), 1, "nothing can be called here"),
        (column("<mj-text>bfq0z</mj-text>"), 1, "'bfq0z' stands for code"),
    ],
)
def test_what_the_compiler_would_lose_is_refused(tmp_path: Path, body: str, line: int, says: str) -> None:
    """With the line of the MJML's own file."""
    with pytest.raises(BadTemplates, match=says) as caught:
        load_templates(write(tmp_path, body))
    assert (caught.value.problems[0].line, caught.value.problems[0].file) == (
        line,
        f"{tmp_path.name}/mail.mjml",
    )


def test_a_mail_has_html_or_mjml(tmp_path: Path) -> None:
    """Which of both would be sent is nothing to guess."""
    (tmp_path / "mail.yaml").write_text("channel: email\nsubject: Hi\nhtml: x\nmjml: y\n")
    with pytest.raises(BadTemplates, match="has html, or mjml, and not both"):
        load_templates(tmp_path)
    (tmp_path / "mail.yaml").write_text("channel: email\nsubject: Hi\n")
    with pytest.raises(BadTemplates, match="has html, or mjml, and not both"):
        load_templates(tmp_path)
