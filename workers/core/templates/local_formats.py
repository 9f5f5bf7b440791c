"""Numbers, prices, dates and plurals as people of a locale write them, by Unicode's CLDR (library Babel).

English without a region is written by ``filters`` itself: ``14 Mar 2026`` can be misread nowhere, which is
not so of ``3/14/26``. ``en-US`` and ``en-GB`` are locales like others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from babel import Locale, UnknownLocaleError, dates, numbers

from workers.core.templates.locales import DEFAULT, chain

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from workers.core.templates.values import Budget

COST: Final = 400
"""Units of a formatting by Babel: some 80 us, and 10 ms the first time that a locale is used."""

_SKELETONS: Final = {"short": "MMMd"}
_PATTERNS: Final = {"weekday": "EEEE"}
_LENGTHS: Final = {"medium": "medium", "long": "long"}


@dataclass(frozen=True, slots=True)
class Customs:
    """How a locale writes values. Numbers come rounded, instants in their zone."""

    locale: Locale

    def number(self, exact: Decimal, decimals: int | None) -> str:
        """With exactly so many decimals; None: with those that it has, up to two."""
        pattern = "#,##0.##" if decimals is None else f"#,##0.{'0' * decimals}".rstrip(".")
        return str(_pattern(self._grouped(pattern)).apply(exact, self.locale))

    def _grouped(self, pattern: str) -> str:
        """In groups as the locale has them: of three, or as India does."""
        own = self.locale.decimal_formats.get(None)
        return pattern.replace("#,##0", "#,##,##0") if own and own.pattern.startswith("#,##,##0") else pattern

    def percent(self, hundredths: Decimal, decimals: int) -> str:
        """``83 %`` of 83."""
        digits = f".{'0' * decimals}" if decimals else ""
        own = self.locale.percent_formats[None].pattern.replace("#,##0", f"#,##0{digits}")
        return str(_pattern(own).apply(hundredths / 100, self.locale))

    def money(self, amount: Decimal, currency: str, decimals: int) -> str:
        """With the decimals of the currency, and its sign where the locale knows one."""
        pattern = self.locale.currency_formats["standard"].pattern
        digits = f".{'0' * decimals}" if decimals else ""
        whole = _pattern(pattern.replace(".00", digits))
        return str(whole.apply(amount, self.locale, currency=currency, currency_digits=False))

    def date(self, at: datetime, style: str) -> str:
        """In one of the styles of the filter ``date``."""
        if style == "iso":
            return at.date().isoformat()
        if style == "time":
            return dates.format_time(at, "short", tzinfo=at.tzinfo, locale=self.locale)
        if style == "datetime":
            joined = str(self.locale.datetime_formats["medium"]).replace("'", "")
            return joined.replace("{0}", self.date(at, "time")).replace("{1}", self.date(at, "medium"))
        if style in _SKELETONS:
            return dates.format_skeleton(_SKELETONS[style], at, tzinfo=at.tzinfo, locale=self.locale)
        return dates.format_date(at.date(), _PATTERNS.get(style) or _LENGTHS[style], locale=self.locale)

    def plural_form(self, count: float) -> str:
        """``one``, ``few``, ``many``, ...: the form that the language has for a number."""
        return str(self.locale.plural_form(abs(count)))


@lru_cache(maxsize=256)
def _pattern(text: str) -> numbers.NumberPattern:
    return numbers.parse_pattern(text)


def customs_of(budget: Budget) -> Customs | None:
    """Those of a render's locale, paid for; None where the filters' own English holds."""
    if budget.locale == DEFAULT:
        return None
    budget.spend(COST)
    return _customs(budget.locale)


@lru_cache(maxsize=256)
def _customs(locale: str) -> Customs | None:
    """The customs of a locale, else of what it falls back to; None where none of them is known."""
    for name in chain(locale):
        try:
            return Customs(Locale.parse(name, sep="-"))
        except (UnknownLocaleError, ValueError):
            continue
    return None
