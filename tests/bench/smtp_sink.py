"""``python -m tests.bench.smtp_sink``: a mail server that takes everything and keeps nothing.

It tells the port that it listens on as facts; ``STAT`` is answered by how many mails it has taken, over how
many connections. As fast as Python may be, so that the processor is left to who sends.
"""

from __future__ import annotations

import asyncio

from tests.bench.peers.facts import tell

_END = b"\r\n.\r\n"
_GREETING = b"220 sink ESMTP\r\n"
_EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10485760\r\n"


class Sink(asyncio.Protocol):
    """One connection. Understands what a client that does as the standard says sends, and no more."""

    mails = 0
    connections = 0

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._held = b""
        self._in_mail = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.WriteTransport), "TCP is written to"
        self._transport = transport
        Sink.connections += 1
        transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self._held += data
        while self._held:
            end = _END if self._in_mail else b"\r\n"
            piece, found, rest = self._held.partition(end)
            if not found:
                return
            self._held = rest
            self._answer(piece)

    def _answer(self, piece: bytes) -> None:
        assert self._transport is not None, "it was connected"
        if self._in_mail:
            self._in_mail = False
            Sink.mails += 1
            self._transport.write(b"250 2.0.0 Ok: queued as %X\r\n" % Sink.mails)
            return
        match piece[:4].upper():
            case b"DATA":
                self._in_mail = True
                self._transport.write(b"354 go on\r\n")
            case b"EHLO":
                self._transport.write(_EHLO)
            case b"STAT":
                self._transport.write(b"211 %d %d\r\n" % (Sink.mails, Sink.connections))
            case b"QUIT":
                self._transport.write(b"221 bye\r\n")
                self._transport.close()
            case _:
                self._transport.write(b"250 2.1.0 Ok\r\n")


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    tell("listening", port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
