"""Where reports are read from: a mailbox over IMAP (RFC 3501), or a folder with ``.eml`` files.

A mail is settled after what it tells was kept. Whoever is stopped in between reads it again, and its records
have the same ids.
"""

from __future__ import annotations

import imaplib
import ssl
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from workers.errors import Misconfigured, Retryable
from workers.mail.reports import BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS: Final = 30
"""Longest silence of the server."""

_LOCAL = ("127.0.0.1", "::1", "localhost")


class Box(Protocol):
    """A place with mails. ``used`` False: the mail is of no use here, and a person shall look at it."""

    def unread(self) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of each mail that was not settled, the oldest first.

        Raises:
            Retryable: the place does not answer.
        """
        ...

    def settle(self, name: str, *, used: bool) -> None:
        """Take a mail off those that are unread."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Folder:
    """``.eml`` files of a folder; settled ones move to ``done`` or ``unmatched`` in it."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise Misconfigured(f"{path} is no folder")
        self._path = path

    def unread(self) -> Iterator[tuple[str, bytes]]:
        """See :class:`Box`; by name."""
        for file in sorted(self._path.glob("*.eml")):
            with file.open("rb") as opened:
                yield file.name, opened.read(BYTES_MAX + 1)

    def settle(self, name: str, *, used: bool) -> None:
        """See :class:`Box`."""
        into = self._path / ("done" if used else "unmatched")
        into.mkdir(exist_ok=True)
        (self._path / name).replace(into / name)

    def close(self) -> None:
        """Nothing is open."""


class Imap:
    """One folder of a mailbox. Unread is what is not seen; what is of no use here gets flagged as well."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        local = parts.scheme == "imap" and parts.hostname in _LOCAL
        if not (parts.scheme == "imaps" or local) or not parts.hostname or not parts.username:
            raise Misconfigured(
                "BRIMFUL_MAIL_INBOX is imaps://USER:PASSWORD@HOST[:PORT][/FOLDER]; "
                "imap:// is for this machine"
            )
        folder = unquote(parts.path.strip("/")) or "INBOX"
        try:
            self._client: imaplib.IMAP4 = (
                imaplib.IMAP4(parts.hostname, parts.port or 143, SECONDS)
                if local
                else imaplib.IMAP4_SSL(
                    parts.hostname,
                    parts.port or 993,
                    ssl_context=context or ssl.create_default_context(),
                    timeout=SECONDS,
                )
            )
        except OSError as error:
            raise Retryable(
                f"the mailbox at {parts.hostname} does not answer: {type(error).__name__}"
            ) from None
        try:
            self._client.login(unquote(parts.username), unquote(parts.password or ""))
        except (imaplib.IMAP4.error, OSError):
            self._client.shutdown()
            raise Misconfigured(f"the mailbox at {parts.hostname} refuses the user or the password") from None
        status, _ = self._call("select", _quoted(folder))
        if status != "OK":
            self.close()
            raise Misconfigured(f"the mailbox at {parts.hostname} has no folder {folder!r}")

    def unread(self) -> Iterator[tuple[str, bytes]]:
        """See :class:`Box`; reading marks nothing."""
        _, found = self._call("uid", "SEARCH", "UNSEEN")
        for uid in (found[0] or b"").split():
            _, data = self._call("uid", "FETCH", uid.decode(), f"(BODY.PEEK[]<0.{BYTES_MAX + 1}>)")
            mails = [one[1] for one in data if isinstance(one, tuple)]
            if mails:
                yield uid.decode(), mails[0]

    def settle(self, name: str, *, used: bool) -> None:
        """See :class:`Box`."""
        self._call("uid", "STORE", name, "+FLAGS.SILENT", r"(\Seen)" if used else r"(\Seen \Flagged)")

    def close(self) -> None:
        """Log out; a server that went away does not matter."""
        try:
            self._client.logout()
        except (imaplib.IMAP4.error, OSError):
            self._client.shutdown()

    def _call(self, command: str, *arguments: str) -> tuple[str, Any]:
        try:
            return getattr(self._client, command)(*arguments)  # type: ignore[no-any-return]
        except (imaplib.IMAP4.error, OSError) as error:
            raise Retryable(f"the mailbox does not answer: {type(error).__name__}") from None


def _quoted(folder: str) -> str:
    escaped = folder.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
