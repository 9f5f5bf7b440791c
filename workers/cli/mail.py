"""``brimful bounces``: what became of mails; ``brimful doctor email``: whether they are believed."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas import wire
from workers.clock import SystemClock
from workers.core.templates.render import RenderedEmail
from workers.email_settings import dkim_signer, email_sender, smtp_settings
from workers.errors import Misconfigured
from workers.imports.output import KafkaOutput
from workers.imports.rows import Sent
from workers.mail.collect import collect
from workers.mail.dns import SystemDns
from workers.mail.doctor import Finding, Setup, check_headers, diagnose
from workers.mail.mailbox import Box, Folder, Imap
from workers.senders.channels.base import OutgoingMessage
from workers.senders.channels.email_message import build_email
from workers.senders.channels.mime import BadHeader
from workers.senders.channels.ses import REPLACED
from workers.senders.channels.smtp_pool import NotDelivered, SmtpPool
from workers.settings import from_env

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.mail.doctor import Resolver
    from workers.senders.channels.smtp_pool import SmtpSettings
    from workers.settings import Settings

ENGAGEMENT = "engagement"

cli: typer.Typer = typer.Typer(help="E-mail: bounces and complaints, and a check of the set-up.")

From = Annotated[
    Path | None, typer.Option("--folder", help="A folder with .eml files instead of BRIMFUL_MAIL_INBOX.")
]
Every = Annotated[
    float | None, typer.Option(min=1, help="Look again after as many seconds, until Ctrl-C; once without it.")
]


@cli.command()
def bounces(folder: From = None, every: Every = None) -> None:
    """Read bounces and complaints from BRIMFUL_MAIL_INBOX, and close the addresses they are about."""
    settings = from_env(os.environ)
    output = KafkaOutput(settings.kafka, settings.topic, settings.librdkafka())

    def keep(records: Sequence[wire.Engagement]) -> None:
        output.send([Sent(ENGAGEMENT, one.person.encode(), wire.encode(one)) for one in records])

    while True:
        box = _box(settings, folder)
        try:
            told = collect(box, settings.signing_keys(), keep, SystemClock().now_ms())
        finally:
            box.close()
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(told.items()))
        typer.echo(f"{told.total()} mail(s) read{': ' if counts else ''}{counts}", err=True)
        if every is None:
            return
        time.sleep(every)


doctor_cli: typer.Typer = typer.Typer(no_args_is_help=True, help="Check a set-up, and say what to do.")
cli.add_typer(doctor_cli, name="doctor")


@doctor_cli.callback()
def doctor() -> None:
    """Check a set-up, and say what to do."""


@doctor_cli.command()
def email() -> None:
    """SPF, DKIM, DMARC, MX, PTR, alignment, headers, and TLS and login of the mail server; 1: a problem."""
    settings = from_env(os.environ)
    findings = examine(settings, SystemDns(), SystemClock().now_ms())
    for one in findings:
        typer.echo(f"{one.level:8} {one.subject:10} {one.text}")
        if one.remedy:
            typer.echo(f"{'':19} -> {one.remedy}")
    raise typer.Exit(1 if any(one.level == "problem" for one in findings) else 0)


def examine(settings: Settings, resolver: Resolver, now_ms: int) -> list[Finding]:
    """All findings for these settings; connects to the mail server, and sends nothing.

    Raises:
        Misconfigured: a setting is wrong.
    """
    sender, by_ses = email_sender(settings), settings.mail_provider == "ses"
    signer = dkim_signer(settings, sender, REPLACED if by_ses else frozenset())
    server = None if by_ses else smtp_settings(settings.smtp)
    setup = Setup(
        sender.domain,
        (sender.return_path or sender.address).rpartition("@")[2].lower(),
        signer,
        server.host if server is not None else None,
    )
    sample = OutgoingMessage(
        id="0" * 32,
        channel="email",
        person="doctor",
        content=RenderedEmail("Sample", "<p>Sample</p>", "Sample", "sample", "0"),
        unsubscribe_url=f"{settings.public_url.rstrip('/')}/u/sample",
    )
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    findings = diagnose(setup, resolver)
    try:
        mail = build_email(sample, sender, "doctor@example.com", at)
        findings += check_headers(mail if signer is None else signer.sign(mail, now_ms // 1000))
    except BadHeader:
        text = f"BRIMFUL_PUBLIC_URL {settings.public_url} is no https address"
        findings.append(Finding("problem", "headers", text, "set it to the gateway's https address"))
    return findings + ([] if server is None else asyncio.run(_server(server)))


async def _server(server: SmtpSettings) -> list[Finding]:
    """Whether the mail server is there, encrypts and lets us in."""
    pool = SmtpPool(replace(server, deadline_ms=10_000))
    local = server.host in ("127.0.0.1", "::1", "localhost")
    try:
        async with pool.connection() as connection:
            await connection.open()
    except NotDelivered as failed:
        reason = getattr(failed.result, "reason", "")
        remedy = "check BRIMFUL_SMTP: name, port, certificate, user and password"
        return [Finding("problem", "server", f"{server.host}:{server.port} says {reason}", remedy)]
    finally:
        await pool.close()
    if server.tls == "none" and not local:
        text = f"mails go to {server.host} in the clear"
        return [Finding("problem", "server", text, "use smtps://, or ?starttls=1")]
    secured = "in the clear, on this machine" if server.tls == "none" else f"with TLS ({server.tls})"
    return [Finding("ok", "server", f"{server.host}:{server.port} takes mails {secured}")]


def _box(settings: Settings, folder: Path | None) -> Box:
    if folder is not None:
        return Folder(folder)
    if settings.mail_inbox is None:
        raise Misconfigured("BRIMFUL_MAIL_INBOX is not set: name the mailbox, or give --folder")
    return Imap(settings.mail_inbox.get_secret_value())
