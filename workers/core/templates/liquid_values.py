"""What Liquid does with values: reading, comparing, looping. As in ``values``, each step is paid for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any, Final, TextIO

from liquid import RenderContext, Undefined
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.expressions.primitive import Blank, Empty, RangeLiteral
from liquid.expression import Expression
from liquid.utils import ReadOnlyChainMap

from workers.core.templates.values import (
    MAX_TEXT_CHARS,
    Budget,
    Unrenderable,
    fail_type,
    number_text,
    show,
    show_or_blank,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liquid import BoundTemplate, Token

STEP: Final = 12
"""Units that a step of the library costs: some 2 us, a unit being some 170 ns."""

MAX_LOOP_ITEMS: Final = 10_000
"""Longest range or list of a loop. What stops most loops is the budget."""


class Missing(Undefined):
    """A value that the data does not have, or has as null. Liquid calls it nil: false, and equal to nil."""

    __slots__ = ()

    def __init__(self, name: str, *, token: Token | None = None, **_: object) -> None:
        super().__init__(name, token=token)


class LeftOut(Missing):
    """What ``default: nil`` gives: the template's own will that there is nothing."""

    __slots__ = ()


def fail_missing(value: Missing) -> Unrenderable:
    """The failure of a render that would show what is not there."""
    return Unrenderable(
        "missing_variable", value.name, f"{value.name} is missing, and the template has no default"
    )


class Buffer(StringIO):
    """Where a render writes to; every character is paid for, and there is room for ``left`` of them."""

    def __init__(self, budget: Budget, left: int) -> None:
        super().__init__()
        self.budget = budget
        self.left = left
        self.most = left

    def write(self, text: str, /) -> int:
        """Append ``text``; raises :class:`Unrenderable` where there is no room, or nothing left to spend."""
        self.left -= len(text)
        if self.left < 0:
            raise Unrenderable("too_long", None, f"a part is longer than {self.most} characters")
        self.budget.spend(len(text) // 64)
        return super().write(text)


class Context(RenderContext):
    """The library's state of one render, over plain data, with a budget and without a clock."""

    __slots__ = ("blank_names", "budget")

    def __init__(self, template: BoundTemplate, *, data: Mapping[str, object], budget: Budget) -> None:
        super().__init__(template, globals=data)
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)
        self.budget = budget
        self.blank_names: set[str] = set()
        """Local names that the template itself made blank."""

    def get(self, path: list[object], *, token: Token | None, default: object = None) -> object:
        """The value at ``path``; :class:`Missing` under its dotted name where there is none."""
        del default
        self.budget.spend(2 * len(path))
        value: object = self.scope.get(str(path[0]))
        for key in path[1:]:
            value = _item(value, key)
            if value is None:
                break
        return Missing(".".join(map(_segment, path)), token=token) if value is None else value

    def assign(self, key: str, val: Any) -> None:
        """Give a value a name. The text of a capture counts as blank by the template's own will."""
        self.budget.spend(2)
        self.locals[key] = val
        self.blank_names.add(key)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        """Where a capture is written to."""
        del buf
        return Buffer(self.budget, MAX_TEXT_CHARS)


def _segment(key: object) -> str:
    return str(key) if isinstance(key, (str, int)) else "…"


def _item(value: object, key: object) -> object:
    """``value[key]``, with Liquid's ``size``, ``first`` and ``last``; None where there is none."""
    if isinstance(value, Undefined) or isinstance(key, Undefined):
        return value if isinstance(value, Missing) and not isinstance(key, Undefined) else None
    if isinstance(value, Mapping):
        found = value.get(key) if isinstance(key, str) else None
        if found is None and key == "size":
            return len(value)
        return next(iter(value.items()), None) if found is None and key == "first" else found
    if key == "size" and isinstance(value, (str, list, tuple)):
        return len(value)
    if isinstance(value, (list, tuple)):
        position = {"first": 0, "last": -1}.get(key) if isinstance(key, str) else key
        if type(position) is int and -len(value) <= position < len(value):
            item: object = value[position]
            return item
    return None


def nil(value: object) -> bool:
    """Whether ``value`` is not there."""
    return value is None or isinstance(value, Undefined)


def is_blank(value: object) -> bool:
    """Whether ``value`` is what Liquid calls blank: nothing, false, white space, or without items."""
    if nil(value) or value is False:
        return True
    return not value.strip() if isinstance(value, str) else isinstance(value, (list, dict)) and not value


def same(left: object, right: object, budget: Budget) -> bool:
    """``left == right``. Nothing equals nothing and ``blank``; texts and numbers are never the same."""
    if isinstance(left, (Empty, Blank)):
        left, right = right, left
    if isinstance(right, (Empty, Blank)):
        sized = isinstance(left, (str, list, tuple, dict)) and not left
        return is_blank(left) if isinstance(right, Blank) else sized
    if nil(left) or nil(right):
        return nil(left) and nil(right)
    return _same(left, right, budget)


def _same(left: object, right: object, budget: Budget) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        budget.spend_chars(min(len(left), len(right)))
        return str.__eq__(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return left == right
    if isinstance(left, (list, tuple, dict)) and isinstance(right, (list, tuple, dict)):
        fail_type("lists and mappings are not compared: compare their size", left)
    return False


def less(left: object, right: object, budget: Budget, *, or_same: bool) -> bool:
    """``left < right``, or ``<=``. Nothing is neither more nor less than anything."""
    if nil(left) or nil(right):
        return False
    if isinstance(left, str) and isinstance(right, str):
        budget.spend_chars(min(len(left), len(right)))
        return str.__le__(left, right) if or_same else str.__lt__(left, right)
    for value in (left, right):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            detail = "a text and a number have no order: make the text a number first, with `| plus: 0`"
            raise Unrenderable("wrong_type", None, detail)
    assert isinstance(left, (int, float))
    assert isinstance(right, (int, float))
    return left <= right if or_same else left < right


def contains(box: object, item: object, budget: Budget) -> bool:
    """``box contains item``: a part of a text, an item of a list, a key of a mapping."""
    if nil(box) or nil(item) or isinstance(item, (Empty, Blank)):
        return False
    if isinstance(box, str):
        text = item if isinstance(item, str) else plain_text(item, budget, "contains")
        budget.spend((len(box) + len(text)) // 16)
        return str(text) in str(box)
    if isinstance(box, (list, tuple)):
        budget.spend(2 * len(box))
        alike = (str,) if isinstance(item, str) else (bool,) if isinstance(item, bool) else (int, float)
        return item in [
            one for one in box if isinstance(one, alike) and isinstance(one, bool) is (bool in alike)
        ]
    return isinstance(box, dict) and isinstance(item, str) and item in box


def plain_text(value: object, budget: Budget, label: str, *, may_be_blank: bool = True) -> str:
    """``value`` as it is shown: a text as it is, a number as people write it, true and false as words.

    Raises:
        Unrenderable: it is missing or no such value, or blank where that is not allowed.
    """
    if isinstance(value, Missing):
        raise fail_missing(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    shown = (show_or_blank if may_be_blank else show)(None if nil(value) else value, budget, label)
    return shown if isinstance(shown, str) else number_text(shown)


class Comparison(Expression):
    """``left sign right``, paid for. Takes the place of the library's own."""

    __slots__ = ("left", "right", "sign")

    def __init__(self, token: Token, left: Expression, sign: str, right: Expression) -> None:
        super().__init__(token)
        self.left, self.sign, self.right = left, sign, right

    def evaluate(self, context: RenderContext) -> bool:
        """Whether it holds."""
        assert isinstance(context, Context)
        left, right = self.left.evaluate(context), self.right.evaluate(context)
        budget = context.budget
        match self.sign:
            case "==":
                return same(left, right, budget)
            case "!=":
                return not same(left, right, budget)
            case "<" | "<=":
                return less(left, right, budget, or_same=self.sign == "<=")
            case ">" | ">=":
                return less(right, left, budget, or_same=self.sign == ">=")
            case _:
                return contains(left, right, budget)

    def children(self) -> list[Expression]:
        """Both sides."""
        return [self.left, self.right]


class Range(RangeLiteral):
    """``(1..5)`` as a list that is not too long."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> Any:
        """The whole numbers from the first to the last; none where the last is less."""
        assert isinstance(context, Context)
        first, last = whole(self.start.evaluate(context)), whole(self.stop.evaluate(context))
        if last - first >= MAX_LOOP_ITEMS:
            raise Unrenderable("too_much_work", None, f"a range has more than {MAX_LOOP_ITEMS} numbers")
        context.budget.spend(max(last - first, 0) // 8)
        return list(range(first, last + 1))


def whole(value: object) -> int:
    """``value`` as a whole number, also where it is a text that is one."""
    if isinstance(value, Missing):
        raise fail_missing(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        fail_type("a whole number is needed", value)
    return value


_WHOLE = re.compile(r"\s*-?[0-9]{1,12}\s*")


class AnyOf(Expression):
    """The values of a ``when``: it is shown once, however many of them match."""

    __slots__ = ("expressions", "left")

    def __init__(self, token: Token, left: Expression, expressions: list[Expression]) -> None:
        super().__init__(token)
        self.left, self.expressions = left, expressions

    def evaluate(self, context: RenderContext) -> list[bool]:
        """One True where one of them matches."""
        assert isinstance(context, Context)
        left = self.left.evaluate(context)
        return [any(same(left, one.evaluate(context), context.budget) for one in self.expressions)]

    def children(self) -> list[Expression]:
        """The value that is looked at, and those that it may have."""
        return [self.left, *self.expressions]


class Loop(LoopExpression):
    """What a loop goes over, each turn paid for by the size of the loop's body.

    A list that is missing stops the message, unless the loop says with ``else`` what is shown otherwise.
    """

    __slots__ = ("has_else", "key", "weight")

    def __init__(self, loop: LoopExpression, weight: int, *, has_else: bool) -> None:
        super().__init__(
            loop.token, loop.identifier, loop.iterable,
            limit=loop.limit, offset=loop.offset, reversed_=loop.reversed, cols=None,
        )  # fmt: skip
        self.weight = weight
        self.has_else = has_else
        self.key = f"{loop.identifier}-{loop.iterable}"

    def evaluate(self, context: RenderContext) -> tuple[Iterator[object], int]:
        """The items that are gone over, and how many they are."""
        assert isinstance(context, Context)
        items = self._items(self.iterable.evaluate(context), context.budget)
        start = self._start(context)
        limit = max(whole(self.limit.evaluate(context)), 0) if self.limit else len(items)
        chosen = items[start : start + limit]
        context.stopindex(key=self.key, index=start + len(chosen))
        return self._turns(chosen[::-1] if self.reversed else chosen, context.budget), len(chosen)

    def _items(self, found: object, budget: Budget) -> Any:
        if isinstance(found, Missing) and not self.has_else:
            raise fail_missing(found)
        if nil(found) or found == "":
            return ()
        if isinstance(found, Mapping):
            found = list(found.items())
        elif isinstance(found, (str, int, float)):
            found = (found,)
        if not isinstance(found, (list, tuple)):
            fail_type("a loop goes over a list or a mapping", found)
        if len(found) > MAX_LOOP_ITEMS:
            raise Unrenderable("too_much_work", None, f"a loop has more than {MAX_LOOP_ITEMS} items")
        budget.spend(3 * STEP + len(found) // 8)
        return found

    def _start(self, context: Context) -> int:
        if self.offset is None:
            return 0
        offset = self.offset.evaluate(context)
        return context.stopindex(self.key) if offset == "continue" else max(whole(offset), 0)

    def _turns(self, items: Any, budget: Budget) -> Iterator[object]:
        for item in items:
            budget.spend(self.weight)
            yield Missing(f"an item of {self.iterable}") if item is None else item
