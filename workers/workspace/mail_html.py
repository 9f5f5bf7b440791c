"""What is sent of an e-mail's html: compiled from MJML, and its styles put where mail clients read them.

Gmail and Outlook drop or cut ``<style>``, so rules go into the attribute ``style`` of the elements that they
are for; rules that cannot (``@media``, ``@font-face``) stay. Both libraries (extra ``mail``) work on whole
html, not on templates, so the template's code is carried through as marks.

This is done where a workspace is read from its files. What is published holds the results by the hash of what
they are made of, so that a worker needs no library and sends what was published, to the letter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import msgspec

from workers.core.ids import stable_id
from workers.core.templates.compile import BadTemplates, TemplateProblem
from workers.core.templates.html import HtmlPosition, UnsafeHtml, document
from workers.workspace.balance import unbalanced
from workers.workspace.mjml import BadMjml, check_mjml, in_comments

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from workers.core.templates.compile import TemplateSource

MADE: Final = ".made.json"
"""File of a published workspace's templates with what was made of them."""

EXTRA: Final = "install the extra mail: pip install 'brimful[mail]'"

_CODE: Final = re.compile(
    r"""\{\{(?:"[^"]*"|'[^']*'|[^"'])*?\}\}|\{%(?:"[^"]*"|'[^']*'|[^"'])*?%\}|\{\#.*?\#\}""", re.DOTALL
)
_MARK: Final = re.compile(r"<!--bfq([0-9]+)z-->|&lt;!--bfq([0-9]+)z--&gt;|bfq([0-9]+)z")
_ROWS: Final = re.compile(r"<table\b[^>]*>(?=(?:\s|<!--bfq[0-9]+z-->)*<tr\b)", re.IGNORECASE)
_STYLE: Final = re.compile(r"<style\b", re.IGNORECASE)


@dataclass
class MailHtml:
    """Makes html, or finds it made. ``known`` are results by key; ``made`` are those of this run."""

    known: Mapping[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)

    def finish(self, source: TemplateSource) -> TemplateSource:
        """An e-mail with what is sent of its html; any other template as it is.

        Raises:
            BadTemplates: it cannot be made, with the line of what is in the way.
        """
        fields = source.fields
        if source.channel != "email" or ("html" in fields and "mjml" in fields):
            return source
        for name, make in (("mjml", _of_mjml), ("html", _inlined)):
            text = fields.get(name)
            wanted = name == "mjml" or (fields.get("inline_css", True) is True and _has_style(text))
            if not isinstance(text, str) or not wanted:
                continue
            key = stable_id("mail html", name, text)
            try:
                _refuse_marks(text)
                html = self.known.get(key) or make(text)
            except BadMjml as error:
                file, line = source.place(name, error.line)
                problem = TemplateProblem(source.name, file, line, name, error.detail)
                raise BadTemplates([problem]) from error
            self.made[key] = html
            return replace(source, made={**source.made, name: html})
        return source


def read_made(folder: Path) -> dict[str, str]:
    """What a published workspace holds of this folder's templates; empty where it is none."""
    path = folder / MADE
    return msgspec.json.decode(path.read_bytes(), type=dict[str, str]) if path.is_file() else {}


def write_made(made: Mapping[str, str]) -> str:
    """The text of the file ``MADE``."""
    return msgspec.json.encode(dict(sorted(made.items()))).decode()


def _refuse_marks(text: str) -> None:
    if (found := _MARK.search(text)) is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise BadMjml(line, f"{found[0]!r} stands for code here: write it in another way")


def _has_style(text: object) -> bool:
    return isinstance(text, str) and _STYLE.search(text) is not None


def _of_mjml(text: str) -> str:
    """The html of an MJML text with code in it."""
    try:
        import mrml  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadMjml(1, f"MJML is compiled by a library: {EXTRA}") from error
    codes: list[str] = []
    marked = _CODE.sub(lambda found: _mark(codes, found[0]), text)
    check_mjml(marked, codes)
    try:
        made = mrml.to_html(in_comments(marked))
    except OSError as error:
        raise BadMjml(1, f"this MJML cannot be read: {error}") from error
    return _restored(made.content, codes)


def _inlined(text: str) -> str:
    """The html with the rules of its styles in the elements' own attributes."""
    try:
        import css_inline  # noqa: PLC0415 - an extra
    except ImportError as error:
        detail = (
            f"the rules of <style> are put in their places by a library: {EXTRA}; or say inline_css: false"
        )
        raise BadMjml(1, detail) from error
    codes: list[str] = []
    marked = _marked_html(text, codes)
    if (found := unbalanced(marked)) is not None:
        line = _restored(marked[: found[0]], codes).count("\n") + 1
        raise BadMjml(line, f"{found[1]}: styles need html that is whole; or say inline_css: false")
    # A parser puts the body that a table leaves out around its first row: inside of a loop, each time.
    marked = _ROWS.sub(r"\g<0><tbody>", marked)
    inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
    try:
        return _restored(inliner.inline(document(marked, "")), codes)
    except css_inline.InlineError as error:
        raise BadMjml(1, f"the rules of <style> cannot be put into the elements: {error}") from error


def _mark(codes: list[str], code: str) -> str:
    codes.append(code)
    return f"bfq{len(codes) - 1}z"


def _marked_html(text: str, codes: list[str]) -> str:
    """The html with its code as marks: comments between elements, which a parser leaves where they are."""
    position, out, at = HtmlPosition(), [], 0
    for found in _CODE.finditer(text):
        before = text[at : found.start()]
        out.append(before)
        try:
            position.feed(before)
        except UnsafeHtml:
            # Compiling says so with its line; until then it is of no matter what comes out.
            position = HtmlPosition()
        if position.element and not position.quote:
            line = text.count("\n", 0, found.start()) + 1
            detail = "code inside a tag stands in a quoted attribute, or say inline_css: false"
            raise BadMjml(line, detail)
        mark, so_far = _mark(codes, found[0]), "".join(out)
        inside = bool(position.quote) or so_far.rfind("<!--") > so_far.rfind("-->")
        out.append(mark if inside else f"<!--{mark}-->")
        if position.quote:
            position.feed("x")
        at = found.end()
    return "".join((*out, text[at:]))


def _restored(html: str, codes: list[str]) -> str:
    return _MARK.sub(lambda found: codes[int(found[1] or found[2] or found[3])], html)
