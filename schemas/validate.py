"""Checks the records of a file against the shape of a topic, and says in which line what is wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.catalog import problems_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLANKS = " \t\r\n"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the line on which its record begins (from 1), and ``field: what``."""

    line: int
    what: str


@dataclass(frozen=True)
class Report:
    """What a file holds: how many records, how many of them bad, and every problem in order of lines."""

    records: int
    bad: int
    problems: tuple[Problem, ...]


def validate_file(topic: str, content: bytes) -> Report:
    """Check every record of a file: one JSON value, a list of them, or JSON Lines.

    What is not one JSON value as a whole is read as JSON Lines, so that one broken line hides no other;
    unless none of its lines is JSON, which makes it one broken record over several lines.

    Raises:
        KeyError: there is no public topic of that name.
    """
    problems: list[Problem] = []
    records = bad = 0
    for line, payload in _records(content):
        found = problems_of(topic, payload)
        records += 1
        bad += bool(found)
        problems.extend(Problem(line, what) for what in found)
    return Report(records, bad, tuple(problems))


def _records(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Each record with the line on which it begins."""
    try:
        text = content.decode()
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        lines = [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
        if len(lines) > 1 and not any(_is_json(line) for _, line in lines):
            yield getattr(error, "lineno", lines[0][0]), content
        else:
            yield from lines
        return
    if isinstance(whole, list):
        yield from _items(text)
    else:
        yield _line(text, _skip(text, 0)), content


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _items(text: str) -> Iterator[tuple[int, bytes]]:
    """The items of a JSON list whose text is known to be well-formed."""
    decode = json.JSONDecoder().raw_decode
    position = _skip(text, _skip(text, 0) + 1)
    while text[position] != "]":
        _, end = decode(text, position)
        yield _line(text, position), text[position:end].encode()
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _BLANKS:
        position += 1
    return position


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
