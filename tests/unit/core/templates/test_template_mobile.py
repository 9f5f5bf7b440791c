"""Templates of text messages and push notifications: what they may say, and what comes out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.core.render_kit import context
from workers.core.templates.compile import (
    BadTemplates,
    TemplateSource,
    compile_template,
    template_channel,
    variables,
)
from workers.core.templates.mobile import RenderedPush, RenderedSms
from workers.core.templates.render import RenderFailed, render

PUSH = {"title": "Hi {{ user.name }}", "body": "You are at {{ event.used }} %"}


def rendered(channel: str, fields: dict[str, Any], **values: Any) -> Any:
    """What the template of these fields makes of the values."""
    return render(compile_template(TemplateSource("t", channel, fields)), context(**values))


def push(**fields: Any) -> Any:
    """A notification."""
    return rendered("push", {**PUSH, **fields}, user={"name": "Ada", "plan": "free"}, event={"used": 90})


def test_a_text_message_has_one_text_and_its_size() -> None:
    """White space at its ends is layout."""
    result = rendered("sms", {"text": "  Hi {{ user.name }}:\n\n\n\n50 € off \n"}, user={"name": "Ada"})
    assert isinstance(result, RenderedSms)
    assert result.text == "Hi Ada:\n\n50 € off"
    assert (result.size.encoding, result.size.segments) == ("gsm7", 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ user.nothing }}", "missing_variable"),
        ("{{ user.name | default('') }}{# #}", None),
        ("{{ user.long }}", "too_long"),
    ],
)
def test_a_text_message_without_its_values_is_not_sent(text: str, reason: str | None) -> None:
    """Nothing is half rendered."""
    result = rendered("sms", {"text": text}, user={"name": "Ada", "long": "x" * 1601})
    assert getattr(result, "reason", None) == reason


def test_a_push_has_all_its_parts() -> None:
    """Texts of each part; data by name; time to live in milliseconds."""
    result = push(
        url="/billing?plan={{ user.plan }}",
        image="https://cdn.example.com/i.png",
        collapse_key="limit-{{ user.plan }}",
        data={"plan": "{{ user.plan }}", "tab": 2},
        ttl="12h",
        priority="high",
    )
    assert isinstance(result, RenderedPush)
    assert (result.title, result.body) == ("Hi Ada", "You are at 90 %")
    assert (result.url, result.image) == ("/billing?plan=free", "https://cdn.example.com/i.png")
    assert (result.collapse_key, result.data) == ("limit-free", {"plan": "free", "tab": "2"})
    assert (result.ttl_ms, result.priority) == (12 * 3_600_000, "high")


def test_what_comes_out_empty_is_left_out() -> None:
    """An image that this person has none of; a collapse key that some messages have."""
    result = push(image="{{ user.image | default('') }}", collapse_key="{{ user.key | default('') }}")
    assert (result.image, result.collapse_key) == (None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "http://example.com"),
        ("url", "//evil.example"),
        ("url", "javascript:alert(1)"),
        ("image", "/i.png"),
        ("image", "myapp://i"),
    ],
)
def test_an_address_that_no_device_should_open_stops_the_push(field: str, value: str) -> None:
    """https, a path, or the app's own scheme."""
    result = push(**{field: value})
    assert isinstance(result, RenderFailed)
    assert result.reason == "bad_url"


def test_a_link_into_the_app_is_an_address() -> None:
    """Deep links have schemes of their own."""
    assert push(url="acme://billing").url == "acme://billing"


@pytest.mark.parametrize(
    ("channel", "fields", "detail"),
    [
        ("sms", {}, "needs this field"),
        ("sms", {"text": "a", "title": "b"}, "unknown field"),
        ("sms", {"text": "{{ user.name"}, "text"),
        ("push", {"title": "a"}, "needs this field"),
        ("push", {**PUSH, "ttl": "5w"}, "at most 4w"),
        ("push", {**PUSH, "ttl": "soon"}, "time to live"),
        ("push", {**PUSH, "priority": "urgent"}, "normal, high"),
        ("push", {**PUSH, "data": ["a"]}, "mapping"),
        ("push", {**PUSH, "data": {"google.x": "a"}}, "no name for data"),
        ("push", {**PUSH, "data": {"message_type": "a"}}, "no name for data"),
        ("push", {**PUSH, "data": {"a": True}}, "data.a is a text"),
        ("push", {**PUSH, "data": {"a": "{{ x"}}, "data"),
    ],
)
def test_a_wrong_template_says_what_is_wrong(channel: str, fields: dict[str, Any], detail: str) -> None:
    """Before anything is sent."""
    with pytest.raises(BadTemplates, match=detail):
        compile_template(TemplateSource("t", channel, fields))


def test_what_templates_read_is_known() -> None:
    """For the linter: also in data."""
    template = compile_template(TemplateSource("t", "push", {**PUSH, "data": {"a": "{{ account.plan }}"}}))
    assert template_channel(template) == "push"
    assert {one.name for one in variables(template)} == {"user.name", "event.used", "account.plan"}
