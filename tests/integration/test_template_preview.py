"""``brimful template preview --user-id``: a real person, as topics and the engine's changelog have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from schemas import wire
from schemas.topics import DEFAULT_PARTITIONS, load_topics
from tests.integration.changelog_kit import write_rows
from workers.cli.main import cli
from workers.state import USERS, Profile
from workers.stream.admin import apply_topics
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from pathlib import Path

JOURNEY = """
journey: hello
subject: user
entry: {on: {event: limit}}
steps:
  - send: {sms: note}
"""
TEXT = "{{ user.name }}: {{ event.left }}"


def message(number: int, template: str, left: int) -> wire.Message:
    """A message that the person had."""
    return wire.Message(
        id=f"m{number}",
        channel="sms",
        person="ada",
        journey="hello",
        version="v",
        enrollment="e",
        step="0",
        template=template,
        tags=[],
        context=wire.MessageContext(user={"name": "as it was"}, account={}, event={"left": left}),
        requested_at_ms=1,
    )


@pytest.mark.kafka
def test_a_person_is_shown_with_their_traits_and_the_values_of_their_last_message(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traits as they are now; the event of the latest message of this template, of whatever came after it."""
    for name, text in (
        ("journeys/hello.yaml", JOURNEY),
        ("templates/note.yaml", f"channel: sms\ntext: '{TEXT}'\n"),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("BRIMFUL_KAFKA", kafka)
    monkeypatch.setenv("BRIMFUL_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("BRIMFUL_WORKSPACE", str(tmp_path))
    apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=DEFAULT_PARTITIONS)
    row = USERS.profiles.encode(Profile(traits={"name": "Ada", "email": "ada@example.com"}))
    home = partition_of(b"ada", DEFAULT_PARTITIONS)
    write_rows(kafka, f"{topic_prefix}brimful-engine", home, {USERS.profiles.key(b"ada"): row}, commit=True)
    producer = Producer({"bootstrap.servers": kafka})
    for number, (template, left) in enumerate([("note", 1), ("note", 2), ("other", 3)]):
        record = wire.encode(message(number, template, left))
        producer.produce(f"{topic_prefix}messages.sms", record, b"ada", home)
    producer.flush()

    result = CliRunner().invoke(cli, ["template", "preview", "note", "--user-id", "ada"])
    assert result.stdout == "Ada: 2\n", result.output
    unknown = CliRunner().invoke(cli, ["template", "preview", "note", "--user-id", "grace"])
    assert "nothing is known of the person 'grace'" in str(unknown.exception)
