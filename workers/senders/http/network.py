"""Connections to checked addresses only: a name is resolved once, and what was checked is what is called."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeAlias

import httpcore2

from workers.senders.http.guard import Forbidden, check_address, is_allowed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from workers.senders.http.guard import Network

Resolve: TypeAlias = "Callable[[str, int], Awaitable[Sequence[str]]]"
"""From a host and port to its addresses, the preferred ones first; raises ``OSError`` for none."""

ADDRESSES_TRIED: Final = 3
"""A host with more addresses is tried at the first ones; each try costs up to the connect deadline."""


class SystemResolver:
    """The machine's resolver in threads of its own, so that a dead name server holds up nothing else."""

    def __init__(self, threads: int = 4) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """See :data:`Resolve`."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _lookup, host, port)
        return list(dict.fromkeys(str(address[4][0]) for address in found))

    def close(self) -> None:
        """Let go of the threads; a look-up under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _lookup(host: str, port: int) -> list[tuple[int, int, int, str, tuple[str | int, ...]]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[return-value]


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves, checks every address, and connects to a checked one.

    TLS still verifies the certificate against the host's name: httpcore takes that from the URL, not from
    the address. Raises :class:`Forbidden` where any address of the name is not allowed: a name that mixes
    public and private addresses is a trick or a mistake. ``public`` False is for plain text, which goes to
    ``networks`` only.
    """

    def __init__(self, resolve: Resolve, networks: tuple[Network, ...] = (), *, public: bool = True) -> None:
        self._resolve = resolve
        self._networks = networks
        self._public = public
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of ``host`` that answers, all of them checked before."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("the name was not resolved in time") from None
        except OSError as error:
            raise httpcore2.ConnectError("the name does not resolve") from error
        if not addresses:
            raise httpcore2.ConnectError("the name has no address")
        for address in addresses:
            if not is_allowed(address, self._networks):
                if not self._public:
                    raise Forbidden("url_not_https")
                check_address(address, self._networks)
        failure: Exception | None = None
        for address in addresses[:ADDRESSES_TRIED]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        assert failure is not None, "a host without addresses was refused above"
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Never: a socket of this machine is not the Internet."""
        del path, timeout, socket_options
        raise Forbidden("url_scheme")

    async def sleep(self, seconds: float) -> None:
        """Wait between tries of a connection."""
        await asyncio.sleep(seconds)
