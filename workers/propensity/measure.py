"""How good probabilities are: ranking, calibration, lift; each against the baseline, with intervals.

Subjects come again at several cuts, so rows are not independent: intervals draw whole subjects (a cluster
bootstrap), never rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss

from workers.propensity.figures import Bin, Figures, Interval, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[np.float64]
    Labels: TypeAlias = NDArray[np.int64]

DRAWS: Final = 1_000
BINS: Final = 10


def measure(
    labels: Labels, model: Numbers, baseline: Numbers, subjects: Sequence[str], constant: float, seed: int
) -> Measured:
    """Everything about probabilities of the same rows. ``constant`` is the rate that training saw.

    The rows need both outcomes.
    """
    draws = list(_draws(subjects, labels, seed))
    model_auc = [auc(labels[rows], model[rows]) for rows in draws]
    baseline_auc = [auc(labels[rows], baseline[rows]) for rows in draws]
    gains = [one - other for one, other in zip(model_auc, baseline_auc, strict=True)]
    named = np.asarray(subjects)
    return Measured(
        rows=len(labels),
        subjects=len(set(subjects)),
        positives=int(labels.sum()),
        positive_subjects=len(set(named[labels == 1])),
        model=_figures(labels, model, model_auc),
        baseline=_figures(labels, baseline, baseline_auc),
        constant_brier=round(float(np.mean((labels - constant) ** 2)), 5),
        gain=_interval(auc(labels, model) - auc(labels, baseline), gains),
        bins=_bins(labels, model),
    )


def _figures(labels: Labels, scores: Numbers, aucs: list[float]) -> Figures:
    return Figures(
        auc=_interval(auc(labels, scores), aucs),
        pr_auc=round(float(average_precision_score(labels, scores)), 4),
        brier=round(float(brier_score_loss(labels, scores)), 5),
        log_loss=round(float(log_loss(labels, scores, labels=[0, 1])), 4),
        expected=round(float(scores.sum()), 1),
    )


def _draws(subjects: Sequence[str], labels: Labels, seed: int) -> Any:
    """Row numbers of each draw: as many subjects as there are, with replacement; both outcomes occur."""
    chance = np.random.default_rng(seed)
    named, places = np.unique(np.asarray(subjects), return_inverse=True)
    rows_of = [np.flatnonzero(places == place) for place in range(len(named))]
    made = 0
    while made < DRAWS:
        drawn = chance.integers(0, len(named), len(named))
        rows = np.concatenate([rows_of[place] for place in drawn])
        if 0 < labels[rows].sum() < len(rows):
            made += 1
            yield rows


def auc(labels: Labels, scores: Numbers) -> float:
    """How often a positive row has the higher score, ties half (Mann and Whitney); fast, for the draws."""
    positive = labels == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    return float((rankdata(scores)[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _interval(value: float, draws: list[float]) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(round(value, 4), round(float(low), 4), round(float(high), 4))


def _bins(labels: Labels, scores: Numbers) -> list[Bin]:
    """Tenths of the rows; rows of one probability may lie on both sides of a border."""
    rate = float(labels.mean())
    order = np.argsort(-scores, kind="stable")
    return [
        Bin(
            rows=len(rows),
            predicted=round(float(scores[rows].mean()), 4),
            observed=round(float(labels[rows].mean()), 4),
            lift=round(float(labels[rows].mean()) / rate, 2),
        )
        for rows in np.array_split(order, BINS)
        if len(rows)
    ]
