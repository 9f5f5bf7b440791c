"""Templates of messages: from their texts to something that renders. ``docs/templates.md`` is the format.

Compiling is slow (some 2 ms a text) and its result depends on the text alone, so compiled texts are kept by
their content. A template's ``version`` is a hash of all that it says; it stands in deliveries.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, assert_never, get_args

from jinja2 import TemplateSyntaxError

from schemas.workspace.tracking import LinkTracking
from workers.core.templates import in_app as in_app_template
from workers.core.templates.choices import PLAIN, SKIP, Choices, fallback_problems, fallbacks_first
from workers.core.templates.html import document, text_source
from workers.core.templates.in_app import InAppTemplate as InAppTemplate  # noqa: PLC0414 - readers look here
from workers.core.templates.in_app import compile_in_app
from workers.core.templates.languages import JINJA, LANGUAGE, LANGUAGES, unusable
from workers.core.templates.locales import DEFAULT
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

    from workers.core.templates.partials import Place


TemplateChannel: TypeAlias = Literal["email", "in_app", "webhook", "sms", "push"]

_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")

_TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "email": ("subject", "preheader", "html", "mjml", "text"),
    "in_app": in_app_template.TEXTS,
    "webhook": (),
    "sms": ("text",),
    "push": ("title", "body", "url", "image", "collapse_key"),
}
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "email": ("subject",),
    "in_app": ("form", "title"),
    "webhook": ("provider", "connection", "body"),
    "sms": ("text",),
    "push": ("title", "body"),
}
_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "email": ("transactional", "tracking", "inline_css"),
    "in_app": in_app_template.OPTIONS,
    "webhook": ("provider", "connection", "body", "headers", "owners", "owners_name"),
    "sms": (),
    "push": ("data", "ttl", "priority"),
}

_OF_ALL: Final = ("fallback", LANGUAGE)
"""Options of every channel."""


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """A template as written: the fields of its file, with referenced files read in.

    ``file`` and ``lines`` (field, or ``body.blocks[0].text`` inside of one -> line on which its text begins)
    are for messages only.
    """

    name: str
    channel: str
    fields: Mapping[str, Any]
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Field -> file that its text was read from, where that is not ``file``."""

    locale: str = ""
    """Whose variant it is; empty: it is for everybody who has none."""

    made: Mapping[str, str] = field(default_factory=dict)
    """Field -> what is sent instead of its text: html of MJML, and html with its styles in their places."""

    places: Mapping[str, Mapping[int, Place]] = field(default_factory=dict)
    """Field -> line of its text -> where that was written, for texts with partials in them."""

    inherited: frozenset[str] = frozenset()
    """Fields that a variant does not say itself."""

    @property
    def version(self) -> str:
        """A hash of the channel, the name, the locale and all texts, those of partials too: 16 hex digits."""
        digest = hashlib.blake2b(digest_size=8)
        further = [part for part in (self.locale, sorted(self.made.items())) if part]
        for part in (self.channel, self.name, sorted(self.fields.items()), *further):
            text = repr(part).encode()
            digest.update(len(text).to_bytes(8, "big") + text)
        return digest.hexdigest()

    def place(self, name: str, line: int, path: str = "") -> Place:
        """File and line of a line of a field's text: a partial's, where that is what stands there.

        ``path`` leads to a text inside of the field.
        """
        file, line = self.places.get(name, {}).get(line, ("", line))
        begins = self.lines.get(path) or self.lines.get(name, 1)
        return (file, line) if file else (self.files.get(name, self.file), begins + line - 1)

    def record(self) -> dict[str, Any]:
        """The template in a published workspace; :func:`source_of_record` reads it back, same version."""
        made = {"made": dict(self.made)} if self.made else {}
        return {"channel": self.channel, "fields": dict(self.fields), **made}


def records_of(sources: Iterable[TemplateSource]) -> dict[str, dict[str, Any]]:
    """The templates as a workspace holds them, by name, each with the fields of its variants by locale."""
    records: dict[str, dict[str, Any]] = {}
    for source in sources:
        if not source.locale:
            records.setdefault(source.name, {}).update(source.record())
        else:
            record = records.setdefault(source.name, {"channel": source.channel, "fields": {}})
            record.setdefault("variants", {})[source.locale] = dict(source.fields)
    return records


def source_of_record(name: str, record: Mapping[str, Any]) -> TemplateSource:
    """The template ``name`` of a published workspace."""
    file, made = f"template {name}", dict(record.get("made", {}))
    return TemplateSource(name, str(record["channel"]), dict(record["fields"]), file, made=made)


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

    choices: Choices = PLAIN


CompiledTemplate: TypeAlias = EmailTemplate | InAppTemplate | WebhookTemplate | SmsTemplate | PushTemplate


class Templates(Mapping[str, CompiledTemplate]):
    """All templates of a workspace by name, each with its variants.

    ``sources`` holds what they were made of, and ``variants`` what those for a locale were.
    """

    def __init__(
        self,
        compiled: Mapping[str, CompiledTemplate],
        sources: Mapping[str, TemplateSource],
        variants: Mapping[tuple[str, str], TemplateSource] | None = None,
    ) -> None:
        self._compiled = dict(compiled)
        self.sources = dict(sources)
        self.variants = dict(variants or {})

    def __getitem__(self, name: str) -> CompiledTemplate:
        return self._compiled[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._compiled)

    def __len__(self) -> int:
        return len(self._compiled)


def compile_templates(sources: Iterable[TemplateSource], locale: str = DEFAULT) -> Templates:
    """Compile all; raises :class:`BadTemplates` with every problem of every template, not only the first.

    ``locale`` is that of the templates that are for no locale.
    """
    problems: list[TemplateProblem] = []
    compiled: dict[tuple[str, str], CompiledTemplate] = {}
    held: dict[tuple[str, str], TemplateSource] = {}
    for source in sources:
        key = (source.name, source.locale)
        if key in held:
            detail = f"{held[key].file} has the same name"
            problems.append(TemplateProblem(source.name, source.file, 1, "name", detail))
            continue
        held[key] = source
        try:
            compiled[key] = compile_template(source)
        except BadTemplates as error:
            problems.extend(error.problems)
    whole = {name: source for (name, variant), source in held.items() if not variant}
    variants = {key: source for key, source in held.items() if key[1]}
    for (name, _), source in variants.items():
        if name not in whole:
            detail = f"there is no template {name!r}, which those get who have no variant of their own"
            problems.append(TemplateProblem(name, source.file, 1, "name", detail))
    said = {name: _fallback(source) for name, source in whole.items()}
    wanted = {name: fallback for name, fallback in said.items() if fallback not in ("", SKIP)}
    for name, detail in fallback_problems(wanted, {name: _way(source) for name, source in whole.items()}):
        line = whole[name].lines.get("fallback", 1)
        problems.append(TemplateProblem(name, whole[name].file, line, "fallback", detail))
    if problems:
        raise BadTemplates(dict.fromkeys(problems))
    linked: dict[str, CompiledTemplate] = {}
    for name in fallbacks_first(wanted, whole):
        of_locales = {variant: compiled[name, variant] for known, variant in variants if known == name}
        choices = Choices(locale, of_locales, linked.get(wanted.get(name, "")), said[name] == SKIP)
        linked[name] = replace(compiled[name, ""], choices=choices)
    return Templates({name: linked[name] for name in whole}, whole, variants)


def _fallback(source: TemplateSource) -> str:
    return str(source.fields.get("fallback", ""))


def _way(source: TemplateSource) -> tuple[Any, ...]:
    """How a message of a template leaves."""
    return (source.channel, source.fields.get("provider"), source.fields.get("connection"))


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


@dataclass(frozen=True, slots=True)
class Read:
    """A value that a template reads, where that is written."""

    variable: Variable
    file: str
    line: int
    field: str


def reads(source: TemplateSource) -> tuple[Read, ...]:
    """What a template that compiles reads, each name and line once; nothing of one that does not."""
    work = _Compilation(source)
    work.check_fields()
    if source.channel not in _TEXTS or work.problems:
        return ()
    _COMPILERS[source.channel](work)
    return tuple({(read.file, read.line, read.variable.name): read for read in work.reads}.values())


@lru_cache(maxsize=4096)
def _compiled(text: str, mode: Mode, language: str) -> CompiledPart:
    """The cache by content: an unchanged text is compiled once, however often a workspace is published."""
    return LANGUAGES[language].compile(text, mode)


class _Compilation:
    """The problems found in one template, and its texts compiled."""

    def __init__(self, source: TemplateSource) -> None:
        self.source = source
        self.problems: list[TemplateProblem] = []
        self.language = str(source.fields.get(LANGUAGE, JINJA))
        self.reads: list[Read] = []

    def refuse(self, name: str, detail: str, line: int = 1, path: str = "") -> None:
        """Note a problem on ``line`` of the field's text, or of that which ``path`` leads to inside of it."""
        file, at = self.source.place(name, line, path)
        self.problems.append(TemplateProblem(self.source.name, file, at, name, detail))

    def check_fields(self) -> None:
        """The fields are known, of their types, and none is left out."""
        source = self.source
        if not _NAME.fullmatch(source.name):
            self.refuse("name", f"a name has letters, digits and _, at most 64; not {source.name!r}")
        texts, options = _TEXTS[source.channel], (*_OPTIONS[source.channel], *_OF_ALL)
        if (wrong := unusable(self.language)) is not None:
            self.refuse(LANGUAGE, wrong)
        for name, value in source.fields.items():
            if name not in (*texts, *options):
                allowed = ", ".join((*texts, *options))
                self.refuse(name, f"unknown field of a template for {source.channel}; there are {allowed}")
            elif name in texts and not (isinstance(value, str) and value.strip()):
                self.refuse(name, "this is a text that is not blank; leave the field out where there is none")
        if not isinstance(source.fields.get("fallback", SKIP), str):
            self.refuse("fallback", f"this is the name of a template, or {SKIP}")
        for name in _REQUIRED[source.channel]:
            if name not in source.fields:
                self.refuse(name, f"a template for {source.channel} needs this field")

    def text(self, name: str, mode: Mode = "text") -> CompiledPart | None:
        """The field ``name`` compiled; None where it is left out or has a problem, which is then noted."""
        text = self.source.fields.get(name)
        return self.compile(name, text, mode) if text is not None else None

    def compile(
        self, name: str, text: str, mode: Mode, hint: str = "", *, path: str = "", written: bool = True
    ) -> CompiledPart | None:
        """``text`` compiled as the field ``name``; None with the problem noted.

        With a ``hint`` the text is a part of the field (that to which ``path`` leads), or made of it, and its
        lines are not those of the file. ``written``: what it reads is noted.
        """
        try:
            part = _compiled(text.strip() if mode == "text" else text, mode, self.language)
        except BadTemplate as error:
            self.refuse(name, error.detail + hint, 1 if hint else error.line, path)
            return None
        for variable in part.variables if written else ():
            place = self.source.place(name, 1 if hint else variable.line, path)
            self.reads.append(Read(variable, *place, name))
        return part


def _email(work: _Compilation) -> EmailTemplate | None:
    fields = work.source.fields
    transactional = fields.get("transactional", False)
    if not isinstance(transactional, bool):
        work.refuse("transactional", "this is true or false")
    if not isinstance(fields.get("inline_css", True), bool):
        work.refuse("inline_css", "this is true or false")
    tracking = fields.get("tracking")
    if tracking is not None and tracking not in get_args(LinkTracking):
        work.refuse("tracking", f"this is one of {', '.join(get_args(LinkTracking))}")
    if ("html" in fields) is ("mjml" in fields):
        work.refuse("html", "an e-mail has html, or mjml, and not both")
        return None
    written = "html" if "html" in fields else "mjml"
    bare = work.compile(written, str(fields[written]), "html")
    html_text = work.source.made.get(written, str(fields[written]) if written == "html" else "")
    if not html_text:
        work.refuse(written, "MJML is compiled where the workspace is read or published")
        return None
    subject = work.text("subject")
    preheader = work.text("preheader", "html")
    text = work.text("text")
    if "text" not in fields and bare is not None:
        text = _derived_text(work, written, html_text)
    if subject is None or bare is None or text is None or ("preheader" in fields and preheader is None):
        return None
    if not transactional and not any(found.name == "unsubscribe_url" for found in bare.variables):
        work.refuse(
            written, "link to {{ unsubscribe_url }}, or say `transactional: true` if no consent is needed"
        )
    whole = document(html_text, str(fields.get("preheader", "")).strip())
    hint = _IN_HTML if written in work.source.made else ""
    html = work.compile(written, whole, "html", hint, written=False)
    if html is None:
        return None
    name, version = work.source.name, work.source.version
    return EmailTemplate(name, version, subject, html, text, bool(transactional), tracking)


def _derived_text(work: _Compilation, written: str, html: str) -> CompiledPart | None:
    hint = "; the text part made from this html cannot be used: write a `text` field"
    try:
        text = text_source(LANGUAGES[work.language].lex(html))
    except TemplateSyntaxError as error:
        work.refuse(written, f"{error.message}{hint}")
        return None
    if not text:
        work.refuse(written, f"the html shows no text{hint}")
        return None
    return work.compile(written, text, "text", hint, written=False)


_IN_HTML: Final = "; so it is in the html that is made of it"


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
