"""Comparisons of values, compiled into closures. What they mean: :mod:`schemas.workspace.comparisons`.

A test takes the value and its *source*: what other fields are read from. That is a moment where conditions
are evaluated, and the event's own properties where ``where`` filters events.
"""

from __future__ import annotations

import operator
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from schemas.workspace import FieldRef
from workers.core.conditions.outcome import Outcome, all_of, of
from workers.core.zones import date_in_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.workspace import Operators, Where

    Test: TypeAlias = Callable[[Any, Any], Outcome]
    Reader: TypeAlias = Callable[[Any], Any]
    Resolve: TypeAlias = Callable[[FieldRef], Reader]
    Dated: TypeAlias = Callable[[str, Any], Test]
    Getter: TypeAlias = Callable[[Mapping[str, Any]], Any]
    Predicate: TypeAlias = Callable[[Mapping[str, Any]], bool]

_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_TEXTS: Final[dict[str, Callable[[str, str], bool]]] = {
    "starts_with": str.startswith,
    "ends_with": str.endswith,
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


def compile_comparison(comparison: Operators, resolve: Resolve, dated: Dated | None = None) -> Test:
    """A function from a value (None: not there) and its source to the outcome of all operators together.

    ``resolve`` reads another field; ``dated`` compiles an operator on dates, where there may be one.
    """
    tests = tuple(_test(name, expected, resolve, dated) for name, expected in comparison.operators().items())
    combined = (
        tests[0] if len(tests) == 1 else lambda value, source: all_of(test(value, source) for test in tests)
    )
    divisor: FieldRef | None = getattr(comparison, "divided_by", None)
    if divisor is not None:
        combined = _ratio(combined, resolve(divisor))
    if comparison.if_missing is None:
        return combined
    instead = of(comparison.if_missing == "pass")

    def decide(value: Any, source: Any) -> Outcome:
        outcome = combined(value, source)
        return instead if outcome is Outcome.MISSING else outcome

    return decide


def compile_where(where: Where | None) -> Predicate | None:
    """A function that says whether an event's properties match; None where every event does."""
    if where is None:
        return None
    parts = tuple(
        (compile_path(path), compile_comparison(comparison, _property_of, _dated))
        for path, comparison in where.items()
    )
    if len(parts) == 1:
        ((read, test),) = parts
        return lambda properties: test(read(properties), properties) is Outcome.TRUE
    return lambda properties: all(test(read(properties), properties) is Outcome.TRUE for read, test in parts)


def _property_of(field: FieldRef) -> Getter:
    return compile_path(field.path)


def _dated(name: str, expected: Any) -> Test:
    """``before`` or ``after`` among an event's own properties, days beginning in UTC."""
    is_before = name == "before"
    read = _property_of(expected) if isinstance(expected, FieldRef) else lambda _: expected

    def test(value: Any, properties: Any) -> Outcome:
        at_ms, limit_ms = date_in_ms(value, UTC), date_in_ms(read(properties), UTC)
        return Outcome.MISSING if at_ms is None or limit_ms is None else of((at_ms < limit_ms) is is_before)

    return test


def is_same(one: Any, other: Any) -> bool:
    """Whether two values of a trait are the same; ``True`` is not ``1``."""
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def is_number(value: Any) -> bool:
    """Whether a value can be compared by size; ``True`` is no number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _test(name: str, expected: Any, resolve: Resolve, dated: Dated | None) -> Test:  # noqa: PLR0911
    if dated is not None and name in {"before", "after", "older_than", "younger_than", "in_next", "within"}:
        return dated(name, expected)
    if name == "exists":
        return lambda value, _: of((value is not None) is expected)
    if isinstance(expected, FieldRef):
        return _referring(name, resolve(expected))
    if name in _ORDERS:
        return _in_order(_ORDERS[name], expected)
    if name in _TEXTS:
        holds = _TEXTS[name]
        return lambda value, _: of(holds(value, expected)) if isinstance(value, str) else Outcome.MISSING
    if name == "matches":
        matches = _pattern(expected)
        return lambda value, _: of(matches(value)) if isinstance(value, str) else Outcome.MISSING
    if name in {"contains", "not_contains"}:
        wanted_inside = name == "contains"
        return lambda value, _: _contains(value, expected, wanted=wanted_inside)
    allowed = frozenset(map(_identity, (expected,) if name in {"eq", "ne"} else expected))
    wanted = name in {"eq", "in"}

    def is_among(value: Any, _: Any) -> Outcome:
        if value is None:
            return Outcome.MISSING
        return of((_identity(value) in allowed) is wanted)

    return is_among


def _in_order(compare: Callable[[Any, Any], bool], expected: Any) -> Test:
    """Most segments compare a number: this is :func:`is_number` and ``of`` without a call of each."""

    def test(value: Any, _: Any) -> Outcome:
        if not isinstance(value, (int, float)) or value is True or value is False:
            return Outcome.MISSING
        return Outcome.TRUE if compare(value, expected) else Outcome.FALSE

    return test


def _referring(name: str, read: Reader) -> Test:
    """A comparison with another field."""
    if name in _ORDERS:
        compare = _ORDERS[name]

        def is_in_order(value: Any, source: Any) -> Outcome:
            limit = read(source)
            return of(compare(value, limit)) if is_number(value) and is_number(limit) else Outcome.MISSING

        return is_in_order
    if name in {"contains", "not_contains"}:
        wanted_inside = name == "contains"

        def is_inside(value: Any, source: Any) -> Outcome:
            item = read(source)
            return Outcome.MISSING if item is None else _contains(value, item, wanted=wanted_inside)

        return is_inside
    wanted = name == "eq"

    def is_equal(value: Any, source: Any) -> Outcome:
        other = read(source)
        if value is None or other is None:
            return Outcome.MISSING
        one, two = _identity(value), _identity(other)
        return of((one is not None and one == two) is wanted)

    return is_equal


def _ratio(test: Test, divisor: Reader) -> Test:
    def compare(value: Any, source: Any) -> Outcome:
        below = divisor(source)
        if not is_number(value) or not is_number(below) or below <= 0:
            return Outcome.MISSING
        try:
            return test(value / below, source)
        except OverflowError:
            return Outcome.MISSING

    return compare


def _contains(value: Any, item: Any, *, wanted: bool) -> Outcome:
    """Whether a list has an item, or a text another text in it."""
    if isinstance(value, str):
        return of((item in value) is wanted) if isinstance(item, str) else Outcome.MISSING
    if not isinstance(value, list):
        return Outcome.MISSING
    sought = _identity(item)
    return of(any(sought is not None and _identity(one) == sought for one in value) is wanted)


def _pattern(pattern: str) -> Callable[[str], bool]:
    """Matches ``*`` in linear time: each part is looked for once, where the one before it ended.

    To take the first place of a part is enough: a later one leaves less room for the parts behind it.
    """
    head, *rest = pattern.split("*")
    if not rest:
        return lambda text: text == pattern
    *middle, tail = rest

    def matches(text: str) -> bool:
        end = len(text) - len(tail)
        at = len(head)
        if at > end or not text.startswith(head) or not text.endswith(tail):
            return False
        for part in middle:
            found = text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return matches


def _identity(value: Any) -> Any:
    """What makes values equal: ``True`` is not ``1``, ``2.0`` is ``2``, a list or object equals no scalar."""
    if isinstance(value, bool):
        return ("bool", value)
    return value if isinstance(value, (str, int, float)) else None
