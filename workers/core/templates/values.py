"""What a template may do with a value: reading, comparing, calculating, showing. Each is metered.

Jinja2's sandbox keeps templates away from Python's internals, but stops neither loops nor memory bombs.
Here nothing of Jinja2's own operations is left: ``template_language`` rewrites every operation of a
template into a call of a function of this module or of ``template_filters``, and each of them takes its
cost from the :class:`Budget` of the render before it does the work. The values are plain data (what JSON
has), their size is checked once per render, and every function refuses a result that would be too large.
So time and memory of a render are bounded by construction, in the process, at the cost of a few percent.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias

import msgspec
from jinja2 import StrictUndefined, Undefined, UndefinedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FailureReason: TypeAlias = Literal[
    "missing_variable",  # a value that is missing, null or blank would be shown
    "not_text",  # a list, a mapping, a boolean or an infinite number would be shown
    "wrong_type",  # an operation got a value it is not for
    "bad_context",  # the data is not plain or too large
    "too_much_work",  # the budget of the render is spent
    "too_long",  # a text or a part is longer than allowed
    "bad_url",  # a link is neither https, http, mailto, tel nor (in-app) a path
    "aborted",  # the template says itself that it is not to be shown: {% abort 'reason' %}
    "control_character",  # a line break or another control character where one line is expected
]

MAX_WORK: Final = 120_000
"""Work units of one render. A unit is roughly one small step (50 to 250 ns measured), so that the worst
template is stopped within about 20 ms; the largest template of a real workspace needs a few thousand."""

MAX_TEXT_CHARS: Final = 100_000
"""Longest text that an operation may make. Gmail cuts a message off at 102 kB."""

MAX_CONTEXT_VALUES: Final = 5_000
MAX_CONTEXT_CHARS: Final = 256_000
MAX_CONTEXT_DEPTH: Final = 16
"""Size of the data of one render: an event is at most 32 kB, traits of a person and an account are less."""

_MAX_NUMBER: Final = 2**63
_STEP = 4
"""Units that any call costs."""

CHARS_PER_UNIT = 64
"""Characters that are read, copied or compared for one unit."""


class Unrenderable(Exception):
    """A message cannot be rendered. ``variable`` is the dotted name of the value at fault, where one is."""

    def __init__(self, reason: FailureReason, variable: str | None, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: FailureReason = reason
        self.variable = variable
        self.detail = detail

    def __reduce__(self) -> tuple[type[Unrenderable], tuple[FailureReason, str | None, str]]:
        return (Unrenderable, (self.reason, self.variable, self.detail))


class Missing(StrictUndefined):
    """A value that the data does not have, or has as null. It is false; any other use fails the render."""

    def __bool__(self) -> bool:  # type: ignore[override]
        return False

    @property
    def name(self) -> str:
        """The dotted name under which the template asked for it."""
        return str(self._undefined_name)


class Budget:
    """What one render may still spend, and how it shows values.

    That is in the first of ``zones`` that is one, and as people of ``locale`` write them.
    """

    __slots__ = ("left", "locale", "zones")

    def __init__(self, zones: tuple[object, ...] = (), left: int = MAX_WORK, locale: str = "en") -> None:
        self.left = left
        self.zones = zones
        self.locale = locale

    def spend(self, units: int) -> None:
        """Take ``units``; raises :class:`Unrenderable` when they are not there."""
        self.left -= units
        if self.left < 0:
            raise Unrenderable("too_much_work", None, f"the template needs more than {MAX_WORK} steps")

    def spend_chars(self, chars: int) -> None:
        """Take what an operation over ``chars`` characters costs."""
        self.spend(_STEP + chars // CHARS_PER_UNIT)


def fail_missing(value: object, label: str = "value") -> NoReturn:
    """Stop the render because ``value`` is not there."""
    name = value.name if isinstance(value, Missing) else label
    raise Unrenderable("missing_variable", name, f"{name} is missing, and the template has no default")


def fail_type(what: str, value: object) -> NoReturn:
    """Stop the render because an operation got a value of the wrong kind; the value itself is not told."""
    if value is None or isinstance(value, Undefined):
        fail_missing(value)
    raise Unrenderable("wrong_type", None, f"{what}, not a {type(value).__name__}")


def check_plain(context: Mapping[str, Any]) -> None:
    """Raise :class:`Unrenderable` unless ``context`` is what JSON has, and within the size limits."""
    values = chars = 0
    level: list[Any] = [context]
    for _ in range(MAX_CONTEXT_DEPTH):
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is str:
                chars += len(value)
            elif kind is dict:
                chars += _chars_of_keys(value)
                below.extend(value.values())
            elif kind is list or kind is tuple:
                below.extend(value)
            elif kind is int and -_MAX_NUMBER < value < _MAX_NUMBER:
                continue
            elif kind not in _PLAIN:
                raise _not_plain(value)
        values += len(below)
        if values > MAX_CONTEXT_VALUES or chars > MAX_CONTEXT_CHARS:
            limits = f"{MAX_CONTEXT_VALUES} values or {MAX_CONTEXT_CHARS} characters"
            raise Unrenderable("bad_context", None, f"the data has more than {limits}")
        if not below:
            return
        level = below
    raise Unrenderable("bad_context", None, f"the data is nested deeper than {MAX_CONTEXT_DEPTH}")


_PLAIN = frozenset({float, bool, type(None)})


def _chars_of_keys(value: dict[Any, Any]) -> int:
    try:
        return len("".join(value))
    except TypeError as error:
        raise Unrenderable("bad_context", None, "the data has a key that is no text") from error


def _not_plain(value: object) -> Unrenderable:
    what = (
        "a number beyond 64 bits"
        if isinstance(value, int)
        else f"a {type(value).__name__}, which JSON has not"
    )
    return Unrenderable("bad_context", None, f"the data has {what}")


def read(value: Any, name: str, *keys: Any) -> Any:
    """``value[key][key]...``: the keys of mappings and the positions of lists, and nothing else.

    ``name`` is the dotted name, kept in the :class:`Missing` that stands for what is not there or null.
    """
    for key in keys:
        kind = type(value)
        if kind is dict:
            value = value.get(key) if type(key) is str else None
        elif (kind is list or kind is tuple) and type(key) is int:
            value = value[key] if -len(value) <= key < len(value) else None
        else:
            return Missing(name=name)
    if value is None or isinstance(value, Undefined):
        return value if isinstance(value, Missing) and not keys else Missing(name=name)
    return value


def number_text(value: float) -> str:
    """A number as people write it: ``500`` for 500.0. Infinite and not-a-number fail the render."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        raise Unrenderable("not_text", None, "a number that is infinite or undefined would be shown")
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)  # noqa: PLR2004 - exact range


def show(value: Any, budget: Budget, label: str) -> Any:
    """``value`` as text to be shown; a missing or blank one fails the render."""
    if type(value) is str and not value.strip():
        raise Unrenderable("missing_variable", label, f"{label} is blank, and the template has no default")
    return show_or_blank(value, budget, label)


def show_or_blank(value: Any, budget: Budget, label: str) -> Any:
    """As :func:`show`, for an expression whose template says what to show instead: blank is what it wants."""
    if isinstance(value, str):
        budget.spend_chars(len(value))
        return value
    if value is None or isinstance(value, Undefined):
        fail_missing(value, label)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Unrenderable("not_text", label, f"{label} is a {type(value).__name__} and cannot be shown")
    budget.spend(_STEP)
    return number_text(value)


def show_json(value: Any, budget: Budget, label: str, may_be_blank: bool, slack: bool) -> str:
    """``value`` as JSON, with its type. None, which only a template says (``default(none)``), is ``null``."""
    if isinstance(value, Undefined):
        fail_missing(value, label)
    if isinstance(value, str):
        value = show_or_blank(value, budget, label) if may_be_blank else show(value, budget, label)
    if isinstance(value, float) and not math.isfinite(value):
        raise Unrenderable("not_text", label, f"{label} is infinite or not a number, which JSON has not")
    try:
        encoded = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Unrenderable("not_text", label, f"{label} is no JSON value") from error
    budget.spend_chars(len(encoded))
    # Outside of its texts JSON has none of the characters that are escaped.
    return limit_text(encoded.translate(_SLACK) if slack else encoded)


_SLACK: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def escape_slack(value: Any, budget: Budget) -> str:
    """``value`` so that Slack shows it as it is: no link, no mention, no ``<!channel>``."""
    text = str(value)
    budget.spend_chars(len(text))
    return limit_text(text.translate(_SLACK))


_MAIL_SCHEMES = ("https://", "http://", "mailto:", "tel:")


def show_url(value: Any, budget: Budget, label: str) -> Any:
    """``value`` as the target of a link in a message: an absolute URL of a harmless scheme."""
    url = show(value, budget, label)
    harmless = isinstance(url, str) and url.lower().startswith(_MAIL_SCHEMES)
    if not harmless or has_control(url) or " " in url:
        raise Unrenderable("bad_url", label, f"{label} is not an absolute https, http, mailto or tel URL")
    return url


_CONTROL = frozenset(map(chr, (*range(32), *range(127, 160), 0x2028, 0x2029)))


def has_control(text: str) -> bool:
    """Whether ``text`` has a line break, a NUL or another control character."""
    return not _CONTROL.isdisjoint(text)


def steps(items: Any, budget: Budget, weight: int) -> Iterator[Any]:
    """The items of a loop; each costs ``weight`` units, the size of the loop's body."""
    if not isinstance(items, (list, tuple, dict)):
        fail_type("a loop goes over a list or a mapping", items)
    return _spend_steps(items, budget, weight)


def _spend_steps(items: Any, budget: Budget, weight: int) -> Iterator[Any]:
    for item in items:
        budget.spend(weight)
        yield item


def scalar(value: Any, what: str) -> Any:
    """``value`` if it is a text, a number or a boolean; else the render fails."""
    if not isinstance(value, (str, int, float)):
        fail_type(what, value)
    return value


_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
}


def compare(left: Any, budget: Budget, sign: str, right: Any) -> bool:
    """``left sign right``. Missing values fail the render: a condition on nothing has no answer."""
    if sign in ("in", "notin"):
        return _contains(right, budget, scalar(left, "`in` looks for a text or a number")) is (sign == "in")
    scalar(left, "a text or a number is compared")
    scalar(right, "a text or a number is compared with")
    budget.spend_chars(len(left) if isinstance(left, str) else 0)
    if sign in ("eq", "ne"):
        return bool(left == right) is (sign == "eq")
    if isinstance(left, str) is not isinstance(right, str):
        raise Unrenderable("wrong_type", None, "a text and a number have no order")
    return _ORDER[sign](left, right)


def _contains(box: Any, budget: Budget, item: Any) -> bool:
    chars = len(item) if isinstance(item, str) else 0
    if isinstance(box, str):
        budget.spend_chars(len(box) + chars)
        return isinstance(item, str) and item in box
    if not isinstance(box, (list, tuple, dict)):
        fail_type("`in` looks into a text, a list or a mapping", box)
    budget.spend((1 + chars // CHARS_PER_UNIT) * (len(box) + _STEP))
    return item in box


_MATH: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
}


def number(value: Any, what: str) -> Any:
    """``value`` if it is a number; else the render fails."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        fail_type(what, value)
    return value


def calculate(left: Any, budget: Budget, name: str, right: Any) -> int | float:
    """An arithmetic operation on two numbers; a division by zero or an overflow fails the render."""
    number(left, "arithmetic needs a number")
    number(right, "arithmetic needs a number")
    budget.spend(_STEP)
    try:
        result: int | float = _MATH[name](left, right)
    except (ZeroDivisionError, OverflowError) as error:
        raise Unrenderable("wrong_type", None, f"arithmetic failed: {error}") from error
    if not -_MAX_NUMBER < result < _MAX_NUMBER:
        raise Unrenderable("wrong_type", None, "the result of arithmetic is too large")
    return result


def concat(first: Any, budget: Budget, labels: tuple[str, ...], *others: Any) -> str:
    """The texts of all values, one after the other. A missing one fails the render, a blank one does not."""
    pairs = zip((first, *others), labels, strict=True)
    texts = [show_or_blank(value, budget, label) for value, label in pairs]
    return limit_text("".join(texts) if sum(map(len, texts)) <= MAX_TEXT_CHARS else None)


def limit_text(text: str | None) -> str:
    """``text``; None, or one that is longer than a text may be, fails the render."""
    if text is None or len(text) > MAX_TEXT_CHARS:
        raise Unrenderable("too_long", None, f"a text of more than {MAX_TEXT_CHARS} characters")
    return text


_NOT_OF_THE_DATA: Final = frozenset({"too_much_work", "too_long", "bad_context"})
"""Failures that the fallback of a block does not make good: the template or the whole data is at fault."""


def attempt(shown: Callable[[], str], budget: Budget, otherwise: Callable[[], str]) -> str:
    """What a block shows; where a value for it is missing or of no use, what its fallback shows."""
    try:
        text = shown()
    except Unrenderable as failure:
        if failure.reason in _NOT_OF_THE_DATA:
            raise
        text = otherwise()
    except (UndefinedError, TypeError, ValueError):  # as render does: a loop's names may not fit its items
        text = otherwise()
    budget.spend_chars(len(text))
    return text


def abort(reason: str, _: Budget) -> NoReturn:
    """The template says that it is not to be shown."""
    raise Unrenderable("aborted", None, reason)
