"""The filters of templates. Each gets the value, the render's budget, then the template's arguments."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from jinja2 import Undefined

from workers.core.templates.local_formats import customs_of
from workers.core.templates.values import (
    MAX_TEXT_CHARS,
    Budget,
    Missing,
    Unrenderable,
    fail_type,
    limit_text,
    number,
    show_or_blank,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_DECIMALS = 6
_CURRENCY = re.compile("[A-Za-z]{3}")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SYMBOLS: Final = {
    "AUD": "A$", "BRL": "R$", "CAD": "CA$", "CNY": "CN¥", "EUR": "€", "GBP": "£", "HKD": "HK$", "ILS": "₪",
    "INR": "₹", "JPY": "¥", "KRW": "₩", "MXN": "MX$", "NZD": "NZ$", "PHP": "₱", "TWD": "NT$", "USD": "$",
    "VND": "₫",
}  # fmt: skip
_NO_DECIMALS: Final = frozenset({
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF",
    "XPF",
})  # fmt: skip

_THREE_DECIMALS: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
"""ISO 4217: currencies without a minor unit, and with one of a thousandth."""


def _text(value: Any, budget: Budget) -> str:
    return str(show_or_blank(value, budget, "value"))


def default(value: Any, budget: Budget, fallback: Any = "") -> Any:
    """``fallback`` where the value is missing, null or blank."""
    budget.spend(1)
    blank = value is None or isinstance(value, Undefined) or (isinstance(value, str) and not value.strip())
    return fallback if blank else value


def _rounded(value: Any, decimals: Any) -> Decimal:
    """The number rounded half up; a text that is a number counts as one, since traits often come so."""
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= 32 else value  # noqa: PLR2004 - longest sensible number
        except ValueError:
            fail_type("a number is formatted", value)
    number(value, "a number is formatted")
    if type(decimals) is not int or not 0 <= decimals <= _MAX_DECIMALS:
        fail_type(f"decimals are 0 to {_MAX_DECIMALS}", decimals)
    exact = Decimal(str(value))
    if not exact.is_finite() or abs(exact) >= 10**18:
        raise Unrenderable("wrong_type", None, "a number that is not finite or too large is formatted")
    return exact.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)


def number_filter(value: Any, budget: Budget, decimals: int | None = None) -> str:
    """``12,345``; without ``decimals``, whole numbers show none and others two at most."""
    budget.spend(8)
    exact = _rounded(value, 2 if decimals is None else decimals)
    if (local := customs_of(budget)) is not None:
        return local.number(exact, decimals)
    if decimals is not None:
        return f"{exact:,f}"
    return f"{exact:,f}".rstrip("0").rstrip(".")


def round_filter(value: Any, budget: Budget, decimals: int = 0) -> int | float:
    """The number rounded half up, still a number."""
    budget.spend(8)
    exact = _rounded(value, decimals)
    return float(exact) if decimals else int(exact)


def percent(value: Any, budget: Budget, decimals: int = 0) -> str:
    """``83%`` from 0.83."""
    budget.spend(8)
    share = number(value, "a percentage is made of a number")
    rounded = _rounded(float(share) * 100, decimals)
    local = customs_of(budget)
    return f"{rounded:,f}%" if local is None else local.percent(rounded, decimals)


def money(value: Any, budget: Budget, currency: str = "USD") -> str:
    """``$1,234.50``: the currency's symbol in front, else its code behind; the currency's own decimals."""
    budget.spend(8)
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        fail_type("a currency is a code of three letters", currency)
    code = currency.upper()
    decimals = 0 if code in _NO_DECIMALS else 3 if code in _THREE_DECIMALS else 2
    amount = _rounded(value, decimals)
    if (local := customs_of(budget)) is not None:
        return local.money(amount, code, decimals)
    digits = f"{abs(amount):,f}"
    sign = "-" if amount < 0 else ""
    return f"{sign}{_SYMBOLS[code]}{digits}" if code in _SYMBOLS else f"{sign}{digits} {code}"


def _zone(zones: tuple[object, ...]) -> ZoneInfo:
    for name in zones:
        if isinstance(name, str) and name:
            try:
                return ZoneInfo(name)
            except (
                ValueError,
                OSError,
                KeyError,
            ):  # KeyError: ZoneInfoNotFoundError; the next one may be good
                continue
    return ZoneInfo("UTC")


def _instant(value: Any) -> datetime:
    """An ISO 8601 text (UTC where it names no zone) or integer milliseconds as an aware datetime."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        fail_type("a date is an ISO 8601 text or milliseconds", value)
    try:
        if isinstance(value, int):
            return _EPOCH + timedelta(milliseconds=value)
        parsed = datetime.fromisoformat(value) if len(value) <= 40 else None  # noqa: PLR2004 - longest ISO 8601 text
    except (ValueError, OverflowError):
        parsed = None
    if parsed is None:
        raise Unrenderable("wrong_type", None, "a date is neither an ISO 8601 text nor milliseconds")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


_STYLES: Final[Mapping[str, Callable[[datetime], str]]] = {
    "short": lambda at: f"{at.day} {_MONTHS[at.month - 1][:3]}",
    "medium": lambda at: f"{at.day} {_MONTHS[at.month - 1][:3]} {at.year}",
    "long": lambda at: f"{at.day} {_MONTHS[at.month - 1]} {at.year}",
    "time": lambda at: f"{at.hour:02}:{at.minute:02}",
    "datetime": lambda at: f"{at.day} {_MONTHS[at.month - 1][:3]} {at.year}, {at.hour:02}:{at.minute:02}",
    "weekday": lambda at: _DAYS[at.weekday()],
    "iso": lambda at: at.date().isoformat(),
}


def date(value: Any, budget: Budget, style: str = "medium", zone: str | None = None) -> str:
    """An instant in words, in ``zone``, else in the first valid zone of the render, else in UTC.

    A text that is a date without a time is that date everywhere: it is not moved into a zone.
    """
    budget.spend(40)
    if style not in _STYLES:
        fail_type(f"a date's style is one of {', '.join(_STYLES)}", style)
    at = _instant(value)
    is_day = isinstance(value, str) and len(value) == len("2026-03-14")
    try:
        local = at if is_day else at.astimezone(_zone((zone, *budget.zones)))
    except OverflowError as error:
        raise Unrenderable("wrong_type", None, "a date is outside the calendar") from error
    own = customs_of(budget)
    return _STYLES[style](local) if own is None else own.date(local, style)


def plural(
    value: Any, budget: Budget, one: str, many: str | None = None,
    *, zero: str | None = None, two: str | None = None, few: str | None = None,
) -> str:  # fmt: skip
    """The word for a number by the rules of the text's language, as Unicode has them (CLDR).

    English has ``one`` (1 and -1) and ``many``, which is ``one`` with an s where it is not given. A language
    with more forms has them by name; one that is not given is ``many``.
    """
    budget.spend(4)
    count = number(value, "plural needs a number")
    local = customs_of(budget)
    english = "one" if count in (1, -1) else "other"
    form = english if local is None else local.plural_form(count)
    word = {"one": one, "zero": zero, "two": two, "few": few}.get(form)
    return _text(word or many or f"{one}s", budget)


def upper(value: Any, budget: Budget) -> str:
    """In capitals."""
    return limit_text(_text(value, budget).upper())


def lower(value: Any, budget: Budget) -> str:
    """In small letters."""
    return limit_text(_text(value, budget).lower())


def capitalize(value: Any, budget: Budget) -> str:
    """The first letter in capitals; the rest stays as it is (``API calls``)."""
    text = _text(value, budget)
    return text[:1].upper() + text[1:]


def title(value: Any, budget: Budget) -> str:
    """Every word with a capital first letter; the rest stays as it is."""
    return limit_text(" ".join(word[:1].upper() + word[1:] for word in _text(value, budget).split(" ")))


def trim(value: Any, budget: Budget) -> str:
    """Without white space at both ends."""
    return _text(value, budget).strip()


def truncate(value: Any, budget: Budget, chars: int = 80) -> str:
    """At most ``chars`` characters, cut at a word where one ends, with an ellipsis."""
    text = _text(value, budget)
    if type(chars) is not int or not 1 <= chars <= MAX_TEXT_CHARS:
        fail_type("truncate needs a number of characters", chars)
    if len(text) <= chars:
        return text
    cut = text[: chars - 1]
    whole = text[chars - 1].isspace() or cut[-1:].isspace() or " " not in cut.strip()
    head = cut if whole else cut.rsplit(maxsplit=1)[0]
    return f"{head.rstrip()}…"


def replace(value: Any, budget: Budget, old: str, new: str) -> str:
    """``old`` replaced by ``new`` everywhere."""
    text, old, new = _text(value, budget), _text(old, budget), _text(new, budget)
    if not old:
        fail_type("replace needs a text to look for", old)
    found = text.count(old)
    if len(text) + found * (len(new) - len(old)) > MAX_TEXT_CHARS:
        limit_text(None)
    budget.spend_chars(found * len(new))
    return text.replace(old, new)


def urlencode(value: Any, budget: Budget) -> str:
    """Safe as a value in a URL's query or path."""
    return limit_text(quote(_text(value, budget), safe=""))


def _list(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        fail_type("a list is needed", value)
    return value


def first(value: Any, budget: Budget) -> Any:
    """The first item of a list; missing where it is empty."""
    budget.spend(1)
    items = _list(value)
    return items[0] if items else Missing(name="the first item of an empty list")


def last(value: Any, budget: Budget) -> Any:
    """The last item of a list; missing where it is empty."""
    budget.spend(1)
    items = _list(value)
    return items[-1] if items else Missing(name="the last item of an empty list")


def length(value: Any, budget: Budget) -> int:
    """How many items or characters."""
    budget.spend(1)
    if not isinstance(value, (list, tuple, dict, str)):
        fail_type("length needs a list, a mapping or a text", value)
    return len(value)


def join(value: Any, budget: Budget, between: str = ", ") -> str:
    """The items of a list as one text. A missing item fails the render."""
    texts = [_text(item, budget) for item in _list(value)]
    glue = _text(between, budget)
    chars = sum(map(len, texts)) + len(glue) * len(texts)
    if chars > MAX_TEXT_CHARS:
        limit_text(None)
    budget.spend_chars(chars)
    return glue.join(texts)


def items_filter(value: Any, budget: Budget) -> list[tuple[str, Any]]:
    """The pairs of a mapping, for a loop with two names."""
    if not isinstance(value, dict):
        fail_type("items needs a mapping", value)
    budget.spend(len(value) + 1)
    return list(value.items())


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "capitalize": capitalize,
    "date": date,
    "default": default,
    "first": first,
    "items": items_filter,
    "join": join,
    "last": last,
    "length": length,
    "lower": lower,
    "money": money,
    "number": number_filter,
    "percent": percent,
    "plural": plural,
    "replace": replace,
    "round": round_filter,
    "title": title,
    "trim": trim,
    "truncate": truncate,
    "upper": upper,
    "urlencode": urlencode,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_defined(value: Any) -> bool:
    return value is not None and not isinstance(value, Undefined)


TESTS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "defined": _is_defined,
    "none": lambda value: not _is_defined(value),
    "number": _is_number,
    "string": lambda value: isinstance(value, str),
}
