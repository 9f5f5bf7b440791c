"""API keys: who may do what over the gateway. Only digests of keys are configured.

A key is ``bk_`` and 43 characters of 256 random bits, so a plain SHA-256 of it cannot be turned back and
needs no salt. In the configuration a key is ``NAME=SCOPE+SCOPE:DIGEST``. Two lines of one name are one caller
with two keys, old and new, while they are rolled.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable

Scope: TypeAlias = Literal[
    "events:write",
    "people:read",
    "people:write",
    "consent:write",
    "objects:write",
    "journeys:write",
    "journeys:read",
    "lists:write",
    "console:read",
]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

PREFIX: Final = "bk_"
"""Secret scanners find a key in a repository by it."""

_KEY: Final = re.compile(r"bk_[A-Za-z0-9_-]{43}")
_LINE: Final = re.compile(r"(?P<name>[a-z0-9][a-z0-9_-]{0,63})=(?P<scopes>[a-z:+]+):(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One line of the configuration. ``digest`` is the SHA-256 of the key, in hex."""

    name: str
    scopes: frozenset[Scope]
    digest: str

    def line(self) -> str:
        """The line that :func:`read_key` reads."""
        scopes = "+".join(scope for scope in SCOPES if scope in self.scopes)
        return f"{self.name}={scopes}:{self.digest}"


def digest_of(key: str) -> str:
    """What the configuration keeps of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def make_key(name: str, scopes: Iterable[str], random: bytes) -> tuple[str, ApiKey]:
    """A new key and what to configure of it. ``random`` are 32 unpredictable bytes.

    Raises:
        Misconfigured: the name or a scope is not one.
    """
    if len(random) != 32:  # noqa: PLR2004 - 256 bits, as the module says
        raise Misconfigured("a key is made of 32 random bytes")
    key = PREFIX + base64.urlsafe_b64encode(random).rstrip(b"=").decode()
    return key, read_key(f"{name}={'+'.join(scopes)}:{digest_of(key)}")


def read_key(line: str) -> ApiKey:
    """A key from its line.

    Raises:
        Misconfigured: it is none; the message does not repeat the line, in case it holds a key.
    """
    found = _LINE.fullmatch(line.strip())
    if found is None:
        raise Misconfigured(
            "an API key is configured as NAME=SCOPE+SCOPE:DIGEST, with a name of a-z, 0-9, _ and -, "
            "as `brimful keys new` prints it"
        )
    scopes: set[Scope] = set()
    for scope in found["scopes"].split("+"):
        if scope not in SCOPES:
            raise Misconfigured(
                f"API key {found['name']}: there is no scope {scope!r}; there are {', '.join(SCOPES)}"
            )
        scopes.add(scope)
    return ApiKey(found["name"], frozenset(scopes), found["digest"])


def read_keys(text: str) -> tuple[ApiKey, ...]:
    """The keys of a file: one a line; empty lines and those that begin with ``#`` are passed over.

    Raises:
        Misconfigured: naming the line.
    """
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                keys.append(read_key(line))
            except Misconfigured as error:
                raise Misconfigured(f"line {number}: {error}") from None
    return tuple(keys)


class ApiKeys:
    """The configured keys. Without any, none is good."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys = tuple(keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def all(self) -> tuple[ApiKey, ...]:
        """What is configured."""
        return self._keys

    def find(self, key: str) -> ApiKey | None:
        """What is configured of a key; None for an unknown one.

        Digests are compared, all of them and each in constant time: nothing tells how near a guess was.
        """
        if not _KEY.fullmatch(key):
            return None
        digest, good = digest_of(key), None
        for one in self._keys:
            if hmac.compare_digest(one.digest, digest):
                good = one
        return good
