"""``brimful erase`` against real workers: nothing of the person is left, and their neighbour is untouched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer

from schemas.topics import load_topics
from workers.erasure.proof import Names, Reader
from workers.erasure.request import STATES
from workers.local.ports import free_port
from workers.stream.admin import apply_topics
from workers.stream.partitioner import partition_of
from workers.stream.store import META, PartitionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.kafka

LIMIT_S = 90.0
PARTITIONS = 4
BUNDLED = Path(__file__).parents[2] / "deploy" / "workspaces" / "plan_limits"
JOURNEY = """
journey: upsell
subject: user
tags: [upsell]
entry: {on: {event: plan_limit_reached}, again: never}
steps:
  - send: {in_app: limit_banner}
  - send: {email: limit_explained}
  - wait: 1d
  - send: {email: limit_explained}
"""
PERSON, VISITOR, NEIGHBOUR = "ada-7", "visitor-of-ada", "ada-77"
SURNAME = {PERSON: "Lovelace", NEIGHBOUR: "Neighbour"}


@pytest.fixture
def env(kafka: str, topic_prefix: str, tmp_path: Path) -> dict[str, str]:
    """A cluster with our topics, and the settings of workers on it; no mail server answers."""
    apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=PARTITIONS)
    workspace = tmp_path / "workspace"
    shutil.copytree(BUNDLED / "templates", workspace / "templates")
    (workspace / "journeys").mkdir()
    (workspace / "journeys" / "upsell.yaml").write_text(JOURNEY)
    return {
        **os.environ,
        "BRIMFUL_KAFKA": kafka,
        "BRIMFUL_TOPIC_PREFIX": topic_prefix,
        "BRIMFUL_STATE_DIR": str(tmp_path / "state"),
        "BRIMFUL_WORKSPACE": str(workspace),
        "BRIMFUL_SECRET": "a secret of the tests that is long enough",
        "BRIMFUL_SMTP": f"smtp://127.0.0.1:{free_port()}",
        "BRIMFUL_HTTP_PORT": str(free_port()),
        "BRIMFUL_SESSION_TIMEOUT_S": "6",
    }


@contextmanager
def worker(env: dict[str, str], log: Path) -> Iterator[None]:
    """A worker with the roles that keep people, stopped cleanly at the end."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", "worker", "engine,senders"], env=env, stderr=errors
        )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0, log.read_text()[-3000:]
    finally:
        process.kill()
        process.wait()


def produce(env: dict[str, str], *events: dict[str, Any]) -> None:
    """Events, each with its subject's key, in order."""
    producer = Producer({"bootstrap.servers": env["BRIMFUL_KAFKA"], "partitioner": "murmur2_random"})
    for event in events:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        whole = {"messageId": f"m-{time.monotonic_ns()}", "timestamp": now, **event}
        key = whole.get("userId") or whole["anonymousId"]
        producer.produce(f"{env['BRIMFUL_TOPIC_PREFIX']}product-events", key=key, value=json.dumps(whole))
    assert producer.flush(30) == 0


def live_as(person: str) -> list[dict[str, Any]]:
    """Traits, an account, and an event that enters a journey."""
    traits = {"email": f"{person}@example.com", "surname": SURNAME[person]}
    limit = {"type": "track", "userId": person, "event": "plan_limit_reached"}
    return [
        {"type": "identify", "userId": person, "traits": traits},
        {"type": "group", "userId": person, "groupId": "acme", "traits": {"role": "admin"}},
        {**limit, "properties": {"limit_type": "seats", "note": SURNAME[person]}},
    ]


def newest(env: dict[str, str]) -> dict[tuple[str, int, bytes], bytes]:
    """The newest value of every key in every topic that keeps state."""
    reader = Reader(env["BRIMFUL_KAFKA"], {})
    values: dict[tuple[str, int, bytes], bytes] = {}
    for name in STATES:
        topic = env["BRIMFUL_TOPIC_PREFIX"] + name
        for message in reader.read(topic, dict.fromkeys(reader.ends(topic), 0)):
            place = (name, message.partition, message.key or b"")
            value = None if message.deleted else message.value
            values.pop(place, None)
            if value is not None:
                values[place] = value
    return values


def on_disk(env: dict[str, str]) -> dict[bytes, bytes]:
    """All rows of all databases, once nobody holds them open."""
    rows: dict[bytes, bytes] = {}
    for path in Path(env["BRIMFUL_STATE_DIR"]).glob("*brimful-*/p*"):
        store = PartitionStore(path)
        rows |= {str(path).encode() + key: row for key, row in store.scan(b"") if not key.startswith(META)}
        store.close()
    return rows


def until(met: Callable[[], bool], log: Path) -> None:
    """Wait for something that the worker does."""
    deadline = time.monotonic() + LIMIT_S
    while not met():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.3)


def erase(env: dict[str, str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """The command as an operator runs it: its exit code and its report."""
    done = subprocess.run(
        [sys.executable, "-m", "workers.cli", "erase", *arguments],
        env=env,
        capture_output=True,
        check=False,
        timeout=LIMIT_S * 2,
    )
    assert done.returncode in {0, 1}, done.stderr.decode()
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


def holding(values: dict[Any, bytes], text: str) -> list[Any]:
    """The keys of what holds a text."""
    raw = text.encode()
    return [
        key for key, value in values.items() if raw in (key[-1] if isinstance(key, tuple) else key) + value
    ]


def test_an_erased_person_is_gone_and_their_neighbour_is_not(env: dict[str, str], tmp_path: Path) -> None:
    """No row, timer, message, feed or membership, in no changelog, on no disk; a late event is dropped."""
    log = tmp_path / "log.txt"
    names = Names([PERSON, VISITOR])
    with worker(env, log):
        produce(env, {"type": "track", "anonymousId": VISITOR, "event": "plan_limit_reached"})
        produce(env, *live_as(PERSON), *live_as(NEIGHBOUR))
        produce(env, {"type": "identify", "userId": PERSON, "anonymousId": VISITOR, "traits": {}})

        def is_there() -> bool:
            held = newest(env)
            keys = {(topic, key) for topic, _, key in held}
            feeds = {("feeds", person.encode()) for person in (PERSON, NEIGHBOUR)}
            waiting = {("brimful-senders-changelog", b"w" + one.encode()) for one in (PERSON, NEIGHBOUR)}
            merged = held.get(
                (
                    "brimful-engine-changelog",
                    partition_of(VISITOR.encode(), PARTITIONS),
                    b"m" + VISITOR.encode(),
                )
            )
            return feeds | waiting <= keys and merged is not None and PERSON.encode() in merged

        until(is_there, log)
        before = newest(env)
        code, report = erase(env, PERSON, "--reason", "ticket 7")
        assert (code, report["complete"], report["missing"], report["left"]) == (0, True, [], [])
        late = {"type": "identify", "userId": PERSON, "traits": {"surname": SURNAME[PERSON]}}
        produce(env, {**late, "timestamp": "2020-01-01T00:00:00Z"})
        produce(env, {"type": "track", "userId": NEIGHBOUR, "event": "plan_limit_reached"})
        again, _ = erase(env, VISITOR)
        assert again == 0
    after = newest(env)
    for text in (SURNAME[PERSON], f"{PERSON}@", VISITOR):
        assert holding(before, text)
        assert holding(after, text) == []
        assert holding(on_disk(env), text) == []
    assert [key for key, value in after.items() if names.are_in(key[2], value)] == []
    own = [key for key in before if key[2][1:] == NEIGHBOUR.encode() or key[2] == NEIGHBOUR.encode()]
    assert len(own) >= 5
    assert set(own) <= set(after)
    assert SURNAME[NEIGHBOUR].encode() in b"".join(on_disk(env).values())
    assert set(report["ids"]) == {PERSON, VISITOR}
    assert {one["place"] for one in report["answers"]} >= {"state", "account acme"}
    assert {one["topic"] for one in report["gone_by"]} >= {env["BRIMFUL_TOPIC_PREFIX"] + "product-events"}


def test_an_erasure_that_nobody_answers_is_not_complete(env: dict[str, str]) -> None:
    """Exit code 1, and the report names what is missing; the request stays until a worker comes."""
    code, report = erase(env, PERSON, "--wait", "1")
    assert (code, report["complete"]) == (1, False)
    assert report["missing"] == [{"app": "engine", "place": "state", "id": PERSON}]
