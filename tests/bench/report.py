"""The figures as a table for people and as lines for machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tests.bench.engine import SUBJECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.bench.engine import Outcome
    from tests.bench.model import Figure

LATEST = Path(".bench/latest.jsonl")
PREVIOUS = Path(".bench/previous.jsonl")

_HEADINGS = (
    *("system", "guarantee", "events/s", "ratio", "steady/s"),
    *("events", "CPU s/M", "peak RSS", "disk", "emitted"),
)


def begin() -> None:
    """Start a new file of figures; the last one stays beside it under another name."""
    LATEST.parent.mkdir(exist_ok=True)
    if LATEST.exists():
        LATEST.replace(PREVIOUS)


def append(figures: Iterable[Figure]) -> None:
    """Add one line per figure, kept even when a later benchmark fails."""
    with LATEST.open("ab") as file:
        for figure in figures:
            file.write(msgspec.json.encode(figure) + b"\n")


def table(outcomes: Sequence[Outcome]) -> str:
    """All systems side by side, then why those without figures have none.

    ``ratio`` is the rate of ours over theirs: 20.0x means that ours is twenty times as fast.
    """
    ours = next((o.typical for o in outcomes if o.system.name == SUBJECT), None)
    rate = ours.per_s if ours else None
    lines = _aligned([_HEADINGS, *(_row(outcome, rate) for outcome in outcomes if outcome.typical)])
    lines += [f"{o.system.name}: {o.system.method}" for o in outcomes if o.typical]
    lines += [f"{o.system.name}: no figure: {o.problem}" for o in outcomes if o.problem]
    return "\n".join(lines)


def listing(figures: Sequence[Figure]) -> str:
    """Figures of other benchmarks, one a line."""
    rows = [(f.bench, f.system, f"{f.value:,.3f}".rstrip("0").rstrip("."), f.unit) for f in figures]
    return "\n".join(_aligned(rows))


def _row(outcome: Outcome, ours_per_s: float | None) -> tuple[str, ...]:
    result = outcome.typical
    if result is None:
        raise ValueError(f"{outcome.system.name} has no result to print")
    return (
        outcome.system.name,
        outcome.system.guarantee,
        f"{result.per_s:,.0f}",
        "-" if ours_per_s is None else f"{ours_per_s / result.per_s:.1f}x",
        f"{result.steady_per_s:,.0f}",
        f"{result.processed:,}" + ("" if result.complete else " (time up)"),
        "n/a" if result.cpu_s is None else f"{result.cpu_s / result.processed * 1e6:.1f}",
        "n/a" if result.peak_rss_bytes is None else _size(result.peak_rss_bytes),
        _size(result.disk_bytes),
        outcome.outputs,
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    return lines


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
