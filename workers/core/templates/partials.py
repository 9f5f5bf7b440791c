"""Partials: texts that templates include by name, put in their place before anything is compiled.

``{% include 'footer' %}`` becomes the partial's text between ``{% with %}`` and ``{% endwith %}``, so that
what a partial sets stays in it. What is compiled, metered and hashed is then one text: a partial costs what
it would cost if it were written out, and a changed partial is a changed template.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from jinja2 import TemplateSyntaxError

from workers.core.templates import liquid_source
from workers.core.templates.language import lex
from workers.core.templates.parts import MAX_SOURCE_CHARS, BadTemplate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MAX_INCLUDE_DEPTH: Final = 5
"""Partials inside of partials: more is a circle, or nothing that a person still follows."""

MAX_INCLUDES: Final = 200
"""Partials in one text, those in partials counted each time."""

KINDS: Final = ("html", "mjml", "txt")
"""Ends of the names of partials' files: for html, for MJML, and for all other texts."""

_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_MENTION: Final = re.compile(r"\{%[-+]?\s*include\b")

Token: TypeAlias = tuple[int, str, str]
Place: TypeAlias = tuple[str, int]
"""A file and a line in it."""


@dataclass(frozen=True, slots=True)
class Partial:
    """A partial as written; ``file`` is for messages and stays what it is called by."""

    file: str
    text: str


@dataclass(frozen=True, slots=True)
class Partials:
    """The partials of a workspace, by name, kind and locale (``""`` where the file names none)."""

    held: Mapping[tuple[str, str, str], Partial] = field(default_factory=dict)

    def find(self, name: str, kinds: Sequence[str], locales: Sequence[str]) -> Partial | None:
        """The partial in the first of ``locales`` that has it, of the first of ``kinds`` that does."""
        found = (self.held.get((name, kind, locale)) for locale in (*locales, "") for kind in kinds)
        return next((one for one in found if one is not None), None)

    def kinds_of(self, name: str) -> list[str]:
        """Of which kinds a partial of this name is there, whatever its locale."""
        return sorted({kind for known, kind, _ in self.held if known == name})

    def names(self, kinds: Sequence[str]) -> list[str]:
        """The names that there are for these kinds."""
        return sorted({name for name, kind, _ in self.held if kind in kinds})


NO_PARTIALS: Final = Partials()


class BadInclude(BadTemplate):
    """An include that cannot be followed; ``file`` is empty where it stands in the text itself."""

    def __init__(self, file: str, line: int, detail: str) -> None:
        super().__init__(line, detail)
        self.file = file

    def __reduce__(self) -> tuple[type[BadInclude], tuple[str, int, str]]:  # type: ignore[override]
        return (BadInclude, (self.file, self.line, self.detail))


@dataclass(frozen=True, slots=True)
class Expanded:
    """A text with its partials in it. ``places`` says of each line, from 1, where it was written.

    An empty file stands for the text itself; ``places`` is empty where nothing was included. ``files`` are
    those of the partials.
    """

    text: str
    places: Mapping[int, Place] = field(default_factory=dict)
    files: frozenset[str] = frozenset()


def expand(
    text: str, partials: Partials, kinds: Sequence[str], locales: Sequence[str] = (), *, liquid: bool = False
) -> Expanded:
    """``text`` with its partials in place of their includes; ``liquid``: it is in Liquid, and they are.

    Raises:
        BadInclude: a name that is not there or not written out, a circle, or too many.
        BadTemplate: the text, or a partial of it, cannot be read.
    """
    if (liquid_source.MENTION if liquid else _MENTION).search(text) is None:
        return Expanded(text)
    work = (_LiquidExpansion if liquid else _Expansion)(partials, kinds, locales)
    work.put(Partial("", text), ())
    return Expanded("".join(work.out), work.places, frozenset(work.files))


class _Expansion:
    """One text on its way: what is written so far, and where each of its lines is from."""

    def __init__(self, partials: Partials, kinds: Sequence[str], locales: Sequence[str]) -> None:
        self.partials = partials
        self.kinds = kinds
        self.locales = locales
        self.out: list[str] = []
        self.places: dict[int, Place] = {}
        self.files: set[str] = set()
        self.line = 1
        self.fresh = False
        self.chars = 0
        self.includes = 0

    def put(self, source: Partial, inside: tuple[str, ...]) -> None:
        """Write a text; ``inside`` are the names of the partials that lead to it."""
        for line, value, include in self.pieces(source):
            if include is None:
                self.write(value, source.file, line)
                continue
            begin, name, end = include
            partial = self.named(source.file, line, name, inside)
            # A line end inside of a tag shows nothing, and what follows begins on a line of its own.
            before, after = self.around(begin, end)
            self.write(before, source.file, line)
            self.put(partial, (*inside, name))
            self.write(after, source.file, line)
            self.fresh = True

    def pieces(self, source: Partial) -> Iterator[Piece]:
        """A text in pieces."""
        return _pieces(source)

    def around(self, begin: str, end: str) -> tuple[str, str]:
        """What stands before a partial and behind it, for an include with these two ends."""
        return f"{begin} with\n%}}", f"{{% endwith\n{end}"

    def named(self, file: str, line: int, name: str, inside: tuple[str, ...]) -> Partial:
        self.includes += 1
        if name in inside:
            raise BadInclude(
                file, line, f"the partial {name!r} includes itself: {' > '.join((*inside, name))}"
            )
        if len(inside) == MAX_INCLUDE_DEPTH:
            raise BadInclude(file, line, f"partials are nested deeper than {MAX_INCLUDE_DEPTH}")
        if self.includes > MAX_INCLUDES:
            raise BadInclude(file, line, f"the text includes more than {MAX_INCLUDES} partials")
        partial = self.partials.find(name, self.kinds, self.locales)
        if partial is None:
            raise BadInclude(file, line, self.missing(name))
        self.files.add(partial.file)
        return partial

    def missing(self, name: str) -> str:
        wanted = f"partials/{name}.{self.kinds[0]}"
        if others := self.partials.kinds_of(name):
            return f"there is no {wanted}; partials/{name}.{others[0]} is for another kind of text"
        known = ", ".join(self.partials.names(self.kinds)) or "none"
        return f"there is no {wanted}; there are {known}"

    def write(self, value: str, file: str, line: int) -> None:
        self.chars += len(value)
        if self.chars > MAX_SOURCE_CHARS:
            raise BadInclude(
                file, line, f"with its partials the text has more than {MAX_SOURCE_CHARS} characters"
            )
        self.out.append(value)
        # Of a line that only the end of a tag stands on, what comes next says where it is from.
        if self.fresh or self.line not in self.places:
            self.places[self.line] = (file, line)
        self.fresh = value.endswith("\n%}") or (self.fresh and not value)
        for further in range(1, value.count("\n") + 1):
            self.line += 1
            self.places[self.line] = (file, line + further)


class _LiquidExpansion(_Expansion):
    """The same for Liquid, where what a partial sets is known behind it, as it is elsewhere."""

    def pieces(self, source: Partial) -> Iterator[Piece]:
        return liquid_source.includes(source.text)

    def around(self, begin: str, end: str) -> tuple[str, str]:
        return f"{begin} comment %}}{{% endcomment\n%}}", f"{{% comment %}}{{% endcomment\n{end}"


Piece: TypeAlias = tuple[int, str, tuple[str, str, str] | None]
"""A line, what it says, and of an include its two ends and the name."""


def _pieces(source: Partial) -> Iterator[Piece]:
    """The text in pieces."""
    tag: list[Token] = []
    try:
        for token in lex(source.text):
            line, kind, value = token
            if kind == "block_begin" or tag:
                tag.append(token)
                if kind == "block_end":
                    yield from _tag(tag, source.file)
                    tag = []
            else:
                yield line, value, None
    except TemplateSyntaxError as error:
        raise BadInclude(source.file, error.lineno, error.message or "this is not readable") from error
    yield from ((line, value, None) for line, _, value in tag)


def _tag(tag: Sequence[Token], file: str) -> Iterator[Piece]:
    said = [(kind, value) for _, kind, value in tag if kind != "whitespace"]
    line = tag[0][0]
    if said[1:2] != [("name", "include")]:
        yield from ((at, value, None) for at, _, value in tag)
        return
    match said:
        case [(_, begin), _, ("string", quoted), (_, end)] if _NAME.fullmatch(quoted[1:-1]):
            yield line, "", (begin, quoted[1:-1], end.rstrip("\n"))
            if end.endswith("\n"):
                yield line, "\n", None
        case _:
            detail = "a partial is included by its name, written out: {% include 'footer' %}"
            raise BadInclude(file, line, detail)


def names_included(texts: Iterable[str]) -> frozenset[str]:
    """The names that texts include, where that is written so that it can be read."""
    found = re.compile(r"""\{%[-+]?\s*include\s+["']([A-Za-z0-9_]{1,64})["']""")
    return frozenset(name for text in texts for name in found.findall(text))
