"""Templates of messages: from their texts to something that renders. ``docs/templates.md`` is the format.

Compiling is slow (some 2 ms a text) and its result depends on the text alone, so compiled texts are kept by
their content. A template's ``version`` is a hash of all that it says; it stands in decisions and deliveries.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, assert_never, get_args

from jinja2 import TemplateSyntaxError

from schemas.workspace.tracking import LinkTracking
from workers.core.templates import in_app as in_app_template
from workers.core.templates.html import text_source
from workers.core.templates.in_app import InAppTemplate as InAppTemplate  # noqa: PLC0414 - readers look here
from workers.core.templates.in_app import compile_in_app
from workers.core.templates.languages import DEFAULT, LANGUAGE, LANGUAGES
from workers.core.templates.mobile import (
    PushTemplate,
    SmsTemplate,
    compile_push,
    compile_sms,
    mobile_variables,
)
from workers.core.templates.parts import BadTemplate, CompiledPart, Mode, Variable
from workers.core.templates.webhooks import WebhookTemplate, compile_webhook, webhook_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


TemplateChannel: TypeAlias = Literal["email", "in_app", "webhook", "sms", "push"]

_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")

_TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "email": ("subject", "preheader", "html", "text"),
    "in_app": in_app_template.TEXTS,
    "webhook": (),
    "sms": ("text",),
    "push": ("title", "body", "url", "image", "collapse_key"),
}
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "email": ("subject", "html"),
    "in_app": ("form", "title"),
    "webhook": ("provider", "connection", "body"),
    "sms": ("text",),
    "push": ("title", "body"),
}
_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "email": ("transactional", "tracking"),
    "in_app": in_app_template.OPTIONS,
    "webhook": ("provider", "connection", "body", "headers", "owners", "owners_name"),
    "sms": (),
    "push": ("data", "ttl", "priority"),
}


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """A template as written: the fields of its file, with referenced files read in.

    ``file`` and ``lines`` (field -> line on which its text begins) are for messages only.
    """

    name: str
    channel: str
    fields: Mapping[str, Any]
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Field -> file that its text was read from, where that is not ``file``."""

    @property
    def version(self) -> str:
        """A hash of the channel, the name and all fields: 16 hex digits."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.channel, self.name, sorted(self.fields.items())):
            text = repr(part).encode()
            digest.update(len(text).to_bytes(8, "big") + text)
        return digest.hexdigest()

    def record(self) -> dict[str, Any]:
        """The template in a published workspace; :func:`source_of_record` reads it back, same version."""
        return {"channel": self.channel, "fields": dict(self.fields)}


def source_of_record(name: str, record: Mapping[str, Any]) -> TemplateSource:
    """The template ``name`` of a published workspace."""
    return TemplateSource(name, str(record["channel"]), dict(record["fields"]), file=f"template {name}")


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """Why a template cannot be used: where, and what to do."""

    template: str
    file: str
    line: int
    field: str
    detail: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.detail}"


class BadTemplates(ValueError):
    """Templates that cannot be used, each with its file, line and field."""

    def __init__(self, problems: Iterable[TemplateProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[BadTemplates], tuple[tuple[TemplateProblem, ...]]]:
        return (BadTemplates, (self.problems,))


@dataclass(frozen=True, slots=True)
class EmailTemplate:
    """An e-mail, compiled. ``preheader`` is also part of ``html``; here it is for previews."""

    name: str
    version: str
    subject: CompiledPart
    html: CompiledPart
    text: CompiledPart
    transactional: bool
    """Mail that needs no consent and carries no unsubscribe link."""

    tracking: LinkTracking | None = None
    """What is known of what people do with it; None: what the workspace says."""


CompiledTemplate: TypeAlias = EmailTemplate | InAppTemplate | WebhookTemplate | SmsTemplate | PushTemplate


class Templates(Mapping[str, CompiledTemplate]):
    """All templates of a workspace by name. ``sources`` holds what they were made of."""

    def __init__(
        self, compiled: Mapping[str, CompiledTemplate], sources: Mapping[str, TemplateSource]
    ) -> None:
        self._compiled = dict(compiled)
        self.sources = dict(sources)

    def __getitem__(self, name: str) -> CompiledTemplate:
        return self._compiled[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._compiled)

    def __len__(self) -> int:
        return len(self._compiled)


def compile_templates(sources: Iterable[TemplateSource]) -> Templates:
    """Compile all; raises :class:`BadTemplates` with every problem of every template, not only the first."""
    problems: list[TemplateProblem] = []
    compiled: dict[str, CompiledTemplate] = {}
    by_name: dict[str, TemplateSource] = {}
    for source in sources:
        if source.name in by_name:
            detail = f"{by_name[source.name].file} has the same name"
            problems.append(TemplateProblem(source.name, source.file, 1, "name", detail))
            continue
        by_name[source.name] = source
        try:
            compiled[source.name] = compile_template(source)
        except BadTemplates as error:
            problems.extend(error.problems)
    if problems:
        raise BadTemplates(problems)
    return Templates(compiled, by_name)


def compile_template(source: TemplateSource) -> CompiledTemplate:
    """Compile one template; raises :class:`BadTemplates` with all of its problems."""
    work = _Compilation(source)
    if source.channel not in _TEXTS:
        work.refuse("channel", f"{source.channel!r} has no templates; there are {', '.join(_TEXTS)}")
        raise BadTemplates(work.problems)
    work.check_fields()
    if work.problems:
        raise BadTemplates(work.problems)
    result = _COMPILERS[source.channel](work)
    if work.problems or result is None:
        raise BadTemplates(work.problems)
    return result


def template_channel(template: CompiledTemplate) -> TemplateChannel:
    """The channel that a template is for."""
    match template:
        case EmailTemplate():
            return "email"
        case InAppTemplate():
            return "in_app"
        case WebhookTemplate():
            return "webhook"
        case SmsTemplate():
            return "sms"
        case PushTemplate():
            return "push"
        case _:
            assert_never(template)


def variables(template: CompiledTemplate) -> tuple[Variable, ...]:
    """What a template reads from its context, by dotted name, for the linter; each name and line once."""
    match template:
        case EmailTemplate():
            parts: list[CompiledPart | None] = [template.subject, template.html, template.text]
        case InAppTemplate():
            parts = list(template.parts())
        case WebhookTemplate():
            return tuple(dict.fromkeys(webhook_variables(template)))
        case SmsTemplate() | PushTemplate():
            return tuple(dict.fromkeys(mobile_variables(template)))
        case _:
            assert_never(template)
    return tuple(dict.fromkeys(variable for part in parts if part is not None for variable in part.variables))


@lru_cache(maxsize=4096)
def _compiled(text: str, mode: Mode, language: str) -> CompiledPart:
    """The cache by content: an unchanged text is compiled once, however often a workspace is published."""
    return LANGUAGES[language].compile(text, mode)


class _Compilation:
    """The problems found in one template, and its texts compiled."""

    def __init__(self, source: TemplateSource) -> None:
        self.source = source
        self.problems: list[TemplateProblem] = []
        self.language = str(source.fields.get(LANGUAGE, DEFAULT))

    def refuse(self, name: str, detail: str, line: int = 1) -> None:
        """Note a problem on ``line`` of the field's text."""
        start = self.source.lines.get(name, 1)
        file = self.source.files.get(name, self.source.file)
        self.problems.append(TemplateProblem(self.source.name, file, start + line - 1, name, detail))

    def check_fields(self) -> None:
        """The fields are known, of their types, and none is left out."""
        source = self.source
        if not _NAME.fullmatch(source.name):
            self.refuse("name", f"a name has letters, digits and _, at most 64; not {source.name!r}")
        texts, options = _TEXTS[source.channel], (*_OPTIONS[source.channel], LANGUAGE)
        if self.language not in LANGUAGES:
            self.refuse(LANGUAGE, f"there are {', '.join(LANGUAGES)}; not {self.language!r}")
        for name, value in source.fields.items():
            if name not in (*texts, *options):
                allowed = ", ".join((*texts, *options))
                self.refuse(name, f"unknown field of a template for {source.channel}; there are {allowed}")
            elif name in texts and not (isinstance(value, str) and value.strip()):
                self.refuse(name, "this is a text that is not blank; leave the field out where there is none")
        for name in _REQUIRED[source.channel]:
            if name not in source.fields:
                self.refuse(name, f"a template for {source.channel} needs this field")

    def text(self, name: str, mode: Mode = "text") -> CompiledPart | None:
        """The field ``name`` compiled; None where it is left out or has a problem, which is then noted."""
        text = self.source.fields.get(name)
        return self.compile(name, text, mode) if text is not None else None

    def compile(self, name: str, text: str, mode: Mode, hint: str = "") -> CompiledPart | None:
        """``text`` compiled as the field ``name``; None with the problem noted."""
        try:
            return _compiled(text.strip() if mode == "text" else text, mode, self.language)
        except BadTemplate as error:
            self.refuse(name, error.detail + hint, 1 if hint else error.line)
            return None


def _email(work: _Compilation) -> EmailTemplate | None:
    fields = work.source.fields
    transactional = fields.get("transactional", False)
    if not isinstance(transactional, bool):
        work.refuse("transactional", "this is true or false")
    tracking = fields.get("tracking")
    if tracking is not None and tracking not in get_args(LinkTracking):
        work.refuse("tracking", f"this is one of {', '.join(get_args(LinkTracking))}")
    html_text = str(fields["html"])
    bare = work.compile("html", html_text, "html")
    subject = work.text("subject")
    preheader = work.text("preheader", "html")
    text = work.text("text") if "text" in fields else _derived_text(work, html_text) if bare else None
    if subject is None or bare is None or text is None or ("preheader" in fields and preheader is None):
        return None
    if not transactional and not any(found.name == "unsubscribe_url" for found in bare.variables):
        work.refuse(
            "html", "link to {{ unsubscribe_url }}, or say `transactional: true` if no consent is needed"
        )
    html = work.compile("html", _document(html_text, str(fields.get("preheader", "")).strip()), "html")
    if html is None:
        return None
    name, version = work.source.name, work.source.version
    return EmailTemplate(name, version, subject, html, text, bool(transactional), tracking)


def _derived_text(work: _Compilation, html: str) -> CompiledPart | None:
    hint = "; the text part made from this html cannot be used: write a `text` field"
    try:
        text = text_source(LANGUAGES[work.language].lex(html))
    except TemplateSyntaxError as error:
        work.refuse("html", f"{error.message}{hint}")
        return None
    if not text:
        work.refuse("html", f"the html shows no text{hint}")
        return None
    return work.compile("html", text, "text", hint)


_HEAD = (
    '<!DOCTYPE html><html><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"></head>'
)
_HIDDEN = '<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">'
_BODY_TAG = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
_HTML_TAG = re.compile(r"<html\b", re.IGNORECASE)


def _document(html: str, preheader: str) -> str:
    """``html`` as a whole document, in front the preheader, which mail clients show beside the subject."""
    hidden = f"{_HIDDEN}{preheader}</div>" if preheader else ""
    if not _HTML_TAG.search(html):
        return f"{_HEAD}<body>{hidden}{html}</body></html>"
    body = _BODY_TAG.search(html)
    if body is None:
        return hidden + html
    return html[: body.end()] + hidden + html[body.end() :]


def _webhook(work: _Compilation) -> WebhookTemplate | None:
    source = work.source
    return compile_webhook(work, source.name, source.version, source.fields)


_COMPILERS: Final[dict[str, Callable[[_Compilation], CompiledTemplate | None]]] = {
    "email": _email,
    "in_app": compile_in_app,
    "webhook": _webhook,
    "sms": lambda work: compile_sms(work, work.source.name, work.source.version),
    "push": lambda work: compile_push(work, work.source.name, work.source.version, work.source.fields),
}
