"""From settings to the way that e-mail leaves: sender, signature, limits, mail server or provider."""

from __future__ import annotations

from dataclasses import replace
from email.utils import parseaddr
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from workers.errors import Misconfigured
from workers.mail.dkim import Signer, read_signer
from workers.senders.channels.email import SMTP_LIMITS, EmailChannel
from workers.senders.channels.email_message import Sender
from workers.senders.channels.ses import REPLACED, SesChannel, SesSettings
from workers.senders.channels.smtp_pool import CONNECTIONS, SmtpSettings
from workers.senders.http.client import HttpClient
from workers.senders.http.sigv4 import Credentials
from workers.senders.limits import Limits
from workers.senders.pace import Pace, read_rates, read_warm_up

WAITING_BY_DOMAIN: Final = 10_000
"""Mails of one partition that may wait in the state where domains have rates."""

CONNECTIONS_MAX: Final = SMTP_LIMITS.calls_at_once
"""More connections to the mail server than mails that are sent at once would stand idle."""

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
    if settings.mail_provider == "ses":
        return SesChannel(
            ses_settings(settings),
            sender,
            HttpClient(settings.outgoing_networks),
            clock,
            paced(Limits(per_second=settings.ses_per_second), settings),
            dkim_signer(settings, sender, REPLACED),
        )
    limits = paced(SMTP_LIMITS, settings)
    return EmailChannel(smtp_settings(settings.smtp), sender, clock, limits, dkim_signer(settings, sender))


def test_channel(settings: Settings, clock: Clock) -> Channel:
    """The way of test mails: as that of others, without the claim by which reports find back to a message.

    Raises:
        Misconfigured: naming the setting that is wrong.
    """
    sender = _sender(settings)
    if settings.mail_provider == "ses":
        signer, client = dkim_signer(settings, sender, REPLACED), HttpClient(settings.outgoing_networks)
        return SesChannel(ses_settings(settings), sender, client, clock, Limits(per_second=1), signer)
    signer = dkim_signer(settings, sender)
    return EmailChannel(smtp_settings(settings.smtp), sender, clock, SMTP_LIMITS, signer)


def paced(limits: Limits, settings: Settings) -> Limits:
    """``limits`` with what receivers bear.

    Raises:
        Misconfigured: a setting is not written as it must be.
    """
    warm_up = read_warm_up(settings.mail_warm_up) if settings.mail_warm_up else None
    pace = Pace(warm_up, read_rates(settings.mail_domain_rates))
    # Mails to one domain that wait must not fill the room of the others.
    waiting_max = max(limits.waiting_max, WAITING_BY_DOMAIN) if pace.per_second else limits.waiting_max
    return replace(limits, pace=pace, waiting_max=waiting_max)


def ses_settings(settings: Settings) -> SesSettings:
    """The account at Amazon SES.

    Raises:
        Misconfigured: naming what is missing.
    """
    key, secret, token = (
        settings.ses_access_key_id,
        settings.ses_secret_access_key,
        settings.ses_session_token,
    )
    if settings.ses_region is None or key is None or secret is None:
        raise Misconfigured(
            "BRIMFUL_MAIL_PROVIDER=ses needs BRIMFUL_SES_REGION, BRIMFUL_SES_ACCESS_KEY_ID and "
            "BRIMFUL_SES_SECRET_ACCESS_KEY"
        )
    session = token.get_secret_value() if token is not None else None
    credentials = Credentials(key, secret.get_secret_value(), session)
    return SesSettings(
        settings.ses_region, credentials, settings.ses_configuration_set, settings.ses_endpoint
    )


def email_sender(settings: Settings) -> Sender:
    """Who mails are from.

    Raises:
        Misconfigured: there is no usable address.
    """
    return replace(_sender(settings), key=settings.secret_bytes())


def _sender(settings: Settings) -> Sender:
    name, address = parseaddr(settings.mail_from)
    if not address:
        raise Misconfigured(f"BRIMFUL_MAIL_FROM {settings.mail_from!r} holds no address")
    return Sender(
        address=address, name=name, reply_to=settings.mail_reply_to, return_path=settings.mail_return_path
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
    """The mail server that ``smtp://[user:password@]host:port[?starttls=1]`` or ``smtps://...`` names.

    Raises:
        Misconfigured: ``connections`` is no number from 1 to :data:`CONNECTIONS_MAX`.
    """
    parts = urlsplit(address)
    asked = parse_qs(parts.query)
    starttls = asked.get("starttls", ["0"])[0] in {"1", "true"}
    connections = asked.get("connections", [str(CONNECTIONS)])[0]
    if not connections.isdecimal() or not 1 <= int(connections) <= CONNECTIONS_MAX:
        raise Misconfigured(
            f"BRIMFUL_SMTP: connections is a number from 1 to {CONNECTIONS_MAX}, not {connections!r}"
        )
    tls: Literal["none", "starttls", "implicit"] = (
        "implicit" if parts.scheme == "smtps" else "starttls" if starttls else "none"
    )
    return SmtpSettings(
        host=parts.hostname or "",
        port=parts.port or (465 if tls == "implicit" else 25),
        tls=tls,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        connections=int(connections),
    )
