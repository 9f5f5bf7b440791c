"""The filters of Liquid over lists. Every item that is looked at is paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from workers.core.templates.liquid_numbers import as_number
from workers.core.templates.liquid_values import STEP, Missing, plain_text, same, whole
from workers.core.templates.values import (
    MAX_CONTEXT_VALUES,
    MAX_TEXT_CHARS,
    Unrenderable,
    fail_type,
    limit_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workers.core.templates.values import Budget


def _items(value: Any, budget: Budget, each: int = 1) -> Any:
    """The items of a list, paid for at ``each`` units; the pairs of a mapping; anything else is one item."""
    items = list(value.items()) if isinstance(value, dict) else value
    items = items if isinstance(items, (list, tuple)) else [items]
    budget.spend(each * len(items))
    return items


def _key(item: Any, key: Any) -> Any:
    if not isinstance(key, str):
        fail_type("a property is a text", key)
    return item.get(key) if isinstance(item, dict) else None


def join(value: Any, budget: Budget, between: Any = " ") -> str:
    """The items as one text. A missing item fails the render."""
    texts = [plain_text(item, budget, "an item") for item in _items(value, budget, 2 * STEP)]
    glue = plain_text(between, budget, "the separator")
    chars = sum(map(len, texts)) + len(glue) * len(texts)
    if chars > MAX_TEXT_CHARS:
        limit_text(None)
    budget.spend_chars(chars)
    marked = isinstance(glue, Markup) or any(isinstance(text, Markup) for text in texts)
    return limit_text(escape("").join(map(escape, _between(texts, glue))) if marked else glue.join(texts))


def _between(texts: list[str], glue: str) -> list[str]:
    return [one for text in texts for one in (glue, text)][1:]


def _first(value: Any, budget: Budget) -> Any:
    items = _items(value, budget, 0)
    return items[0] if items and not isinstance(value, str) else Missing("the first item of an empty list")


def _last(value: Any, budget: Budget) -> Any:
    items = _items(value, budget, 0)
    return items[-1] if items and not isinstance(value, str) else Missing("the last item of an empty list")


def _rank(value: Any, budget: Budget, *, natural: bool) -> tuple[int, Any]:
    """Numbers first, then texts, then what has no order."""
    if isinstance(value, (bool, int, float)):
        return (0, value)
    if isinstance(value, str):
        budget.spend(len(value) // 16)
        return (1, str(value).lower() if natural else str(value))
    return (2, 0)


def _sorted(value: Any, budget: Budget, key: Any = None, *, natural: bool = False) -> list[Any]:
    items = _items(value, budget, 16)
    return sorted(
        items,
        key=lambda item: _rank(item if key is None else _key(item, key), budget, natural=natural),
    )


def _where(value: Any, budget: Budget, key: Any, wanted: Any = None, *, keep: bool = True) -> list[Any]:
    def holds(item: Any) -> bool:
        found = _key(item, key)
        return found not in (None, False) if wanted is None else same(found, wanted, budget)

    return [item for item in _items(value, budget, 2 * STEP) if holds(item) is keep]


def _found(value: Any, budget: Budget, key: Any, wanted: Any = None) -> Any:
    return next(iter(_where(value, budget, key, wanted)), Missing("an item of a list"))


def _uniq(value: Any, budget: Budget, key: Any = None) -> list[Any]:
    """Each value once, the first of them; what is no text and no number is kept."""
    seen: set[tuple[str, Any]] = set()
    out = []
    for item in _items(value, budget, 8):
        found = item if key is None else _key(item, key)
        mark = (type(found).__name__, found)
        if isinstance(found, (str, int, float)):
            if mark in seen:
                continue
            seen.add(mark)
        out.append(item)
    return out


def _sum(value: Any, budget: Budget, key: Any = None) -> int | float:
    items = [item if key is None else _key(item, key) for item in _items(value, budget, 8)]
    return sum(as_number(item) for item in items if item is not None)


def _concat(value: Any, budget: Budget, more: Any) -> list[Any]:
    if not isinstance(more, (list, tuple)):
        fail_type("concat needs a list", more)
    both = [*_items(value, budget), *_items(more, budget)]
    if len(both) > MAX_CONTEXT_VALUES:
        raise Unrenderable("too_much_work", None, f"a list has more than {MAX_CONTEXT_VALUES} items")
    return both


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "join": join,
    "first": _first,
    "last": _last,
    "map": lambda value, budget, key: [_key(item, key) for item in _items(value, budget, 2)],
    "reverse": lambda value, budget: list(reversed(_items(value, budget))),
    "sort": _sorted,
    "sort_natural": lambda value, budget, key=None: _sorted(value, budget, key, natural=True),
    "where": lambda value, budget, key, wanted=None: _where(value, budget, key, wanted),
    "reject": lambda value, budget, key, wanted=None: _where(value, budget, key, wanted, keep=False),
    "find": _found,
    "has": lambda value, budget, key, wanted=None: bool(_where(value, budget, key, wanted)),
    "uniq": _uniq,
    "compact": lambda value, budget: [item for item in _items(value, budget) if item is not None],
    "concat": _concat,
    "sum": _sum,
    "take": lambda value, budget, most: _items(value, budget)[: max(whole(most), 0)],
}
