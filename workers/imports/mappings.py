"""Reads a mapping: from a file, checked with line and column, or from a command's own options."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from schemas.workspace.base import UNKNOWN_FIELD
from schemas.workspace.imports import ImportMapping
from workers.errors import Misconfigured
from workers.workspace.yaml_text import UnreadableError, read_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def read_mapping(path: Path) -> ImportMapping:
    """The mapping that a file holds.

    Raises:
        Misconfigured: with every problem, each with file, line, column and field.
    """
    try:
        document = read_document(path)
    except UnreadableError as error:
        raise Misconfigured(f"{path}:{error.line}:{error.column}: {error.detail}") from error
    return _checked(document.content, lambda location: f"{path}:{_place(document.place(location))}: ")


def mapping_of(name: str, kind: str, column: str, object_type: str | None = None) -> ImportMapping:
    """The mapping of the options alone: an id, and every other column a trait of its own name.

    Raises:
        Misconfigured: an option is wrong.
    """
    content = {"import": name, "as": kind, "id": column}
    content |= {} if object_type is None else {"object": object_type}
    return _checked(
        content, lambda location: f"--{'name' if location[:1] == ('import',) else (location or ('as',))[0]}: "
    )


def name_of(path: Path) -> str:
    """An import's name after its file: ``Accounts 2026.csv.gz`` is ``accounts_2026``."""
    stem = path.name.partition(".")[0].lower()
    cleaned = re.sub(r"[^a-z0-9_]+", "_", stem).strip("_")
    return cleaned[:64] if cleaned[:1].isalpha() else f"import_{cleaned}"[:64]


def _checked(content: dict[str, Any], place: Callable[[tuple[str | int, ...]], str]) -> ImportMapping:
    try:
        return ImportMapping.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        lines = [place(_location(problem)) + _told(problem) for problem in problems]
        raise Misconfigured("\n".join(lines)) from None


def _location(problem: Any) -> tuple[str | int, ...]:
    location = tuple(problem["loc"])
    return (*location, problem["ctx"]["field"]) if problem["type"] == UNKNOWN_FIELD else location


def _told(problem: Any) -> str:
    field = ".".join(map(str, _location(problem))) or "mapping"
    if problem["type"] == "missing":
        return f"{field}: this field is required"
    if problem["type"] == UNKNOWN_FIELD:
        return f"{field}: not known here; allowed: {problem['ctx']['allowed']}"
    return f"{field}: {problem['msg']}"


def _place(at: tuple[int, int]) -> str:
    return f"{at[0]}:{at[1]}"
