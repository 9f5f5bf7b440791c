"""The languages that templates are written in: ours, and Liquid where its library is installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workers.core.templates import language, liquid_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from workers.core.templates.parts import CompiledPart, Mode

LANGUAGE: Final = "language"
"""The field of a template that names its language."""

JINJA: Final = "jinja"
LIQUID: Final = "liquid"
NOT_INSTALLED: Final = "Liquid needs an extra that is not installed here: pip install 'brimful[liquid]'"


@dataclass(frozen=True, slots=True)
class Language:
    """How a text is compiled, and taken apart into code and text (line, kind, value)."""

    compile: Callable[[str, Mode], CompiledPart]
    lex: Callable[[str], Iterator[tuple[int, str, str]]]


def _liquid(text: str, mode: Mode) -> CompiledPart:
    from workers.core.templates.liquid_language import compile_liquid  # noqa: PLC0415 - its library is an extra

    return compile_liquid(text, mode)


def unusable(name: str) -> str | None:
    """Why templates cannot be in the language ``name`` here; None where they can."""
    if name not in LANGUAGES:
        return f"there are {', '.join(LANGUAGES)}; not {name!r}"
    if name == LIQUID:
        try:
            import liquid  # noqa: F401, PLC0415 - an extra
        except ImportError:
            return NOT_INSTALLED
    return None


LANGUAGES: Final[Mapping[str, Language]] = {
    JINJA: Language(language.compile_part, language.lex),
    LIQUID: Language(_liquid, liquid_source.pieces),
}
