"""What is committed holds on every machine and says what is: no paths of ours, nothing left for later."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.house.code import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDERS = (".ci", "deploy", "docs", "requirements", "schemas", "tests", "workers")
FILES = (
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "pyproject.toml",
)

THIS = Path(__file__).resolve()

RULES = (
    (
        re.compile(r"(?<![\w.}])/(?:home|private|root|tmp|Users|var/folders|work)/"),
        "a path of one machine: take it as an argument, or make it relative",
    ),
    (
        re.compile(
            r"pypi[.]org|pythonhosted[.]org|npmjs[.](?:org|com)|repo1?[.]maven|/(?:simple|artifactory|nexus)/"
        ),
        "the address of a package registry: each machine has its own setting for it",
    ),
    (
        re.compile(
            r"\b(?:TODO|FIXME|XXX|HACK)\b".replace("O", "[O]").replace("X", "[X]").replace("K", "[K]")
        ),
        "a note to do it later: do it, or open an issue",
    ),
)
"""Pattern, and what is wrong with what it finds."""


def breaches(file: str, text: str) -> Iterator[str]:
    """Each line that a rule finds something in."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, wrong in RULES:
            found = pattern.search(line)
            if found is not None:
                yield f"{file}:{number}: {found[0]!r}: {wrong}"


def texts() -> Iterator[tuple[str, str]]:
    """Every committed text: its name from the root, and what it says."""
    for path in _paths():
        content = path.read_bytes()
        if b"\0" not in content and not content.startswith(b"\x1f\x8b"):
            yield str(path.relative_to(ROOT)), content.decode("utf-8")


def _paths() -> Iterator[Path]:
    yield from (ROOT / name for name in FILES)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            made = {"__pycache__", "node_modules", "target"} & set(path.parts)
            if path.is_file() and not made and path.resolve() != THIS:
                yield path


def test_committed_texts_hold_everywhere() -> None:
    """Code, documents, examples, lock files: all that a checkout brings, but for this list."""
    assert [breach for file, text in texts() for breach in breaches(file, text)] == []


def test_all_kinds_of_text_are_looked_at() -> None:
    """A folder that moves away must not leave the rule without anything to find."""
    seen = {file for file, _ in texts()}
    assert {
        "Makefile",
        "README.md",
        "requirements/run.lock",
        "workers/shell.py",
        "schemas/topics.yaml",
    } <= seen
    assert any(file.startswith("tests/") for file in seen)


@pytest.mark.parametrize(
    "line",
    [
        "data = '/tmp/brimful'",
        "cd /work/main && make",
        "see /home/ada/notes.txt",
        "--index-url https://pypi.org/simple",
        "https://files.pythonhosted.org/packages/a.whl",
        "https://repo1.maven.org/maven2",
        "pip install -i http://cache.example.com/simple/ brimful",
        "# TODO: mend this",
        "// FIXME",
    ],
)
def test_the_rule_finds_what_it_forbids(line: str) -> None:
    """One of each kind."""
    assert next(breaches("example.txt", f"first\n{line}\n")).startswith("example.txt:2: ")


@pytest.mark.parametrize(
    "line",
    [
        '"$WORK/tmp/password"',
        "state in /var/lib/brimful/state",
        "a homework/tmp.txt",
        "todo lists",
        "../tmp/x",
    ],
)
def test_the_rule_lets_pass_what_holds_everywhere(line: str) -> None:
    """Variables, agreed places, ordinary words."""
    assert list(breaches("example.txt", line)) == []
