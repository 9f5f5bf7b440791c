"""Partials and variants by locale: what a template's file leaves to other files."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from workers.core.templates.compile import BadTemplates, TemplateProblem, TemplateSource
from workers.core.templates.languages import LANGUAGE, LIQUID
from workers.core.templates.locales import canonical, chain
from workers.core.templates.partials import KINDS, BadInclude, Partial, Partials, expand
from workers.core.templates.parts import BadTemplate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from workers.core.templates.partials import Place

PARTIALS: Final = "partials"
"""The folder of partials, inside of that of the templates."""

MAX_PARTIAL_BYTES: Final = 200_000
MAX_PARTIALS: Final = 1_000

_FIELD: Final = re.compile(r"[.\[]")
"""Where the path to what is inside of a field goes on."""

_KINDS_OF: Final[Mapping[str, tuple[str, ...]]] = {"html": ("html",), "mjml": ("mjml", "html")}
"""Kinds of partials that a field takes; every other takes texts."""

_OF_THE_WHOLE: Final = (
    *("channel", "language", "provider", "connection", "form", "fallback", "transactional", "tracking"),
)
"""What a variant cannot say otherwise: how a message leaves, and what it is."""


def read_partials(folder: Path) -> tuple[Partials, list[TemplateProblem]]:
    """The partials of ``folder``, each a file ``NAME.KIND`` or ``NAME.LOCALE.KIND``."""
    held: dict[tuple[str, str, str], Partial] = {}
    problems: list[TemplateProblem] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith("."):
            continue
        file = f"{folder.parent.name}/{folder.name}/{path.name}"
        name, locale, kind = _parts_of(path.name)
        try:
            detail = _refused(path, name, locale, kind)
            if detail is None:
                held[name, kind, canonical(locale) or ""] = Partial(file, path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            detail = str(getattr(error, "strerror", None) or error)
        if detail is not None or len(held) > MAX_PARTIALS:
            detail = detail or f"there are more than {MAX_PARTIALS} partials"
            problems.append(TemplateProblem(name, file, 1, "file", detail))
    return Partials(held), problems


def _refused(path: Path, name: str, locale: str, kind: str) -> str | None:
    if kind not in KINDS or (locale and canonical(locale) is None) or not name.isidentifier():
        return f"a partial is called NAME.KIND or NAME.de.KIND; kinds are {', '.join(KINDS)}"
    if path.stat().st_size > MAX_PARTIAL_BYTES:
        return f"the partial is larger than {MAX_PARTIAL_BYTES} bytes"
    return None


def _parts_of(file_name: str) -> tuple[str, str, str]:
    name, _, rest = file_name.partition(".")
    locale, _, kind = rest.rpartition(".")
    return name, locale, kind


def of_locale(variant: TemplateSource, whole: TemplateSource) -> TemplateSource:
    """A variant with all that its file leaves out as the template without a locale has it.

    Raises:
        BadTemplates: it says what only the whole template can say.
    """
    said = {**variant.fields, "channel": variant.channel}
    held = {**whole.fields, "channel": whole.channel}
    wrong = [name for name in _OF_THE_WHOLE if name in variant.lines and said.get(name) != held.get(name)]
    if wrong:
        detail = f"a variant has the texts of another language; {wrong[0]} is said in {whole.file} alone"
        problem = TemplateProblem(
            variant.name, variant.file, variant.lines.get(wrong[0], 1), wrong[0], detail
        )
        raise BadTemplates([problem])
    own = set(variant.fields)
    # Of two ways to write the same part, the variant's own takes the place of the other.
    replaced = {"html", "mjml", "text"} if own & {"html", "mjml"} else set()
    inherited = {name: value for name, value in whole.fields.items() if name not in own | replaced}
    return replace(
        variant,
        channel=whole.channel,
        fields={**inherited, **variant.fields},
        lines={**_lines_of(inherited, whole), **variant.lines},
        files={**{name: whole.files.get(name, whole.file) for name in inherited}, **variant.files},
        inherited=frozenset(inherited),
    )


def _lines_of(inherited: Mapping[str, Any], whole: TemplateSource) -> dict[str, int]:
    """The lines of these fields and of what is inside of them."""
    inside = {path: line for path, line in whole.lines.items() if _FIELD.split(path)[0] in inherited}
    return {**{name: whole.lines.get(name, 1) for name in inherited}, **inside}


def with_partials(source: TemplateSource, partials: Partials) -> TemplateSource:
    """A template with its partials in their places: those for its locale, where there are such.

    Raises:
        BadTemplates: an include that cannot be followed, with the line on which it stands.
    """
    work = _Including(source, partials)
    fields = {name: work.value(name, value, top=True) for name, value in source.fields.items()}
    if work.problems:
        raise BadTemplates(work.problems)
    return replace(source, fields=fields, places=work.places)


class _Including:
    def __init__(self, source: TemplateSource, partials: Partials) -> None:
        self.source = source
        self.partials = partials
        self.locales = chain(source.locale)
        self.liquid = source.fields.get(LANGUAGE) == LIQUID
        self.places: dict[str, Mapping[int, Place]] = {}
        self.problems: list[TemplateProblem] = []

    def value(self, name: str, value: Any, *, top: bool = False) -> Any:
        """A field's value, or one inside of it, with the partials of every text."""
        if isinstance(value, dict):
            return {key: self.value(name, one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.value(name, one) for one in value]
        if not isinstance(value, str):
            return value
        try:
            kinds = _KINDS_OF.get(name, ("txt",))
            expanded = expand(value, self.partials, kinds, self.locales, liquid=self.liquid)
        except BadTemplate as error:
            file, line = self.source.place(name, error.line if top else 1)
            if isinstance(error, BadInclude) and error.file:
                file, line = error.file, error.line
            self.problems.append(TemplateProblem(self.source.name, file, line, name, error.detail))
            return value
        if top and expanded.places:
            self.places[name] = expanded.places
        return expanded.text
