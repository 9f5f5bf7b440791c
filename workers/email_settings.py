"""From settings to the way that e-mail leaves: sender, signature, limits, mail server or provider."""

from __future__ import annotations

from email.utils import parseaddr
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from workers.errors import Misconfigured
from workers.mail.dkim import Signer, read_signer
from workers.senders.channels.email import EmailChannel
from workers.senders.channels.email_message import Sender
from workers.senders.channels.smtp_pool import SmtpSettings

if TYPE_CHECKING:
    from workers.clock import Clock
    from workers.senders.channels.base import Channel
    from workers.settings import Settings


def email_channel(settings: Settings, clock: Clock) -> Channel:
    """The e-mail channel of these settings.

    Raises:
        Misconfigured: naming the setting that is wrong.
    """
    sender = email_sender(settings)
    return EmailChannel(smtp_settings(settings.smtp), sender, clock, signer=dkim_signer(settings, sender))


def email_sender(settings: Settings) -> Sender:
    """Who mails are from.

    Raises:
        Misconfigured: there is no usable address.
    """
    name, address = parseaddr(settings.mail_from)
    if not address:
        raise Misconfigured(f"BRIMFUL_MAIL_FROM {settings.mail_from!r} holds no address")
    return Sender(
        address=address,
        name=name,
        reply_to=settings.mail_reply_to,
        return_path=settings.mail_return_path,
        key=settings.secret_bytes(),
    )


def dkim_signer(settings: Settings, sender: Sender, omit: frozenset[str] = frozenset()) -> Signer | None:
    """Who signs; None where no selector is set. ``omit`` are headers that are left unsigned.

    Raises:
        Misconfigured: a part is missing, or the key is not usable.
    """
    if settings.dkim_selector is None and settings.dkim_key_file is None:
        return None
    if settings.dkim_selector is None or settings.dkim_key_file is None:
        raise Misconfigured("BRIMFUL_DKIM_SELECTOR and BRIMFUL_DKIM_KEY_FILE come together, or not at all")
    domain = (settings.dkim_domain or sender.domain).lower()
    if sender.domain != domain and not sender.domain.endswith(f".{domain}"):
        raise Misconfigured(
            f"BRIMFUL_DKIM_DOMAIN {domain} signs nothing for {sender.domain}: "
            "it must be that domain, or one above it"
        )
    return read_signer(settings.dkim_key_file, settings.dkim_selector, domain, omit)


def smtp_settings(address: str) -> SmtpSettings:
    """The mail server that ``smtp://[user:password@]host:port[?starttls=1]`` or ``smtps://...`` names."""
    parts = urlsplit(address)
    starttls = parse_qs(parts.query).get("starttls", ["0"])[0] in {"1", "true"}
    tls: Literal["none", "starttls", "implicit"] = (
        "implicit" if parts.scheme == "smtps" else "starttls" if starttls else "none"
    )
    return SmtpSettings(
        host=parts.hostname or "",
        port=parts.port or (465 if tls == "implicit" else 25),
        tls=tls,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )
