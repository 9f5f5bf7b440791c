"""The three outcomes of a condition, and how they combine."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Outcome(Enum):
    """What a condition says of a subject. MISSING: it asks about a value that is not there."""

    TRUE = "true"
    FALSE = "false"
    MISSING = "missing"


def of(value: bool) -> Outcome:
    """The outcome of something that is known."""
    return Outcome.TRUE if value else Outcome.FALSE


def all_of(outcomes: Iterable[Outcome]) -> Outcome:
    """FALSE where one is; else MISSING where one is; else TRUE. Stops at the first FALSE."""
    result = Outcome.TRUE
    for outcome in outcomes:
        if outcome is Outcome.FALSE:
            return outcome
        if outcome is Outcome.MISSING:
            result = outcome
    return result


def any_of(outcomes: Iterable[Outcome]) -> Outcome:
    """TRUE where one is; else MISSING where one is; else FALSE. Stops at the first TRUE."""
    result = Outcome.FALSE
    for outcome in outcomes:
        if outcome is Outcome.TRUE:
            return outcome
        if outcome is Outcome.MISSING:
            result = outcome
    return result


def negate(outcome: Outcome) -> Outcome:
    """TRUE and FALSE change places; what is MISSING stays so."""
    if outcome is Outcome.MISSING:
        return outcome
    return Outcome.FALSE if outcome is Outcome.TRUE else Outcome.TRUE
