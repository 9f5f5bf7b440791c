"""The ready-made templates of the shop render whatever is known of objects, and show what is related."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workers.core.templates.compile import EmailTemplate
from workers.core.templates.render import RenderedEmail, RenderFailed, render_email
from workers.workspace.templates import load_templates

TEMPLATES = load_templates(Path(__file__).parents[4] / "deploy/workspaces/store/templates")
BARE: dict[str, Any] = {
    "user": {},
    "account": {},
    "event": {},
    "related": {},
    "message": {},
    "unsubscribe_url": "https://example.com/u",
}
BEANS = {"object": "product", "id": "beans", "name": "Beans", "price": 12.5, "replenishment_days": 20}
FULL: dict[str, Any] = {**BARE, "event": {"object": BEANS}, "related": {"last_bought": [BEANS]}}
EMPTY: dict[str, Any] = {**BARE, "related": {"last_bought": []}}


def rendered(name: str, context: dict[str, Any]) -> RenderedEmail | RenderFailed:
    """One of the shop's mails."""
    template = TEMPLATES[name]
    assert isinstance(template, EmailTemplate)
    return render_email(template, context)


@pytest.mark.parametrize("context", [FULL, BARE, EMPTY], ids=["full", "bare", "empty"])
@pytest.mark.parametrize("name", ["back_in_stock_email", "daily_essentials_email"])
def test_a_missing_object_leaves_no_hole(name: str, context: dict[str, Any]) -> None:
    """A recommendation that is not there has something else in its place."""
    mail = rendered(name, context)
    assert isinstance(mail, RenderedEmail), mail
    for text in (mail.subject, mail.text):
        assert not any(hole in text for hole in ("{{", "{%", "None", "  "))
    assert ("Beans" in mail.subject) is (context is FULL)
