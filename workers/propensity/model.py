"""A trained model: one JSON file of numbers. Reading it runs nothing, and scoring needs no library.

The score is a logistic regression on standardised columns, then a calibration::

    z = intercept + sum(coefficient * clip((x - mean) / spread, -LIMIT, LIMIT))
    probability = sigmoid(slope * z + offset), or the isotonic map of sigmoid(z)
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from workers.core.ids import stable_id
from workers.errors import Misconfigured
from workers.propensity.features import Spec  # noqa: TC001  msgspec reads it at run time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from workers.propensity.features import Value

MODEL_FILE: Final = "model.json"
REPORT_FILE: Final = "report.json"
LIMIT: Final = 4.0
"""Spreads from the mean beyond which a column counts no more: a value never seen gets no score never seen."""

REASONS: Final = 3
_ENDS: Final = 1e-6
"""Probabilities stay this far from 0 and 1: no history makes anybody certain."""


class Column(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A feature as a number. ``kind``: ``log`` of a count, plain ``number``, ``level`` (is it?), ``missing``.

    ``mean`` and ``spread`` are those of training. A value that is not there counts as the mean.
    """

    feature: str
    kind: Literal["log", "number", "level", "missing"]
    level: str | None = None
    mean: float = 0.0
    spread: float = 1.0
    coefficient: float = 0.0

    def raw(self, features: Mapping[str, Value]) -> float | None:
        """The value before it is standardised; None where it is not there."""
        value = features.get(self.feature)
        if self.kind == "missing":
            return float(value is None)
        if self.kind == "level":
            return float(value == self.level)
        if value is None or isinstance(value, str):
            return None
        return math.copysign(math.log1p(abs(value)), value) if self.kind == "log" else float(value)

    def standard(self, features: Mapping[str, Value]) -> float:
        """Spreads from the mean, within the limit."""
        value = self.raw(features)
        if value is None:
            return 0.0
        return max(-LIMIT, min(LIMIT, (value - self.mean) / self.spread))


class Sigmoid(msgspec.Struct, frozen=True, tag="sigmoid"):
    """Platt's calibration."""

    slope: float
    offset: float

    def __call__(self, logit: float) -> float:
        """The probability of a logit."""
        return sigmoid(self.slope * logit + self.offset)


class Isotonic(msgspec.Struct, frozen=True, tag="isotonic"):
    """Straight lines between knots: logits, ascending, and the probabilities there, never falling."""

    logits: list[float]
    probabilities: list[float]

    def __call__(self, logit: float) -> float:
        """The probability of a logit; beyond the knots that of the outermost."""
        after = bisect_right(self.logits, logit)
        if after in {0, len(self.logits)}:
            return self.probabilities[0 if after == 0 else -1]
        left, right = self.logits[after - 1], self.logits[after]
        low, high = self.probabilities[after - 1], self.probabilities[after]
        return low + (high - low) * (logit - left) / (right - left)


class Reason(msgspec.Struct, frozen=True):
    """What moved a score away from that of an average subject; ``weight`` is in logits."""

    feature: str
    value: float | str | None
    direction: Literal["up", "down"]
    weight: float


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model with all that scoring needs. ``trained_until_ms``: nothing later was looked at in training."""

    v: Literal[1] = 1
    spec: Spec
    columns: list[Column]
    intercept: float
    calibration: Sigmoid | Isotonic
    trained_until_ms: int

    def id(self) -> str:
        """A hash of the content."""
        return stable_id("propensity", msgspec.json.encode(self).decode())

    def logit(self, features: Mapping[str, Value]) -> float:
        """The score before calibration."""
        return self.intercept + math.fsum(one.coefficient * one.standard(features) for one in self.columns)

    def probability(self, features: Mapping[str, Value]) -> float:
        """The probability that the target happens within the horizon."""
        return min(1 - _ENDS, max(_ENDS, self.calibration(self.logit(features))))

    def reasons(self, features: Mapping[str, Value], limit: int = REASONS) -> list[Reason]:
        """The features that move the score most, either way; columns of one feature count together."""
        weights: dict[str, float] = defaultdict(float)
        for one in self.columns:
            weights[one.feature] += one.coefficient * one.standard(features)
        largest = sorted(weights.items(), key=lambda entry: (-abs(entry[1]), entry[0]))
        return [
            Reason(name, _rounded(features.get(name)), "up" if weight > 0 else "down", round(weight, 3))
            for name, weight in largest[:limit]
            if weight
        ]


def sigmoid(logit: float) -> float:
    """The probability of a logit, without overflow."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    small = math.exp(logit)
    return small / (1 + small)


def save(model: Model, folder: Path) -> None:
    """Write the model into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(model), indent=1)
    (folder / MODEL_FILE).write_bytes(text + b"\n")


def load(folder: Path) -> Model:
    """The model of a folder.

    Raises:
        Misconfigured: there is none, or it is not one that this version reads.
    """
    found: Model = read_file(folder / MODEL_FILE, Model)
    return found


def read_file(path: Path, shape: Any) -> Any:
    """A JSON file of a shape.

    Raises:
        Misconfigured: it cannot be read, or is something else; the message names the file and the field.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}; `brimful propensity train` writes it") from error
    except msgspec.DecodeError as error:
        raise Misconfigured(f"{path}: {error}; train the model anew") from error


def _rounded(value: Value | None) -> Value | None:
    return round(value, 4) if isinstance(value, float) else value
