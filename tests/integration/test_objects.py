"""Objects with a real worker: a catalogue imported twice, and a journey for those who wait for a product."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from typer.testing import CliRunner

from schemas.topics import load_topics
from workers.cli.main import cli
from workers.local.ports import free_port
from workers.stream.admin import apply_topics

pytestmark = pytest.mark.kafka

LIMIT_S = 120.0
STORE = Path(__file__).parents[2] / "deploy" / "workspaces" / "store"
PARTITIONS = 4
MAPPING = """\
import: catalogue
as: objects
object: product
id: sku
traits:
  name: name
  in_stock: {column: in_stock, type: boolean}
"""


def test_a_product_that_is_back_in_stock_is_told_to_who_waits_for_it(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file to decisions, over partitions; a second import of the same changes nothing."""
    apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=PARTITIONS)
    settings = {
        "BRIMFUL_KAFKA": kafka,
        "BRIMFUL_TOPIC_PREFIX": topic_prefix,
        "BRIMFUL_STATE_DIR": str(tmp_path / "state"),
        "BRIMFUL_WORKSPACE": str(STORE),
        "BRIMFUL_HTTP_PORT": str(free_port()),
        "BRIMFUL_SESSION_TIMEOUT_S": "6",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    log = tmp_path / "log.txt"
    with log.open("wb") as errors:
        worker = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", "worker", "engine"],
            env={**os.environ, **settings},
            stderr=errors,
        )
    try:
        _import(tmp_path, in_stock=False)
        for number in range(20):
            _wish(kafka, topic_prefix, f"user-{number}")
        seen: list[Any] = []
        deadline = time.monotonic() + LIMIT_S
        while len(seen) < 20 and time.monotonic() < deadline:
            # The worker may still be starting: it is sold out, and there again, until all have heard of it.
            _import(tmp_path, in_stock=True)
            seen += _decisions(kafka, f"{topic_prefix}decisions", seconds=5)
            _import(tmp_path, in_stock=False)
        entered = [one["subject"] for one in seen if one["kind"] == "entry"]
        assert sorted(set(entered)) == sorted(f"user-{number}" for number in range(20)), log.read_text()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(LIMIT_S) == 0, log.read_text()
    finally:
        worker.kill()
        worker.wait()


def _import(folder: Path, *, in_stock: bool) -> None:
    file = folder / "products.csv"
    file.write_text(f"sku,name,in_stock\nbeans,Beans,{str(in_stock).lower()}\n")
    mapping = str(folder / "mapping.yaml")
    done = CliRunner().invoke(
        cli, ["import", "csv", str(file), "--mapping", mapping, "--rejects", str(folder / "rejects.jsonl")]
    )
    assert done.exit_code == 0, done.output


def _wish(kafka: str, prefix: str, user: str) -> None:
    event = {
        "type": "track",
        "messageId": f"wish-{user}",
        "timestamp": datetime.now(UTC).isoformat(),
        "userId": user,
        "event": "Product Added to Wishlist",
        "properties": {"product_id": "beans"},
    }
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    producer.produce(f"{prefix}product-events", json.dumps(event), user)
    assert producer.flush(30) == 0


def _decisions(kafka: str, topic: str, seconds: float) -> list[Any]:
    """All decisions up to now; looks at them for so long."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "decisions-of-a-test",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([topic])
    found: list[Any] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found += [
            json.loads(one.value() or b"{}") for one in consumer.consume(100, 0.5) if one.error() is None
        ]
    consumer.close()
    return found
