"""The languages that templates are written in: ours, and Liquid where its library is installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workers.core.templates import language, liquid_source
from workers.core.templates.parts import BadTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from workers.core.templates.parts import CompiledPart, Mode

LANGUAGE: Final = "language"
"""The field of a template that names its language."""

JINJA: Final = "jinja"
NOT_INSTALLED: Final = "Liquid needs an extra that is not installed here: pip install 'brimful[liquid]'"


@dataclass(frozen=True, slots=True)
class Language:
    """How a text is compiled, and taken apart into code and text (line, kind, value)."""

    compile: Callable[[str, Mode], CompiledPart]
    lex: Callable[[str], Iterator[tuple[int, str, str]]]


def _liquid(text: str, mode: Mode) -> CompiledPart:
    try:
        from workers.core.templates.liquid_language import compile_liquid  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadTemplate(1, NOT_INSTALLED) from error
    return compile_liquid(text, mode)


LANGUAGES: Final[Mapping[str, Language]] = {
    JINJA: Language(language.compile_part, language.lex),
    "liquid": Language(_liquid, liquid_source.pieces),
}
