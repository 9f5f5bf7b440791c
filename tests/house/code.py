"""Reads the project's own sources for the house rules."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Source:
    """One module: its dotted name, its file from the root, its text and its tree."""

    name: str
    file: str
    text: str
    tree: ast.Module

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and dotted name of everything imported, also for type checking, and inside functions."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.file}:{node.lineno}: write imports in full"
                module = node.module or ""
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


@cache
def sources(*folders: str) -> tuple[Source, ...]:
    """Every Python module below folders of the root, by name."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return tuple(_source(path) for path in paths)


def source_of(text: str, name: str = "workers.core.example") -> Source:
    """A module that exists only here, to try a rule on."""
    return Source(name, name.replace(".", "/") + ".py", text, ast.parse(text))


def is_inside(name: str, package: str) -> bool:
    """Whether a dotted name is the package, or something in it."""
    return name == package or name.startswith(f"{package}.")


def _source(path: Path) -> Source:
    file = path.relative_to(ROOT)
    text = path.read_text(encoding="utf-8")
    name = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
    return Source(name, str(file), text, ast.parse(text))
