"""The filters of Liquid that calculate. A text that is a number counts as one: traits often come so."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from workers.core.templates.filters import money, number_filter, percent, round_filter
from workers.core.templates.liquid_values import plain_text, whole
from workers.core.templates.values import Unrenderable, calculate, fail_type, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workers.core.templates.values import Budget

_LONGEST: Final = 32
_FORMATTED: Final = 60


def as_number(value: Any) -> int | float:
    """``value`` as a number; a text is one where it says one.

    Raises:
        Unrenderable: it is none.
    """
    if isinstance(value, str):
        text = value.strip()
        try:
            value = int(text) if len(text) <= _LONGEST and "." not in text else float(text[:_LONGEST])
        except ValueError:
            fail_type("a number is needed", value)
    found: int | float = number(value, "a number is needed")
    if not math.isfinite(found):
        raise Unrenderable("wrong_type", None, "a number that is finite is needed")
    return found


def _math(name: str) -> Callable[[Any, Budget, Any], int | float]:
    def run(value: Any, budget: Budget, other: Any) -> int | float:
        left, right = as_number(value), as_number(other)
        if isinstance(left, int) and isinstance(right, int):
            return calculate(left, budget, "FloorDiv" if name == "Div" else name, right)
        # Decimals, as Ruby's Liquid: 0.1 and 0.2 make 0.3.
        result = calculate(left, budget, name, right)
        if name in ("Add", "Sub"):
            sign = 1 if name == "Add" else -1
            result = float(Decimal(str(left)) + sign * Decimal(str(right)))
        return result

    return run


def _least(value: Any, _: Budget, other: Any) -> int | float:
    return max(as_number(value), as_number(other))


def _most(value: Any, _: Budget, other: Any) -> int | float:
    return min(as_number(value), as_number(other))


def _round(value: Any, budget: Budget, decimals: Any = 0) -> int | float:
    return round_filter(as_number(value), budget, whole(decimals))


def _money(value: Any, budget: Budget, code: Any = "USD") -> str:
    """Customer.io's ``currency``: with the sign of the currency, by its code of three letters."""
    budget.spend(_FORMATTED)
    return money(as_number(value), budget, plain_text(code, budget, "currency"))


def _amount(value: Any, budget: Budget) -> str:
    """Braze's ``money``: two decimals, and no sign of a currency."""
    return number_filter(as_number(value), budget, 2)


def _number(value: Any, budget: Budget, decimals: Any = None) -> str:
    budget.spend(_FORMATTED)
    return number_filter(as_number(value), budget, None if decimals is None else whole(decimals))


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": lambda value, _: abs(as_number(value)),
    "ceil": lambda value, _: math.ceil(as_number(value)),
    "floor": lambda value, _: math.floor(as_number(value)),
    "round": _round,
    "plus": _math("Add"),
    "minus": _math("Sub"),
    "times": _math("Mul"),
    "divided_by": _math("Div"),
    "modulo": _math("Mod"),
    "at_least": _least,
    "at_most": _most,
    "money": _amount,
    "currency": _money,
    "rounded_currency": lambda value, budget, code="USD": _money(
        round_filter(as_number(value), budget), budget, code
    ).removesuffix(".00"),
    "number_with_delimiter": _number,
    "format_number": _number,
    "number": _number,
    "percent": lambda value, budget, decimals=0: percent(as_number(value), budget, whole(decimals)),
}
