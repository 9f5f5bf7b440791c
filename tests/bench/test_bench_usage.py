"""What a process uses is read for it and its children."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import usage

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc, which only Linux has")


@linux
def test_a_child_is_part_of_the_tree() -> None:
    """A system may work in children; they count."""
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.pid in usage.tree(os.getpid())
        child.communicate(b"\n")


@linux
def test_the_own_process_has_used_memory_and_time() -> None:
    """Both figures are positive, in bytes and in seconds."""
    rss = usage.peak_rss_bytes([os.getpid()])
    cpu = usage.cpu_s([os.getpid()])
    assert rss is not None
    assert 5_000_000 < rss < 100_000_000_000
    assert cpu is not None
    assert 0 < cpu < 1_000_000


def test_nothing_can_be_told_of_a_process_that_is_gone() -> None:
    """None, not zero: a figure that is not known is not a good figure."""
    assert usage.peak_rss_bytes([2**22 + 1]) is None
    assert usage.cpu_s([2**22 + 1]) is None


def test_disk_use_counts_the_blocks_of_all_files_below(tmp_path: Path) -> None:
    """Files in folders count too."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(os.urandom(100_000))
    assert usage.disk_bytes(tmp_path) >= 100_000
