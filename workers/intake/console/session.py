"""Who looks at the console: signed in with an API key, remembered by a signed cookie for some hours.

The cookie names the key by the beginning of its digest, so that it ends when the key is taken out of the
configuration or loses its scope. It holds no key, and no page writes it anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from workers.intake.tokens import make_console_token, read_console_token

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from workers.intake.keys import ApiKey, ApiKeys, Scope
    from workers.intake.tokens import Keys

SCOPE: Final[Scope] = "console:read"
COOKIE: Final = "brimful-console"
PATH: Final = "/console"
LIVES_MS: Final = 8 * 3_600_000
"""A working day: after that one signs in again."""

_DIGITS: Final = 16
"""Hex digits of a key's digest that tell it from the others of its name."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Makes and reads cookies. ``secrets``: what signs, then former ones; ``secure``: only over TLS."""

    keys: ApiKeys
    secrets: Keys
    secure: bool

    def sign_in(self, key: str, now_ms: int) -> str | None:
        """The cookie of an API key; None where it is unknown or has not the scope."""
        found = self.keys.find(key)
        if found is None or SCOPE not in found.scopes:
            return None
        signs = self.secrets if isinstance(self.secrets, bytes) else self.secrets[0]
        return make_console_token(signs, found.name, found.digest[:_DIGITS], now_ms + LIVES_MS)

    def who(self, cookie: str | None, now_ms: int) -> str | None:
        """The name of the key that a cookie was given for; None: sign in (again)."""
        said = read_console_token(self.secrets, cookie, now_ms) if cookie else None
        if said is None:
            return None
        name, digits = said
        good = any(self._is(one, name, digits) for one in self.keys.all())
        return name if good else None

    def _is(self, key: ApiKey, name: str, digits: str) -> bool:
        return key.name == name and key.digest.startswith(digits) and SCOPE in key.scopes

    def give(self, response: Response, cookie: str) -> None:
        """Hand the cookie out with an answer."""
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=LIVES_MS // 1000,
            path=PATH,
            secure=self.secure,
            httponly=True,
            samesite="strict",
        )

    def take_back(self, response: Response) -> None:
        """End the session in this browser."""
        response.delete_cookie(COOKIE, path=PATH, secure=self.secure, httponly=True, samesite="strict")


def is_own_form(request: Request) -> bool:
    """Whether a POST comes from a page of this very host: no other page may sign anybody in or out.

    Browsers say so by ``Sec-Fetch-Site``, and where they do not trust the connection by ``Origin`` alone;
    what says neither is no browser.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def safe_target(said: str | None) -> str:
    """Where to go after signing in: a page of the console, whatever the form says."""
    good = said is not None and (said == PATH or said.startswith((f"{PATH}/", f"{PATH}?")))
    return said if good and said is not None and "\\" not in said and said.isprintable() else PATH
