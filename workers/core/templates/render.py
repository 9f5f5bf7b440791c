"""Rendering: a compiled template and plain data give a message, or the reason why not.

Nothing is ever half rendered: a value that is missing where the template has no default, a text that is
too long, or a template that does too much work gives :class:`RenderFailed`, which is recorded as a failed
delivery of this one message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, assert_never

from jinja2 import Template, UndefinedError

from workers.core.templates.compile import EmailTemplate, InAppTemplate
from workers.core.templates.html import tidy
from workers.core.templates.locales import DEFAULT, customs, locale_of, pick
from workers.core.templates.mobile import (
    PushTemplate,
    RenderedPush,
    RenderedSms,
    SmsTemplate,
    render_push,
    render_sms,
)
from workers.core.templates.values import Budget, FailureReason, Unrenderable, check_plain, has_control
from workers.core.templates.webhooks import RenderedWebhook, WebhookTemplate, render_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.fields import FeedForm, FeedOnce, FeedPosition
    from schemas.workspace.tracking import LinkTracking
    from workers.core.templates.compile import CompiledTemplate
    from workers.core.templates.in_app import InAppStep, Show
    from workers.core.templates.parts import CompiledPart

MAX_SUBJECT_CHARS: Final = 255
"""Mail clients show 40 to 80; a subject near the 998 bytes of a header line is a mistake."""

MAX_PART_CHARS: Final = 400_000
"""Longest html or text part: four times what Gmail shows before it cuts a message off."""

MAX_TITLE_CHARS: Final = 200
MAX_BODY_CHARS: Final = 4_000
MAX_LABEL_CHARS: Final = 80
MAX_URL_CHARS: Final = 2_000

CUSTOMS: Final = "_customs"
"""Key of a context under which the locale stands by which values are written; no template can read it."""

_NO: Final = frozenset({"", "0", "false", "no", "none"})
"""What a step's ``done`` says when it is not done."""


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
    locale: str = ""


@dataclass(frozen=True, slots=True)
class RenderedStep:
    """A step of a checklist or a tour: plain texts. ``done``: it was done before."""

    title: str
    body: str | None
    cta_label: str | None
    cta_url: str | None
    done: bool
    selector: str | None
    event: str | None


@dataclass(frozen=True, slots=True)
class RenderedInApp:
    """An in-app item ready to be shown: plain texts. URLs are https or paths; None with no label.

    ``body`` is empty where the form has only steps.
    """

    form: FeedForm
    title: str
    body: str
    cta_label: str | None
    cta_url: str | None
    expires_after_ms: int | None
    template: str
    version: str
    author: str | None = None
    image_url: str | None = None
    image_alt: str | None = None
    steps: tuple[RenderedStep, ...] = ()
    priority: int = 0
    once: FeedOnce | None = None
    dismissible: bool = True
    show: Show | None = None
    position: FeedPosition | None = None
    locale: str = ""


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
    skips: bool = False
    """The template says that the message is left out then, which is no failure."""


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
        body = _body(template.body, data)
        label, url = _link(template.cta_label, template.cta_url, data)
        author = _optional_line("author", template.author, data, MAX_LABEL_CHARS)
        image_url = (
            _app_url(_run(template.image_url, data, MAX_URL_CHARS), "image_url")
            if template.image_url
            else None
        )
        image_alt = _optional_line("image_alt", template.image_alt, data, MAX_TITLE_CHARS)
        steps = tuple(_step(step, data) for step in template.steps)
    except Unrenderable as failure:
        return _failed(failure, template)
    return RenderedInApp(
        template.form, title, body or "", label, url,
        template.expires_after_ms, template.name, template.version,
        author, image_url, image_alt, steps,
        template.priority, template.once, template.dismissible, template.show, template.position,
    )  # fmt: skip


def _step(step: InAppStep, data: dict[str, Any]) -> RenderedStep:
    title = _line("title of a step", _run(step.title, data, MAX_TITLE_CHARS * 4), MAX_TITLE_CHARS)
    label, url = _link(step.cta_label, step.cta_url, data)
    done = "" if step.done is None else _run(step.done, data, MAX_LABEL_CHARS).strip().lower()
    body = _body(step.body, data)
    return RenderedStep(title, body, label, url, done not in _NO, step.selector, step.event)


def _body(part: CompiledPart | None, data: dict[str, Any]) -> str | None:
    return None if part is None else _not_empty("body", tidy(_run(part, data, MAX_BODY_CHARS)))


def _link(
    label: CompiledPart | None, url: CompiledPart | None, data: dict[str, Any]
) -> tuple[str | None, str | None]:
    if label is None or url is None:
        return None, None
    text = _line("cta_label", _run(label, data, MAX_LABEL_CHARS * 4), MAX_LABEL_CHARS)
    return text, _app_url(_run(url, data, MAX_URL_CHARS))


def _optional_line(name: str, part: CompiledPart | None, data: dict[str, Any], max_chars: int) -> str | None:
    return None if part is None else _line(name, _run(part, data, max_chars * 4), max_chars)


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
    """Render the variant of a template that is for the person's locale, or what takes its place if it fails.

    What is rendered names the template, version and locale of its texts. Where the fallbacks fail as well,
    the failure is that of the template itself.
    """
    wanted, first = locale_of(context), None
    following: CompiledTemplate | None = template
    while following is not None:
        choices = following.choices
        result = _in_locale(following, wanted, context)
        if not isinstance(result, RenderFailed):
            return result
        if result.reason == "aborted":  # the template's own will, and no mishap that a fallback makes good
            return replace(result, skips=True)
        first = replace(first or result, skips=choices.skips)
        following = choices.fallback
    assert first is not None, "a template was rendered"
    return first


def _in_locale(
    template: CompiledTemplate, wanted: str | None, context: Mapping[str, Any]
) -> RenderedContent | RenderFailed:
    choices = template.choices
    found = pick(wanted, choices.variants)
    of_text = found or choices.locale
    message = context.get("message")
    named = {**message, "locale": of_text} if type(message) is dict else message
    variant = template if found is None else choices.variants[found]
    result = render_one(variant, {**context, "message": named, CUSTOMS: customs(of_text, wanted)})
    return result if isinstance(result, RenderFailed) else replace(result, locale=of_text)


def render_one(template: CompiledTemplate, context: Mapping[str, Any]) -> RenderedContent | RenderFailed:
    """Render this very template, of any channel."""
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
    locale = context.get(CUSTOMS, DEFAULT)
    return {**context, "_budget": Budget(zones, locale=str(locale))}


def _run(part: CompiledPart, data: dict[str, Any], max_chars: int) -> str:
    pieces: list[str] = []
    left = max_chars
    template = part.template
    if not isinstance(template, Template):
        return template.run(data, max_chars)
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


def _app_url(text: str, name: str = "cta_url") -> str:
    """An https URL, or a path of the app that shows the item; ``//host`` is another host."""
    url = text.strip(" \r\n\t")
    is_path = url.startswith("/") and not url.startswith(("//", "/\\"))
    if not (is_path or url.lower().startswith("https://")) or has_control(url) or " " in url:
        raise Unrenderable("bad_url", None, f"{name} is neither an https URL nor a path")
    return url
