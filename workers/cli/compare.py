"""``brimful journey compare``: a journey's shadow beside the version in force, by what both decided."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec
import typer

from schemas.workspace.base import format_duration
from workers.cli.enrollments import duration_ms
from workers.clock import SystemClock
from workers.core.journeys.lineage import SHADOW_MARK
from workers.core.shadows.differences import KINDS, compare
from workers.core.shadows.history import Span, history
from workers.core.shadows.tally import Tally
from workers.errors import Misconfigured
from workers.reading.changelogs import options_of, time_text
from workers.reading.decisions import Decisions
from workers.reading.topics import read_topic
from workers.settings import from_env
from workers.versions.active import name_of
from workers.versions.topic import read

if TYPE_CHECKING:
    from workers.settings import Settings
    from workers.versions.published import Published

DIFFERS: Final = 1
"""Exit code where more differs than --fail-over allows."""

NOTHING: Final = 3
"""Exit code where nobody entered either version, so that nothing is known."""

READ_BEFORE_MS: Final = 600_000
"""Records are found by when they were written, and compared by when they were decided; the clocks of
brokers and workers may differ by so much."""

TOLERANCE_MS: Final = 60_000
"""Both versions decide on one event within moments; a worker that stops between takes some seconds."""

HUNDRED: Final = 100

cli: typer.Typer = typer.Typer()


class Pair(NamedTuple):
    """The versions that are compared, and since when both ran; None: not known, so whatever there is."""

    shadow: str | None
    running: str | None
    since_ms: int | None


def _percent(text: str) -> float:
    """The share that an option such as ``5%`` names."""
    number, sign, rest = text.strip().partition("%")
    try:
        share = float(number) / HUNDRED
    except ValueError:
        share = -1.0
    if not sign or rest or not 0 <= share <= 1:
        raise typer.BadParameter(f"a share is 0% to 100%, such as 5% or 0.5%; not {text!r}")
    return share


JourneyName = Annotated[str, typer.Argument(help="The journey, without the mark of its shadow.")]
SinceOption = Annotated[
    int | None,
    typer.Option(
        "--since",
        parser=duration_ms,
        metavar="DURATION",
        help="Who entered from so long ago on, such as 7d; default: since the shadow was published.",
    ),
]
UntilOption = Annotated[
    int | None, typer.Option("--until", parser=duration_ms, metavar="DURATION", help="Until so long ago.")
]
ToleranceOption = Annotated[
    int | None,
    typer.Option(
        "--tolerance",
        parser=duration_ms,
        metavar="DURATION",
        help="What is no further apart is at one time; default: 1m.",
    ),
]
FailOver = Annotated[
    float | None,
    typer.Option(
        "--fail-over",
        parser=_percent,
        metavar="SHARE",
        help="Exit with 1 if a larger share of enrollments differs in anything, such as 5%.",
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore", help="A kind of difference, or a reason, that makes none. Repeatable."),
]
Sample = Annotated[int, typer.Option("--sample", min=0, max=1000, help="Differences shown of each reason.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object; times in UTC milliseconds.")]
Published_ = Annotated[str | None, typer.Option("--name", help="The workspace, where several are published.")]


@cli.command(name="compare")
def compare_versions(
    journey: JourneyName,
    since: SinceOption = None,
    until: UntilOption = None,
    tolerance: ToleranceOption = None,
    fail_over: FailOver = None,
    ignore: Ignore = None,
    sample: Sample = 3,
    as_json: Json = False,
    name: Published_ = None,
) -> None:
    """Compare what a journey's shadow decided with what the version in force did: entries, messages, ends.

    Reads the topic of decisions. Exit code 0: compared. 1: more differs than --fail-over allows. 3: nobody
    entered either version, so nothing is known.
    """
    settings, now_ms = from_env(os.environ), SystemClock().now_ms()
    pair = pair_of(settings, journey, name)
    if since is None and pair.since_ms is None:
        raise Misconfigured(f"no shadow of {journey!r} is in force: say --since for one that was")
    began_ms = pair.since_ms if pair.since_ms is not None else 0
    since_ms = began_ms if since is None else max(began_ms, now_ms - since)
    span = Span(since_ms, now_ms - (until or 0), tolerance or TOLERANCE_MS)
    if span.until_ms - span.since_ms <= 2 * span.tolerance_ms:
        raise Misconfigured(
            f"from {time_text(span.since_ms)} to {time_text(span.until_ms)} is too short to compare: what "
            f"lies within {format_duration(span.tolerance_ms)} of an edge is left out (--tolerance)"
        )
    told = read_decisions(settings, journey, span)
    tally = tallied(told, span, pair, sample, ignore or ())
    report = {
        "journey": journey,
        "since_ms": span.since_ms,
        "until_ms": span.until_ms,
        "shadow_version": pair.shadow,
        "running_version": pair.running,
        "decisions": told.read,
        "unreadable": told.unreadable,
        **tally.report(),
    }
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        _tell(report)
    if not tally.enrollments:
        typer.echo(f"nobody entered {journey} or its shadow in this span: nothing is known", err=True)
        raise typer.Exit(NOTHING)
    if fail_over is not None and tally.share > fail_over:
        typer.echo(
            f"{tally.share:.2%} of the enrollments differ, more than {fail_over:.2%} (--fail-over)", err=True
        )
        raise typer.Exit(DIFFERS)


def pair_of(settings: Settings, journey: str, name: str | None) -> Pair:
    """The versions in force of a journey, and of its shadow.

    Raises:
        Misconfigured: there is no such journey, or nothing runs beside its shadow.
    """
    published = read(settings)
    workspace = name_of(published, name)
    return pair_in(published, workspace, journey)


def pair_in(published: Published, workspace: str, journey: str) -> Pair:
    """As :func:`pair_of`, of what is published."""
    in_force = published.in_force.get(workspace)
    line = in_force.journeys.get(journey) if in_force is not None else None
    if in_force is None or line is None:
        names = ", ".join(sorted(in_force.journeys)) if in_force is not None else "none"
        raise Misconfigured(f"there is no journey {journey!r} in {workspace}; there are: {names}")
    if line.shadow is None:
        return Pair(None, None, None)
    if line.version is None:
        raise Misconfigured(f"{journey!r} runs as a shadow alone: there is no version to compare it with")
    return Pair(line.shadow, line.version, line.shadow_at_ms or in_force.at_ms)


def read_decisions(settings: Settings, journey: str, span: Span) -> Decisions:
    """The decisions on a journey and its shadow that may lie in the span.

    Raises:
        Misconfigured: there is no topic of decisions.
        Retryable: no broker answers.
    """
    told = Decisions(journey)
    topic, since_ms = settings.topic("decisions"), max(0, span.since_ms - READ_BEFORE_MS)
    told.take(read_topic(options_of(settings), topic, since_ms, _progress))
    typer.echo("", err=True)
    return told


def tallied(
    told: Decisions, span: Span, pair: Pair, sample: int, ignored: list[str] | tuple[str, ...]
) -> Tally:
    """All subjects compared, one after the other."""
    tally = Tally(sample, ignored)
    for of in told.by_subject():
        shadow, running = history(of.shadow, span, pair.shadow), history(of.running, span, pair.running)
        tally.add(of.subject_type, of.subject, compare(shadow, running, span))
    return tally


def _tell(report: dict[str, Any]) -> None:
    journey = report["journey"]
    enrollments, messages, goals = report["enrollments"], report["messages"], report["goals"]
    typer.echo(
        f"{journey}: {time_text(report['since_ms'])} to {time_text(report['until_ms'])}, "
        f"{report['decisions']} decision(s) on {report['subjects']} subject(s)"
    )
    for side, mark, version in (
        ("shadow", SHADOW_MARK, report["shadow_version"]),
        ("running", "", report["running_version"]),
    ):
        typer.echo(
            f"  {journey}{mark} {version or '(any version)'}: {enrollments[side]} enrollment(s), "
            f"{messages[side]} message(s), {goals[side]} goal(s)"
        )
    either = enrollments["shadow"] + enrollments["running"] - enrollments["both"]
    typer.echo(
        f"{report['differing']} of {either} enrollment(s) differ ({report['share']:.2%}); "
        f"{enrollments['both']} began in both"
    )
    if report["unreadable"]:
        typer.echo(f"{report['unreadable']} record(s) could not be read, and are left out")
    if report["ignored"]:
        typer.echo(f"{report['ignored']} difference(s) ignored")
    for kind in KINDS:
        found = report["differences"][kind]
        if not found["number"]:
            continue
        typer.echo(f"\n{kind.replace('_', ' ')}: {found['number']} ({found['rate']:.2%})")
        for group in found["reasons"]:
            typer.echo(f"  {group['number']:>9}  {group['reason']}")
            for one in group["sample"]:
                typer.echo(f"             {_line(one)}")


def _line(one: dict[str, Any]) -> str:
    times = [f"{side} {time_text(one[f'{side}_ms'])}" for side in ("shadow", "running") if one[f"{side}_ms"]]
    parts = [one["subject"], one["what"], *times, one.get("reason", "")]
    return "  ".join(part for part in parts if part)


def _progress(number: int, total: int) -> None:
    typer.echo(f"\rdecisions: {number} of {total} records", err=True, nl=False)
