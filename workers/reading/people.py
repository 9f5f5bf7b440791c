"""What is known of a person, read from topics for previews: traits as they are, values as they last were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from schemas import wire
from workers.reading.changelogs import options_of
from workers.reading.subjects import read_row
from workers.reading.topics import read_topic
from workers.state import USERS
from workers.stream.admin import partitions_of
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from workers.settings import Settings


def traits_of(settings: Settings, person: str) -> dict[str, Any] | None:
    """The traits of a person, under the id that they were merged into; None where nothing is known.

    Raises:
        Misconfigured: there is no changelog.
        Retryable: no broker answers.
    """
    _, row = read_row(settings, "user", USERS.profiles, person)
    return dict(USERS.profiles.decode(row).traits) if row else None


def last_context(settings: Settings, channel: str, person: str, template: str) -> dict[str, Any] | None:
    """The values of the person's latest message of a template, else of any over the channel; None: of none.

    Raises:
        Misconfigured: there is no topic of messages.
        Retryable: no broker answers.
    """
    topic = settings.topic(f"messages.{channel}")
    only = (partition_of(person.encode(), partitions_of(settings.kafka, topic, settings.librdkafka())),)
    found: dict[bool, dict[str, Any]] = {}
    for record in read_topic(options_of(settings), topic, None, lambda *_: None, only=only):
        if record.key == person.encode() and record.value:
            message = wire.decode_message(record.value)
            if message.withdrawn is None:
                values = msgspec.to_builtins(message.context)
                found[message.template == template] = {
                    name: value for name, value in values.items() if value is not None
                }
    return found.get(True) or found.get(False)
