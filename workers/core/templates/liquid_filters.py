"""The filters of Liquid, and those that Customer.io and Braze add. ``docs/liquid.md`` lists them.

Each gets a value that is there, the render's budget, then the template's arguments; what is missing passes
every filter but ``default`` by. In html, texts of the template itself are :class:`markupsafe.Markup` and stay
so where nothing of the data comes in unescaped: its methods escape what they are given.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus, unquote_plus

import msgspec
from liquid.exceptions import FilterArgumentError
from liquid.filter import with_context
from markupsafe import Markup, escape

from workers.core.templates import liquid_lists, liquid_numbers
from workers.core.templates.filters import money, plural
from workers.core.templates.liquid_dates import in_zone, instant, is_day, spelled, strftime
from workers.core.templates.liquid_values import (
    STEP,
    LeftOut,
    Missing,
    fail_missing,
    is_blank,
    nil,
    plain_text,
    whole,
)
from workers.core.templates.values import MAX_TEXT_CHARS, fail_type, limit_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from workers.core.templates.liquid_values import Context
    from workers.core.templates.values import Budget

_TAG = re.compile(r"<script.*?</script>|<!--.*?-->|<style.*?</style>|<[^>]*>", re.DOTALL | re.IGNORECASE)


def _text(value: Any, budget: Budget) -> str:
    return plain_text(value, budget, "value")


def _plain(value: Any, budget: Budget) -> str:
    """The text without the mark that it is html: what is cut out of it is escaped again."""
    return str(_text(value, budget))


def _sized(chars: int, budget: Budget) -> None:
    if chars > MAX_TEXT_CHARS:
        limit_text(None)
    budget.spend_chars(chars)


def append(value: Any, budget: Budget, more: Any) -> str:
    """With ``more`` behind it."""
    return limit_text(_text(value, budget) + _text(more, budget))


def prepend(value: Any, budget: Budget, more: Any) -> str:
    """With ``more`` in front."""
    return limit_text(_text(more, budget) + _text(value, budget))


def capitalize(value: Any, budget: Budget) -> str:
    """The first letter in capitals, the rest in small ones, as Liquid has it."""
    return _text(value, budget).capitalize()


def titlecase(value: Any, budget: Budget) -> str:
    """Every word with a capital first letter."""
    words = _plain(value, budget).split(" ")
    budget.spend(2 * len(words))
    return limit_text(" ".join(word[:1].upper() + word[1:] for word in words))


def replace(value: Any, budget: Budget, old: Any, new: Any = "", count: int = -1) -> str:
    """``old`` replaced by ``new``, everywhere or ``count`` times from the left."""
    text, old, new = _text(value, budget), _text(old, budget), _text(new, budget)
    if not old:
        fail_type("replace needs a text to look for", 0)
    found = text.count(old) if count < 0 else count
    _sized(len(text) + found * 5 * len(new), budget)
    return text.replace(old, new, count)


def _from_the_end(value: Any, budget: Budget, old: Any, new: Any = "") -> str:
    text, old, new = _text(value, budget), _text(old, budget), _text(new, budget)
    before, found, after = text.rpartition(old) if old else ("", "", text)
    return limit_text(before + new + after) if found else text


def slice_(value: Any, budget: Budget, start: Any, length: Any = 1) -> Any:
    """Some characters of a text, or items of a list; a negative start counts from the end."""
    whole_value = value if isinstance(value, (list, tuple)) else _plain(value, budget)
    size = len(whole_value)
    at = whole(start)
    at = at + size if at < 0 else at
    budget.spend(size // 16)
    return whole_value[at : at + max(whole(length), 0)] if at >= 0 else whole_value[:0]


def split(value: Any, budget: Budget, separator: Any = " ") -> list[str]:
    """The parts of a text; its characters where the separator is empty."""
    text, between = _text(value, budget), _text(separator, budget)
    budget.spend(len(text) if not between else text.count(between))
    if not between:
        return list(text)
    return text.split(None if between == " " else between) if text else []


def truncate(value: Any, budget: Budget, chars: Any = 50, end: Any = "...") -> str:
    """At most ``chars`` characters, the last of which are ``end`` where something was cut off."""
    text, most, mark = _text(value, budget), whole(chars), _plain(end, budget)
    return text if len(text) <= most else str(text)[: max(most - len(mark), 0)] + mark


def truncatewords(value: Any, budget: Budget, words: Any = 15, end: Any = "...") -> str:
    """At most ``words`` words, and ``end`` where some were cut off."""
    text, most = _text(value, budget), max(whole(words), 1)
    parts = str(text).split(None, most)
    return text if len(parts) <= most else " ".join(parts[:most]) + _plain(end, budget)


def strip_html(value: Any, budget: Budget) -> str:
    """Without tags and comments."""
    text = _plain(value, budget)
    budget.spend(text.count("<") * (1 + len(text) // 64))
    return _TAG.sub("", text)


def newline_to_br(value: Any, budget: Budget) -> str:
    """A ``<br>`` before each line break."""
    text = _text(value, budget).replace("\r\n", "\n")
    _sized(len(text) + 6 * text.count("\n"), budget)
    return text.replace("\n", "<br />\n")


def newline_to_br_html(value: Any, budget: Budget) -> str:
    """The same in html, where the text itself is escaped."""
    text = escape(_text(value, budget))
    _sized(len(text) + 6 * text.count("\n"), budget)
    return Markup(str(text).replace("\r\n", "\n").replace("\n", "<br />\n"))  # noqa: S704 - escaped above


def escape_text(value: Any, budget: Budget) -> str:
    """Escaped for html; html shows every value so, and not twice."""
    return limit_text(escape(_plain(value, budget)))


def _joined(value: Any, budget: Budget) -> str:
    return re.sub(r"\s+", " ", _plain(value, budget)).strip()


def _hashed(kind: str) -> Callable[[Any, Budget], str]:
    return lambda value, budget: hashlib.new(kind, _plain(value, budget).encode()).hexdigest()


def _base64(value: Any, budget: Budget) -> str:
    return limit_text(b64encode(_plain(value, budget).encode()).decode())


def as_json(value: Any, budget: Budget) -> str:
    """The value as JSON."""
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        fail_type("a value of JSON is needed", value)
    _sized(4 * len(text), budget)
    return text


def json_escape(value: Any, budget: Budget) -> str:
    """Safe between the quotes of a JSON text."""
    return limit_text(as_json(_plain(value, budget), budget)[1:-1])


def default(value: Any, budget: Budget, other: Any = "", *, allow_false: Any = False) -> Any:
    """``other`` where the value is missing, null, false, blank or without items."""
    budget.spend(1)
    kept = value is False and allow_false is True
    return other if is_blank(value) and not kept else value


def size(value: Any, budget: Budget) -> int:
    """How many items or characters; 0 of a number."""
    budget.spend(1)
    return len(value) if isinstance(value, (str, list, tuple, dict)) else 0


def date(value: Any, context: Context, style: Any = "%Y-%m-%d %H:%M:%S %z", zone: Any = None) -> str:
    """A time in a style of ``strftime``; in ``zone``, else by the clock that the text names, else in UTC."""
    budget = context.budget
    at = instant(value, _now_ms(context))
    if zone is not None and not is_day(value):
        at = in_zone(at, zone)
    signs = _plain(style, budget)
    return _dated(at, signs, budget)


def _dated(at: datetime, style: str, budget: Budget) -> str:
    signs = spelled(style)
    budget.spend(60 + 2 * STEP * signs.count("%"))
    return strftime(at, signs)


def time_zone(value: Any, context: Context, zone: Any, style: Any = None) -> str:
    """The moment by the clock of ``zone``, which a ``date`` behind it then shows."""
    context.budget.spend(60)
    at = in_zone(instant(value, _now_ms(context)), zone)
    return at.isoformat() if style is None else _dated(at, _plain(style, context.budget), context.budget)


def _now_ms(context: Context) -> int | None:
    found = context.get(["message", "at"], token=None)
    return found if isinstance(found, int) else None


_PLAIN: Final[Mapping[str, Callable[..., Any]]] = {
    **liquid_numbers.FILTERS,
    **liquid_lists.FILTERS,
    "append": append,
    "prepend": prepend,
    "capitalize": capitalize,
    "titlecase": titlecase,
    "downcase": lambda value, budget: _text(value, budget).lower(),
    "upcase": lambda value, budget: limit_text(_plain(value, budget).upper()),
    "strip": lambda value, budget: _text(value, budget).strip(),
    "lstrip": lambda value, budget: _text(value, budget).lstrip(),
    "rstrip": lambda value, budget: _text(value, budget).rstrip(),
    "squish": _joined,
    "strip_newlines": lambda value, budget: _text(value, budget).replace("\r", "").replace("\n", ""),
    "strip_html": strip_html,
    "newline_to_br": newline_to_br,
    "escape": escape_text,
    "escape_once": lambda value, budget: limit_text(escape(Markup(_plain(value, budget)).unescape())),  # noqa: S704 - escaped again
    "replace": lambda value, budget, old, new="": replace(value, budget, old, new),
    "replace_first": lambda value, budget, old, new="": replace(value, budget, old, new, 1),
    "replace_last": lambda value, budget, old, new="": _from_the_end(value, budget, old, new),
    "remove": replace,
    "remove_first": lambda value, budget, old: replace(value, budget, old, "", 1),
    "remove_last": _from_the_end,
    "slice": slice_,
    "split": split,
    "truncate": truncate,
    "truncatewords": truncatewords,
    "url_encode": lambda value, budget: limit_text(quote_plus(_plain(value, budget))),
    "url_decode": lambda value, budget: unquote_plus(_plain(value, budget)),
    "url_escape": lambda value, budget: limit_text(quote(_plain(value, budget), safe=":/?&=#%+,;@!$'()*~")),
    "url_param_escape": lambda value, budget: limit_text(quote(_plain(value, budget), safe="")),
    "base64_encode": _base64,
    "base64": _base64,
    "base64_url_safe_encode": lambda value, budget: limit_text(
        urlsafe_b64encode(_plain(value, budget).encode()).decode()
    ),
    "md5": _hashed("md5"),
    "sha1": _hashed("sha1"),
    "sha2": _hashed("sha256"),
    "sha256": _hashed("sha256"),
    "json_escape": json_escape,
    "as_json_string": as_json,
    "to_json": as_json,
    "json": as_json,
    "size": size,
    "plural": plural,
    "money_in": money,
}
"""Filters of a value that is there."""

_TIMES: Final[Mapping[str, Callable[..., Any]]] = {
    "date": date,
    "time_zone": time_zone,
    "timezone": time_zone,
}
"""Filters that also ask what time it is."""

NAMES: Final = ("default", *_PLAIN, *_TIMES)


_SIGNATURES: Final[dict[Callable[..., Any], inspect.Signature]] = {}
"""What each filter takes, as the library calls it."""


def filters(*, html: bool) -> dict[str, Callable[..., Any]]:
    """The filters as the library calls them: with the context, from which they are paid."""
    changed = {"newline_to_br": newline_to_br_html} if html else {}
    made = {name: _paid(function, "budget") for name, function in {**_PLAIN, **changed}.items()}
    made |= {name: _paid(function, "context") for name, function in _TIMES.items()}
    made["default"] = _default
    return made


@with_context
def _default(value: Any, *arguments: Any, context: Context, **named: Any) -> Any:
    chosen = default(value, context.budget, *arguments, **named)
    return LeftOut("the default") if nil(chosen) and not isinstance(chosen, Missing) else chosen


def _paid(function: Callable[..., Any], second: str) -> Callable[..., Any]:
    @with_context
    def run(value: Any, *arguments: Any, context: Context) -> Any:
        context.budget.spend(STEP + (len(value) // 24 if isinstance(value, str) else 0))
        if nil(value):
            return value if isinstance(value, Missing) else Missing("an item of a list")
        for argument in arguments:
            if isinstance(argument, Missing):
                raise fail_missing(argument)
        try:
            return function(value, context.budget if second == "budget" else context, *arguments)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise FilterArgumentError("the data does not fit a filter", token=None) from error

    _SIGNATURES[run] = inspect.signature(function)
    return run


_SIGNATURES[_default] = inspect.signature(default)


def fits(function: Callable[..., Any], listed: Sequence[None], named: Mapping[str, None]) -> None:
    """Raise :class:`TypeError` where a filter does not take so many arguments, or none of these names."""
    _SIGNATURES[function].bind(None, None, *listed, **named)
