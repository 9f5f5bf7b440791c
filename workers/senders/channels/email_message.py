"""An e-mail as mail servers want it: headers, parts, bytes. Pure.

The standard library's ``EmailMessage`` refuses line breaks in headers when they are set, which is the
protection against injected headers; values that come from people or configuration are checked before that,
so that a refusal has a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from workers.core.render import RenderedEmail
from workers.core.template_values import has_control
from workers.errors import Misconfigured

if TYPE_CHECKING:
    from datetime import datetime

    from workers.senders.channels.base import OutgoingMessage

MAX_ADDRESS_CHARS: Final = 254
MAX_LOCAL_CHARS: Final = 64
_MAX_LABEL_CHARS = 63
"""RFC 5321: the longest path, local part; RFC 1035: the longest label of a domain."""

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LOCAL_INTERNATIONAL = re.compile(r"[^\s\x00-\x20\"(),:;<>@\[\\\]\x7f-\x9f]+")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PAGE = re.compile(r"(https://|http://(127\.0\.0\.1|localhost)(:\d+)?/)[!-;=?-~]+")
"""https, or plain http on this machine; printable ASCII without the signs that end a URL in the header."""
_TAG = re.compile(r"[^A-Za-z0-9_.-]")
_ASCII_POLICY = SMTP_POLICY.clone(cte_type="7bit")
_INTERNATIONAL_POLICY = SMTP_POLICY.clone(utf8=True)


UNSUBSCRIBE_PROBLEMS: Final = frozenset({"no_unsubscribe_url", "bad_unsubscribe_url"})
"""What :func:`build_email` says of an unsubscribe page that does not do."""


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
    """Who the mail is from. ``unsubscribe_mailto`` is an address that a program of ours reads."""

    address: str
    name: str = ""
    reply_to: str | None = None
    unsubscribe_mailto: str | None = None

    def __post_init__(self) -> None:
        for field, address in (
            ("address", self.address),
            ("reply_to", self.reply_to),
            ("unsubscribe_mailto", self.unsubscribe_mailto),
        ):
            if address is not None:
                try:
                    check_address(address)
                except BadAddress as error:
                    raise Misconfigured(
                        f"the e-mail sender's {field} {address!r} is not an address"
                    ) from error
        if has_control(self.name):
            raise Misconfigured("the e-mail sender's name has a line break or another control character")

    @property
    def domain(self) -> str:
        """The domain of the sender's address."""
        return check_address(self.address).rpartition("@")[2]


def message_id(message: str, sender: Sender) -> str:
    """The Message-ID for an idempotency key: the same at every attempt, so that receivers see repeats."""
    local = message if _PLAIN_ID.fullmatch(message) else blake2b(message.encode(), digest_size=16).hexdigest()
    return f"<{local}@{sender.domain}>"


def build_email(message: OutgoingMessage, sender: Sender, to: str, at: datetime) -> EmailMessage:
    """The whole mail: text and html of the content, and the headers that mailbox providers ask for.

    ``to`` is an address that :func:`check_address` gave; ``at`` is an aware datetime for ``Date``. Raises
    ``ValueError`` where a header would carry a line break, or a promotional mail has no https page to
    unsubscribe on: RFC 8058 wants one, and mailbox providers count complaints instead.
    """
    content = message.content
    if not isinstance(content, RenderedEmail):
        raise TypeError(f"an e-mail is made of a RenderedEmail, not of a {type(content).__name__}")
    mail = EmailMessage(policy=_ASCII_POLICY if to.isascii() else _INTERNATIONAL_POLICY)
    mail["From"] = Address(sender.name, addr_spec=sender.address)
    local, _, domain = to.rpartition("@")
    mail["To"] = Address(username=local, domain=domain)
    if sender.reply_to:
        mail["Reply-To"] = Address(addr_spec=sender.reply_to)
    mail["Subject"] = content.subject
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = message_id(message.id, sender)
    if not content.transactional:
        _add_unsubscribe(mail, message, sender)
    mail["Feedback-ID"] = feedback_id(message, content)
    mail.set_content(content.text)
    mail.add_alternative(content.html, subtype="html")
    return mail


def _add_unsubscribe(mail: EmailMessage, message: OutgoingMessage, sender: Sender) -> None:
    url = message.unsubscribe_url
    if url is None:
        raise ValueError("no_unsubscribe_url")
    if not _PAGE.fullmatch(url):
        raise ValueError("bad_unsubscribe_url")
    ways = [f"<{url}>"]
    if sender.unsubscribe_mailto:
        key = message_id(message.id, sender)[1:].partition("@")[0]
        ways.append(f"<mailto:{sender.unsubscribe_mailto}?subject=unsubscribe%20{key}>")
    mail["List-Unsubscribe"] = ", ".join(ways)
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"


def feedback_id(message: OutgoingMessage, content: RenderedEmail) -> str:
    """``journey:step:template:sender`` for the mailbox providers' complaint statistics; never a person."""
    parts = (message.journey, message.tags[0] if message.tags else "", content.template, "brimful")
    return ":".join(_TAG.sub("_", part)[:40] or "none" for part in parts)
