"""The core takes everything it knows as an argument: no clock, no chance, no input, no output."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.house.code import Source, is_inside, source_of, sources

if TYPE_CHECKING:
    from collections.abc import Iterator

PURE = (
    "__future__",
    "array",
    "babel",  # reads the tables of Unicode's CLDR, which are data like the code
    "base64",
    "bisect",
    "calendar",  # how many days a month has
    "collections",
    "cronsim",  # counts on from a moment that it is given
    "dataclasses",
    "graphlib",
    "datetime",  # arithmetic; what reads the clock is refused below
    "decimal",
    "difflib",
    "enum",
    "functools",
    "hashlib",
    "html",
    "io.StringIO",  # a text in memory that is added to
    "inspect",  # asks what parameters a filter has, once, when a template is compiled
    "itertools",
    "jinja2",
    "json",
    "liquid",  # python-liquid without its `now` and its `date`, which read the clock: liquid_values
    "markupsafe",
    "math",
    "msgspec",
    "operator",
    "re",
    "schemas",
    "struct",
    "sys",  # the platform's byte order, and nothing else
    "typing",
    "urllib.parse",
    "workers.core",
    "xxhash",
    "zoneinfo",  # reads the zone tables, which are data like the code
)
"""What the core may import. Add a module only if its results depend on its arguments alone."""

CLOCKS = {"now", "utcnow", "today"}
"""Methods of ``datetime`` and ``date`` that read the clock."""

IMPURE_BUILTINS = {
    "open": "read files in the shell",
    "print": "return what is to be said",
    "input": "take it as an argument",
    "eval": "compile definitions into closures",
    "exec": "compile definitions into closures",
    "hash": "use workers.core.ids: the hash of a text differs from process to process",
    "id": "addresses differ from process to process",
}


def breaches(source: Source) -> Iterator[str]:
    """Each place where a module of the core reaches outside, with what to do instead."""
    for line, name in source.imports():
        if not any(is_inside(name, allowed) for allowed in PURE):
            yield f"{source.file}:{line}: the core may not import {name}: let the shell pass what it needs"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in IMPURE_BUILTINS:
                yield f"{source.file}:{node.lineno}: {called.id}(): {IMPURE_BUILTINS[called.id]}"
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS and _is_date(node.value):
            yield f"{source.file}:{node.lineno}: {node.attr}: take now_ms as an argument"
        if isinstance(node, ast.Attribute) and _is_sys(node.value) and node.attr != "byteorder":
            yield f"{source.file}:{node.lineno}: sys.{node.attr}: take it as an argument"
        if isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.Global)):
            yield f"{source.file}:{node.lineno}: the core never waits and has no global state"


def _is_sys(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "sys"


def _is_date(node: ast.expr) -> bool:
    return isinstance(node, (ast.Name, ast.Attribute)) and (
        node.id if isinstance(node, ast.Name) else node.attr
    ) in {"datetime", "date"}


def test_the_core_is_pure() -> None:
    """Every module of it."""
    assert [breach for source in sources("workers/core") for breach in breaches(source)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "import random",
        "from uuid import uuid4",
        "import os",
        "import asyncio",
        "import logging",
        "import structlog",
        "import faust",
        "from workers.errors import Refused",
        "from workers import errors",
        "def late():\n    import time",
        "from datetime import datetime\nx = datetime.now()",
        "import datetime\nx = datetime.datetime.utcnow",
        "from datetime import date\nx = date.today()",
        "x = open('f')",
        "import sys\nx = sys.argv",
        "x = hash('a')",
        "async def wait(): ...",
        "def f():\n    global x\n    x = 1",
    ],
)
def test_the_rule_finds_what_it_forbids(text: str) -> None:
    """One breach of each kind."""
    assert list(breaches(source_of(text)))


def test_the_rule_lets_pass_what_is_pure() -> None:
    """Arithmetic with dates, and the core itself."""
    text = "from datetime import datetime\nfrom workers.core import windows\nx = datetime(2026, 1, 1)"
    assert list(breaches(source_of(text))) == []
