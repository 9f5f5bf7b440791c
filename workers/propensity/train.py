"""Training: a regularised logistic regression, chosen by subjects it has not seen, calibrated on them.

1. The cuts are split by time (:func:`workers.propensity.table.split_of`).
2. On the training cuts, folds by subject choose the columns and the strength of the regularisation: of all
   choices whose log loss is within one standard error of the best, fold by fold, the simplest (Hastie,
   Tibshirani and Friedman, The Elements of Statistical Learning, 7.10).
3. The calibration is fitted on what the folds said about subjects that they had not seen, at the newer half
   of the training cuts, so that it follows a rate that changes.
4. Model and baseline are measured on the held-out cuts. Nothing is fitted again after that: what is published
   is what was measured.

The baseline is the rule that needs no learning, use over limit: the highest usage ratio alone, calibrated the
same way.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from workers.errors import Misconfigured
from workers.propensity.features import HIGHEST_USAGE
from workers.propensity.figures import Measured, Report
from workers.propensity.measure import measure
from workers.propensity.model import Column, Isotonic, Model, Sigmoid
from workers.propensity.table import common_levels, rows_at, split_of, vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.propensity.features import Spec
    from workers.propensity.history import History
    from workers.propensity.measure import Labels, Numbers
    from workers.propensity.table import Row, Split

STRENGTHS: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Inverse strengths of the L2 penalty, the simplest first."""

FOLDS: Final = 5
MIN_TRAIN_SUBJECTS: Final = 20
"""Subjects that reached the target in training; with fewer, any choice of columns is chance."""
MIN_HOLDOUT_SUBJECTS: Final = 5

ISOTONIC_POSITIVES: Final = 500
"""From here on the calibration is isotonic; with fewer it would follow chance, and Platt's two numbers do."""

MIN_CALIBRATION_POSITIVES: Final = 20
MISSING_SHARE: Final = 0.02
"""A feature gets a column that says whether it is missing where this share of the rows has it and has not."""


class Trained(msgspec.Struct, frozen=True):
    """A model with its report."""

    model: Model
    report: Report


def train(
    history: History,
    spec: Spec,
    *,
    cuts: Sequence[int],
    holdout_share: float,
    ignore: frozenset[str] = frozenset(),
    seed: int = 0,
) -> Trained:
    """Train and measure; the same history and options give the same model.

    Raises:
        Misconfigured: there is too little to learn from, or to measure on.
    """
    split = split_of(history, cuts, spec, holdout_share)
    events, traits = vocabulary(history, split.train[-1], spec.target, ignore)
    spec = msgspec.structs.replace(spec, events=events, traits=traits)
    rows, held = rows_at(history, split.train, spec), rows_at(history, split.holdout, spec)
    _enough(rows, MIN_TRAIN_SUBJECTS, "training")
    _enough(held, MIN_HOLDOUT_SUBJECTS, "held-out")
    columns, strength = _choose(rows)
    model = _model(spec, rows, columns, strength, split)
    baseline = _model(spec, rows, _baseline_columns(), 1.0, split)
    unseen = _unseen(spec, rows, held, split, strength, len(columns) > len(_summary(columns)))
    constant = float(_labels(rows).mean())
    labels, subjects = _labels(held), [row.subject for row in held]
    by_rule = _probabilities(baseline, held)
    measured = measure(labels, _probabilities(model, held), by_rule, subjects, constant, seed)
    report = Report(
        target=spec.target,
        horizon_ms=spec.horizon_ms,
        train_cuts_ms=list(split.train),
        holdout_cuts_ms=list(split.holdout),
        train_rows=len(rows),
        train_positives=sum(row.label for row in rows),
        train_positive_subjects=len({row.subject for row in rows if row.label}),
        strength=strength,
        columns=len(columns),
        calibration="isotonic" if isinstance(model.calibration, Isotonic) else "sigmoid",
        holdout=measured,
        unseen=measure(labels, unseen, by_rule, subjects, constant, seed),
        weights=_weights(model),
        refused=refusal(measured),
    )
    return Trained(model, report)


def refusal(measured: Measured) -> str | None:
    """Why a model is not to be published; None where it beats the baseline in ranking and in probability."""
    gain, model, baseline = measured.gain, measured.model, measured.baseline
    if gain.low <= 0:
        return (
            f"its AUC of {model.auc.value:.3f} is not surely above the {baseline.auc.value:.3f} of usage "
            f"over limit alone: the gain is {gain.value:+.3f}, "
            f"95 % interval {gain.low:+.3f} to {gain.high:+.3f}"
        )
    if model.brier >= baseline.brier:
        return (
            f"its probabilities are no better than those of usage over limit alone: Brier score "
            f"{model.brier:.5f} against {baseline.brier:.5f} (less is better)"
        )
    return None


def _enough(rows: Sequence[Row], least: int, which: str) -> None:
    positive = {row.subject for row in rows if row.label}
    negative = {row.subject for row in rows if not row.label}
    if min(len(positive), len(negative)) < least:
        raise Misconfigured(
            f"too little to learn from: in the {which} cuts {len(positive)} subject(s) reached "
            f"the target and {len(negative)} did not; {least} of each are needed. Give more history, or a "
            f"longer --horizon"
        )


def _columns(rows: Sequence[Row]) -> list[Column]:
    """The columns that rows of training give, standardised by them; those that never differ are left out."""
    names = sorted({name for row in rows for name in row.features})
    found: list[Column] = []
    for name in names:
        values = [row.features.get(name) for row in rows]
        missing = sum(value is None for value in values) / len(rows)
        if MISSING_SHARE <= missing <= 1 - MISSING_SHARE:
            found.append(Column(feature=name, kind="missing"))
        if any(isinstance(value, str) for value in values):
            of_subjects = {(row.subject, row.features.get(name)) for row in rows}
            levels = common_levels(Counter(level for _, level in of_subjects if isinstance(level, str)))
            found += [Column(feature=name, kind="level", level=level) for level in levels]
        else:
            found.append(Column(feature=name, kind="number" if "_trend_" in name else "log"))
    return [one for one in (_standardised(column, rows) for column in found) if one is not None]


def _standardised(column: Column, rows: Sequence[Row]) -> Column | None:
    values = np.array([value for row in rows if (value := column.raw(row.features)) is not None])
    spread = float(values.std()) if len(values) else 0.0
    if spread < 1e-9:  # noqa: PLR2004  rounding of values that are all the same
        return None
    return msgspec.structs.replace(column, mean=float(values.mean()), spread=spread)


def _summary(columns: Sequence[Column]) -> list[Column]:
    """Those that do not count single events."""
    return [column for column in columns if not column.feature.startswith("event.")]


def _baseline_columns() -> list[Column]:
    """The highest usage ratio as it is; who reported none is at the mean of 0."""
    return [Column(feature=HIGHEST_USAGE, kind="log", mean=0.0, spread=1.0)]


def _matrix(rows: Sequence[Row], columns: Sequence[Column]) -> Numbers:
    made = [[column.standard(row.features) for column in columns] for row in rows]
    return np.array(made, dtype=np.float64).reshape(len(rows), len(columns))


def _labels(rows: Sequence[Row]) -> Labels:
    return np.array([row.label for row in rows], dtype=np.int64)


def _fit(matrix: Numbers, labels: Labels, strength: float) -> Any:
    return LogisticRegression(C=strength, max_iter=5_000).fit(matrix, labels)


def _folded(rows: Sequence[Row], columns: Sequence[Column], strength: float) -> tuple[Numbers, list[float]]:
    """The logit of each row by a model of other subjects, and the log loss of each fold."""
    matrix, labels = _matrix(rows, columns), _labels(rows)
    logits, losses = np.zeros(len(rows)), []
    for others, own in GroupKFold(FOLDS).split(matrix, labels, [row.subject for row in rows]):
        logits[own] = _fit(matrix[others], labels[others], strength).decision_function(matrix[own])
        signed = np.where(labels[own] == 1, logits[own], -logits[own])
        losses.append(float(np.logaddexp(0, -signed).mean()))
    return logits, losses


def _choose(rows: Sequence[Row]) -> tuple[list[Column], float]:
    """The simplest columns and strength that the folds do not tell from the best."""
    every = _columns(rows)
    choices = [(columns, strength) for columns in (_summary(every), every) for strength in STRENGTHS]
    losses = [_folded(rows, columns, strength)[1] for columns, strength in choices]
    best = np.array(min(losses, key=np.mean))
    for choice, loss in zip(choices, losses, strict=True):
        # Fold by fold: what one fold has harder than another, it has for every choice.
        worse = np.array(loss) - best
        if worse.mean() <= worse.std(ddof=1) / FOLDS**0.5:
            return choice
    raise AssertionError("the best is as good as itself")


def _model(
    spec: Spec, rows: Sequence[Row], columns: Sequence[Column], strength: float, split: Split
) -> Model:
    """Fitted on all training rows, calibrated on what folds said of subjects that they had not seen."""
    fitted = _fit(_matrix(rows, columns), _labels(rows), strength)
    return Model(
        spec=spec,
        columns=[
            msgspec.structs.replace(column, coefficient=float(coefficient))
            for column, coefficient in zip(columns, fitted.coef_[0], strict=True)
        ],
        intercept=float(fitted.intercept_[0]),
        calibration=_calibration(rows, _folded(rows, columns, strength)[0], split),
        trained_until_ms=split.train[-1] + spec.horizon_ms,
    )


def _calibration(rows: Sequence[Row], logits: Numbers, split: Split) -> Sigmoid | Isotonic:
    """Fitted on the newer half of the cuts; on all of them where that half has too few positives."""
    newer_ms = split.train[len(split.train) // 2]
    labels = _labels(rows)
    chosen = np.array([row.cut_ms >= newer_ms for row in rows])
    if labels[chosen].sum() < MIN_CALIBRATION_POSITIVES or labels[chosen].all():
        chosen[:] = True
    if labels[chosen].sum() >= ISOTONIC_POSITIVES:
        isotonic = IsotonicRegression(out_of_bounds="clip").fit(logits[chosen], labels[chosen])
        return Isotonic(isotonic.X_thresholds_.tolist(), isotonic.y_thresholds_.tolist())
    fitted = LogisticRegression(C=np.inf, max_iter=5_000).fit(logits[chosen].reshape(-1, 1), labels[chosen])
    # A slope of 0 or below would turn the ranking around: then the ranking is worth nothing, and the
    # measurement says so.
    return Sigmoid(max(0.01, float(fitted.coef_[0][0])), float(fitted.intercept_[0]))


def _probabilities(model: Model, rows: Sequence[Row]) -> Numbers:
    return np.array([model.probability(row.features) for row in rows])


def _unseen(
    spec: Spec, rows: Sequence[Row], held: Sequence[Row], split: Split, strength: float, with_events: bool
) -> Numbers:
    """Each held-out row scored by a model that never saw its subject."""
    subjects = sorted({row.subject for row in (*rows, *held)})
    fold_of = {subject: number % FOLDS for number, subject in enumerate(subjects)}
    found = np.zeros(len(held))
    for fold in range(FOLDS):
        others = [row for row in rows if fold_of[row.subject] != fold]
        columns = _columns(others) if with_events else _summary(_columns(others))
        model = _model(spec, others, columns, strength, split)
        for index, row in enumerate(held):
            if fold_of[row.subject] == fold:
                found[index] = model.probability(row.features)
    return found


def _weights(model: Model) -> list[tuple[str, float]]:
    """Columns by the size of their coefficient: logits for one spread more."""
    named = [
        (
            f"{one.feature} = {one.level}"
            if one.kind == "level"
            else f"{one.feature} missing"
            if one.kind == "missing"
            else one.feature,
            round(one.coefficient, 3),
        )
        for one in model.columns
    ]
    return sorted(named, key=lambda entry: (-abs(entry[1]), entry[0]))
