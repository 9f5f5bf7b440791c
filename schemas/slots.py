"""What a short text that was not written by the workspace's author has to keep before it is shown to anybody.

Shared by the workspace's models, which hold fallbacks to it, and by who checks what a model wrote.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final


@dataclass(frozen=True, slots=True)
class SlotRules:
    """``forbid`` are phrases, in any case, where ``*`` is any letters; ``links`` are hosts allowed."""

    max_chars: int
    forbid: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


_LINK: Final = re.compile(
    # What mail clients and phones make a link of: a scheme, an address, a name that ends like a domain.
    r"(?P<scheme>[a-z][a-z0-9+.-]{1,20}:/{0,2}(?=[^\s/]))?"
    r"(?P<user>[^\s/@<>()\[\]]{1,64}@)?"
    r"(?P<host>(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_][\w-]{1,62})",
    re.IGNORECASE,
)
_SCHEME: Final = re.compile(
    r"(?:\b[a-z][a-z0-9+.-]{1,20}://|\b(?:mailto|tel|sms|javascript|data):(?=\S))\S*", re.IGNORECASE
)
_NUMERIC: Final = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
_MARKUP: Final = ("{{", "}}", "{%", "<", ">")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
_OTHER_DOT: Final = re.compile(r"(?<=[a-z0-9])\u3002(?=[a-z0-9])")
"""Browsers take an ideographic full stop in a host for a dot."""

_SPACES: Final = re.compile(r"\s+")


def slot_problem(text: str, rules: SlotRules) -> str | None:
    """Why a text must not be shown, in a few words without any of it; None where it may."""
    if len(text) > rules.max_chars:
        return f"it has more than {rules.max_chars} characters"
    plain = plainly(text)
    forbidden = (phrase for phrase in rules.forbid if _pattern(phrase).search(plain) is not None)
    found = {
        "it is empty": not plain.strip(),
        # Zero-width joiners and marks of direction hide what a text says from whoever reviews it.
        "it has line breaks or invisible characters": any(map(_is_unseen, text)),
        "it has markup": any(mark in text for mark in _MARKUP),
        "it has a link that is not allowed": any(not _is_allowed(one, rules.links) for one in hosts(text)),
        **{f"it has the forbidden phrase {phrase!r}": True for phrase in forbidden},
    }
    return next((problem for problem, holds in found.items() if holds), None)


def hosts(text: str) -> tuple[str, ...]:
    """The hosts of all that a reader's program may make a link of; ``""`` for one that cannot be told."""
    plain = _OTHER_DOT.sub(".", plainly(text))
    found = [match["host"].rstrip(".") for match in _LINK.finditer(plain)]
    schemes = [match[0] for match in _SCHEME.finditer(plain)]
    # A scheme without a name behind it that was found above: an address in numbers, mailto, tel.
    odd = [one for one in schemes if not one.startswith(("https://", "http://")) or "@" in one]
    untold = [one for one in schemes if not any(host in one for host in found)]
    numeric = _NUMERIC.findall(plain)
    return (*found, *([""] if odd or untold or numeric else []))


def plainly(text: str) -> str:
    """A text as it is looked at: letters that look alike made the same, small, single spaces."""
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", text)).casefold()


def _is_unseen(letter: str) -> bool:
    return unicodedata.category(letter) in _UNSEEN


def _is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    return any(host == one or host.endswith(f".{one}") for one in allowed)


@lru_cache(maxsize=1_024)
def _pattern(phrase: str) -> re.Pattern[str]:
    """``*`` is any letters of one word; no other sign means anything, so no text takes long to look at."""
    words = plainly(phrase).strip().split(" ")
    inner = r"\s".join(r"\w*".join(map(re.escape, re.split(r"\*+", word))) for word in words)
    return re.compile(rf"(?<!\w){inner}(?!\w)")


def cleaned(text: str) -> str:
    """A text on one line with single spaces, without those around it: what models add and nobody means."""
    return _SPACES.sub(" ", text).strip()
