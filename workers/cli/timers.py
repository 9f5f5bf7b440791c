"""``brimful timers``: what is due, and when."""

from __future__ import annotations

import os
from collections import Counter
from typing import Annotated, Any

import msgspec
import typer

from workers.cli.enrollments import Json, Limit, duration_ms
from workers.clock import SystemClock
from workers.reading.changelogs import table_of, time_text
from workers.reading.timers import read_timers
from workers.settings import from_env

cli: typer.Typer = typer.Typer()

DueBefore = Annotated[
    int,
    typer.Option("--due-before", parser=duration_ms, metavar="DURATION", help="Due until so long from now."),
]
OfJourney = Annotated[
    str | None, typer.Option("--journey", help="Only those of a journey's enrollments and held messages.")
]


@cli.command()
def timers(
    due_before: DueBefore, journey: OfJourney = None, limit: Limit = 50, as_json: Json = False
) -> None:
    """List timers that are due soon, or were and have not fired, and how many there are of each kind.

    Reads the engine's changelog, as of the last committed transaction; workers need not run. An enrollment
    whose timer failed and is tried again later is listed as `put off`; one whose timer is not there as
    `no timer`: time would not take it on.
    """
    settings, now_ms = from_env(os.environ), SystemClock().now_ms()
    found = read_timers(settings, now_ms, now_ms + due_before, journey)
    counts: Counter[str] = Counter()
    shown: list[dict[str, Any]] = []
    for item in found:
        item["late_ms"] = max(0, now_ms - item["due_ms"])
        counts[" ".join(str(item[name]) for name in ("kind", "journey", "step") if item[name])] += 1
        if limit == 0 or len(shown) < limit:
            if as_json:
                typer.echo(msgspec.json.encode(item))
            shown.append({} if as_json else item)
    if as_json:
        return
    table_of(("DUE", "LATE", "KIND", "SUBJECT", "JOURNEY", "STEP"), map(_line, shown))
    typer.echo(f"{counts.total()} due before {time_text(now_ms + due_before)}:", err=True)
    for name, number in counts.most_common():
        typer.echo(f"  {number:>9}  {name}", err=True)


def _line(item: dict[str, Any]) -> tuple[str, ...]:
    late_s = item["late_ms"] // 1000
    subject = item["subject"] or ""
    late = f"{late_s} s" if late_s else ""
    return (
        time_text(item["due_ms"]),
        late,
        item["kind"],
        subject,
        item["journey"] or "",
        item["step"] or "",
    )
