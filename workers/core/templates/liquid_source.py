"""Liquid as it is written elsewhere, made into what python-liquid reads. Lines stay where they are.

Three things are rewritten inside of ``{{ … }}`` and ``{% … %}``, and nothing outside:

- Braze's ``${first_name}`` and ``custom_attribute.${zip code}`` become keys, and its braces within tags
  (``{% if {{custom_attribute.${n}}} > 0 %}``) go;
- a key that is a word of Liquid's own (``account.limit``, ``event.offset``) is put into brackets, which the
  library would refuse otherwise, as it would the filter ``limit``, which is ``take`` there;
- Customer.io's ``{% unsubscribe_url %}`` and its like become expressions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from workers.core.templates.liquid_names import BRAZE, TAG_VALUES, TAGS_INSTEAD
from workers.core.templates.parts import BadTemplate

if TYPE_CHECKING:
    from collections.abc import Iterator

_RESERVED: Final = (
    "true false nil null empty blank and or contains not in offset limit reversed cols continue with for as "
    "if else required"
)
"""Words that python-liquid's lexer keeps for itself, also behind a dot."""

_OPEN = re.compile(r"\{\{-?|\{%-?\s*(?P<tag>#|\w*)")
MENTION: Final = re.compile(
    r"""(?P<begin>\{%-?)\s*include\s+["'](?P<include>[A-Za-z0-9_]{1,64})["']\s*(?P<end>-?%\})
    |\{\{(?P<before>-?)\s*(?:snippets\.(?P<snippet>[A-Za-z0-9_]{1,64})
    |content_blocks\.\$\{(?P<block>[A-Za-z0-9_]{1,64})\}(?:\s*\|\s*id:\s*["'][A-Za-z0-9_]*["'])?
    )\s*(?P<after>-?)\}\}""",
    re.VERBOSE,
)
"""A partial: ours, a snippet of Customer.io's, or a content block of Braze's."""

_END_RAW = re.compile(r"\{%-?\s*endraw\s*-?%\}")
_COMMENT = re.compile(r"\{%-?\s*(?P<end>end)?comment\s*-?%\}")
_WIDE = re.compile(r"\s{200}")
"""The library's lexer goes back and forth over white space, in squares of its length."""

_TOKEN = re.compile(
    r"""(?P<string>"(?:(?!\}\}|%\})[^"])*"|'(?:(?!\}\}|%\})[^'])*')
    |(?P<braze>\.?\$\{\s*(?P<name>[^{}'"\n]*?)\s*\})
    |(?P<inner>\{\{)
    |(?P<outer>\}\})
    |(?P<end>-?%\})
    |(?P<range>\.\.)
    |\|\s*(?P<filter>limit)\b
    |\.(?P<key>"""
    + _RESERVED.replace(" ", "|")
    + r""")(?![\w?-])
    |(?P<other>[^"'.$\\{}%|-]+|.)""",
    re.VERBOSE | re.DOTALL,
)
_CODE = re.compile(r"\{%-?\s*raw\s*-?%\}.*?\{%-?\s*endraw\s*-?%\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


def readable(source: str) -> str:
    """``source`` as python-liquid reads it; what is so already stays as it is.

    Raises:
        BadTemplate: an expression is not closed, or a tag has no counterpart here.
    """
    out: list[str] = []
    at = 0
    while (found := _OPEN.search(source, at)) is not None:
        out.append(source[at : found.start()])
        if found["tag"] == "raw":
            at = _raw(source, found)
            out.append(source[found.start() : at])
        elif found["tag"] == "comment":
            text, at = _comment(source, found)
            out.append(text)
        else:
            inside, at = _markup(source, found)
            out.append(_tag(source, found, inside))
    out.append(source[at:])
    return "".join(out)


def line_at(source: str, index: int) -> int:
    """The line of a position, from 1."""
    return source.count("\n", 0, max(index, 0)) + 1


def pieces(source: str) -> Iterator[tuple[int, str, str]]:
    """Code and text in turn, as ``html.text_source`` takes them."""
    at = 0
    for found in _CODE.finditer(source):
        yield 0, "data", source[at : found.start()]
        yield 0, "variable_begin", found[0]
        yield 0, "variable_end", ""
        at = found.end()
    yield 0, "data", source[at:]


def includes(source: str) -> Iterator[tuple[int, str, tuple[str, str, str] | None]]:
    """A text in pieces: its line, what it says, and of a partial the two ends of its tag and its name."""
    at, line = 0, 1
    for found in MENTION.finditer(source):
        before = source[at : found.start()]
        yield line, before, None
        line += before.count("\n")
        name = found["include"] or found["snippet"] or found["block"]
        begin = found["begin"] or f"{{%{found['before']}"
        yield line, "", (begin, name, found["end"] or f"{found['after']}%}}")
        line += found[0].count("\n")
        at = found.end()
    yield line, source[at:], None


def _raw(source: str, found: re.Match[str]) -> int:
    """Where a ``{% raw %}`` ends, whose inside is no code."""
    end = _END_RAW.search(source, found.end())
    if end is None:
        raise BadTemplate(line_at(source, found.start()), "{% raw %} has no {% endraw %}")
    return end.end()


def _comment(source: str, found: re.Match[str]) -> tuple[str, int]:
    """A comment without what it says but for its line breaks, and where it ends. One may stand in another."""
    depth, first = 0, None
    for mark in _COMMENT.finditer(source, found.start()):
        depth += -1 if mark["end"] else 1
        first = first or mark
        if depth <= 0:
            breaks = "\n" * source.count("\n", first.end(), mark.start())
            return f"{first[0]}{breaks}{mark[0]}", mark.end()
    raise BadTemplate(line_at(source, found.start()), "{% comment %} has no {% endcomment %}")


def _markup(source: str, found: re.Match[str]) -> tuple[str, int]:
    """The inside of an expression or tag, rewritten, with its end; and where it ends."""
    is_tag = found["tag"] is not None
    out: list[str] = []
    depth = 0
    at = found.end()
    while (token := _TOKEN.match(source, at)) is not None:
        at = token.end()
        if token["inner"]:
            depth += 1
        elif token["outer"] and depth:
            depth -= 1
        elif (token["outer"] and not is_tag) or (token["end"] and is_tag):
            inside = "".join(out)
            if _WIDE.search(inside):
                detail = f"{found[0].strip()} … has 200 blanks in a row: take some out"
                raise BadTemplate(line_at(source, found.start()), detail)
            return f"{inside}{token[0]}", at
        elif token["braze"] is not None:
            root = "" if token[0].startswith(".") else BRAZE
            out.append(f"{root}['{token['name']}']")
        elif token["filter"]:
            out.append("| take")
        elif token["key"]:
            out.append(f"['{token['key']}']")
        else:
            out.append(token[0])
    closer = "%}" if is_tag else "}}"
    raise BadTemplate(line_at(source, found.start()), f"{found[0].strip()} is not closed by {closer}")


def _tag(source: str, found: re.Match[str], inside: str) -> str:
    """The whole expression or tag."""
    tag = found["tag"]
    if tag in TAGS_INSTEAD:
        raise BadTemplate(line_at(source, found.start()), f"{{% {tag} %}}: {TAGS_INSTEAD[tag]}")
    if tag in TAG_VALUES:
        before = "-" if found[0].startswith("{%-") else ""
        after = "-" if inside.endswith("-%}") else ""
        breaks = "\n" * inside.count("\n")
        return f"{{{{{before} {TAG_VALUES[tag]}{breaks} {after}}}}}"
    return found[0] + inside
