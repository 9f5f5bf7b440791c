"""The training table: what was known of each subject at each of several cuts, and what happened after it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workers.errors import Misconfigured
from workers.propensity.features import DAY_MS, LOOKBACK_MS, features_at, is_scored

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workers.propensity.features import Spec, Value
    from workers.propensity.history import History, Record

MAX_EVENTS: Final = 30
MAX_TRAITS: Final = 20
MAX_LEVELS: Final = 12
MIN_SUBJECTS: Final = 5
"""A level, event or trait is looked at where so many subjects have it: fewer could name somebody."""

PERSONAL: Final = frozenset(
    [
        "address",
        "avatar",
        "birthday",
        "email",
        "first_name",
        "firstname",
        "ip",
        "last_name",
        "lastname",
        "name",
        "phone",
        "username",
    ]
)
"""Traits that say who somebody is; never features."""


@dataclass(frozen=True, slots=True)
class Row:
    """One subject at one cut. ``label``: the target happened in ``[cut_ms, cut_ms + horizon)``."""

    subject: str
    cut_ms: int
    features: dict[str, Value]
    label: bool


@dataclass(frozen=True, slots=True)
class Split:
    """Cuts by time. The labels of ``train`` end before ``holdout`` begins."""

    train: tuple[int, ...]
    holdout: tuple[int, ...]


def cuts_of(history: History, horizon_ms: int, step_ms: int) -> list[int]:
    """The instants to look from: a look-back after the history begins, until a horizon before it ends."""
    first_ms = history.start_ms + LOOKBACK_MS
    last_ms = history.end_ms - horizon_ms
    return list(range(first_ms, last_ms + 1, step_ms))


def split_of(history: History, cuts: Sequence[int], spec: Spec, holdout_share: float) -> Split:
    """The newest cuts with this share of the positives are held out.

    By positives, not by cuts: they are what measuring lacks, and where they grow rarer or more frequent the
    same share of the time would leave one side with next to none. Cuts whose labels reach into those held
    out are left out altogether.

    Raises:
        Misconfigured: the history is too short for a cut on either side.
    """
    horizon_ms = spec.horizon_ms
    positives = [_positives(history, cut_ms, spec) for cut_ms in cuts]
    wanted, start = holdout_share * sum(positives), len(cuts)
    while start > 0 and (sum(positives[start:]) < wanted or start == len(cuts)):
        start -= 1
    holdout = tuple(cuts[start:])
    train = tuple(cut for cut in cuts if holdout and cut + horizon_ms <= holdout[0])
    if not train or not holdout:
        raise Misconfigured(
            f"the history is too short: {len(cuts)} cut(s) fit between 28 days after its start and a horizon "
            f"of {horizon_ms // DAY_MS} days before its end. Give more history or a shorter --horizon"
        )
    return Split(train, holdout)


def _positives(history: History, cut_ms: int, spec: Spec) -> int:
    return sum(
        is_scored(record, cut_ms, spec) and _reaches(record, cut_ms, spec)
        for record in history.records.values()
    )


def _reaches(record: Record, cut_ms: int, spec: Spec) -> bool:
    """Whether the target happens within the horizon: the one question that looks beyond the cut."""
    targets = record.targets(spec.target)
    after = bisect_left(targets, cut_ms)
    return after < len(targets) and targets[after] < cut_ms + spec.horizon_ms


def rows_at(history: History, cuts: Iterable[int], spec: Spec) -> list[Row]:
    """A row for each subject that is scored at each cut, by cut, then by subject."""
    rows = []
    for cut_ms in cuts:
        for subject, record in history.records.items():
            if is_scored(record, cut_ms, spec):
                label = _reaches(record, cut_ms, spec)
                rows.append(Row(subject, cut_ms, features_at(record, cut_ms, spec), label))
    return rows


def vocabulary(
    history: History, until_ms: int, target: str, ignore: frozenset[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The events and traits to make features of, by what was known before ``until_ms``; most common first."""
    events: Counter[str] = Counter()
    traits: Counter[str] = Counter()
    levels: dict[str, Counter[Any]] = {}
    for record in history.records.values():
        events.update(name for name, times in record.times.items() if times[0] < until_ms)
        for name, value in record.traits_before(until_ms).items():
            if isinstance(value, (str, bool, int, float)):
                traits[name] += 1
                if isinstance(value, str):
                    levels.setdefault(name, Counter())[value] += 1
    chosen_traits = [
        name
        for name, _ in sorted(traits.items(), key=_most_common)
        if name not in PERSONAL | ignore
        and traits[name] >= MIN_SUBJECTS
        and (name not in levels or len(common_levels(levels[name])) > 1)
    ]
    chosen_events = [
        name
        for name, count in sorted(events.items(), key=_most_common)
        if name != target and name not in ignore and count >= MIN_SUBJECTS
    ]
    return tuple(chosen_events[:MAX_EVENTS]), tuple(chosen_traits[:MAX_TRAITS])


def common_levels(counts: Counter[Any]) -> list[str]:
    """The levels of a category that enough subjects have; none where it has so many that it is a name."""
    common = sorted(level for level, count in counts.items() if count >= MIN_SUBJECTS)
    return common if len(common) <= MAX_LEVELS else []


def _most_common(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]
