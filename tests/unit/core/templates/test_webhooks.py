"""Templates of webhooks: always valid JSON, of the provider's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.render_kit import context
from workers.core.templates.compile import (
    BadTemplates,
    TemplateSource,
    compile_template,
    source_of_record,
    variables,
)
from workers.core.templates.render import RenderFailed, render
from workers.core.templates.webhooks import RenderedWebhook, WebhookTemplate
from workers.workspace.templates import read_template

if TYPE_CHECKING:
    from pathlib import Path


def template(body: Any, provider: str = "standard", **fields: Any) -> WebhookTemplate:
    """A compiled webhook."""
    values = {"provider": provider, "connection": "crm", "body": body, **fields}
    made = compile_template(TemplateSource("hook", "webhook", values))
    assert isinstance(made, WebhookTemplate)
    return made


def document(body: Any, provider: str = "standard", **names: Any) -> Any:
    """What a body renders to; a failure is shown as ``reason:variable``."""
    result = render(template(body, provider), context(**names))
    if isinstance(result, RenderFailed):
        return f"{result.reason}:{result.variable}"
    assert isinstance(result, RenderedWebhook)
    return result.document


TYPES: list[tuple[Any, dict[str, Any], Any]] = [
    # a lone expression keeps its type
    ("{{ event.n }}", {"n": 7}, 7),
    ("  {{ event.n }}  ", {"n": 7.5}, 7.5),
    ("{{ event.n }}", {"n": True}, True),
    ("{{ event.n }}", {"n": [1, {"a": "b"}]}, [1, {"a": "b"}]),
    ("{{ event.n }}", {"n": "7"}, "7"),
    ("{{ event.n * 2 }}", {"n": 7}, 14),
    ("{{ event.n > 3 }}", {"n": 7}, True),
    ("{{ event.n if event.n > 3 else 'few' }}", {"n": 1}, "few"),
    ("{{ event.n | default(0) }}", {}, 0),
    # anything else is a text
    ("{{ event.n }} seats", {"n": 7}, "7 seats"),
    ("{{ event.n }}{{ event.n }}", {"n": 7}, "77"),
    ("{% if event.n %}yes{% else %}no{% endif %}", {"n": 7}, "yes"),
    ('"{{ event.n }}"', {"n": 'a"b\\c\n'}, '"a"b\\c\n"'),
    # what is no text is what it is
    (3, {}, 3),
    (False, {}, False),
    ("", {}, ""),
    # values that are missing stop the message
    ("{{ event.n }}", {}, "missing_variable:event.n"),
    ("{{ event.n }}", {"n": None}, "missing_variable:event.n"),
    ("{{ event.n }}", {"n": " "}, "missing_variable:event.n"),
    ("{{ event.n }} seats", {}, "missing_variable:event.n"),
]


@pytest.mark.parametrize(("leaf", "event", "expected"), TYPES, ids=[f"{row[0]} {row[1]}" for row in TYPES])
def test_a_leaf_gives_a_value(leaf: Any, event: dict[str, Any], expected: Any) -> None:
    """One row, one rule."""
    result = document({"at": leaf}, event=event)
    failed = isinstance(expected, str) and expected.startswith("missing")
    assert result == (expected if failed else {"at": expected})
    if not failed:
        assert type(result["at"]) is type(expected)


def test_what_gives_none_is_left_out() -> None:
    """A property that is not known is not sent, instead of being emptied at the receiver."""
    body = {"a": "{{ event.a | default(none) }}", "list": [1, "{{ event.a | default(none) }}", 2], "b": None}
    assert document(body) == {"list": [1, 2], "b": None}
    assert document(body, event={"a": 1}) == {"a": 1, "list": [1, 1, 2], "b": None}


PLAIN = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text()


@given(st.recursive(PLAIN, st.lists, max_leaves=5))
def test_whatever_the_values_are_the_document_is_json(value: Any) -> None:
    """Quotes, braces and line breaks in a value are a value's."""
    body = {"typed": "{{ event.x | default('-') }}", "text": "<{{ event.y | default('') }}>"}
    result = document(body, event={"x": value, "y": str(value)})
    if not isinstance(result, str):
        assert msgspec.json.decode(msgspec.json.encode(result)) == result
        blank = value is None or (isinstance(value, str) and not value.strip())
        assert result["typed"] == ("-" if blank else value)


def test_values_in_a_slack_message_are_shown_as_they_are() -> None:
    """No link, no mention, no alarm of the whole channel; what the template itself says stays."""
    body = {
        "text": "<https://example.com|{{ event.name }}> & {{ event.name | upper }}",
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "{{ event.name }}"}}],
    }
    result = document(body, "slack", event={"name": "<!channel> & <@U1>"})
    shown = "&lt;!channel&gt; &amp; &lt;@U1&gt;"
    assert result["text"] == f"<https://example.com|{shown}> & {shown.replace('channel', 'CHANNEL')}"
    assert result["blocks"][0]["text"]["text"] == shown


LINKED = {"object": "A", "key": {"a": "b"}, "links": {"X": "B"}}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"provider": "teams"}, "there are standard, slack, hubspot, salesforce"),
    ({"connection": "https://hooks.example.com/secret"}, "names a connection"),
    ({"connection": "email"}, "names a connection"),
    ({"body": "text"}, "Expected `object`"),
    ({"body": {"a": "{{ nobody }}"}}, "unknown variable 'nobody'"),
    ({"body": {"a": "{{ event.x"}}, "(in body.a)"),
    ({"body": {"a": [{"b": "{{ f() }}"}]}}, "(in body.a[0].b)"),
    ({"provider": "slack", "body": {}}, "missing required field `text`"),
    ({"provider": "slack", "body": {"text": "x", "block": []}}, "unknown field `block`"),
    ({"provider": "slack", "body": {"text": "x", "blocks": ["x"]}}, "`body.blocks[0]`"),
    ({"provider": "hubspot", "body": {}}, "at least one of contact"),
    ({"provider": "hubspot", "body": {"contact": {"properties": {}}}}, "missing required field `email`"),
    ({"provider": "salesforce", "body": {"records": []}}, "1 to 10 records"),
    ({"provider": "salesforce", "body": {"records": [{"object": "Lead", "key": {}}]}}, "the external id"),
    (
        {
            "provider": "salesforce",
            "body": {"records": [LINKED]},
        },
        "no record before it",
    ),
    ({"headers": {"Authorization": "Bearer x"}}, "secrets belong into the connection"),
    ({"headers": {"webhook-id": "x"}}, "cannot be set here"),
    ({"headers": {"X A": "x"}}, "cannot be set here"),
    ({"provider": "slack", "body": {"text": "x"}, "headers": {"X-A": "b"}}, "for the provider standard only"),
    ({"owners": []}, "owners are a list"),
    ({"to": "x"}, "unknown field"),
]


@pytest.mark.parametrize(("fields", "detail"), WRONG, ids=[detail for _, detail in WRONG])
def test_a_wrong_webhook_is_refused_when_it_is_linted(fields: dict[str, Any], detail: str) -> None:
    """With the place in the document."""
    with pytest.raises(BadTemplates) as refused:
        template(**{"body": {"a": 1}, **fields})
    assert detail in str(refused.value)


def test_a_rendered_document_has_the_shape_as_well() -> None:
    """A value of the wrong type is found before the provider finds it."""
    body = {"contact": {"email": "{{ user.email }}"}}
    assert document(body, "hubspot", user={"email": "a@example.com"}) == {
        "contact": {"email": "a@example.com"}
    }
    assert document(body, "hubspot", user={"email": 7}) == "wrong_type:None"
    optional = {"contact": {"email": "{{ user.email | default(none) }}"}}
    assert document(optional, "hubspot") == "wrong_type:None"


def test_headers_are_one_line() -> None:
    """A value with a line break stops the message."""
    made = template({"a": 1}, headers={"X-Plan": "{{ user.plan }}"})
    result = render(made, context(user={"plan": "pro"}))
    assert isinstance(result, RenderedWebhook)
    assert result.headers == {"X-Plan": "pro"}
    failed = render(made, context(user={"plan": "a\r\nEvil: b"}))
    assert isinstance(failed, RenderFailed)
    assert failed.reason == "control_character"


def test_the_linter_knows_what_a_webhook_reads() -> None:
    """Also in headers and deep inside."""
    made = template({"a": [{"b": "{{ user.x }}"}]}, headers={"X-A": "{{ account.y | default('-') }}"})
    assert {(found.name, found.has_default) for found in variables(made)} == {
        ("user.x", False),
        ("account.y", True),
    }


def test_a_webhook_is_read_from_its_file(tmp_path: Path) -> None:
    """The folder says the channel; owners are a list of their own; the published form is the same version."""
    (tmp_path / "webhooks").mkdir()
    (tmp_path / "owners").mkdir()
    (tmp_path / "owners" / "sales.yaml").write_text(
        "owners:\n  - {id: 7, name: Ada}\n  - id: 8\n    away: [{from: 2026-12-20, back: 2027-01-04}]\n"
    )
    path = tmp_path / "webhooks" / "notify.yaml"
    path.write_text(
        "provider: standard\nconnection: crm\nowners: sales\n"
        "body:\n  seats: 3\n  ratio: 0.5\n  on: true\n  who: '{{ owner.name }}'\n"
    )
    source = read_template(path)
    made = compile_template(source)
    assert isinstance(made, WebhookTemplate)
    assert (source.name, source.channel, made.owners_name) == ("notify", "webhook", "sales")
    assert [owner.id for owner in made.owners] == ["7", "8"]
    assert len(made.owners[1].away) == 1
    result = render(made, context(owner={"name": "Ada"}))
    assert isinstance(result, RenderedWebhook)
    assert result.document == {"seats": 3, "ratio": 0.5, "on": True, "who": "Ada"}
    published = msgspec.json.decode(msgspec.json.encode(source.record()))
    assert source_of_record("notify", published).version == source.version
    path.write_text("provider: standard\nconnection: crm\nowners: nobody\nbody: {a: b}\n")
    with pytest.raises(BadTemplates, match=r"webhooks/notify.yaml:3: owners: there is no owners/nobody.yaml"):
        read_template(path)
