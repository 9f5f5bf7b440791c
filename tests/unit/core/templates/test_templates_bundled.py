"""The ready-made plan-limit templates render for every person we may meet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workers.core.templates.compile import EmailTemplate, InAppTemplate, Templates, variables
from workers.core.templates.render import RenderedEmail, RenderedInApp, render_email, render_in_app
from workers.workspace.templates import load_templates

FOLDER = Path(__file__).parents[4] / "deploy/workspaces/plan_limits/templates"
FULL = {
    "user": {"email": "ada@example.com", "first_name": "Ada", "timezone": "Europe/Oslo"},
    "account": {"name": "Acme & Sons", "plan": "starter", "seats": 1},
    "event": {"limit_type": "api_calls", "usage_percentage": 100.0, "current_plan": "starter"},
    "message": {"id": "m1"},
    "unsubscribe_url": "https://example.com/u?a=1&b=2",
}
BARE = {"user": {}, "account": {}, "event": {}, "message": {}, "unsubscribe_url": "https://example.com/u"}
NULLS = {
    **BARE,
    "user": {"first_name": None, "name": " "},
    "event": {"limit_type": None, "usage_percentage": None},
}


@pytest.fixture(scope="module")
def templates() -> Templates:
    """The bundled templates, compiled."""
    return load_templates(FOLDER)


@pytest.mark.parametrize("context", [FULL, BARE, NULLS], ids=["full", "bare", "nulls"])
@pytest.mark.parametrize(
    "name", ["limit_banner", "limit_explained", "account_limit_banner", "account_limit_email"]
)
def test_the_bundled_templates_render_whatever_is_known(
    templates: Templates, name: str, context: dict[str, Any]
) -> None:
    """A person of whom we know nothing gets a whole message, without holes, tags or doubled blanks."""
    template = templates[name]
    if isinstance(template, EmailTemplate):
        mail = render_email(template, context)
        assert isinstance(mail, RenderedEmail), mail
        texts = [mail.subject, mail.text, mail.html]
    else:
        assert isinstance(template, InAppTemplate)
        item = render_in_app(template, context)
        assert isinstance(item, RenderedInApp), item
        texts = [item.title, item.body]
    for text in texts:
        assert "{{" not in text
        assert "None" not in text
        assert "{%" not in text
    assert all("  " not in text for text in texts[:2])


def test_nothing_that_may_be_missing_is_without_a_default(templates: Templates) -> None:
    """The only value they count on is the unsubscribe page, which every e-mail has."""
    required = {
        found.name
        for template in templates.values()
        for found in variables(template)
        if not found.has_default
    }
    assert required == {"unsubscribe_url"}
