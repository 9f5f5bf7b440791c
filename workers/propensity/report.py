"""A report as people read it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from workers.propensity.features import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.propensity.figures import Interval, Measured, Report

_WEIGHTS_SHOWN = 10


def text(report: Report) -> str:
    """The report in lines of at most 100 characters, apart from long names."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    held = report.holdout
    yield f"target       {report.target} within {report.horizon_ms // DAY_MS} days"
    yield (
        f"training     {_days(report.train_cuts_ms)}: {report.train_rows} rows, {report.train_positives} "
        f"positive, of {report.train_positive_subjects} subjects"
    )
    yield (
        f"held out     {_days(report.holdout_cuts_ms)}: {held.rows} rows of {held.subjects} subjects, "
        f"{held.positives} positive, of {held.positive_subjects}"
    )
    yield (
        f"model        logistic regression, {report.columns} columns, C {report.strength}, "
        f"calibration {report.calibration}"
    )
    yield ""
    yield "                          model                    usage over limit alone"
    yield f"AUC (95 %)                {_interval(held.model.auc):24s} {_interval(held.baseline.auc)}"
    unseen = report.unseen.model.auc
    yield f"AUC, subjects not seen    {_interval(unseen)}"
    yield f"gain in AUC (95 %)        {held.gain.value:+.3f} ({held.gain.low:+.3f} to {held.gain.high:+.3f})"
    yield f"PR-AUC                    {held.model.pr_auc:<24.3f} {held.baseline.pr_auc:.3f}"
    yield (
        f"Brier score               {held.model.brier:<24.4f} {held.baseline.brier:.4f}"
        f"   (training's rate for all: {held.constant_brier:.4f})"
    )
    yield (
        f"expected / observed       {held.model.expected:.0f} / {held.positives:<18d} "
        f"{held.baseline.expected:.0f} / {held.positives}"
    )
    yield ""
    yield from _table(held)
    yield ""
    yield "weights, in logits for one standard deviation:"
    for name, weight in report.weights[:_WEIGHTS_SHOWN]:
        yield f"  {weight:+.3f}  {name}"
    yield ""
    yield f"REFUSED: {report.refused}" if report.refused else "published: it beats usage over limit alone"


def _table(measured: Measured) -> Iterator[str]:
    yield "tenth   rows   predicted   observed   lift"
    for number, one in enumerate(measured.bins, 1):
        yield f"{number:5d} {one.rows:6d} {one.predicted:11.3f} {one.observed:10.3f} {one.lift:6.2f}"


def _interval(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f}-{interval.high:.3f})"


def _days(cuts_ms: list[int]) -> str:
    first, last = (datetime.fromtimestamp(cut / 1000, UTC).date() for cut in (cuts_ms[0], cuts_ms[-1]))
    return f"{len(cuts_ms)} cuts, {first} to {last}"
