"""Templates and contexts for the tests of rendering."""

from __future__ import annotations

from typing import Any

from workers.core.templates.compile import EmailTemplate, InAppTemplate, TemplateSource, compile_template
from workers.core.templates.render import RenderedEmail, RenderedInApp, render_email, render_in_app

UNSUBSCRIBE = "https://example.com/u/1"


def context(**names: Any) -> dict[str, Any]:
    """A context with the given roots and empty others."""
    empty = {"user": {}, "account": {}, "event": {}, "message": {}, "unsubscribe_url": UNSUBSCRIBE}
    return {**empty, **names}


def banner(body: str, **fields: Any) -> InAppTemplate:
    """A compiled in-app template with this body."""
    source = TemplateSource("t", "in_app", {"form": "banner", "title": "Title", "body": body, **fields})
    template = compile_template(source)
    assert isinstance(template, InAppTemplate)
    return template


def mail(html: str, **fields: Any) -> EmailTemplate:
    """A compiled transactional e-mail with this html."""
    values = {"subject": "Subject", "html": html, "transactional": True, **fields}
    template = compile_template(TemplateSource("t", "email", values))
    assert isinstance(template, EmailTemplate)
    return template


def body(source: str, **names: Any) -> str:
    """The body that a template renders to; a failure is shown as ``reason:variable``."""
    result = render_in_app(banner(source), context(**names))
    return result.body if isinstance(result, RenderedInApp) else f"{result.reason}:{result.variable}"


def rendered(template: EmailTemplate, **names: Any) -> RenderedEmail:
    """The e-mail, which must render."""
    result = render_email(template, context(**names))
    assert isinstance(result, RenderedEmail), result
    return result
