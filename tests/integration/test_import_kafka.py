"""`brimful import` as a process against a real broker: killed in the middle, run again, counted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas.topics import load_topics
from schemas.wire import ImportCheckpoint
from workers.errors import Misconfigured
from workers.imports.checkpoints import KafkaCheckpoints
from workers.imports.output import KafkaOutput
from workers.stream.admin import apply_topics
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTITIONS = 4
ROWS = 30_000

pytestmark = pytest.mark.kafka


@pytest.fixture
def environment(kafka: str, topic_prefix: str) -> dict[str, str]:
    """The variables of a process on a cluster with our topics."""
    names = ("product-events", "account-traits", "imports")
    apply_topics(
        kafka,
        [topic for topic in load_topics() if topic.name in names],
        prefix=topic_prefix,
        partitions=PARTITIONS,
    )
    return {**os.environ, "BRIMFUL_KAFKA": kafka, "BRIMFUL_TOPIC_PREFIX": topic_prefix}


def start(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command, in a folder of its own."""
    path = os.pathsep.join(filter(None, (os.getcwd(), environment.get("PYTHONPATH"))))  # noqa: PTH109
    return subprocess.Popen(
        [sys.executable, "-m", "workers.cli", "import", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def messages(environment: dict[str, str], topic: str, partitions: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Partition, key and value of all that a topic holds."""
    name = environment["BRIMFUL_TOPIC_PREFIX"] + topic
    consumer = Consumer(
        {"bootstrap.servers": environment["BRIMFUL_KAFKA"], "group.id": name, "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(name, number, 0) for number in range(partitions)])
    ends = 0
    while ends < partitions:
        for message in consumer.consume(10_000, 1.0):
            if message.error():
                ends += 1
            else:
                yield message.partition() or 0, message.key() or b"", message.value() or b""
    consumer.close()


def test_an_import_that_is_killed_goes_on_and_every_row_is_one_message(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Killed without warning as soon as it has a checkpoint; then run to its end: a message id per row."""
    lines = [f"u{number},plan-{number % 7},{number}" for number in range(ROWS)]
    (tmp_path / "people.csv").write_text("id,plan,seats\n" + "\n".join(lines) + "\n")
    arguments = ("csv", "people.csv", "--as", "users", "--id", "id")
    first = start(environment, tmp_path, *arguments, "--rate", "5000")
    while not list(messages(environment, "imports", 1)):
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    saved = [json.loads(value) for _, _, value in messages(environment, "imports", 1)]
    assert 0 < saved[-1]["rows_read"] < ROWS
    second = start(environment, tmp_path, *arguments)
    out, err = second.communicate(timeout=120)
    assert (second.returncode, err) == (0, "")
    assert out.splitlines() == [
        f"people: {ROWS:,} rows read, {ROWS:,} sent, 0 rejected",
        "people: types, as no mapping declares them: plan string, seats integer",
    ]
    by_id = {}
    for partition, key, value in messages(environment, "product-events", PARTITIONS):
        assert partition == partition_of(key, PARTITIONS)
        by_id[json.loads(value)["messageId"]] = key
    assert len(by_id) == ROWS
    assert len(set(by_id.values())) == ROWS


def test_rejects_metrics_and_exit_code_of_a_bad_file(environment: dict[str, str], tmp_path: Path) -> None:
    """What a scheduled job and its dashboard see."""
    (tmp_path / "accounts.csv").write_text("id,mrr\nacme,12\n,13\nglobex,14\n")
    arguments = ("csv", "accounts.csv", "--as", "accounts", "--id", "id", "--metrics", "import.prom")
    strict = start(environment, tmp_path, *arguments, "--max-errors", "0")
    out, err = strict.communicate(timeout=60)
    assert (strict.returncode, out) == (1, "")
    assert "accounts: 1 of 3 rows were rejected, more than 0 (--max-errors)" in err
    again = start(environment, tmp_path, *arguments)
    out, err = again.communicate(timeout=60)
    assert (again.returncode, err) == (0, "")
    assert out.splitlines() == [
        "accounts: 3 rows read, 2 sent, 1 rejected (accounts.rejects.jsonl)",
        "accounts: types, as no mapping declares them: mrr integer",
    ]
    assert json.loads((tmp_path / "accounts.rejects.jsonl").read_text())["line"] == 3
    assert "brimful_import_completed_timestamp_seconds" in (tmp_path / "import.prom").read_text()
    told = [json.loads(value) for _, _, value in messages(environment, "account-traits", PARTITIONS)]
    assert sorted((one["account"], one["traits"]["mrr"]) for one in told) == [
        ("acme", 12),
        ("globex", 14),
    ]


def test_the_newest_checkpoint_of_a_name_is_found(environment: dict[str, str]) -> None:
    """Among those of others; a cluster without the topic is told what to run."""
    bootstrap, prefix = environment["BRIMFUL_KAFKA"], environment["BRIMFUL_TOPIC_PREFIX"]
    output = KafkaOutput(bootstrap, lambda name: prefix + name, {})
    kept = KafkaCheckpoints(bootstrap, f"{prefix}imports", output, {})
    assert kept.load("a") is None
    for name, run in (("a", 1), ("a", 2), ("b", 9)):
        kept.save(checkpoint(name, run))
    assert kept.load("a") == checkpoint("a", 2)
    missing = KafkaCheckpoints(bootstrap, f"{prefix}nowhere", output, {})
    with pytest.raises(Misconfigured, match="brimful topics apply"):
        missing.load("a")


def checkpoint(name: str, run: int) -> ImportCheckpoint:
    """A checkpoint of a run that is on its way."""
    return ImportCheckpoint(
        name=name,
        run=run,
        source="s",
        rows_read=1,
        rows_sent=1,
        rows_rejected=0,
        done=False,
        started_at_ms=1,
        at_ms=2,
    )
