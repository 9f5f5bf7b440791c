"""``brimful plan``: propose a tracking plan, compare a stream with it, see its health."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from schemas.wire import to_ms
from schemas.workspace.base import parse_duration_ms
from workers.core.tracking.health import assess
from workers.core.tracking.plan import compile_tracking_plan
from workers.core.tracking.proposal import proposal
from workers.errors import Misconfigured
from workers.reading import plans as plan_reading
from workers.reading.events import Events, read_file
from workers.reading.topics import read_topic
from workers.settings import from_env
from workers.workspace.files import TRACKING_PLAN_MAX_BYTES, BadWorkspace, load_tracking_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from schemas.workspace import TrackingPlan
    from workers.core.tracking.health import HealthFinding
    from workers.reading.plans import CheckReport

TOPIC = "product-events"
SAMPLES = 30
"""Occurrences after which "always there" is taken for a rule."""

cli: typer.Typer = typer.Typer(
    no_args_is_help=True, help="The tracking plan: propose it, compare a stream with it, see its health."
)


def _duration_ms(text: str) -> int:
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _moment_ms(text: str) -> int:
    try:
        return to_ms(msgspec.convert(text, datetime))
    except msgspec.ValidationError as error:
        raise typer.BadParameter("a date and time is expected, such as 2026-03-14T10:02:00Z") from error


Folder = Annotated[Path, typer.Argument(help="A workspace, or the file of a tracking plan.")]
File = Annotated[
    Path | None, typer.Option("--file", help="Read this NDJSON file (or .gz) instead of a topic.")
]
Topic = Annotated[str, typer.Option("--topic", help="The topic, without the prefix of the settings.")]
Kafka = Annotated[str | None, typer.Option("--kafka", help="Bootstrap servers; else the settings say.")]
Since = Annotated[str | None, typer.Option("--since", help="Only records written in this time, such as 7d.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")]


@cli.command()
def infer(
    file: File = None,
    topic: Topic = TOPIC,
    kafka: Kafka = None,
    since: Since = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Seen so often, what was always there is required.")
    ] = SAMPLES,
    out: Annotated[Path | None, typer.Option("--out", help="Write here; never over a file.")] = None,
) -> None:
    """Propose a tracking plan from what came, with counts as comments. Values stand in it only as enums.

    An enum is proposed where there are few values, each seen of several people. Look at it before you commit.
    """
    if out is not None and out.exists():
        raise typer.BadParameter(f"{out} is there already: name another file", param_hint="--out")
    with _events(file, topic, kafka, since) as events:
        seen, span = plan_reading.infer(events)
    _tell_refused(events)
    if span is None:
        raise Misconfigured(f"there is no event in {_source(file, topic)}: nothing can be proposed")
    about = (f"{_source(file, topic)}: {events.read} records, {_day(span[0])} to {_day(span[1])}.",)
    text = proposal(seen, samples, about)
    size = len(text.encode())
    if size > TRACKING_PLAN_MAX_BYTES:
        detail = f"{size} bytes, and a tracking plan may have {TRACKING_PLAN_MAX_BYTES}: take some events out"
        typer.echo(f"warning: {detail}", err=True)
    if out is None:
        typer.echo(text, nl=False)
        return
    out.write_text(text, encoding="utf-8")
    typer.echo(f"{out}: {len(seen.events)} event(s), from {events.read} records", err=True)


@cli.command()
def check(
    workspace: Folder,
    file: File = None,
    topic: Topic = TOPIC,
    kafka: Kafka = None,
    since: Since = None,
    as_json: AsJson = False,
) -> None:
    """Compare a stream with the plan: violations by event and producer, with the place of the first one.

    Names and types are shown, never values. Exit code 0: all is as planned. 1: it is not, or the plan is
    wrong.
    """
    checks = compile_tracking_plan(_plan(workspace))
    with _events(file, topic, kafka, since) as events:
        report = plan_reading.check(events, checks)
    if as_json:
        typer.echo(json.dumps(_check_json(report, events), indent=2))
    else:
        _tell_refused(events)
        _tell_check(report)
    if report.violating:
        raise typer.Exit(1)


@cli.command()
def health(
    workspace: Folder,
    file: File = None,
    topic: Topic = TOPIC,
    kafka: Kafka = None,
    since: Since = "30d",
    recent: Annotated[str, typer.Option(help="What counts as lately, such as 1d.")] = "1d",
    at: Annotated[
        str | None, typer.Option(help="Judge at this time; else now, and for a file at its latest event.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where anything is found.")] = False,
    as_json: AsJson = False,
) -> None:
    """See what stopped coming, what is new, which properties lost their values; by event and producer.

    The rules and the figures behind them are in docs/tracking-plan.md. Exit code 0; 1 with --strict where
    there are findings.
    """
    plan, recent_ms = _plan(workspace), _duration_ms(recent)
    told_ms = _moment_ms(at) if at is not None else None
    until_ms = told_ms if told_ms is not None or file is not None else time.time_ns() // 1_000_000
    with _events(file, topic, kafka, None if file is not None else since) as events:
        counts, last_ms = plan_reading.count(events, until_ms)
    now_ms = plan_reading.end_of_hour_ms(last_ms) if until_ms is None else until_ms
    findings = assess(plan, counts, now_ms, recent_ms)
    if as_json:
        judged = {"at_ms": now_ms, "recent_ms": recent_ms, "records": events.read}
        typer.echo(json.dumps(judged | {"findings": [asdict(one) for one in findings]}, indent=2))
    else:
        _tell_refused(events)
        _tell_health(findings, events.read, now_ms)
    if strict and findings:
        raise typer.Exit(1)


def _plan(path: Path) -> TrackingPlan:
    try:
        return load_tracking_plan(path)
    except BadWorkspace as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@contextlib.contextmanager
def _events(file: Path | None, topic: str, kafka: str | None, since: str | None) -> Iterator[Events]:
    """The events of the source that the options name, with progress on standard error if it is a terminal."""
    if file is not None and since is not None:
        raise typer.BadParameter("a file is read whole: --since is for topics", param_hint="--since")
    since_ms = None if since is None else time.time_ns() // 1_000_000 - _duration_ms(since)
    with _progress(_source(file, topic)) as progress:
        if file is not None:
            yield Events(read_file(file, progress))
            return
        settings = from_env(os.environ if kafka is None else {**os.environ, "BRIMFUL_KAFKA": kafka})
        options: dict[str, Any] = {"bootstrap.servers": settings.kafka, **settings.librdkafka()}
        yield Events(read_topic(options, settings.topic(topic), since_ms, progress))


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console  # noqa: PLC0415 - other commands start faster without
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _source(file: Path | None, topic: str) -> str:
    return f"topic {topic}" if file is None else str(file)


def _tell_refused(events: Events) -> None:
    for reason, (number, place) in events.refused.items():
        typer.echo(f"no event: {reason}: {number} record(s), the first at {place}", err=True)


def _tell_check(report: CheckReport) -> None:
    place = None
    for line in report.sorted():
        if (line.event, line.producer) != place:
            place = (line.event, line.producer)
            typer.echo(f"{line.event}  from {line.producer}")
        put_aside = "  -> dead letter" if line.dead_letter else ""
        typer.echo(f"  {line.count:>9,}  {line.rule:<17} {line.detail}; first: {line.first}{put_aside}")
    for name, number in sorted(report.deprecated.items()):
        typer.echo(f"{name}: deprecated, and came {number:,} time(s)")
    typer.echo(
        f"{report.events:,} event(s), {report.violating:,} not as planned, {report.refused:,} of them for "
        f"dead-letters"
    )


def _check_json(report: CheckReport, events: Events) -> dict[str, Any]:
    return {
        "records": events.read,
        "no_events": [
            {"reason": reason, "count": number, "first": place}
            for reason, (number, place) in events.refused.items()
        ],
        "events": report.events,
        "violating": report.violating,
        "dead_letter": report.refused,
        "deprecated": report.deprecated,
        "violations": [asdict(line) for line in report.sorted()],
    }


def _tell_health(findings: list[HealthFinding], read: int, now_ms: int) -> None:
    for one in findings:
        what = f"{one.event}.{one.property}" if one.property else one.event
        sender = f"  from {one.producer}" if one.producer else ""
        typer.echo(f"{one.kind:<12} {what}{sender}: {one.detail}")
    judged = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    typer.echo(f"{len(findings)} finding(s) at {judged}, from {read:,} record(s)")


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")
