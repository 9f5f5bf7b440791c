"""``brimful plan`` on a real topic: what is committed and there when it begins, and no more."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # an incomplete list
from typer.testing import CliRunner, Result

from workers.cli.plan import cli
from workers.errors import Misconfigured
from workers.reading.topics import Found, read_topic

pytestmark = pytest.mark.kafka

PARTITIONS = 3


def nothing(_done: int, _total: int) -> None:
    """Nobody looks at the progress."""


def event(number: int, **properties: Any) -> bytes:
    """A track event of one of many people."""
    record = {
        "type": "track",
        "messageId": f"m{number}",
        "timestamp": "2026-03-14T10:02:00Z",
        "userId": f"u{number}",
        "event": "paid",
        "properties": properties,
        "context": {"library": {"name": "web"}},
    }
    return json.dumps(record).encode()


@pytest.fixture
def topic(kafka: str, topic_prefix: str) -> str:
    """An empty topic."""
    name = f"{topic_prefix}product-events"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result()
    return name


def produce(kafka: str, topic: str, values: list[bytes], *, at_ms: int | None = None) -> None:
    """Committed records, in turn on each partition."""
    producer = Producer({"bootstrap.servers": kafka})
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % PARTITIONS, timestamp=at_ms or 0)
    producer.flush()


def read(kafka: str, topic: str, since_ms: int | None = None) -> list[Found]:
    """All that is there."""
    return list(read_topic({"bootstrap.servers": kafka}, topic, since_ms, nothing))


def run(*arguments: object) -> Result:
    """A command with its outcome; what it raised is raised."""
    result = CliRunner().invoke(cli, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_topic_is_read_from_its_start_to_its_present_end(kafka: str, topic: str) -> None:
    """Every record once, each partition in order; an empty topic ends at once."""
    assert read(kafka, topic) == []
    produce(kafka, topic, [event(number) for number in range(100)])
    found = read(kafka, topic)
    assert len(found) == 100
    for partition in range(PARTITIONS):
        offsets = [one.offset for one in found if one.partition == partition]
        assert offsets == list(range(len(offsets)))


def test_what_is_written_while_it_reads_is_not_waited_for(kafka: str, topic: str) -> None:
    """On a busy topic a command would never end."""
    produce(kafka, topic, [event(number) for number in range(30)])
    reading = read_topic({"bootstrap.servers": kafka}, topic, None, nothing)
    first = next(reading)
    produce(kafka, topic, [event(number) for number in range(30)])
    assert len([first, *reading]) == 30


def test_aborted_and_open_transactions_are_not_seen_nor_waited_for(kafka: str, topic: str) -> None:
    """Markers at the end of a partition are no records, and an open transaction is beyond the end."""
    produce(kafka, topic, [event(0)] * PARTITIONS)
    options = {"bootstrap.servers": kafka}
    aborted = Producer({**options, "transactional.id": f"{topic}-aborted"})
    aborted.init_transactions()
    aborted.begin_transaction()
    aborted.produce(topic, event(1), partition=0)
    aborted.abort_transaction()
    still_open = Producer({**options, "transactional.id": f"{topic}-open"})
    still_open.init_transactions()
    still_open.begin_transaction()
    still_open.produce(topic, event(2), partition=1)
    still_open.flush()
    produce(kafka, topic, [event(3)] * PARTITIONS)
    found = read(kafka, topic)
    assert [sum(one.partition == number for one in found) for number in range(PARTITIONS)] == [2, 1, 2]
    assert b"m1" not in b"".join(one.value for one in found)
    still_open.abort_transaction()


def test_since_leaves_out_what_was_written_before(kafka: str, topic: str) -> None:
    """By the records' own time; a partition with nothing newer is done."""
    now_ms = time.time_ns() // 1_000_000
    produce(kafka, topic, [event(1)] * PARTITIONS, at_ms=now_ms - 86_400_000)
    produce(kafka, topic, [event(2)], at_ms=now_ms)
    assert [one.value for one in read(kafka, topic, now_ms - 3_600_000)] == [event(2)]
    assert read(kafka, topic, now_ms + 3_600_000) == []


def test_a_topic_that_is_not_there_is_named(kafka: str, topic_prefix: str) -> None:
    """Nothing is created by asking."""
    with pytest.raises(Misconfigured, match=f"there is no topic '{topic_prefix}gone'"):
        read(kafka, f"{topic_prefix}gone")


def test_the_commands_read_the_topic_of_the_settings(
    kafka: str, topic: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its prefix: a plan from it, what breaks the plan afterwards, and its health; no group appears."""
    monkeypatch.setenv("BRIMFUL_TOPIC_PREFIX", topic.removesuffix("product-events"))
    produce(kafka, topic, [event(number, amount=number) for number in range(60)])
    out = tmp_path / "plan.yaml"
    assert run("infer", "--kafka", kafka, "--out", out).exit_code == 0
    assert "amount: {type: integer, required: true}   # 60 of 60" in out.read_text()
    assert run("check", out, "--kafka", kafka).exit_code == 0
    produce(kafka, topic, [event(1, amount="much")])
    result = run("check", out, "--kafka", kafka, "--since", "1d")
    assert result.exit_code == 1
    assert "properties.amount is string, not integer; first: partition 0 offset 20" in result.stdout
    assert "0 finding(s)" in run("health", out, "--kafka", kafka).stdout
    admin = AdminClient({"bootstrap.servers": kafka})
    groups = admin.list_consumer_groups().result().valid
    assert "brimful-plan" not in [group.group_id for group in groups]
