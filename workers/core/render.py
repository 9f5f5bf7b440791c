"""Rendering: a compiled template and plain data give a message, or the reason why not.

Nothing is ever half rendered: a value that is missing where the template has no default, a text that is
too long, or a template that does too much work gives :class:`RenderFailed`, which is recorded as a failed
delivery of this one message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, assert_never

from jinja2 import UndefinedError

from workers.core.template_html import tidy
from workers.core.template_mobile import (
    PushTemplate,
    RenderedPush,
    RenderedSms,
    SmsTemplate,
    render_push,
    render_sms,
)
from workers.core.template_values import Budget, FailureReason, Unrenderable, check_plain, has_control
from workers.core.templates import EmailTemplate, InAppTemplate
from workers.core.webhooks import RenderedWebhook, WebhookTemplate, render_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.fields import FeedForm
    from schemas.workspace.tracking import LinkTracking
    from workers.core.template_language import CompiledPart
    from workers.core.templates import CompiledTemplate

MAX_SUBJECT_CHARS: Final = 255
"""Mail clients show 40 to 80; a subject near the 998 bytes of a header line is a mistake."""

MAX_PART_CHARS: Final = 400_000
"""Longest html or text part: four times what Gmail shows before it cuts a message off."""

MAX_TITLE_CHARS: Final = 200
MAX_BODY_CHARS: Final = 4_000
MAX_LABEL_CHARS: Final = 80
MAX_URL_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True)
class RenderedEmail:
    """An e-mail ready to be sent. ``subject`` is one line; ``html`` is a whole document."""

    subject: str
    html: str
    text: str
    template: str
    version: str
    transactional: bool = False
    tracking: LinkTracking | None = None


@dataclass(frozen=True, slots=True)
class RenderedInApp:
    """An in-app item ready to be shown: plain texts. ``cta_url`` is https or a path; None with no label."""

    form: FeedForm
    title: str
    body: str
    cta_label: str | None
    cta_url: str | None
    expires_after_ms: int | None
    template: str
    version: str


@dataclass(frozen=True, slots=True)
class RenderFailed:
    """Why a message could not be rendered. ``variable`` is the dotted name of the value at fault, if one is.

    ``detail`` is for people and tells no value of the data.
    """

    reason: FailureReason
    variable: str | None
    detail: str
    template: str
    version: str


RenderedContent: TypeAlias = RenderedEmail | RenderedInApp | RenderedWebhook | RenderedSms | RenderedPush


def render_email(template: EmailTemplate, context: Mapping[str, Any]) -> RenderedEmail | RenderFailed:
    """Render with ``context``, whose keys are those of ``template_language.ROOTS``; plain data only."""
    try:
        data = _prepare(context)
        subject = _line("subject", _run(template.subject, data, MAX_SUBJECT_CHARS * 4), MAX_SUBJECT_CHARS)
        html = _run(template.html, data, MAX_PART_CHARS)
        text = _not_empty("text", tidy(_run(template.text, data, MAX_PART_CHARS)))
    except Unrenderable as failure:
        return _failed(failure, template)
    return RenderedEmail(
        subject, html, text, template.name, template.version, template.transactional, template.tracking,
    )  # fmt: skip


def render_in_app(template: InAppTemplate, context: Mapping[str, Any]) -> RenderedInApp | RenderFailed:
    """Render with ``context``, whose keys are those of ``template_language.ROOTS``; plain data only."""
    try:
        data = _prepare(context)
        title = _line("title", _run(template.title, data, MAX_TITLE_CHARS * 4), MAX_TITLE_CHARS)
        body = _not_empty("body", tidy(_run(template.body, data, MAX_BODY_CHARS)))
        label = url = None
        if template.cta_label is not None and template.cta_url is not None:
            label = _line("cta_label", _run(template.cta_label, data, MAX_LABEL_CHARS * 4), MAX_LABEL_CHARS)
            url = _app_url(_run(template.cta_url, data, MAX_URL_CHARS))
    except Unrenderable as failure:
        return _failed(failure, template)
    return RenderedInApp(
        template.form, title, body, label, url, template.expires_after_ms, template.name, template.version,
    )  # fmt: skip


def render_webhook(template: WebhookTemplate, context: Mapping[str, Any]) -> RenderedWebhook | RenderFailed:
    """Render with ``context``, whose keys are those of ``template_language.ROOTS``; plain data only."""
    try:
        data = _prepare(context)
        document, headers = render_document(template, lambda part, most: _run(part, data, most))
    except Unrenderable as failure:
        return _failed(failure, template)
    return RenderedWebhook(
        template.provider, template.connection, document, headers, template.name, template.version
    )


def render_mobile(
    template: SmsTemplate | PushTemplate, context: Mapping[str, Any]
) -> RenderedSms | RenderedPush | RenderFailed:
    """Render with ``context``, whose keys are those of ``template_language.ROOTS``; plain data only."""
    try:
        data = _prepare(context)
        if isinstance(template, SmsTemplate):
            return render_sms(template, lambda part, most: _run(part, data, most))
        return render_push(template, lambda part, most: _run(part, data, most))
    except Unrenderable as failure:
        return _failed(failure, template)


def render(template: CompiledTemplate, context: Mapping[str, Any]) -> RenderedContent | RenderFailed:
    """Render a template of any channel."""
    match template:
        case EmailTemplate():
            return render_email(template, context)
        case InAppTemplate():
            return render_in_app(template, context)
        case WebhookTemplate():
            return render_webhook(template, context)
        case SmsTemplate() | PushTemplate():
            return render_mobile(template, context)
        case _:
            assert_never(template)


def _failed(failure: Unrenderable, template: CompiledTemplate) -> RenderFailed:
    return RenderFailed(failure.reason, failure.variable, failure.detail, template.name, template.version)


def _prepare(context: Mapping[str, Any]) -> dict[str, Any]:
    """The names that the compiled texts read: the checked data, and one budget for the whole message."""
    check_plain(context)
    holders = (context.get("user"), context.get("account"))
    zones = tuple(holder.get("timezone") for holder in holders if type(holder) is dict)
    return {**context, "_budget": Budget(zones)}


def _run(part: CompiledPart, data: dict[str, Any], max_chars: int) -> str:
    pieces: list[str] = []
    left = max_chars
    template = part.template
    try:
        for piece in template.root_render_func(template.new_context(data)):
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise Unrenderable("too_long", None, f"a part is longer than {max_chars} characters")
    except UndefinedError as error:
        raise Unrenderable("missing_variable", None, str(error)) from error
    except (TypeError, ValueError) as error:  # a loop's names do not fit its items
        raise Unrenderable("wrong_type", None, f"the data does not fit the template: {error}") from error
    return "".join(pieces)


def _not_empty(part: str, text: str) -> str:
    if not text:
        raise Unrenderable("missing_variable", None, f"the {part} is empty")
    return text


def _line(part: str, text: str, max_chars: int) -> str:
    """One line. White space around it is the template's layout; a line break inside is an injection."""
    line = _not_empty(part, text.strip(" \r\n\t"))
    if has_control(line):
        raise Unrenderable("control_character", None, f"the {part} has a line break or control character")
    if len(line) > max_chars:
        raise Unrenderable("too_long", None, f"the {part} is longer than {max_chars} characters")
    return line


def _app_url(text: str) -> str:
    """An https URL, or a path of the app that shows the item; ``//host`` is another host."""
    url = text.strip(" \r\n\t")
    is_path = url.startswith("/") and not url.startswith(("//", "/\\"))
    if not (is_path or url.lower().startswith("https://")) or has_control(url) or " " in url:
        raise Unrenderable("bad_url", None, "cta_url is neither an https URL nor a path")
    return url
