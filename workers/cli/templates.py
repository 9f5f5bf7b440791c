"""``brimful template``: see what a template makes of a person, and get it as a mail."""

from __future__ import annotations

import asyncio
import os
import secrets
from dataclasses import asdict, dataclass, replace
from email.utils import parseaddr
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from workers.clock import SystemClock
from workers.core.compile import compile_workspace
from workers.core.journeys.evidence import shown
from workers.core.lint.templates import senders
from workers.core.templates.compile import template_channel
from workers.core.templates.locales import canonical
from workers.core.templates.mobile import RenderedSms
from workers.core.templates.render import RenderedEmail, RenderFailed, render
from workers.core.templates.samples import sample_context
from workers.email_settings import test_channel
from workers.errors import Misconfigured
from workers.senders.channels.base import Accepted, OutgoingMessage
from workers.senders.channels.email_message import BadAddress, check_address
from workers.settings import from_env
from workers.workspace.files import load_workspace

if TYPE_CHECKING:
    from workers.core.templates.render import RenderedContent
    from workers.settings import Settings
    from workers.workspace.files import LoadedWorkspace

cli: typer.Typer = typer.Typer(no_args_is_help=True, help="Templates: previews, and mails to try them.")

Name = Annotated[str, typer.Argument(help="The template, as journeys call it.")]
Workspace = Annotated[
    Path | None, typer.Option("--workspace", help="Its folder; without it BRIMFUL_WORKSPACE's.")
]
Sample = Annotated[
    Path | None,
    typer.Option("--sample", help="JSON with user, account, event, ...; what it leaves out is made up."),
]
UserId = Annotated[
    str | None,
    typer.Option("--user-id", help="A real person: their traits now, and the values of their last message."),
]
Locale = Annotated[str | None, typer.Option("--locale", help="As if the person's locale were this: de-AT.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for files: html, txt and json.")]
To = Annotated[str, typer.Option("--to", help="An address that BRIMFUL_TEST_RECIPIENTS allows.")]


@dataclass(frozen=True)
class Preview:
    """A template and the values that it is tried with."""

    loaded: LoadedWorkspace
    name: str
    context: dict[str, Any]

    def render(self) -> RenderedContent:
        """What the person would get.

        Raises:
            typer.Exit: it cannot be rendered, which is told.
        """
        result = render(self.loaded.templates[self.name], self.context)
        if isinstance(result, RenderFailed):
            end = "skipped" if result.skips else "failed"
            typer.echo(f"{end}: {result.detail} ({result.reason}, template {result.template})", err=True)
            typer.echo("give other values with --sample FILE.json, or the template a default", err=True)
            raise typer.Exit(1)
        if result.template != self.name:
            template = self.loaded.templates[self.name]
            alone = replace(template, choices=replace(template.choices, fallback=None))
            failed = render(alone, self.context)
            detail = failed.detail if isinstance(failed, RenderFailed) else "it failed"
            typer.echo(f"{detail}: this is the fallback {result.template}", err=True)
        return result


@cli.command()
def preview(
    name: Name,
    workspace: Workspace = None,
    sample: Sample = None,
    user_id: UserId = None,
    locale: Locale = None,
    out: Out = None,
) -> None:
    """Show what a template makes of a sample person, of values of your own, or of a real person.

    Nothing is sent or recorded. Exit code 1: these values do not give a message.
    """
    tried = prepare(from_env(os.environ), name, workspace, sample, user_id, locale)
    content = tried.render()
    if out is None:
        typer.echo(_told(content))
        return
    out.mkdir(parents=True, exist_ok=True)
    stem = name if locale is None else f"{name}.{canonical(locale)}"
    for ending, text in _files(content).items():
        path = out / f"{stem}.{ending}"
        path.write_text(text, encoding="utf-8")
        typer.echo(str(path))


@cli.command("send-test")
def send_test(
    name: Name,
    to: To,
    workspace: Workspace = None,
    sample: Sample = None,
    user_id: UserId = None,
    locale: Locale = None,
) -> None:
    """Send an e-mail to yourself as it would look, with [Test] before its subject.

    No link is tracked, nobody is unsubscribed by it, and nothing of it is recorded. Exit code 1: it was not
    sent.
    """
    settings = from_env(os.environ)
    address = allowed(settings, to)
    tried = prepare(settings, name, workspace, sample, user_id, locale)
    content = tried.render()
    if not isinstance(content, RenderedEmail):
        channel = template_channel(tried.loaded.templates[name])
        raise Misconfigured(f"the template {name!r} is for {channel}: only e-mails can be sent as a test")
    result = asyncio.run(_send(settings, content, address))
    if not isinstance(result, Accepted):
        typer.echo(f"not sent: {getattr(result, 'reason', result)}", err=True)
        raise typer.Exit(1)
    typer.echo(f"sent to {address}: {_subject(content)}")


async def _send(settings: Settings, content: RenderedEmail, address: str) -> object:
    """The provider's answer. What a real mail has for its fate to be known, this one has not."""
    channel = test_channel(settings, SystemClock())
    # A mail that needs consent has headers with which mail programs take it back; this one was asked for.
    mail = replace(content, subject=_subject(content), transactional=True)
    outgoing = OutgoingMessage(
        id=secrets.token_hex(16), channel="email", person="test", content=mail, to=address
    )
    try:
        return await channel.deliver(outgoing)
    finally:
        await channel.close()


def _subject(content: RenderedEmail) -> str:
    return f"[Test] {content.subject}"


def allowed(settings: Settings, to: str) -> str:
    """An address that test mails may go to.

    Raises:
        Misconfigured: it is none, or nobody allowed it.
    """
    try:
        address = check_address(parseaddr(to)[1] if to.isprintable() else None)
    except BadAddress as error:
        raise Misconfigured(f"--to {to!r} is no address") from error
    domain = address.rpartition("@")[2]
    for one in settings.test_recipients:
        if one.lower() in (address.lower(), f"@{domain}"):
            return address
    known = ", ".join(settings.test_recipients) or "nobody"
    raise Misconfigured(
        f"{address} may not get test mails: BRIMFUL_TEST_RECIPIENTS has {known}; add it, or @{domain}"
    )


def prepare(
    settings: Settings,
    name: str,
    workspace: Path | None,
    sample: Path | None,
    user_id: str | None,
    locale: str | None,
) -> Preview:
    """The template of that name with the values that the options ask for.

    Raises:
        Misconfigured: an option names what is not there.
        Retryable: no broker answers.
    """
    folder = workspace or settings.workspace
    if folder is None:
        raise Misconfigured("name the workspace: --workspace FOLDER, or BRIMFUL_WORKSPACE")
    if locale is not None and canonical(locale) is None:
        raise Misconfigured(f"--locale {locale!r} is no locale, such as de or de-AT")
    loaded = load_workspace(folder)
    if name not in loaded.templates:
        raise Misconfigured(f"there is no template {name!r}; there are {', '.join(sorted(loaded.templates))}")
    context = made_up(loaded, name, settings.public_url)
    if user_id is not None:
        context |= _of_person(settings, template_channel(loaded.templates[name]), user_id, name)
        context["message"]["person"] = user_id
    if sample is not None:
        for root, values in _read_sample(sample).items():
            both = isinstance(values, dict) and isinstance(context.get(root), dict)
            context[root] = {**context[root], **values} if both else values
    if locale is not None:
        context["user"] = {**context["user"], "locale": locale}
    return Preview(loaded, name, context)


def made_up(loaded: LoadedWorkspace, name: str, public_url: str) -> dict[str, Any]:
    """Values for a template and what it falls back to, by the tracking plan and the journeys that send it."""
    journeys = senders(loaded.workspace).get(name, [])
    events = dict.fromkeys(event for one in journeys for event in one.entry.events())
    templates = loaded.templates
    sources = [templates.sources[name], *(one for (of, _), one in templates.variants.items() if of == name)]
    plan = compile_workspace(loaded.workspace)
    compiled = {**plan.user.journeys, **plan.account.journeys}
    evidence: dict[str, Any] = {}
    for journey in journeys:
        plans = compiled[journey.journey].evidence
        evidence = evidence or shown(plans, {one.label: one.threshold or "sample" for one in plans}) or {}
    base = public_url.rstrip("/")
    return {
        **sample_context(sources, events, loaded.workspace.tracking_plan, evidence),
        "message": {
            "id": "preview",
            "journey": journeys[0].journey if journeys else "preview",
            "step": "preview",
            "template": name,
            "channel": template_channel(templates[name]),
            "tags": list(journeys[0].tags) if journeys else [],
            "variant": None,
            "at": SystemClock().now_ms(),
            "person": "preview",
        },
        "unsubscribe_url": f"{base}/u/test",
        "preferences_url": f"{base}/p/test",
    }


def _of_person(settings: Settings, channel: str, person: str, template: str) -> dict[str, Any]:
    from workers.reading.people import last_context, traits_of  # noqa: PLC0415 - other previews need no Kafka

    traits = traits_of(settings, person)
    values = last_context(settings, channel, person, template) or {}
    if traits is None and not values:
        raise Misconfigured(f"nothing is known of the person {person!r}")
    if not values:
        typer.echo(f"{person} has had no message over {channel}: the event is made up", err=True)
    return {**values, "user": traits if traits is not None else values.get("user", {})}


def _read_sample(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        detail = getattr(error, "strerror", None) or str(error)
        raise Misconfigured(f"--sample {path}: {detail}; a JSON object with user, event, ...") from error


def _told(content: RenderedContent) -> str:
    match content:
        case RenderedEmail():
            return f"Subject: {content.subject}\n\n{content.text}"
        case RenderedSms():
            return content.text
        case _:
            return _json(content)


def _files(content: RenderedContent) -> dict[str, str]:
    """By the ending of its name, what is in each file."""
    match content:
        case RenderedEmail():
            return {"html": content.html, "txt": f"{content.text}\n", "json": _json(content)}
        case RenderedSms():
            return {"txt": f"{content.text}\n", "json": _json(content)}
        case _:
            return {"json": _json(content)}


def _json(content: RenderedContent) -> str:
    return msgspec.json.format(msgspec.json.encode(asdict(content))).decode()
