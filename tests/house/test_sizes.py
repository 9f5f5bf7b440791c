"""What does not fit on a screen is not read: limits on functions and modules."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tests.house.code import Source, source_of, sources

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500


def breaches(source: Source) -> Iterator[str]:
    """Each function and module over its limit, by its size."""
    lines = len(source.text.splitlines())
    if lines > MODULE_LINES_MAX:
        yield f"{source.file}: {lines} lines, at most {MODULE_LINES_MAX}: split what changes apart"
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > FUNCTION_LINES_MAX:
                place = f"{source.file}:{node.lineno}"
                yield f"{place}: {node.name} has {size} lines, at most {FUNCTION_LINES_MAX}"


def test_functions_and_modules_stay_small() -> None:
    """Of what is shipped and of its tests; decorators, such as decision tables, do not count."""
    found = [breach for source in sources("workers", "schemas", "tests") for breach in breaches(source)]
    assert found == []


def test_the_rule_finds_what_is_too_long() -> None:
    """A function of 71 lines and a module of 501, but none of 70 lines."""
    function = "def f():\n" + "    x = 1\n" * 70
    assert "f has 71 lines" in next(breaches(source_of(function)))
    assert "501 lines" in next(breaches(source_of("x = 1\n" * 501)))
    assert not list(breaches(source_of("def f():\n" + "    x = 1\n" * 69)))
