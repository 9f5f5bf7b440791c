"""The differences of many subjects: how many of each kind, how often, why, and some of them to look at."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from workers.core.shadows.differences import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workers.core.shadows.differences import Compared, Difference, Kind

REASONS_MAX: Final = 100
"""Reasons of a kind that are told apart; the rest is counted as :data:`OTHERS`."""

OTHERS: Final = "other reasons"

_OF_ENROLLMENTS: Final = frozenset({"entered_only_in_shadow", "entered_only_in_running"})
_OF_MESSAGES: Final = frozenset(
    {"message_only_in_shadow", "message_only_in_running", "message_changed", "message_time", "recipients"}
)


@dataclass(slots=True)
class Found:
    """The differences of a kind: how many, by reason, and of each reason the first few as plain data."""

    number: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


class Tally:
    """Adds up what was compared; bounded however many subjects there are.

    ``sample`` differences of each reason are kept. Those of a kind or with a reason in ``ignored`` are
    counted apart, and make nothing different.
    """

    def __init__(self, sample: int = 5, ignored: Iterable[str] = ()) -> None:
        self.subjects = 0
        self.shadow = 0
        self.running = 0
        self.both = 0
        self.messages = 0
        self.shadow_messages = 0
        self.running_messages = 0
        self.held = 0
        self.goals = Counter[str]()
        self.differing = 0
        self.ignored = 0
        self.found: dict[Kind, Found] = {kind: Found() for kind in KINDS}
        self._sample = sample
        self._ignored = frozenset(ignored)

    def add(self, subject_type: str, subject: str, compared: Sequence[Compared]) -> None:
        """Count one subject."""
        self.subjects += bool(compared)
        for one in compared:
            self._sides(one)
            left = [found for found in one.differences if not self._is_ignored(found)]
            self.ignored += len(one.differences) - len(left)
            self.differing += bool(left)
            for found in left:
                self._note(subject_type, subject, found)

    @property
    def enrollments(self) -> int:
        """Enrollments of either; one that both have counts once."""
        return self.shadow + self.running - self.both

    @property
    def share(self) -> float:
        """Which share of the enrollments differs in anything; 0 where there are none."""
        return self.differing / self.enrollments if self.enrollments else 0.0

    def rate(self, kind: Kind) -> float:
        """The share of a kind: of all enrollments for entries, of messages for these, else of pairs."""
        whole = self.both
        if kind in _OF_ENROLLMENTS:
            whole = self.enrollments
        elif kind in _OF_MESSAGES:
            whole = self.messages
        return self.found[kind].number / whole if whole else 0.0

    def report(self) -> dict[str, Any]:
        """Everything as plain data, kinds without differences included; times are UTC milliseconds."""
        return {
            "subjects": self.subjects,
            "enrollments": {"shadow": self.shadow, "running": self.running, "both": self.both},
            "messages": {
                "shadow": self.shadow_messages,
                "running": self.running_messages,
                "either": self.messages,
                "held_in_running": self.held,
            },
            "goals": {"shadow": self.goals["shadow"], "running": self.goals["running"]},
            "differing": self.differing,
            "share": round(self.share, 6),
            "ignored": self.ignored,
            "differences": {
                kind: {
                    "number": found.number,
                    "rate": round(self.rate(kind), 6),
                    "reasons": [
                        {"reason": reason, "number": number, "sample": found.samples.get(reason, [])}
                        for reason, number in sorted(
                            found.reasons.items(), key=lambda pair: (-pair[1], pair[0])
                        )
                    ],
                }
                for kind, found in self.found.items()
            },
        }

    def _sides(self, one: Compared) -> None:
        ours, theirs = one.shadow, one.running
        self.shadow += ours is not None
        self.running += theirs is not None
        self.both += ours is not None and theirs is not None
        self.messages += one.messages
        if ours is not None:
            self.shadow_messages += len(ours.sent)
            self.goals["shadow"] += ours.goal_ms is not None
        if theirs is not None:
            self.running_messages += len(theirs.sent)
            self.held += sum(attempt.held_for is not None for attempt in theirs.attempts)
            self.goals["running"] += theirs.goal_ms is not None

    def _is_ignored(self, found: Difference) -> bool:
        return found.kind in self._ignored or found.reason in self._ignored

    def _note(self, subject_type: str, subject: str, found: Difference) -> None:
        kind = self.found[found.kind]
        kind.number += 1
        reason = found.reason
        if reason not in kind.reasons and len(kind.reasons) >= REASONS_MAX:
            reason = OTHERS
        kind.reasons[reason] += 1
        sample = kind.samples.setdefault(reason, [])
        if len(sample) < self._sample:
            item = {
                "subject_type": subject_type,
                "subject": subject,
                "enrollment": found.enrollment,
                "what": found.what,
                "shadow_ms": found.shadow_ms,
                "running_ms": found.running_ms,
            }
            sample.append(item if reason == found.reason else item | {"reason": found.reason})
