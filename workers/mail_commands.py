"""``brimful bounces``: what mail servers report of mails, read from a mailbox or a folder."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas import wire
from workers.clock import SystemClock
from workers.errors import Misconfigured
from workers.imports.output import KafkaOutput
from workers.imports.rows import Sent
from workers.mail.collect import collect
from workers.mail.mailbox import Box, Folder, Imap
from workers.settings import from_env

if TYPE_CHECKING:
    from collections.abc import Sequence

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
            told = collect(box, (settings.secret_bytes(),), keep, SystemClock().now_ms())
        finally:
            box.close()
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(told.items()))
        typer.echo(f"{told.total()} mail(s) read{': ' if counts else ''}{counts}", err=True)
        if every is None:
            return
        time.sleep(every)


def _box(settings: Settings, folder: Path | None) -> Box:
    if folder is not None:
        return Folder(folder)
    if settings.mail_inbox is None:
        raise Misconfigured("BRIMFUL_MAIL_INBOX is not set: name the mailbox, or give --folder")
    return Imap(settings.mail_inbox.get_secret_value())
