"""Which browser the tests take, and what they say where there is none."""

from __future__ import annotations

import platform
import shutil
from typing import TYPE_CHECKING

from tests.support.browser import Browser, find_browser

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_named_browser_wins(tmp_path: Path) -> None:
    """Where it is a program; else that is said, rather than another one taken."""
    program = tmp_path / "browser"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_browser({"BRIMFUL_TEST_BROWSER": str(program)}) == Browser(str(program), {})
    assert find_browser({"BRIMFUL_TEST_BROWSER": "nonesuch"}) == "BRIMFUL_TEST_BROWSER=nonesuch is no program"


def test_without_any_way_to_one_it_is_said_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No browser, no npm: a reason, by which tests are skipped here and fail in CI."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    found = find_browser({}, tmp_path / "cache")
    assert isinstance(found, str)
    assert "install chromium" in found


def test_one_that_was_fetched_is_taken_with_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It brings what a bare machine lacks."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    (tmp_path / "chromium").touch()
    found = find_browser({}, tmp_path)
    assert isinstance(found, Browser)
    assert found.program == str(tmp_path / "chromium")
    assert found.env["LD_LIBRARY_PATH"] == str(tmp_path / "lib")
