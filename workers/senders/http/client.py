"""The one HTTP client of the senders: deadlines, limits, no redirects unless asked, guarded addresses.

It is a thin layer over httpcore, whose network backend is the place where an address can be checked and
pinned; cookies, proxies from the environment and other conveniences of larger clients are not wanted here.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

import httpcore2
import msgspec
import truststore

from workers.senders.http.guard import Forbidden, Target, parse_url
from workers.senders.http.network import GuardedBackend, SystemResolver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.senders.http.guard import Network
    from workers.senders.http.network import Resolve

ANSWER_BYTES_MAX: Final = 1_000_000
CONNECT_S: Final = 5.0
READ_S: Final = 10.0
"""Longest silence while an answer comes."""

TOTAL_S: Final = 15.0
KEEP_ALIVE_S: Final = 10.0
"""Idle connections are closed before most servers do: a request on one that was just closed is lost."""

_AGAIN: Final = frozenset({307, 308})
"""Redirects that keep method and body; the others would turn a POST into a GET."""

_WRITING: Final = frozenset({"http11.send_request_headers.started", "http2.send_request_headers.started"})
_SECRET_HEADERS: Final = frozenset({"authorization", "cookie"})
_AGENT: Final = f"brimful/{version('brimful')}"


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be called. Headers may hold secrets, and some URLs are one: neither is shown."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    redirects: int = 0
    total_s: float = TOTAL_S
    silence_s: float = READ_S
    """Longest silence while the answer comes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. Header names are lower case; a body over the limit is cut and ``whole`` is False."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    whole: bool = True

    def json(self) -> Any:
        """The body as JSON; None where it is none or was cut."""
        if not self.whole:
            return None
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None


class NoAnswer(Exception):
    """No answer came. ``sent`` False: the request certainly did not leave. ``reason`` is a short code."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent

    def __reduce__(self) -> tuple[Any, tuple[str, bool]]:
        return (_no_answer, (self.reason, self.sent))


def _no_answer(reason: str, sent: bool) -> NoAnswer:
    return NoAnswer(reason, sent=sent)


class NotCalled(NoAnswer):
    """The guard forbids the URL or its address; trying again does not help while they stay the same."""

    def __init__(self, reason: str, *, sent: bool = False) -> None:
        super().__init__(reason, sent=sent)


class HttpClient:
    """Calls URLs. Safe for concurrent use; how many calls run at once is decided by who calls.

    ``networks`` are the addresses beside the Internet that may be called, also in plain http.
    """

    def __init__(
        self,
        networks: tuple[Network, ...] = (),
        *,
        resolve: Resolve | None = None,
        context: ssl.SSLContext | None = None,
        answer_bytes: int = ANSWER_BYTES_MAX,
    ) -> None:
        self._resolver = SystemResolver() if resolve is None else None
        found: Resolve = resolve if resolve is not None else self._resolver  # type: ignore[assignment]
        self._answer_bytes = answer_bytes
        tls = context or truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._pools = {
            "https": httpcore2.AsyncConnectionPool(
                ssl_context=tls,
                max_connections=None,
                keepalive_expiry=KEEP_ALIVE_S,
                network_backend=GuardedBackend(found, networks),
            ),
            "http": httpcore2.AsyncConnectionPool(
                max_connections=None,
                keepalive_expiry=KEEP_ALIVE_S,
                network_backend=GuardedBackend(found, networks, public=False),
            ),
        }

    async def call(self, request: Request) -> Answer:
        """The answer, of whatever status.

        Raises:
            NotCalled: the guard forbids it.
            NoAnswer: nothing came within the deadlines, or the connection failed.
        """
        progress = _Progress()
        try:
            async with asyncio.timeout(request.total_s):
                return await self._follow(request, progress)
        except TimeoutError:
            raise NoAnswer("timeout", sent=progress.wrote) from None

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        for pool in self._pools.values():
            await pool.aclose()
        if self._resolver is not None:
            self._resolver.close()

    async def _follow(self, request: Request, progress: _Progress) -> Answer:
        target, headers = _target(request.url), {"User-Agent": _AGENT, **request.headers}
        for left in range(request.redirects, -1, -1):
            answer = await self._once(request, target, headers, progress)
            location = answer.headers.get("location", "")
            if answer.status not in _AGAIN or not location or left == 0:
                return answer
            onward = _target(urljoin(target.url, location))
            if (onward.scheme, onward.host, onward.port) != (target.scheme, target.host, target.port):
                headers = {key: value for key, value in headers.items() if key.lower() not in _SECRET_HEADERS}
            target = onward
        raise AssertionError("the last round returns")

    async def _once(
        self, request: Request, target: Target, headers: Mapping[str, str], progress: _Progress
    ) -> Answer:
        try:
            async with self._pools[target.scheme].stream(
                request.method,
                target.url,
                headers=[(key.encode(), value.encode()) for key, value in headers.items()],
                content=request.body or None,
                extensions={
                    "timeout": {
                        "connect": CONNECT_S,
                        "pool": CONNECT_S,
                        "write": READ_S,
                        "read": request.silence_s,
                    },
                    "trace": progress.trace,
                },
            ) as response:
                return await self._read(response)
        except Forbidden as forbidden:
            raise NotCalled(forbidden.reason) from None
        except httpcore2.TimeoutException:
            raise NoAnswer("timeout", sent=progress.wrote) from None
        except ssl.SSLError:
            raise NoAnswer("tls", sent=progress.wrote) from None
        except httpcore2.ConnectError:
            raise NoAnswer("connect", sent=progress.wrote) from None
        except (httpcore2.LocalProtocolError, httpcore2.UnsupportedProtocol, UnicodeEncodeError):
            raise NotCalled("request_invalid") from None
        except (httpcore2.NetworkError, httpcore2.RemoteProtocolError):
            raise NoAnswer("connection_lost", sent=progress.wrote) from None

    async def _read(self, response: httpcore2.Response) -> Answer:
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in response.headers}
        pieces: list[bytes] = []
        left = self._answer_bytes
        async for piece in response.aiter_stream():
            pieces.append(piece[:left])
            left -= len(piece)
            if left < 0:
                return Answer(response.status, headers, b"".join(pieces), whole=False)
        return Answer(response.status, headers, b"".join(pieces))


class _Progress:
    """How far a call has come: whether anything of the request was written."""

    def __init__(self) -> None:
        self.wrote = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Told by httpcore of every step."""
        del info
        self.wrote = self.wrote or event in _WRITING


def _target(url: str) -> Target:
    try:
        return parse_url(url)
    except Forbidden as forbidden:
        raise NotCalled(forbidden.reason) from None
