"""Templates of in-app messages: what each form has, checked and compiled; the format is in docs/in-app.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from schemas.fields import FeedForm, FeedOnce, FeedPosition
from workers.core.templates.choices import PLAIN, Choices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Protocol

    from workers.core.templates.compile import TemplateSource
    from workers.core.templates.parts import CompiledPart, Mode

    class Work(Protocol):
        """A template's compilation: what it is made of, and where problems go."""

        source: TemplateSource
        problems: list[Any]

        def refuse(self, name: str, detail: str, line: int = 1) -> None:
            """Note a problem of a field."""

        def text(self, name: str, mode: Mode = "text") -> CompiledPart | None:
            """A field compiled."""

        def compile(self, name: str, text: str, mode: Mode, hint: str = "") -> CompiledPart | None:
            """A text compiled as a part of a field."""


TEXTS: Final = ("title", "body", "cta_label", "cta_url", "author", "image_url", "image_alt")
OPTIONS: Final = ("form", "expires_after", "priority", "once", "dismissible", "show", "steps", "position")

_OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "author": ("chat",),
    "image_url": ("post", "modal"),
    "image_alt": ("post", "modal"),
    "position": ("banner",),
    "steps": ("checklist", "tour"),
    "cta_label": ("banner", "post", "modal", "tooltip", "chat"),
    "cta_url": ("banner", "post", "modal", "tooltip", "chat"),
}
"""Fields that not every form has."""

_STEP_TEXTS: Final = ("title", "body", "done", "cta_label", "cta_url")
_STEP_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "checklist": ("title", "body", "event", "done", "cta_label", "cta_url"),
    "tour": ("title", "body", "selector", "cta_label", "cta_url"),
}
_STEPS: Final[Mapping[str, tuple[int, int]]] = {"checklist": (1, 10), "tour": (2, 5)}
"""Fewest and most. Tours of three steps are finished most often; of more than five hardly ever."""

_SHOW: Final = ("url", "event", "delay", "selector")
_DELAY: Final = re.compile(r"([0-9]{1,4})([sm])")
_DELAY_MS: Final = {"s": 1_000, "m": 60_000}
_URL_START: Final = re.compile(r"/|\*|https?://")
_PLAIN_CHARS: Final = 500
_DURATION: Final = re.compile(r"([1-9][0-9]{0,4})([mhdw])")
_UNIT_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
PRIORITY_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Show:
    """When the page shows an item: all that is not None must hold. ``url`` is a pattern with ``*``."""

    url: str | None = None
    event: str | None = None
    delay_ms: int | None = None
    selector: str | None = None


@dataclass(frozen=True, slots=True)
class InAppStep:
    """A step of a checklist or a tour, compiled. ``done`` renders to a word for yes or no."""

    title: CompiledPart
    body: CompiledPart | None
    cta_label: CompiledPart | None
    cta_url: CompiledPart | None
    done: CompiledPart | None
    selector: str | None
    event: str | None


@dataclass(frozen=True, slots=True)
class InAppTemplate:
    """An item of the in-app feed, compiled. ``body`` is None where the form has only steps."""

    name: str
    version: str
    form: FeedForm
    title: CompiledPart
    body: CompiledPart | None
    cta_label: CompiledPart | None
    cta_url: CompiledPart | None
    expires_after_ms: int | None
    author: CompiledPart | None = None
    image_url: CompiledPart | None = None
    image_alt: CompiledPart | None = None
    steps: tuple[InAppStep, ...] = ()
    priority: int = 0
    once: FeedOnce | None = None
    dismissible: bool = True
    show: Show | None = None
    position: FeedPosition | None = None
    choices: Choices = PLAIN

    def parts(self) -> Iterator[CompiledPart | None]:
        """Every text of it."""
        yield from (self.title, self.body, self.cta_label, self.cta_url)
        yield from (self.author, self.image_url, self.image_alt)
        for step in self.steps:
            yield from (step.title, step.body, step.cta_label, step.cta_url, step.done)


def compile_in_app(work: Work) -> InAppTemplate | None:
    """The template, or None with every problem noted."""
    fields = work.source.fields
    form = fields["form"]
    if form not in get_args(FeedForm):
        work.refuse("form", f"there are {', '.join(get_args(FeedForm))}; not {form!r}")
        return None
    _check_form(work, form)
    compiled = {name: work.text(name) for name in TEXTS}
    title = compiled["title"]
    made = InAppTemplate(
        name=work.source.name,
        version=work.source.version,
        form=form,
        title=cast("CompiledPart", title),
        body=compiled["body"],
        cta_label=compiled["cta_label"],
        cta_url=compiled["cta_url"],
        expires_after_ms=_expires_ms(work),
        author=compiled["author"],
        image_url=compiled["image_url"],
        image_alt=compiled["image_alt"],
        steps=_steps(work, form),
        priority=_priority(work),
        once=_one_of(work, "once", get_args(FeedOnce)),
        dismissible=_flag(work, "dismissible"),
        show=_show(work),
        position=_one_of(work, "position", get_args(FeedPosition)),
    )
    return None if work.problems or title is None else made


def _check_form(work: Work, form: str) -> None:
    """The fields fit the form and each other."""
    fields = work.source.fields
    for name, forms in _OWN.items():
        if name in fields and form not in forms:
            work.refuse(name, f"a {form} has none; it is for {', '.join(forms)}")
    if form not in _STEPS and "body" not in fields:
        work.refuse("body", f"a {form} needs this field")
    _check_pair(work, "cta_label" if "cta_label" in fields else "cta_url", fields)
    if form in _STEPS and "steps" not in fields:
        work.refuse("steps", f"a {form} needs its steps: a list, each with a title")
    show = fields.get("show")
    if form == "tooltip" and not (isinstance(show, dict) and "selector" in show):
        work.refuse("show", "a tooltip points at an element: `show: {selector: '#save'}`")
    if fields.get("dismissible") is False and form in ("modal", "post", "chat") and "cta_label" not in fields:
        work.refuse("dismissible", "what cannot be closed needs a cta_label and a cta_url: a way out")
    if fields.get("dismissible") is False and form == "tour":
        work.refuse("dismissible", "a tour can always be left")
    if "image_url" in fields and "image_alt" not in fields:
        work.refuse("image_alt", "say what the picture shows, for who cannot see it")


def _check_pair(work: Work, name: str, fields: Mapping[str, Any]) -> None:
    if ("cta_label" in fields) is not ("cta_url" in fields):
        work.refuse(name, "a label and a URL come together")


def _steps(work: Work, form: str) -> tuple[InAppStep, ...]:
    given = work.source.fields.get("steps")
    if given is None or form not in _STEPS:
        return ()
    least, most = _STEPS[form]
    if not isinstance(given, list) or not least <= len(given) <= most:
        work.refuse("steps", f"a {form} has {least} to {most} steps, as a list")
        return ()
    return tuple(made for step in given if (made := _step(work, form, step)) is not None)


def _step(work: Work, form: str, step: Any) -> InAppStep | None:
    allowed = _STEP_FIELDS[form]
    if not isinstance(step, dict) or not set(step) <= set(allowed):
        work.refuse("steps", f"a step of a {form} is a mapping with {', '.join(allowed)}")
        return None
    for name in ("title", *step):
        value = step.get(name)
        if name == "done" and isinstance(value, bool):
            continue
        if not isinstance(value, str) or not value.strip():
            work.refuse("steps", f"{name} of a step is a text that is not blank")
            return None
    _check_pair(work, "steps", step)
    texts = {name: work.compile("steps", str(step[name]), "text") for name in _STEP_TEXTS if name in step}
    title = texts.get("title")
    if title is None:
        return None
    return InAppStep(
        title,
        texts.get("body"),
        texts.get("cta_label"),
        texts.get("cta_url"),
        texts.get("done"),
        _plain(work, "steps", "selector", step.get("selector")),
        _plain(work, "steps", "event", step.get("event")),
    )


def _show(work: Work) -> Show | None:
    given = work.source.fields.get("show")
    if given is None:
        return None
    if not isinstance(given, dict) or not given or not set(given) <= set(_SHOW):
        work.refuse("show", f"this is a mapping with {', '.join(_SHOW)}, such as {{url: /projects/*}}")
        return None
    url = _plain(work, "show", "url", given.get("url"))
    if url is not None and not _URL_START.match(url):
        work.refuse("show", f"url is a pattern such as /projects/* or https://app.example.com/*; not {url!r}")
    return Show(
        url,
        _plain(work, "show", "event", given.get("event")),
        _delay_ms(work, given.get("delay")),
        _plain(work, "show", "selector", given.get("selector")),
    )


def _delay_ms(work: Work, given: Any) -> int | None:
    if given is None:
        return None
    found = _DELAY.fullmatch(str(given))
    if found is None:
        work.refuse("show", f"delay is a whole number with s or m, such as 5s; not {given!r}")
        return None
    return int(found[1]) * _DELAY_MS[found[2]]


def _plain(work: Work, field: str, name: str, given: Any) -> str | None:
    """A text that the page takes as it is: no expressions in it."""
    if given is None:
        return None
    if not isinstance(given, str) or not given.strip() or len(given) > _PLAIN_CHARS:
        work.refuse(field, f"{name} is a text of 1 to {_PLAIN_CHARS} characters; not {given!r}")
        return None
    if "{{" in given or "{%" in given:
        work.refuse(field, f"{name} is the same for everybody: no expressions in it")
        return None
    return given.strip()


def _one_of(work: Work, name: str, values: tuple[str, ...]) -> Any:
    given = work.source.fields.get(name)
    if given is not None and given not in values:
        work.refuse(name, f"this is {' or '.join(values)}; not {given!r}")
    return given


def _flag(work: Work, name: str) -> bool:
    given = work.source.fields.get(name, True)
    if not isinstance(given, bool):
        work.refuse(name, "this is true or false")
    return bool(given)


def _priority(work: Work) -> int:
    given = work.source.fields.get("priority", 0)
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= PRIORITY_MOST:
        work.refuse(
            "priority", f"this is a whole number from 0 to {PRIORITY_MOST}; the highest is shown first"
        )
        return 0
    return given


def _expires_ms(work: Work) -> int | None:
    given = work.source.fields.get("expires_after")
    if given is None:
        return None
    found = _DURATION.fullmatch(str(given))
    if found is None:
        work.refuse("expires_after", "a duration is a whole number with m, h, d or w, such as 14d")
        return None
    return int(found[1]) * _UNIT_MS[found[2]]
