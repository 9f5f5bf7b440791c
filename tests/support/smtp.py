"""A real SMTP server in the test's event loop, whose faults are scripted by the recipient's local part.

=================  ==========================================================================
recipient          what the server does
=================  ==========================================================================
``nobody-*``       550 5.1.1 at RCPT, repeating the address in its words
``full-*``         552 5.2.2 at RCPT
``policy-*``       550 5.7.1 at RCPT
``bare-*``         550 without an enhanced code at RCPT
``grey-*``         451 4.7.1 at RCPT
``busy-*``         421 at RCPT, then hangs up
``spam-*``         554 5.7.1 after the mail
``later-*``        452 after the mail
``odd-*``          299 after the mail
``cut-rcpt-*``     hangs up at RCPT
``cut-data-*``     hangs up at DATA, before the mail
``cut-body-*``     hangs up after it got the mail, without an answer
``hang-rcpt-*``    never answers RCPT
``hang-body-*``    never answers the mail
``sender-*``       (also as the sender) nothing; senders are scripted by ``refuse_sender``
anything else      250, and the mail is kept in ``mails``
=================  ==========================================================================
"""

from __future__ import annotations

import asyncio
import warnings
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

_RCPT = {
    "nobody": "550 5.1.1 <{address}> does not live here",
    "full": "552 5.2.2 the mailbox of {address} is full",
    "policy": "550 5.7.1 we do not like you",
    "bare": "550 no such user",
    "grey": "451 4.7.1 come back later",
}
_DATA = {"spam": "554 5.7.1 this looks like spam", "later": "452 4.3.1 no space", "odd": "299 well"}


@dataclass
class Script:
    """What the server does besides the recipients' faults, and what it saw."""

    mails: list[Envelope] = field(default_factory=list)
    sessions: int = 0
    refuse_sender: str | None = None
    user: tuple[str, str] = ("brimful", "right")
    auth_answer: str = "535 5.7.8 wrong"
    protocols: list[SMTP] = field(default_factory=list)
    greeted: asyncio.Event = field(default_factory=asyncio.Event)


def _abort(server: SMTP, *, politely: bool = False) -> None:
    """Close the connection: at once, or after what was written went out."""
    transport = server.transport
    if isinstance(transport, asyncio.WriteTransport):
        if politely:
            transport.close()
        else:
            transport.abort()


class _Server(SMTP):
    """aiosmtpd's server; it can also hang up before the mail."""

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd calls it by this name
        envelope = self.envelope
        if envelope is not None and any(to.startswith("cut-data-") for to in envelope.rcpt_tos):
            _abort(self)
            return
        await super().smtp_DATA(arg)


class _Handler:
    def __init__(self, script: Script) -> None:
        self.script = script

    async def handle_EHLO(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.script.sessions += 1
        self.script.greeted.set()
        self.script.protocols.append(server)
        return responses

    async def handle_MAIL(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.script.refuse_sender:
            return self.script.refuse_sender
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        fault = address.partition("-")[0]
        if fault in _RCPT:
            return _RCPT[fault].format(address=address)
        if address.startswith("busy-"):
            await server.push("421 4.3.2 going down")
            _abort(server, politely=True)
        if address.startswith("cut-rcpt-"):
            _abort(server)
        if address.startswith("hang-rcpt-"):
            await asyncio.Event().wait()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd calls it by this name
        to = envelope.rcpt_tos[0]
        fault = to.partition("-")[0]
        if fault in _DATA:
            return _DATA[fault]
        self.script.mails.append(envelope)
        if to.startswith("cut-body-"):
            _abort(server)
        if to.startswith("hang-body-"):
            await asyncio.Event().wait()
        return f"250 OK queued as Q{len(self.script.mails)}"


@dataclass(frozen=True)
class SmtpServer:
    """A running server."""

    port: int
    script: Script

    def hang_up(self) -> None:
        """Close all connections, as a server does that was idle for long."""
        for protocol in self.script.protocols:
            _abort(protocol, politely=True)
        self.script.protocols.clear()


@asynccontextmanager
async def smtp_server(
    *,
    tls: ssl.SSLContext | None = None,
    implicit: bool = False,
    auth: bool = False,
    smtputf8: bool = True,
) -> AsyncIterator[SmtpServer]:
    """A server on a free loopback port: with STARTTLS or TLS by ``tls``, with login by ``auth``."""
    script = Script()
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[Any]] = set()

    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        given = (data.login.decode(), data.password.decode())
        if given == script.user:
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False, message=script.auth_answer)

    def make() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # a login without STARTTLS is what some tests are about
            return _Server(
                _Handler(script),
                hostname="mail.example.com",
                ident="test",
                loop=loop,
                enable_SMTPUTF8=smtputf8,
                tls_context=None if implicit else tls,
                authenticator=authenticate if auth else None,
                auth_required=auth,
                auth_require_tls=not auth,
            )

    listener = await loop.create_server(make, "127.0.0.1", 0, ssl=tls if implicit else None)
    try:
        yield SmtpServer(listener.sockets[0].getsockname()[1], script)
    finally:
        listener.close()
        for protocol in script.protocols:
            _abort(protocol)
            handler = protocol._handler_coroutine
            if handler is not None:
                handler.cancel()
                tasks.add(handler)
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()
