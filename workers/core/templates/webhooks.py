"""Templates of webhooks: a document whose texts are templates, for one connection to one provider. Pure.

Every text at a leaf is rendered by itself, so what comes out is valid JSON, whatever the values hold. A leaf
that is one expression keeps the type of its value; where that is none (``default(none)``), its place in the
mapping or list is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, get_args

import msgspec

from workers.core.templates.choices import PLAIN, Choices
from workers.core.templates.owners import Owner, read_owners
from workers.core.templates.parts import CompiledPart
from workers.core.templates.values import Unrenderable
from workers.core.templates.webhook_shapes import SHAPES, Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from workers.core.templates.parts import Mode, Variable

CONNECTION: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
RESERVED: Final = frozenset({"email", "sms", "push", "in_app", "webhook"})
"""Channels with one way out, whose connections have the channel's name."""

MAX_LEAVES: Final = 1_000
MAX_DEPTH: Final = 20
MAX_TEXT_CHARS: Final = 20_000
MAX_DOCUMENT_BYTES: Final = 256_000
"""Receivers of webhooks take some hundred kilobytes; Slack, HubSpot and Salesforce less by field."""

_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_OWN_HEADERS = frozenset(
    {
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
        "authorization",
        "user-agent",
    }
)
"""Headers that are ours to say, or secrets, which do not belong into a workspace."""

_LEFT_OUT: Final = object()

Node: TypeAlias = "CompiledPart | dict[str, Node] | list[Node] | str | int | float | bool | None"


class Work(Protocol):
    """What compiling needs of its surroundings: see ``templates._Compilation``."""

    def refuse(self, name: str, detail: str, line: int = 1) -> None:
        """Note a problem."""
        ...

    def compile(
        self, name: str, text: str, mode: Mode, hint: str = "", *, path: str = ""
    ) -> CompiledPart | None:
        """A compiled text; None with the problem noted."""
        ...


@dataclass(frozen=True, slots=True)
class WebhookTemplate:
    """A webhook, compiled. ``connection`` is a name of the settings, ``owners_name`` that of the list."""

    name: str
    version: str
    provider: Provider
    connection: str
    body: Node
    headers: Mapping[str, CompiledPart]
    owners: tuple[Owner, ...]
    owners_name: str
    choices: Choices = PLAIN


@dataclass(frozen=True, slots=True)
class RenderedWebhook:
    """A webhook ready to be called: ``document`` has the shape of its provider and is plain JSON."""

    provider: Provider
    connection: str
    document: Any
    headers: Mapping[str, str]
    template: str
    version: str
    locale: str = ""


def compile_webhook(work: Work, name: str, version: str, fields: Mapping[str, Any]) -> WebhookTemplate | None:
    """The template of these fields; None with its problems noted."""
    provider, connection, body = fields["provider"], fields["connection"], fields["body"]
    if provider not in get_args(Provider):
        work.refuse("provider", f"there are {', '.join(get_args(Provider))}; not {provider!r}")
        return None
    if not (isinstance(connection, str) and CONNECTION.fullmatch(connection)) or connection in RESERVED:
        work.refuse("connection", "this names a connection of the settings, such as sales_slack")
        return None
    owners = _owners(work, fields.get("owners"))
    headers = _headers(work, provider, fields.get("headers", {}))
    compiler = _Compiler(work, "slack" if provider == "slack" else "json")
    compiled = compiler.node(body, "body", 0)
    try:
        msgspec.convert(body, SHAPES[provider])
    except msgspec.ValidationError as error:
        work.refuse("body", str(error).replace("`$", "`body"))
        return None
    if owners is None or headers is None or compiler.failed:
        return None
    listed = fields.get("owners_name")
    return WebhookTemplate(
        name, version, provider, connection, compiled, headers, owners, str(listed) if listed else name
    )


def _owners(work: Work, values: object) -> tuple[Owner, ...] | None:
    if values is None:
        return ()
    try:
        return read_owners(values)
    except ValueError as error:
        work.refuse("owners", str(error))
        return None


def _headers(work: Work, provider: str, values: object) -> dict[str, CompiledPart] | None:
    if not isinstance(values, dict) or (values and provider != "standard"):
        work.refuse("headers", "these are a mapping, and for the provider standard only")
        return None
    headers = {}
    for name, text in values.items():
        own = str(name).lower() in _OWN_HEADERS or str(name).lower().startswith("webhook-")
        if not isinstance(text, str) or not _HEADER.fullmatch(str(name)) or own:
            work.refuse("headers", f"{name!r} cannot be set here; secrets belong into the connection")
            return None
        part = work.compile("headers", text, "text")
        if part is None:
            return None
        headers[str(name)] = part
    return headers


class _Compiler:
    """Compiles the leaves of one document."""

    def __init__(self, work: Work, mode: Mode) -> None:
        self.work = work
        self.mode = mode
        self.leaves = 0
        self.failed = False

    def node(self, value: Any, path: str, depth: int) -> Node:
        self.leaves += 1
        if self.leaves > MAX_LEAVES or depth > MAX_DEPTH:
            self.fail(f"{path}: the document has more than {MAX_LEAVES} values or {MAX_DEPTH} levels")
            return None
        if isinstance(value, dict):
            return {str(key): self.node(one, f"{path}.{key}", depth + 1) for key, one in value.items()}
        if isinstance(value, list):
            return [self.node(one, f"{path}[{at}]", depth + 1) for at, one in enumerate(value)]
        if isinstance(value, str):
            part = (
                self.work.compile("body", value.strip(), self.mode, f" (in {path})", path=path)
                if value.strip()
                else value
            )
            self.failed = self.failed or part is None
            return part
        if value is None or isinstance(value, (bool, int, float)):
            return value
        self.fail(f"{path}: quote this {type(value).__name__}; a document has texts, numbers and booleans")
        return None

    def fail(self, detail: str) -> None:
        if not self.failed:
            self.work.refuse("body", detail)
        self.failed = True


def webhook_variables(template: WebhookTemplate) -> Iterator[Variable]:
    """What a template reads."""
    for part in (*_parts(template.body), *template.headers.values()):
        yield from part.variables


def _parts(node: Node) -> Iterator[CompiledPart]:
    if isinstance(node, CompiledPart):
        yield node
    elif isinstance(node, (dict, list)):
        for one in node.values() if isinstance(node, dict) else node:
            yield from _parts(one)


def render_document(
    template: WebhookTemplate, run: Callable[[CompiledPart, int], str]
) -> tuple[Any, dict[str, str]]:
    """The document and headers; ``run`` renders one text of at most so many characters.

    Raises:
        Unrenderable: a value is missing or of the wrong kind, or the document does not have its shape.
    """
    document = _rendered(template.body, run)
    try:
        msgspec.convert(document, SHAPES[template.provider])
    except msgspec.ValidationError as error:
        detail = f"the rendered document is wrong: {str(error).replace('`$', '`body')}"
        raise Unrenderable("wrong_type", None, detail) from error
    if len(msgspec.json.encode(document)) > MAX_DOCUMENT_BYTES:
        raise Unrenderable("too_long", None, f"the document is larger than {MAX_DOCUMENT_BYTES} bytes")
    headers = {name: run(part, 1_000).strip() for name, part in template.headers.items()}
    if any(not value.isprintable() or not value.isascii() for value in headers.values()):
        raise Unrenderable("control_character", None, "a header has a line break or is not ASCII")
    return document, headers


def _rendered(node: Node, run: Callable[[CompiledPart, int], str]) -> Any:
    if isinstance(node, CompiledPart):
        text = run(node, MAX_TEXT_CHARS * (8 if node.typed else 1))
        if not node.typed:
            return text
        value = msgspec.json.decode(text)
        return _LEFT_OUT if value is None else value
    if isinstance(node, dict):
        pairs = ((key, _rendered(one, run)) for key, one in node.items())
        return {key: one for key, one in pairs if one is not _LEFT_OUT}
    if isinstance(node, list):
        return [one for one in (_rendered(item, run) for item in node) if one is not _LEFT_OUT]
    return node
