"""Conditions compiled into closures over a subject's facts, with the values they saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, assert_never

from schemas.workspace import (
    AccountCondition,
    AllCondition,
    AnyCondition,
    EnrolledCondition,
    NotCondition,
    PerformedCondition,
    ReceivedCondition,
    TraitCondition,
    format_duration,
)
from workers.core.comparisons import compile_comparison, compile_path
from workers.core.outcome import Outcome, all_of, any_of, negate, of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from schemas.workspace import Comparison, Condition, Where
    from workers.core.facts import Moment

    Values: TypeAlias = dict[str, Any]
    Test: TypeAlias = Callable[[Moment, Values], Outcome]

_LOOK_UP: Final = 0
"""Cost of reading a trait."""
_SEARCH: Final = 1
"""Cost of going through the subject's messages or enrollments."""
_COUNT: Final = 2
"""Cost of counting in a window."""


class Names(Protocol):
    """What conditions refer to by name, resolved when the plan is made."""

    def slot_id(self, event: str, where: Where | None) -> int:
        """The slot that an event is recorded in."""

    def journeys(self, names: Iterable[str], tags: Iterable[str]) -> frozenset[str]:
        """The journeys of those names, and those that have one of the tags."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledCondition:
    """One condition. ``test`` notes the values it looks at under names that people understand."""

    label: str
    cost: int
    test: Test


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether conditions let a subject pass; else which did not (``failed``) and with what outcome.

    ``values`` are those looked at until it was clear, by the name of the condition; None: missing.
    """

    ok: bool
    values: dict[str, Any]
    failed: str | None = None
    outcome: Outcome | None = None


def compile_conditions(conditions: Iterable[Condition], names: Names) -> tuple[CompiledCondition, ...]:
    """The conditions in the order of their cost, so that a cheap one that decides spares the others."""
    compiled = (compile_condition(condition, names) for condition in conditions)
    return tuple(sorted(compiled, key=lambda condition: condition.cost))


def evaluate(require: Iterable[CompiledCondition], moment: Moment) -> Verdict:
    """Passes where every condition is TRUE."""
    values: Values = {}
    for condition in require:
        outcome = condition.test(moment, values)
        if outcome is not Outcome.TRUE:
            return Verdict(ok=False, values=values, failed=condition.label, outcome=outcome)
    return Verdict(ok=True, values=values)


def evaluate_none(exclude: Iterable[CompiledCondition], moment: Moment) -> Verdict:
    """Passes where no condition is TRUE; one that is MISSING excludes nobody."""
    values: Values = {}
    for condition in exclude:
        if condition.test(moment, values) is Outcome.TRUE:
            return Verdict(ok=False, values=values, failed=condition.label, outcome=Outcome.TRUE)
    return Verdict(ok=True, values=values)


def compile_condition(condition: Condition, names: Names) -> CompiledCondition:  # noqa: PLR0911  one per kind
    """One condition and those inside it."""
    match condition:
        case TraitCondition():
            return _trait(condition)
        case AccountCondition():
            return _account_trait(condition)
        case PerformedCondition():
            return _performed(condition, names)
        case ReceivedCondition():
            return _received(condition)
        case EnrolledCondition():
            return _enrolled(condition, names)
        case AllCondition():
            return _several("all", all_of, compile_conditions(condition.all_, names))
        case AnyCondition():
            return _several("any", any_of, compile_conditions(condition.any_, names))
        case NotCondition():
            inner = compile_condition(condition.not_, names)
            test = inner.test
            return CompiledCondition(
                f"not ({inner.label})", inner.cost, lambda moment, values: negate(test(moment, values))
            )
        case _:
            assert_never(condition)


def _trait(condition: TraitCondition) -> CompiledCondition:
    read, compare = compile_path(condition.trait), compile_comparison(condition)
    name = f"trait {condition.trait}"

    def test(moment: Moment, values: Values) -> Outcome:
        value = values[name] = read(moment.facts.traits)
        return compare(value)

    return CompiledCondition(f"{name} {_operators(condition)}", _LOOK_UP, test)


def _account_trait(condition: AccountCondition) -> CompiledCondition:
    read, compare = compile_path(condition.account.trait), compile_comparison(condition.account)
    name = f"account trait {condition.account.trait}"

    def test(moment: Moment, values: Values) -> Outcome:
        value = values[name] = read(moment.facts.account_traits)
        return compare(value)

    return CompiledCondition(f"{name} {_operators(condition.account)}", _LOOK_UP, test)


def _performed(condition: PerformedCondition, names: Names) -> CompiledCondition:
    slot_id = names.slot_id(condition.performed, condition.where)
    within_ms = condition.within
    least, most = condition.bounds()
    matching = "" if condition.where is None else f" where {_where(condition.where)}"
    name = f"performed {condition.performed}{matching} within {format_duration(within_ms)}"

    def test(moment: Moment, values: Values) -> Outcome:
        count = values[name] = moment.facts.count(slot_id, within_ms)
        return of(count >= least and (most is None or count <= most))

    return CompiledCondition(f"{name} {_bounds(least, most)}", _COUNT, test)


def _received(condition: ReceivedCondition) -> CompiledCondition:
    tags, channel = frozenset(condition.received.tag or ()), condition.received.channel
    within_ms = condition.within
    which = [f"tag {', '.join(sorted(tags))}"] if tags else []
    which += [f"channel {channel}"] if channel else []
    name = f"received {' '.join(which)} within {format_duration(within_ms)}"

    def test(moment: Moment, values: Values) -> Outcome:
        at_ms = values[name] = moment.received_at_ms(tags, channel, within_ms)
        return of(at_ms is not None)

    return CompiledCondition(name, _SEARCH, test)


def _enrolled(condition: EnrolledCondition, names: Names) -> CompiledCondition:
    by_name, by_tag = condition.enrolled.journey or (), condition.enrolled.tag or ()
    journeys = names.journeys(by_name, by_tag)
    name = f"enrolled {', '.join((*by_name, *(f'tag {tag}' for tag in by_tag)))}"

    def test(moment: Moment, values: Values) -> Outcome:
        journey = values[name] = moment.enrolled(journeys)
        return of(journey is not None)

    return CompiledCondition(name, _SEARCH, test)


def _several(
    word: str, combine: Callable[[Iterable[Outcome]], Outcome], inner: tuple[CompiledCondition, ...]
) -> CompiledCondition:
    tests = tuple(condition.test for condition in inner)
    label = f"{word} ({'; '.join(condition.label for condition in inner)})"

    def test(moment: Moment, values: Values) -> Outcome:
        return combine(one(moment, values) for one in tests)

    return CompiledCondition(label, max(condition.cost for condition in inner), test)


def _operators(comparison: Comparison) -> str:
    return " ".join(f"{name} {_shown(value)}" for name, value in comparison.operators().items())


def _where(where: Where) -> str:
    return ", ".join(f"{path} {_operators(comparison)}" for path, comparison in where.items())


def _bounds(least: int, most: int | None) -> str:
    if most is None:
        return f"at_least {least}"
    if least == most:
        return f"exactly {least}"
    return f"at_most {most}" if least == 0 else f"at_least {least} at_most {most}"


def _shown(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
