"""An e-mail as mail servers want it: headers, parts, bytes. Pure.

Every value that comes from people or configuration is checked before it becomes part of a header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import format_datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from workers.core.templates.render import RenderedEmail
from workers.core.templates.values import has_control
from workers.errors import Misconfigured
from workers.mail.claims import HEADER, MailClaim, make_return_path, make_token
from workers.senders.channels.mime import BadHeader, header, mailbox, text_part, unstructured

if TYPE_CHECKING:
    from datetime import datetime

    from workers.senders.channels.base import OutgoingMessage

MAX_ADDRESS_CHARS: Final = 254
MAX_LOCAL_CHARS: Final = 64
MAX_URL_CHARS: Final = 900
"""A header line has 998 bytes at most."""
_MAX_LABEL_CHARS = 63
"""RFC 5321: the longest path, local part; RFC 1035: the longest label of a domain."""

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LOCAL_INTERNATIONAL = re.compile(r"[^\s\x00-\x20\"(),:;<>@\[\\\]\x7f-\x9f]+")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PAGE = re.compile(r"(https://|http://(127\.0\.0\.1|localhost)(:\d+)?/)[!-;=?-~]+")
"""https, or plain http on this machine; printable ASCII without the signs that end a URL in the header."""
_TAG = re.compile(r"[^A-Za-z0-9_.-]")


class BadAddress(ValueError):
    """A text that is not an e-mail address. The message is a reason code and never the address."""


def check_address(text: str | None) -> str:
    """``text`` as an address that a mail server can be given, its domain in ASCII and lower case.

    Quoted local parts and address literals are refused: nobody signs up with them, and they carry most
    tricks. Raises :class:`BadAddress`.
    """
    if not text:
        raise BadAddress("no_address")
    local, at, domain = text.strip(" ").rpartition("@")
    if not at or not local or has_control(text):
        raise BadAddress("bad_address")
    pattern = _LOCAL if local.isascii() else _LOCAL_INTERNATIONAL
    if not pattern.fullmatch(local) or len(local.encode()) > MAX_LOCAL_CHARS:
        raise BadAddress("bad_address")
    host = _ascii_domain(domain)
    if len(local.encode()) + len(host) + 1 > MAX_ADDRESS_CHARS:
        raise BadAddress("bad_address")
    return f"{local}@{host}"


def _ascii_domain(domain: str) -> str:
    try:
        host = domain.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise BadAddress("bad_address") from error
    labels = host.split(".")
    if len(labels) < 2 or labels[-1].isdigit():  # noqa: PLR2004 - a host name of the public Internet has a dot
        raise BadAddress("bad_address")
    if not all(_LABEL.fullmatch(label) and len(label) <= _MAX_LABEL_CHARS for label in labels):
        raise BadAddress("bad_address")
    return host


@dataclass(frozen=True, slots=True)
class Sender:
    """Who the mail is from. ``unsubscribe_mailto`` is an address that a program of ours reads.

    Bounces go to ``return_path``, by default to ``address``. With a ``key``, each mail carries a signed claim
    to its message, so that a report of it finds back.
    """

    address: str
    name: str = ""
    reply_to: str | None = None
    unsubscribe_mailto: str | None = None
    return_path: str | None = None
    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("address", "reply_to", "unsubscribe_mailto", "return_path"):
            address = getattr(self, name)
            if address is not None and not _is_ascii_address(address):
                raise Misconfigured(f"the e-mail sender's {name} {address!r} is not an address in ASCII")
        if has_control(self.name):
            raise Misconfigured("the e-mail sender's name has a line break or another control character")

    @property
    def domain(self) -> str:
        """The domain of the sender's address."""
        return self.address.rpartition("@")[2].lower()


def _is_ascii_address(text: str) -> bool:
    try:
        return text.isascii() and check_address(text).lower() == text.lower()
    except BadAddress:
        return False


def message_id(message: str, sender: Sender) -> str:
    """The Message-ID for an idempotency key: the same at every attempt, so that receivers see repeats."""
    local = message if _PLAIN_ID.fullmatch(message) else blake2b(message.encode(), digest_size=16).hexdigest()
    return f"<{local}@{sender.domain}>"


def envelope_from(message: OutgoingMessage, sender: Sender) -> str:
    """The address that bounces of a message go to, with its claim where there is room for it."""
    if sender.return_path is None:
        return sender.address
    if sender.key is None:
        return sender.return_path
    return make_return_path(sender.key, sender.return_path, _claim(message))


def _claim(message: OutgoingMessage) -> MailClaim:
    return MailClaim(message.person, message.id, message.journey or None, message.step or None)


def build_email(message: OutgoingMessage, sender: Sender, to: str, at: datetime) -> bytes:
    """The whole mail: text and html of the content, and the headers that mailbox providers ask for.

    ``to`` is an address that :func:`check_address` gave; ``at`` is an aware datetime for ``Date``. The same
    arguments give the same bytes. Raises :class:`BadHeader` where a header would carry a line break, or a
    promotional mail has no https page to unsubscribe on: RFC 8058 wants one.
    """
    content = message.content
    if not isinstance(content, RenderedEmail):
        raise TypeError(f"an e-mail is made of a RenderedEmail, not of a {type(content).__name__}")
    boundary = f"=_{blake2b(message.id.encode(), digest_size=12).hexdigest()}"
    headers = [
        header("From", mailbox(sender.name, sender.address)),
        header("To", to),
        header("Subject", unstructured(content.subject)),
        header("Date", format_datetime(at)),
        header("Message-ID", message_id(message.id, sender)),
        header("Feedback-ID", feedback_id(message, content)),
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
    ]
    if sender.reply_to:
        headers.insert(2, header("Reply-To", sender.reply_to))
    token = make_token(sender.key, _claim(message)) if sender.key is not None else None
    if token is not None:
        headers.insert(-2, header(HEADER, token))
    if not content.transactional:
        headers[-2:-2] = _unsubscribe_headers(message, sender)
    start = f"--{boundary}\r\n".encode()
    plain, html = text_part("plain", content.text), text_part("html", content.html)
    return b"".join(
        ("\r\n".join((*headers, "", "")).encode(), start, plain, start, html, start[:-2], b"--\r\n")
    )


def _unsubscribe_headers(message: OutgoingMessage, sender: Sender) -> list[str]:
    url = message.unsubscribe_url
    if url is None:
        raise BadHeader("no_unsubscribe_url")
    if not _PAGE.fullmatch(url) or len(url) > MAX_URL_CHARS:
        raise BadHeader("bad_unsubscribe_url")
    ways = f"<{url}>"
    if sender.unsubscribe_mailto:
        key = message_id(message.id, sender)[1:].partition("@")[0]
        ways += f",\r\n <mailto:{sender.unsubscribe_mailto}?subject=unsubscribe%20{key}>"
    return [f"List-Unsubscribe: {ways}", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"]


def feedback_id(message: OutgoingMessage, content: RenderedEmail) -> str:
    """``journey:step:template:sender`` for the mailbox providers' complaint statistics; never a person."""
    parts = (message.journey, message.tags[0] if message.tags else "", content.template, "brimful")
    return ":".join(_TAG.sub("_", part)[:40] or "none" for part in parts)
