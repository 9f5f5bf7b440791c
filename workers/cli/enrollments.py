"""``brimful enrollments``: who is inside a journey and where, and where somebody stands in all of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import msgspec
import typer

from schemas.fields import SubjectType
from schemas.workspace.base import parse_duration_ms
from workers.cli.in_force import Folder  # noqa: TC001  typer reads it at run time
from workers.clock import SystemClock
from workers.core.journeys.progress import Progress
from workers.listed import STATES, Wanted
from workers.reading import enrollments
from workers.reading.changelogs import table_of, time_text
from workers.reading.decided import read_decisions
from workers.reading.enrollments import subject_plan
from workers.reading.subjects import read_standing
from workers.settings import from_env
from workers.standing import subject_item
from workers.versions.running import in_force_if_any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from workers.core.plan import Plan
    from workers.reading.changelogs import Kept
    from workers.settings import Settings

LIMIT = 50

cli: typer.Typer = typer.Typer(no_args_is_help=True, help="Enrollments: who is inside a journey, and where.")


def duration_ms(text: str) -> int:
    """Milliseconds of an option such as ``1h``."""
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


JourneyOption = Annotated[str, typer.Option("--journey", help="The journey; its file may be gone.")]
State = Annotated[str, typer.Option("--state", help="active, ended (kept for goals and re-entry), or all.")]
Step = Annotated[str | None, typer.Option("--step", help="Who stands at this step: its id, or its place.")]
Kind = Annotated[str | None, typer.Option("--subject-type", help="user or account; without it, both.")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="Most that are shown; 0: all.")]
Json = Annotated[bool, typer.Option("--json", help="JSON, for other programs; times in UTC milliseconds.")]
SubjectArgument = Annotated[str, typer.Argument(help="The user's id; with --account the account's.")]
Account = Annotated[bool, typer.Option("--account", help="SUBJECT is an account.")]
Decisions = Annotated[
    int | None,
    typer.Option(
        "--decisions",
        parser=duration_ms,
        metavar="DURATION",
        help="Also the decisions of so long, such as 7d.",
    ),
]


@cli.command(name="list")
def list_enrollments(
    journey: JourneyOption,
    state: State = "active",
    step: Step = None,
    subject_type: Kind = None,
    limit: Limit = LIMIT,
    as_json: Json = False,
    workspace: Folder = None,
) -> None:
    """List who is in a journey, who has stood longest first, and how many stand at each step.

    Reads the engine's changelog, as of the last committed transaction; workers need not run.
    """
    if state not in STATES:
        raise typer.BadParameter(f"--state is one of {', '.join(STATES)}; not {state!r}")
    settings = from_env(os.environ)
    kept = read_enrollments(settings, journey, state, step, kinds_of(subject_type), workspace)
    items = kept.items(limit or None)
    if as_json:
        for item in items:
            typer.echo(msgspec.json.encode(item))
        return
    groups = kept.groups()
    if not groups:
        typer.echo(f"nobody is found in {journey}", err=True)
        return
    table_of(
        ("SUBJECT", "STATE", "STEP", "SINCE", "DUE", "WAITS FOR", "HOLDOUT", "VERSION"), map(_line, items)
    )
    typer.echo(f"{sum(number for _, number in groups)} in {journey}, by step:", err=True)
    for name, number in groups:
        typer.echo(f"  {number:>9}  {name}", err=True)


@cli.command()
def show(
    subject: SubjectArgument,
    account: Account = False,
    decisions: Decisions = None,
    as_json: Json = False,
    workspace: Folder = None,
) -> None:
    """Show where a user or an account stands: journeys, what the gate holds, and messages that count.

    Reads one partition of the engine's changelog; of somebody who was merged, what the other id has.
    """
    settings = from_env(os.environ)
    kind: SubjectType = "account" if account else "user"
    item = read_subject(settings, kind, subject, workspace)
    decided: list[dict[str, Any]] = []
    if decisions is not None:
        since = SystemClock().now_ms() - decisions
        decided = read_decisions(settings, kind, item["subject"] if item is not None else subject, since)
    if item is None:
        typer.echo(f"nothing is kept of the journeys of {kind} {subject}", err=True)
        if not decided:
            raise typer.Exit(1)
        # Who was only ever refused is in no journey: why is what one looks for.
        item = subject_item(kind, Progress(subject), None, 0)
    if decisions is not None:
        item["decisions"] = decided
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(item)))
        return
    _tell(item)


def read_enrollments(
    settings: Settings,
    journey: str,
    state: str,
    step: str | None,
    kinds: Iterable[SubjectType],
    folder: Path | None = None,
) -> Kept:
    """All enrollments in a journey, in order of since when they stand where they are.

    Raises:
        Misconfigured: there is no changelog, or the workspace that is named is wrong.
        Retryable: no broker answers.
    """
    plan, now_ms = plan_of(settings, folder), SystemClock().now_ms()
    return enrollments.read_enrollments(settings, Wanted(journey, state, step), kinds, plan, now_ms)


def read_subject(
    settings: Settings, kind: SubjectType, subject: str, folder: Path | None = None
) -> dict[str, Any] | None:
    """Where a subject stands; None where there is no row of its journeys.

    Raises:
        Misconfigured: there is no changelog, or the workspace that is named is wrong.
        Retryable: no broker answers.
    """
    plan = subject_plan(plan_of(settings, folder), kind)
    return read_standing(settings, kind, subject, plan, SystemClock().now_ms())


def plan_of(settings: Settings, folder: Path | None = None) -> Plan | None:
    """The workspace as it is run; None where nothing names one."""
    running = in_force_if_any(settings, folder)
    return running.plan if running is not None else None


def kinds_of(text: str | None) -> tuple[SubjectType, ...]:
    """The kinds of subjects that an option names; None: all."""
    if text is not None and text not in get_args(SubjectType):
        raise typer.BadParameter(f"--subject-type is user or account; not {text!r}")
    return get_args(SubjectType) if text is None else (cast("SubjectType", text),)


def _line(item: dict[str, Any]) -> tuple[str, ...]:
    positions = item["positions"]
    since = [one["since_ms"] for one in positions if one["since_ms"] is not None]
    if item["state"] == "ended":
        steps, waits, begun_ms = item["step"], item["end_reason"] or "", item["ended_at_ms"]
    else:
        steps = ", ".join(one["step"] for one in positions) or item["step"]
        waits = "; ".join(one["waits_for"] for one in positions)
        begun_ms = min(since, default=item["entered_at_ms"])
    due = time_text(item["due_ms"]) + (" late" if item["late_ms"] is not None else "")
    name = item["subject"] + (f" ({item['key']})" if item["key"] else "")
    holdout = "yes" if item["holdout"] else "no"
    return name, item["state"], steps, time_text(begun_ms), due, waits, holdout, item["version"][:12]


def _tell(item: dict[str, Any]) -> None:
    merged = f" (was merged from {item['merged_from']})" if "merged_from" in item else ""
    typer.echo(f"{item['subject_type']} {item['subject']}{merged}")
    _section(
        "journeys",
        ("JOURNEY", "STATE", "STEP", "SINCE", "DUE", "WAITS FOR", "HOLDOUT", "VERSION", "VARIANTS"),
        (
            (
                one["journey"] + (f" ({one['key']})" if one["key"] else ""),
                *_line(one)[1:],
                _pairs(one["variants"]),
            )
            for one in item["enrollments"]
        ),
    )
    _section(
        "held by the gate",
        ("JOURNEY", "REASON", "SINCE", "UNTIL", "MESSAGE"),
        (
            (
                one["journey"],
                one["reason"],
                time_text(one["since_ms"]),
                time_text(one["until_ms"]),
                one["message"],
            )
            for one in item["held"]
        ),
    )
    for title, name in (("messages", "received"), ("would have had, held out", "withheld")):
        _section(
            title,
            ("AT", "CHANNEL", "JOURNEY", "TAGS", "MESSAGE"),
            (
                (
                    time_text(one["at_ms"]),
                    one["channel"],
                    one["journey"] or "",
                    ", ".join(one["tags"]),
                    one["message"],
                )
                for one in item[name]
            ),
        )
    _section(
        "decisions",
        ("AT", "KIND", "JOURNEY", "STEP", "OUTCOME", "REASON"),
        (
            (
                time_text(one["at_ms"]),
                one["kind"],
                one["journey"],
                one.get("step") or "",
                one["outcome"],
                one.get("reason") or "",
            )
            for one in item.get("decisions", ())
        ),
    )


def _section(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    found = list(rows)
    if found:
        typer.echo(f"\n{title}")
        table_of(columns, found)


def _pairs(variants: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in variants.items())
