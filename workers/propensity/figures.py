"""What a training found out, as figures: written to ``report.json``, read without any library."""

from __future__ import annotations

import msgspec


class Interval(msgspec.Struct, frozen=True):
    """A figure with the 95 % interval of the draws."""

    value: float
    low: float
    high: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One scoring measured. ``expected`` is the sum of its probabilities, to compare with the positives."""

    auc: Interval
    pr_auc: float
    brier: float
    log_loss: float
    expected: float


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """A tenth of the rows by their probability, the highest first."""

    rows: int
    predicted: float
    observed: float
    lift: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A model and its baseline on the same rows. ``gain`` is the model's AUC above the baseline's."""

    rows: int
    subjects: int
    positives: int
    positive_subjects: int
    model: Figures
    baseline: Figures
    constant_brier: float
    gain: Interval
    bins: list[Bin]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a training found. ``refused`` says why the model was not published; None where it was.

    ``unseen`` is the same measurement with each held-out subject scored by a model of the other subjects.
    """

    target: str
    horizon_ms: int
    train_cuts_ms: list[int]
    holdout_cuts_ms: list[int]
    train_rows: int
    train_positives: int
    train_positive_subjects: int
    strength: float
    columns: int
    calibration: str
    holdout: Measured
    unseen: Measured
    weights: list[tuple[str, float]]
    refused: str | None
