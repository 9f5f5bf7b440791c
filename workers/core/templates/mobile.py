"""Templates of text messages and of push notifications: compiled from their fields, and rendered. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, get_args

from workers.core.templates.choices import PLAIN, Choices
from workers.core.templates.html import tidy
from workers.core.templates.text_messages import TextSize, size_of
from workers.core.templates.values import Unrenderable, has_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from workers.core.templates.parts import CompiledPart, Mode, Variable

MAX_SMS_CHARS: Final = 1_600
"""Longest body that Twilio takes (error 21617)."""

MAX_TITLE_CHARS: Final = 200
MAX_BODY_CHARS: Final = 2_000
MAX_URL_CHARS: Final = 2_000
MAX_COLLAPSE_CHARS: Final = 32
"""As long as the topic of a Web Push message may be (RFC 8030, 5.4)."""

MAX_DATA: Final = 20
MAX_DATA_CHARS: Final = 500
TTL_MAX_MS: Final = 28 * 86_400_000
"""What FCM keeps a message for a device that is away: four weeks, which is also its default."""

Priority: TypeAlias = Literal["normal", "high"]

_SPACES: Final = str.maketrans({"\u00a0": " ", "\u202f": " "})
_DATA_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_RESERVED_KEYS: Final = ("from", "message_type", "google", "gcm", "brimful")
"""FCM refuses the first four, the last two also as beginnings; the fifth holds our ids."""

_COLLAPSE = re.compile(r"[A-Za-z0-9_-]{1,32}")
_DURATION = re.compile(r"(0|[1-9][0-9]{0,5})([smhdw])")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}


class Work(Protocol):
    """What compiling needs of its surroundings: see ``templates._Compilation``."""

    def refuse(self, name: str, detail: str, line: int = 1) -> None:
        """Note a problem."""
        ...

    def text(self, name: str, mode: Mode = "text") -> CompiledPart | None:
        """The field compiled; None where it is left out or has a problem, which is then noted."""
        ...

    def compile(self, name: str, text: str, mode: Mode, hint: str = "") -> CompiledPart | None:
        """A compiled text; None with the problem noted."""
        ...


Run: TypeAlias = "Callable[[CompiledPart, int], str]"
"""Renders one text of at most so many characters."""


@dataclass(frozen=True, slots=True)
class SmsTemplate:
    """A text message, compiled."""

    name: str
    version: str
    text: CompiledPart
    choices: Choices = PLAIN


@dataclass(frozen=True, slots=True)
class RenderedSms:
    """A text message ready to be sent; ``size`` is what it takes on the air."""

    text: str
    size: TextSize
    template: str
    version: str
    locale: str = ""


@dataclass(frozen=True, slots=True)
class PushTemplate:
    """A push notification, compiled. ``ttl_ms`` None: as long as the push service keeps it."""

    name: str
    version: str
    title: CompiledPart
    body: CompiledPart
    url: CompiledPart | None
    image: CompiledPart | None
    collapse_key: CompiledPart | None
    data: Mapping[str, CompiledPart]
    ttl_ms: int | None
    priority: Priority
    choices: Choices = PLAIN


@dataclass(frozen=True, slots=True)
class RenderedPush:
    """A push notification ready to be sent. ``url`` is https, of an app's own scheme, or a path."""

    title: str
    body: str
    url: str | None
    image: str | None
    collapse_key: str | None
    data: Mapping[str, str]
    ttl_ms: int | None
    priority: Priority
    template: str
    version: str
    locale: str = ""


def compile_sms(work: Work, name: str, version: str) -> SmsTemplate | None:
    """The text message of these fields; None with its problems noted."""
    text = work.text("text")
    return None if text is None else SmsTemplate(name, version, text)


def compile_push(work: Work, name: str, version: str, fields: Mapping[str, Any]) -> PushTemplate | None:
    """The push notification of these fields; None with its problems noted."""
    priority = fields.get("priority", "normal")
    if priority not in get_args(Priority):
        work.refuse("priority", f"there are {', '.join(get_args(Priority))}; not {priority!r}")
        return None
    ttl_ms = _ttl_ms(work, fields["ttl"]) if "ttl" in fields else None
    data = _data(work, fields.get("data", {}))
    named = {name: work.text(name) for name in ("title", "body", "url", "image", "collapse_key")}
    failed = any(named[name] is None and name in fields for name in named)
    title, body = named["title"], named["body"]
    if title is None or body is None or data is None or failed or ("ttl" in fields and ttl_ms is None):
        return None
    return PushTemplate(
        name=name,
        version=version,
        title=title,
        body=body,
        url=named["url"],
        image=named["image"],
        collapse_key=named["collapse_key"],
        data=data,
        ttl_ms=ttl_ms,
        priority=priority,
    )


def mobile_variables(template: SmsTemplate | PushTemplate) -> Iterator[Variable]:
    """What a template reads."""
    if isinstance(template, SmsTemplate):
        yield from template.text.variables
        return
    parts = (template.title, template.body, template.url, template.image, template.collapse_key)
    for part in (*parts, *template.data.values()):
        if part is not None:
            yield from part.variables


def render_sms(template: SmsTemplate, run: Run) -> RenderedSms:
    """The text message; raises :class:`Unrenderable` where it is empty or too long."""
    # Prices and times of many locales have spaces that the GSM alphabet has not.
    text = tidy(run(template.text, MAX_SMS_CHARS * 2).translate(_SPACES)).strip()
    if not text:
        raise Unrenderable("missing_variable", None, "the text is empty")
    if len(text) > MAX_SMS_CHARS:
        raise Unrenderable("too_long", None, f"the text is longer than {MAX_SMS_CHARS} characters")
    return RenderedSms(text, size_of(text), template.name, template.version)


def render_push(template: PushTemplate, run: Run) -> RenderedPush:
    """The notification; raises :class:`Unrenderable` where a part is missing, too long or no address."""
    collapse_key = _optional(template.collapse_key, run, MAX_COLLAPSE_CHARS)
    if collapse_key is not None and not _COLLAPSE.fullmatch(collapse_key):
        raise Unrenderable("wrong_type", None, "collapse_key has letters, digits, - and _, at most 32")
    return RenderedPush(
        title=_line("title", run(template.title, MAX_TITLE_CHARS * 2), MAX_TITLE_CHARS),
        body=_some("body", tidy(run(template.body, MAX_BODY_CHARS)).strip()),
        url=_address("url", _optional(template.url, run, MAX_URL_CHARS), ("https:", "/")),
        image=_address("image", _optional(template.image, run, MAX_URL_CHARS), ("https:",)),
        collapse_key=collapse_key,
        data={key: run(part, MAX_DATA_CHARS).strip() for key, part in template.data.items()},
        ttl_ms=template.ttl_ms,
        priority=template.priority,
        template=template.name,
        version=template.version,
    )


def _data(work: Work, values: object) -> dict[str, CompiledPart] | None:
    if not isinstance(values, dict) or len(values) > MAX_DATA:
        work.refuse("data", f"this is a mapping of at most {MAX_DATA} texts")
        return None
    parts: dict[str, CompiledPart] = {}
    for key, value in values.items():
        named = isinstance(key, str) and _DATA_KEY.fullmatch(key)
        if not named or str(key).lower().startswith(_RESERVED_KEYS):
            work.refuse("data", f"{key!r} is no name for data: letters, digits, _; none of FCM's own")
            return None
        plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
        part = work.compile("data", str(value), "text", f" (in data.{key})") if plain else None
        if part is None:
            if not plain:
                work.refuse("data", f"data.{key} is a text; not {type(value).__name__}")
            return None
        parts[key] = part
    return parts


def _ttl_ms(work: Work, value: object) -> int | None:
    found = _DURATION.fullmatch(str(value))
    ttl_ms = int(found[1]) * _UNIT_MS[found[2]] if found is not None else TTL_MAX_MS + 1
    if ttl_ms > TTL_MAX_MS:
        work.refuse("ttl", "a time to live is a whole number with s, m, h, d or w, at most 4w, such as 12h")
        return None
    return ttl_ms


def _optional(part: CompiledPart | None, run: Run, max_chars: int) -> str | None:
    """A text that may come out empty, which leaves it out."""
    text = run(part, max_chars * 2).strip() if part is not None else ""
    if len(text) > max_chars:
        raise Unrenderable("too_long", None, f"a part is longer than {max_chars} characters")
    return text or None


def _some(part: str, text: str) -> str:
    if not text:
        raise Unrenderable("missing_variable", None, f"the {part} is empty")
    return text


def _line(part: str, text: str, max_chars: int) -> str:
    line = _some(part, text.strip(" \r\n\t"))
    if has_control(line):
        raise Unrenderable("control_character", None, f"the {part} has a line break or control character")
    if len(line) > max_chars:
        raise Unrenderable("too_long", None, f"the {part} is longer than {max_chars} characters")
    return line


_APP_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,30}:", re.IGNORECASE)
_NOT_AN_APP: Final = ("http:", "javascript:", "data:", "vbscript:", "file:", "blob:")


def _address(name: str, url: str | None, allowed: tuple[str, ...]) -> str | None:
    """An address of an allowed beginning; ``url`` may also open an app by a scheme of its own."""
    if url is None:
        return None
    bad = has_control(url) or " " in url or url.startswith(("//", "/\\"))
    lower = url.lower()
    opens_app = name == "url" and _APP_SCHEME.match(url) and not lower.startswith(_NOT_AN_APP)
    if bad or not (lower.startswith(allowed) or opens_app):
        detail = "an https URL, a path, or a link of the app" if name == "url" else "an https URL"
        raise Unrenderable("bad_url", None, f"{name} is not {detail}")
    return url
