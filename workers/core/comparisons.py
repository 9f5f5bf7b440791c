"""Comparisons of values, compiled into closures. What they mean: :mod:`schemas.workspace.conditions`."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from workers.core.outcome import Outcome, all_of, of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.workspace import Comparison, Where

    Test: TypeAlias = Callable[[Any], Outcome]
    Getter: TypeAlias = Callable[[Mapping[str, Any]], Any]
    Predicate: TypeAlias = Callable[[Mapping[str, Any]], bool]

_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def compile_path(path: str) -> Getter:
    """A function that reads a trait or property; None where it, or what leads to it, is not there."""
    first, *rest = path.split(".")
    if not rest:
        return lambda values: values.get(first)

    def read(values: Mapping[str, Any]) -> Any:
        value = values.get(first)
        for name in rest:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    return read


def compile_comparison(comparison: Comparison) -> Test:
    """A function from a value (None: not there) to the outcome of all operators together."""
    tests = tuple(_test(name, expected) for name, expected in comparison.operators().items())
    combined = tests[0] if len(tests) == 1 else lambda value: all_of(test(value) for test in tests)
    if comparison.if_missing is None:
        return combined
    instead = of(comparison.if_missing == "pass")

    def decide(value: Any) -> Outcome:
        outcome = combined(value)
        return instead if outcome is Outcome.MISSING else outcome

    return decide


def compile_where(where: Where | None) -> Predicate | None:
    """A function that says whether an event's properties match; None where every event does."""
    if where is None:
        return None
    parts = tuple((compile_path(path), compile_comparison(comparison)) for path, comparison in where.items())
    if len(parts) == 1:
        ((read, test),) = parts
        return lambda properties: test(read(properties)) is Outcome.TRUE
    return lambda properties: all(test(read(properties)) is Outcome.TRUE for read, test in parts)


def is_same(one: Any, other: Any) -> bool:
    """Whether two values of a trait are the same; ``True`` is not ``1``."""
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def _test(name: str, expected: Any) -> Test:
    if name == "exists":
        return lambda value: of((value is not None) is expected)
    if name in _ORDERS:
        return _order(_ORDERS[name], expected)
    allowed = frozenset(map(_identity, (expected,) if name in {"eq", "ne"} else expected))
    wanted = name in {"eq", "in"}

    def is_among(value: Any) -> Outcome:
        if value is None:
            return Outcome.MISSING
        return of((_identity(value) in allowed) is wanted)

    return is_among


def _order(compare: Callable[[Any, Any], bool], limit: float) -> Test:
    def is_in_order(value: Any) -> Outcome:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return Outcome.MISSING
        return of(compare(value, limit))

    return is_in_order


def _identity(value: Any) -> Any:
    """What makes values equal: ``True`` is not ``1``, ``2.0`` is ``2``, a list or object equals no scalar."""
    if isinstance(value, bool):
        return ("bool", value)
    return value if isinstance(value, (str, int, float)) else None
