"""A small pool of connections to one mail server, each checked, encrypted and logged in as configured."""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from aiosmtplib import SMTP, SMTPException, SMTPResponseException
from aiosmtplib.errors import SMTPServerDisconnected, SMTPTimeoutError

from workers.errors import Misconfigured as MisconfiguredError
from workers.senders.channels.base import DeliveryResult, Misconfigured
from workers.senders.channels.smtp_answers import Phase, lost, meaning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Tls: TypeAlias = Literal["none", "starttls", "implicit"]

CONNECTIONS: Final = 4
"""Fewer than most mail servers allow to one sender."""

_START_INPUT = 354
_LINE_START_DOT = re.compile(rb"(?m)^\.")
_QUIT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """How to reach the mail server. A wrong value is refused here, with its name."""

    host: str
    port: int
    tls: Tls = "starttls"
    ca_file: str | None = None
    """Certificates to trust instead of the system's; the server's name is always checked."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    helo: str = "localhost"
    """The name by which we greet; mail servers of the Internet want this machine's public name."""
    connections: int = CONNECTIONS
    messages_per_connection: int = 100
    """Afterwards a new one is made; many servers close or slow down a connection after as many."""
    idle_ms: int = 20_000
    """A connection that was idle longer is not used again; servers hang up, often after 30 s or more."""
    deadline_ms: int = 30_000
    """For one delivery in all: the wait for a connection, connecting and the conversation."""
    cost_micros: int = 0
    """Price of one mail, in millionths of the account's currency."""

    def __post_init__(self) -> None:
        if not self.host or not 0 < self.port < 2**16:
            raise MisconfiguredError(f"the mail server {self.host!r} port {self.port} is not usable")
        if self.tls not in ("none", "starttls", "implicit"):
            raise MisconfiguredError(f"the mail server's tls is none, starttls or implicit, not {self.tls!r}")
        if (self.username is None) is not (self.password is None):
            raise MisconfiguredError("the mail server's username and password come together, or not at all")
        if (
            self.username is not None
            and self.tls == "none"
            and self.host not in ("127.0.0.1", "::1", "localhost")
        ):
            raise MisconfiguredError(
                "the mail server's password is not sent without tls: use starttls or implicit"
            )
        for name in ("connections", "messages_per_connection", "idle_ms", "deadline_ms"):
            if getattr(self, name) < 1:
                raise MisconfiguredError(
                    f"the mail server's {name} is {getattr(self, name)}; it must be 1 or more"
                )


class NotDelivered(Exception):
    """A conversation with the mail server ended without acceptance; ``result`` says what that means."""

    def __init__(self, result: DeliveryResult, *, stale: bool = False) -> None:
        super().__init__(str(result))
        self.result = result
        self.stale = stale
        """The connection had been used before and was found closed, so that a new one is worth a try."""

    def __reduce__(self) -> tuple[type[NotDelivered], tuple[DeliveryResult]]:
        return (NotDelivered, (self.result,))


class Connection:
    """One connection. ``phase`` says how far the present conversation has come."""

    def __init__(self, settings: SmtpSettings, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._client = SMTP(
            hostname=settings.host,
            port=settings.port,
            local_hostname=settings.helo,
            timeout=settings.deadline_ms / 1000,
            use_tls=settings.tls == "implicit",
            start_tls=False,
            tls_context=context,
        )
        self.phase: Phase = "connect"
        self.sent = 0
        self.idle_since = 0.0
        self.fit = False
        """Whether the next conversation can begin on it."""

    async def open(self) -> None:
        """Connect, encrypt, log in; raises :class:`NotDelivered`."""
        async with self._mapped():
            self.phase = "connect"
            await self._client.connect()
            await self._client.ehlo()
            if self._settings.tls == "starttls":
                self.phase = "tls"
                await self._client.starttls()
                await self._client.ehlo()
            if self._settings.username is not None:
                self.phase = "auth"
                await self._client.login(self._settings.username, self._settings.password or "")
        self.fit = True

    async def send(self, sender: str, recipient: str, mail: bytes) -> str:
        """One mail to one recipient; the server's words of acceptance. Raises :class:`NotDelivered`."""
        self.fit = False
        body = _LINE_START_DOT.sub(b"..", mail if mail.endswith(b"\r\n") else mail + b"\r\n") + b".\r\n"
        async with self._mapped():
            self.phase = "sender"
            options, encoding = self._options(recipient, len(mail))
            await self._client.mail(sender, options=options, encoding=encoding)
            self.phase = "recipient"
            await self._client.rcpt(recipient, encoding=encoding)
            self.phase = "data"
            start = await self._client.execute_command(b"DATA")
            if start.code != _START_INPUT:
                raise SMTPResponseException(start.code, start.message)
            accepted = await self._send_body(body)
        self.sent += 1
        self.fit = True
        return accepted

    async def _send_body(self, body: bytes) -> str:
        protocol = self._client.protocol
        if protocol is None:
            raise SMTPServerDisconnected("the connection was lost before the mail")
        self.phase = "body"
        protocol.write(body)
        answer = await protocol.read_response(timeout=self._settings.deadline_ms / 1000)
        if answer.code != 250:  # noqa: PLR2004 - the only yes
            raise SMTPResponseException(answer.code, answer.message)
        return answer.message

    def _options(self, recipient: str, size: int) -> tuple[list[str], str]:
        options = [f"SIZE={size}"] if self._client.supports_extension("size") else []
        if recipient.isascii():
            return options, "ascii"
        if not self._client.supports_extension("smtputf8"):
            self.fit = True
            raise NotDelivered(meaning("recipient", 553, "5.6.7 the server takes no international addresses"))
        return [*options, "SMTPUTF8", "BODY=8BITMIME"], "utf-8"

    @asynccontextmanager
    async def _mapped(self) -> AsyncIterator[None]:
        """Turn what the client raises into :class:`NotDelivered`, by phase."""
        used = self.sent > 0
        try:
            yield
        except SMTPResponseException as error:
            answered = meaning(self.phase, error.code, error.message)
            self.fit = self.phase in ("sender", "recipient", "data", "body") and await self._reset()
            raise NotDelivered(answered) from error
        except SMTPTimeoutError as error:
            raise NotDelivered(lost(self.phase, "timeout")) from error
        except (SMTPServerDisconnected, OSError) as error:
            if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
                raise NotDelivered(Misconfigured("smtp_tls_failed")) from error
            how: Literal["unreachable", "disconnected"] = (
                "unreachable" if self.phase == "connect" else "disconnected"
            )
            stale = used and self.phase == "sender"
            raise NotDelivered(lost(self.phase, how), stale=stale) from error
        except SMTPException as error:  # the server lacks STARTTLS, AUTH or a method of it
            raise NotDelivered(Misconfigured(f"smtp_{self.phase}_not_supported")) from error

    async def _reset(self) -> bool:
        """Make the connection ready for the next mail after a refusal; False where it is of no more use."""
        try:
            await self._client.rset(timeout=_QUIT_SECONDS)
        except (SMTPException, OSError):
            return False
        return self._client.is_connected

    def alive(self, now: float) -> bool:
        """Whether the next mail may go over it at loop time ``now``."""
        fresh = (now - self.idle_since) * 1000 < self._settings.idle_ms
        return (
            self.fit
            and fresh
            and self.sent < self._settings.messages_per_connection
            and self._client.is_connected
        )

    async def quit(self) -> None:
        """Say goodbye where that is possible, and close. Never raises for what the server does."""
        with suppress(SMTPException, OSError, TimeoutError):
            if self.fit and self._client.is_connected:
                await self._client.quit(timeout=_QUIT_SECONDS)
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self.fit = False
        self._client.close()


class SmtpPool:
    """At most ``settings.connections`` connections, the latest used first. Belongs to one event loop."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._context = _tls_context(settings)
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(settings.connections)
        self._closed = False

    @asynccontextmanager
    async def connection(self, *, fresh: bool = False) -> AsyncIterator[Connection]:
        """A connection for one mail, perhaps not open yet; kept for the next one if it is still fit.

        ``fresh`` asks for a new one. A conversation that is cancelled closes its connection.
        """
        async with self._free:
            connection = await self._take(fresh=fresh)
            try:
                yield connection
            except BaseException:
                if not connection.fit:
                    connection.abort()
                raise
            finally:
                if self._closed:
                    await connection.quit()
                elif connection.fit:
                    connection.idle_since = asyncio.get_running_loop().time()
                    self._idle.append(connection)

    async def _take(self, *, fresh: bool) -> Connection:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if not fresh and connection.alive(now):
                return connection
            await connection.quit()
        return Connection(self._settings, self._context)

    async def close(self) -> None:
        """Close the idle connections; those in use close when their mail is done."""
        self._closed = True
        while self._idle:
            await self._idle.pop().quit()


def _tls_context(settings: SmtpSettings) -> ssl.SSLContext | None:
    if settings.tls == "none":
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise MisconfiguredError(
            f"the mail server's ca_file cannot be read: {error.strerror or error}"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
