"""An IMAP server in a thread: as much of RFC 3501 as reading a mailbox needs, one client after the other."""

from __future__ import annotations

import re
import socketserver
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Mailbox:
    """Mails by UID with their flags. ``cut_at`` hangs up at the nth command from now."""

    port: int = 0
    mails: dict[int, bytes] = field(default_factory=dict)
    flags: dict[int, set[str]] = field(default_factory=dict)
    cut_at: int | None = None

    def add(self, raw: bytes) -> None:
        """A mail arrives."""
        uid = len(self.mails) + 1
        self.mails[uid], self.flags[uid] = raw, set()

    def answer(self, command: str) -> tuple[bytes, str]:
        """Untagged lines, and the status."""
        name, _, rest = command.partition(" ")
        match name.upper():
            case "CAPABILITY":
                return b"* CAPABILITY IMAP4rev1\r\n", "OK"
            case "LOGIN":
                return b"", "OK" if rest == 'brimful "right"' else "NO"
            case "SELECT":
                return b"* 1 EXISTS\r\n", "OK" if rest == '"INBOX"' else "NO"
            case "LOGOUT":
                return b"* BYE\r\n", "OK"
            case "UID":
                return self._uid(rest), "OK"
        return b"", "BAD"

    def _uid(self, command: str) -> bytes:
        if command == "SEARCH UNSEEN":
            unseen = [str(uid) for uid, flags in self.flags.items() if "\\Seen" not in flags]
            return f"* SEARCH {' '.join(unseen)}\r\n".encode()
        if fetch := re.fullmatch(r"FETCH (\d+) \(BODY\.PEEK\[\]<0\.(\d+)>\)", command):
            mail = self.mails[int(fetch[1])][: int(fetch[2])]
            return b"* 1 FETCH (UID %s BODY[]<0> {%d}\r\n%s)\r\n" % (fetch[1].encode(), len(mail), mail)
        stored = re.fullmatch(r"STORE (\d+) \+FLAGS\.SILENT \((.*)\)", command)
        assert stored, command
        self.flags[int(stored[1])] |= set(stored[2].split())
        return b""


@contextmanager
def imap_server() -> Iterator[Mailbox]:
    """A running server and its mailbox."""
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"* OK ready\r\n")
            for line in self.rfile:
                tag, _, command = line.decode().strip().partition(" ")
                if box.cut_at is not None:
                    box.cut_at -= 1
                    if box.cut_at < 0:
                        box.cut_at = None
                        return
                untagged, status = box.answer(command)
                self.wfile.write(untagged + f"{tag} {status} done\r\n".encode())
                if command.upper() == "LOGOUT":
                    return

    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    box.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield box
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
