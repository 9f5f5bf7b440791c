"""``brimful consent``: what a person has agreed to, and lists of people who agreed or refused elsewhere."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from schemas import wire
from schemas.fields import Channel, ConsentState
from workers.cli.segments import CHANGELOG, CHUNK, SCHEDULER, Ids, read_ids
from workers.clock import SystemClock
from workers.core.consent import STATES
from workers.core.ids import stable_id
from workers.errors import Misconfigured
from workers.imports.output import KafkaOutput
from workers.imports.rows import Sent
from workers.reading.topics import read_topic
from workers.settings import from_env
from workers.state import CONSENTS
from workers.versions.running import in_force

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from workers.core.consent import Consents
    from workers.settings import Settings

cli: typer.Typer = typer.Typer(
    no_args_is_help=True, help="Consent: what a person has said; take over lists from another system."
)

Over = Annotated[str | None, typer.Option("--channel", help="email, sms, push, in_app or webhook; else any.")]
About = Annotated[str | None, typer.Option("--topic", help="A topic of workspace.yaml; else any.")]
When = Annotated[
    datetime | None, typer.Option("--at", help="When they said it, in UTC; else now. The latest word counts.")
]
Source = Annotated[str, typer.Option("--source", help="Where the list comes from, for the record.")]


@cli.command()
def show(person: Annotated[str, typer.Argument(help="The person's id.")]) -> None:
    """Print what a person has said, one word a line, as of the last committed transaction.

    Reads the engine's changelog; workers need not run.
    """
    row = read_consents(from_env(os.environ), person)
    names = {word: name for name, word in STATES.items()}
    for about, choice in sorted(row.choices.items()) if row is not None else ():
        at = datetime.fromtimestamp(choice.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        typer.echo(f"{about or 'everything'}  {names[choice.opted_in]}  {at}  {choice.source}")
    if row is None:
        typer.echo(f"{person} has said nothing", err=True)


@cli.command(name="opt-out")
def opt_out(
    ids: Ids, channel: Over = None, topic: About = None, at: When = None, source: Source = "operator"
) -> None:
    """Record that the people of a file, one id a line, refuse messages: a suppression list, say."""
    _record("opted_out", ids, channel, topic, at, source)


@cli.command(name="opt-in")
def opt_in(
    ids: Ids, channel: Over = None, topic: About = None, at: When = None, source: Source = "operator"
) -> None:
    """Record that the people of a file, one id a line, agreed to messages. Say when: now undoes refusals."""
    _record("opted_in", ids, channel, topic, at, source)


def read_consents(settings: Settings, person: str) -> Consents | None:
    """A person's row, from the changelog; None where there is none.

    Raises:
        Misconfigured: there is no changelog.
        Retryable: no broker answers.
    """
    options = {"bootstrap.servers": settings.kafka, **settings.librdkafka()}
    key, stored = CONSENTS.key(person.encode()), b""
    for found in read_topic(options, settings.topic(CHANGELOG), None, lambda *_: None, deletions=True):
        if found.key == key:
            stored = found.value
    return CONSENTS.decode(stored) if stored else None


def changes(
    people: Iterable[str],
    state: ConsentState,
    channel: Channel | None,
    topic: str | None,
    source: str,
    at_ms: int,
) -> Iterable[wire.ConsentChange]:
    """The records that say so of each person; said again, they are the same."""
    for person in people:
        yield wire.ConsentChange(
            id=stable_id("consent", person, channel or "", topic or "", state, str(at_ms)),
            subject=person,
            channel=channel,
            topic=topic,
            state=state,
            source=source,
            at_ms=at_ms,
        )


def _record(
    state: ConsentState, ids: Path, channel: str | None, topic: str | None, at: datetime | None, source: str
) -> None:
    if channel is not None and channel not in get_args(Channel):
        raise typer.BadParameter(f"--channel is one of {', '.join(get_args(Channel))}; not {channel!r}")
    if topic is not None and channel is None:
        raise typer.BadParameter("--topic needs a --channel: people agree to a topic over a channel")
    settings = from_env(os.environ)
    if topic is not None:
        _check_topic(settings, topic)
    at_ms = SystemClock().now_ms() if at is None else wire.to_ms(at)
    output = KafkaOutput(settings.kafka, settings.topic, settings.librdkafka())
    sent, chunk = 0, list[Sent]()
    for change in changes(read_ids(ids), state, cast("Channel | None", channel), topic, source, at_ms):
        chunk.append(Sent(SCHEDULER, change.subject.encode(), wire.encode(change)))
        if len(chunk) == CHUNK:
            output.send(chunk)
            sent, chunk = sent + len(chunk), []
    output.send(chunk)
    typer.echo(f"{sent + len(chunk)} person(s) {state.replace('_', ' ')}", err=True)


def _check_topic(settings: Settings, topic: str) -> None:
    """Refuse a name that nobody would ever ask for."""
    topics = in_force(settings).workspace.consent.topics
    if topic not in topics:
        raise Misconfigured(
            f"there is no consent topic {topic!r} in workspace.yaml; there are {', '.join(topics) or 'none'}"
        )
