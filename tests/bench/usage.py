"""What a process and its children use, read from ``/proc``, and what a folder holds."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_STAT_PARENT = 1
_STAT_CPU = slice(11, 15)
"""Fields of ``/proc/PID/stat`` after the command's closing bracket: parent, and the four CPU clocks."""


def tree(pid: int) -> list[int]:
    """``pid`` and all its living descendants; only ``pid`` where there is no ``/proc``."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.glob("[0-9]*"):
        fields = _stat(int(entry.name))
        if fields is not None:
            children.setdefault(int(fields[_STAT_PARENT]), []).append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, ()))
    return found


def peak_rss_bytes(pids: list[int]) -> int | None:
    """The sum of the highest resident sizes that each of ``pids`` has had; None where none can be read."""
    peaks = [peak for pid in pids if (peak := _peak_of(pid)) is not None]
    return sum(peaks) if peaks else None


def cpu_s(pids: list[int]) -> float | None:
    """Processor seconds of ``pids`` and of their children that have ended; None where none can be read."""
    clocks = [fields[_STAT_CPU] for pid in pids if (fields := _stat(pid)) is not None]
    if not clocks:
        return None
    return sum(int(clock) for four in clocks for clock in four) / os.sysconf("SC_CLK_TCK")


def disk_bytes(folder: Path) -> int:
    """The blocks that the files under ``folder`` take; files that vanish while it looks count nothing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_blocks * 512  # noqa: PTH118 - as os.walk gives it
            except FileNotFoundError:
                continue
    return total


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _peak_of(pid: int) -> int | None:
    try:
        text = (_PROC / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in text.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
