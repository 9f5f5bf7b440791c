"""Locales: which variant of a template a person gets, and by whose customs its numbers and dates are written.

Names are those of BCP 47 (``de``, ``de-AT``, ``zh-Hant``); ``de_AT`` and ``de_AT.UTF-8``, as programs write
them, are the same. What has another form is no locale.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

DEFAULT: Final = "en"
"""The language of templates whose files name none, where ``workspace.yaml`` says no other."""

TRAITS: Final = ("locale", "language")
"""Traits that name a person's locale, else their account's; the first that is one holds."""

_LOCALE: Final = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?")


def canonical(name: object) -> str | None:
    """A locale as it is written here, ``de-AT``; None where it is none."""
    if not isinstance(name, str):
        return None
    found = _LOCALE.fullmatch(re.split("[.@]", name.strip(), maxsplit=1)[0])
    if found is None:
        return None
    language, script, region = found.groups()
    parts = (language.lower(), script and script.title(), region and region.upper())
    return "-".join(part for part in parts if part)


def chain(locale: str) -> tuple[str, ...]:
    """A locale and what it falls back to: ``zh-Hant-TW``, ``zh-Hant``, ``zh``; none for an empty one."""
    parts = locale.split("-") if locale else []
    return tuple("-".join(parts[:size]) for size in range(len(parts), 0, -1))


def language_of(locale: str) -> str:
    """``de`` of ``de-AT``."""
    return locale.partition("-")[0]


def locale_of(context: Mapping[str, Any]) -> str | None:
    """The person's locale by their traits, else their account's; None where neither is known."""
    for holder in (context.get("user"), context.get("account")):
        if type(holder) is dict:
            for trait in TRAITS:
                if trait in holder and (locale := canonical(holder[trait])) is not None:
                    return locale
    return None


def pick(wanted: str | None, known: Collection[str]) -> str | None:
    """Of ``known``, the locale nearest to the wanted one; None: the default is."""
    return next((one for one in chain(wanted) if one in known), None) if wanted and known else None


def customs(of_text: str, of_person: str | None) -> str:
    """The locale by which values are written in a text: the person's region, where it is their language."""
    if of_person is not None and language_of(of_person) == language_of(of_text):
        return of_person
    return of_text
