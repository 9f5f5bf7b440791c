"""What compiling a text gives, whatever language it is written in, and what is refused with its line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from workers.core.templates.values import Unrenderable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Template

Mode: TypeAlias = Literal["text", "html", "json", "slack"]
"""``json``: a leaf of a document, where a lone expression keeps its type. ``slack``: the same, and values are
escaped as Slack asks."""

ROOTS: Final = (
    *("user", "account", "event", "awaited", "related", "evidence", "message", "owner", "llm"),
    *("unsubscribe_url", "preferences_url"),
)
"""The names that a template can read."""

MAX_SOURCE_CHARS: Final = 200_000
MAX_NODES: Final = 5_000
MAX_DEPTH: Final = 60
MAX_LOOP_DEPTH: Final = 4
MAX_BLOCK_DEPTH: Final = 4
"""Sizes of one text: far above what is written by hand, low enough to compile in under a second."""


class BadTemplate(ValueError):
    """A part of a template that cannot be used. ``line`` counts from 1 within the part."""

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(f"line {line}: {detail}")
        self.line = line
        self.detail = detail

    def __reduce__(self) -> tuple[type[BadTemplate], tuple[int, str]]:
        return (BadTemplate, (self.line, self.detail))


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that a template reads: its dotted name and whether a default covers it at this place."""

    name: str
    line: int
    has_default: bool


class Program(Protocol):
    """A compiled text of another language than ours."""

    def run(self, data: Mapping[str, Any], max_chars: int) -> str:
        """The text, of at most ``max_chars``; raises ``Unrenderable``. ``data["_budget"]`` pays for it."""
        ...


@dataclass(frozen=True, slots=True)
class PlainText:
    """The :class:`Program` of a text in which nothing is to be filled in."""

    text: str

    def run(self, data: Mapping[str, Any], max_chars: int) -> str:
        """The text itself."""
        del data
        if len(self.text) > max_chars:
            raise Unrenderable("too_long", None, f"a part is longer than {max_chars} characters")
        return self.text


@dataclass(frozen=True, slots=True)
class CompiledPart:
    """One compiled text of a template and what it reads. ``typed``: it gives JSON, not a text."""

    template: Template | Program
    variables: tuple[Variable, ...]
    typed: bool = False
