"""Styles are put where mail clients read them, and what was made of a mail goes with what is published."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from workers.core.templates.compile import BadTemplates, EmailTemplate
from workers.core.templates.render import RenderedEmail, render_email
from workers.versions.bundle import read_bundle, unpack
from workers.workspace.templates import load_templates

if TYPE_CHECKING:
    from pathlib import Path

STYLE = "<style>p { color: #333 } td { padding: 4px } @media (max-width: 480px) { p { color: #000 } }</style>"
LINK = '<a href="{{ unsubscribe_url }}">x</a>'
JOURNEY = """
journey: hello
subject: user
entry: {on: {event: signed_up}}
steps:
  - send: {email: mail}
"""


def write(folder: Path, html: str, more: str = "") -> Path:
    """A folder of templates with one mail of this html."""
    folder.mkdir(exist_ok=True)
    (folder / "mail.yaml").write_text(f"channel: email\nsubject: Hi\nhtml_file: mail.html\n{more}")
    (folder / "mail.html").write_text(html + LINK)
    return folder


def sent(folder: Path, html: str, more: str = "", **event: object) -> str:
    """What is sent of this html for an event."""
    template = load_templates(write(folder, html, more))["mail"]
    assert isinstance(template, EmailTemplate)
    result = render_email(template, {"event": event, "unsubscribe_url": "https://e.example/u"})
    assert isinstance(result, RenderedEmail), result
    return result.html


def test_rules_go_into_the_elements_and_what_cannot_stays(tmp_path: Path) -> None:
    """Gmail cuts ``<style>``; a rule for phones has no other place."""
    html = sent(tmp_path, f"{STYLE}<p>Hi</p>")
    assert '<p style="color: #333;">Hi</p>' in html
    assert "<style>@media (max-width: 480px) { p { color: #000 } }" in html


def test_html_without_styles_stays_to_the_letter(tmp_path: Path) -> None:
    """And so does html that says so."""
    assert "<p>Hi<br>" in sent(tmp_path, "<p>Hi<br>")
    assert f"{STYLE}<p>Hi<br>" in sent(tmp_path, f"{STYLE}<p>Hi<br>", "inline_css: false\n")


def test_code_comes_through_wherever_it_stands(tmp_path: Path) -> None:
    """In texts and attributes, around rows of a table, in comments for Outlook and in the title."""
    html = sent(
        tmp_path,
        f"<html><head><title>{{{{ event.t }}}}</title>{STYLE}</head><body>"
        "<!--[if mso]><p>{{ event.t }}</p><![endif]-->"
        "<table>{% for one in event.rows %}<tr><td title=\"{{ one }}\">{% if one < 'b' %}"
        '{{ one | default("") }}{% endif %}</td></tr>{% endfor %}</table>',
        t="T & T",
        rows=["a", "c"],
    )
    assert "<title>T &amp; T</title>" in html
    assert "<!--[if mso]><p>T &amp; T</p><![endif]-->" in html
    assert html.count("<tbody>") == html.count("</tbody>") == 1
    assert '<td title="a" style="padding: 4px;">a</td>' in html
    assert '<td title="c" style="padding: 4px;"></td>' in html


@pytest.mark.parametrize(
    ("html", "line", "says"),
    [
        ("\n<p {% if event.x %}class='a'{% endif %}>x</p>", 2, "code inside a tag stands in a quoted"),
        ("\n<div>\n<p>x</p>", 2, "<div> has no end"),
        ("{% if event.x\n%}<div>{% else %}<b>{% endif %}\n</b>", 2, "<div> has no end"),
        ("<b></i></b>", 1, "</i> closes nothing while <b> is open"),
    ],
)  # fmt: skip
def test_html_that_a_parser_would_mend_is_refused(tmp_path: Path, html: str, line: int, says: str) -> None:
    """What it puts elsewhere would be repeated by a loop, or stand there without its condition."""
    with pytest.raises(BadTemplates, match=says) as caught:
        load_templates(write(tmp_path, f"{STYLE}{html}"))
    assert caught.value.problems[0].line == line


def test_a_worker_needs_no_library_for_what_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle has the html; a folder that was not published says what to install."""
    folder = tmp_path / "shop"
    (folder / "journeys").mkdir(parents=True)
    (folder / "journeys" / "hello.yaml").write_text(JOURNEY)
    write(folder / "templates", f"{STYLE}<p>Hi</p>")
    bundle = read_bundle(folder)
    for library in ("css_inline", "mrml"):
        monkeypatch.setitem(sys.modules, library, None)
    loaded = unpack("shop", bundle.version, bundle.pack()).load()
    template = loaded.templates["mail"]
    assert isinstance(template, EmailTemplate)
    result = render_email(template, {"unsubscribe_url": "https://e.example/u"})
    assert isinstance(result, RenderedEmail)
    assert '<p style="color: #333;">' in result.html
    with pytest.raises(BadTemplates, match=r"pip install 'brimful\[mail\]'"):
        load_templates(folder / "templates")
    (folder / "templates" / "mail.yaml").write_text(
        "channel: email\nsubject: Hi\nmjml: <mjml><mj-body></mj-body></mjml>"
    )
    with pytest.raises(BadTemplates, match=r"pip install 'brimful\[mail\]'"):
        load_templates(folder / "templates")
