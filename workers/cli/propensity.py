"""``brimful propensity``: train, score, report. Heavy libraries are loaded by the command that needs them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import msgspec
import typer

from schemas.fields import SubjectType
from schemas.wire import to_ms
from schemas.workspace import parse_duration_ms
from workers.errors import Misconfigured
from workers.settings import from_env

if TYPE_CHECKING:
    from workers.propensity.history import History

TOPIC = "product-events"

cli: typer.Typer = typer.Typer(
    no_args_is_help=True, help="The probability of an upgrade, learned from history and measured."
)


def _duration(value: str) -> int:
    try:
        return parse_duration_ms(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _pair(value: str) -> tuple[str, str]:
    name, mark, other = value.partition("=")
    if not (name and mark and other):
        raise typer.BadParameter(f"{value!r} is not NAME=VALUE")
    return name, other


Events = Annotated[
    list[str],
    typer.Option(
        "--events",
        help="NDJSON (.gz) or Parquet of Segment events, a folder of them, or product-events: the topic of "
        "BRIMFUL_KAFKA. Repeatable.",
    ),
]
Target = Annotated[
    str, typer.Option(help="What to foresee: an event, or trait:NAME for a change of a trait.")
]
Horizon = Annotated[Any, typer.Option(parser=_duration, metavar="DURATION", help="How far ahead.")]
Step = Annotated[Any, typer.Option(parser=_duration, metavar="DURATION", help="From cut to cut.")]
Holdout = Annotated[
    float, typer.Option(min=0.1, max=0.9, help="The newest cuts with this share of the positives.")
]
Subject = Annotated[str, typer.Option(help="account or user.")]
Limits = Annotated[
    list[Any],
    typer.Option(
        "--limit",
        parser=_pair,
        metavar="EVENT=TRAIT",
        help="Uses of EVENT in 28 days against the allowance in TRAIT; @users=TRAIT for seats. Repeatable.",
    ),
]
Excluded = Annotated[
    list[Any],
    typer.Option(
        "--exclude",
        parser=_pair,
        metavar="TRAIT=VALUE",
        help="Whom not to score: plan=enterprise. Repeatable.",
    ),
]
Ignored = Annotated[list[str], typer.Option("--ignore", help="An event or trait not to look at. Repeatable.")]
Out = Annotated[Path, typer.Option(help="Folder for model.json and report.json.")]
ModelFolder = Annotated[Path, typer.Option("--model", help="Folder of a trained model.")]
At = Annotated[
    str | None, typer.Option(help="Score as of this instant (RFC 3339); without it, the end of the events.")
]
ScoresOut = Annotated[
    str, typer.Option("--out", help="A file for NDJSON, - for standard output, or product-events: the topic.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@cli.command()
def train(
    events: Events,
    target: Target = "plan_upgraded",
    horizon: Horizon = "14d",
    subject: Subject = "account",
    out: Out = Path("model"),
    step: Step = "7d",
    holdout: Holdout = 0.35,
    limit: Limits = [],  # noqa: B006  typer reads the default and never changes it
    exclude: Excluded = [],  # noqa: B006
    ignore: Ignored = [],  # noqa: B006
) -> None:
    """Train on a history, measure on its newest part, and publish only what beats usage over limit alone.

    Exit code 0: published. 1: refused; report.json says why, and a model that was there is left as it is.
    """
    try:
        from workers.propensity import train as training  # noqa: PLC0415  needs the extra
    except ImportError as error:
        raise Misconfigured(
            f"training needs the extra: pip install 'brimful[propensity]' ({error})"
        ) from error
    from workers.propensity import model, report  # noqa: PLC0415
    from workers.propensity.features import Limit, Spec  # noqa: PLC0415
    from workers.propensity.table import cuts_of  # noqa: PLC0415

    kind = _subject(subject)
    spec = Spec(
        subject=kind,
        target=target,
        horizon_ms=horizon,
        limits=tuple(Limit(event, trait) for event, trait in limit),
        exclude=tuple(exclude),
    )
    history = _history(events, kind)
    trained = training.train(
        history,
        spec,
        cuts=cuts_of(history, horizon, step),
        holdout_share=holdout,
        ignore=frozenset(ignore),
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / model.REPORT_FILE).write_bytes(
        msgspec.json.format(msgspec.json.encode(trained.report), indent=1) + b"\n"
    )
    typer.echo(report.text(trained.report), nl=False)
    if trained.report.refused is not None:
        raise typer.Exit(1)
    model.save(trained.model, out)


@cli.command()
def score(events: Events, model: ModelFolder = Path("model"), out: ScoresOut = "-", at: At = None) -> None:
    """Write each subject's propensity with its reasons, as identify or group events; a repeat counts once."""
    from workers.propensity import model as models  # noqa: PLC0415
    from workers.propensity.scoring import score_events, send  # noqa: PLC0415

    trained = models.load(model)
    history = _history(events, trained.spec.subject)
    at_ms = history.end_ms if at is None else _instant_ms(at)
    scored = score_events(history, trained, at_ms)
    if out == TOPIC:
        settings = from_env(os.environ)
        count = send(scored, settings, settings.topic(TOPIC))
        typer.echo(f"{count} scores written to {settings.topic(TOPIC)}", err=True)
        return
    lines = [msgspec.json.encode(event) + b"\n" for event in scored]
    if out == "-":
        typer.echo(b"".join(lines), nl=False)
    else:
        Path(out).write_bytes(b"".join(lines))
    typer.echo(f"{len(lines)} scores", err=True)


@cli.command()
def report(model: ModelFolder = Path("model"), as_json: AsJson = False) -> None:
    """Print what training measured: ranking, calibration and lift, against usage over limit alone."""
    from workers.propensity import model as models  # noqa: PLC0415
    from workers.propensity import report as reports  # noqa: PLC0415
    from workers.propensity.figures import Report  # noqa: PLC0415

    found = models.read_file(model / models.REPORT_FILE, Report)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        typer.echo(reports.text(found), nl=False)


def _subject(text: str) -> SubjectType:
    for kind in get_args(SubjectType):
        if text == kind:
            found: SubjectType = kind
            return found
    raise typer.BadParameter(f"{text!r} is neither account nor user")


def _instant_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not an instant such as 2026-03-14T10:00:00Z") from error
    return to_ms(moment.astimezone(UTC) if moment.tzinfo is not None else moment)


def _history(sources: list[str], subject: SubjectType) -> History:
    from workers.propensity.history import read_history  # noqa: PLC0415
    from workers.propensity.sources import read_files, read_topic  # noqa: PLC0415

    if TOPIC in sources:
        if len(sources) > 1:
            raise typer.BadParameter("product-events stands alone, without files")
        settings = from_env(os.environ)
        history = read_history(read_topic(settings, settings.topic(TOPIC)), subject)
    else:
        history = read_history(read_files(map(Path, sources)), subject)
    if not history.records:
        raise Misconfigured(f"there is nothing about any {subject} in {', '.join(sources)}")
    left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(history.left_out.items()) if count)
    if left_out:
        typer.echo(f"left out: {left_out}", err=True)
    return history
