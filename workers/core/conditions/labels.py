"""How decisions name conditions: in the words of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.workspace import FieldRef, format_duration
from schemas.workspace.spans import span_text

if TYPE_CHECKING:
    from schemas.workspace import Operators, Where

_DURATIONS = frozenset({"older_than", "younger_than", "in_next"})


def operators_text(comparison: Operators) -> str:
    """``gte 3 lt 5``; of a ratio, ``per trait seats_limit`` goes before."""
    divisor: FieldRef | None = getattr(comparison, "divided_by", None)
    ratio = [] if divisor is None else [f"per {divisor.label}"]
    return " ".join(
        [*ratio, *(f"{name} {_shown(name, one)}" for name, one in comparison.operators().items())]
    )


def where_label(where: Where | None) -> str:
    """`` where kind eq seats``, with a blank before it; empty where all events count."""
    if where is None:
        return ""
    parts = (f"{path} {operators_text(comparison)}" for path, comparison in where.items())
    return f" where {', '.join(parts)}"


def bounds_text(least: int, most: int | None) -> str:
    """``at_least 2``, and the like."""
    if most is None:
        return f"at_least {least}"
    if least == most:
        return f"exactly {least}"
    return f"at_most {most}" if least == 0 else f"at_least {least} at_most {most}"


def _shown(name: str, value: Any) -> str:
    if isinstance(value, FieldRef):
        return value.label
    if name == "within":
        return span_text(value)
    if name in _DURATIONS:
        return format_duration(value)
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
