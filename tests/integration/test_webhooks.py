"""Webhooks as a platform team runs them: a worker, a file of connections, a receiver that fails."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from confluent_kafka import Producer
from msgspec.structs import replace

from schemas import wire
from schemas.topics import load_topics
from schemas.wire import Message, MessageContext
from tests.support.http import http_server
from tests.support.providers import SECRET, Receiver, answer, now_ms
from workers.local.ports import free_port
from workers.stream.admin import apply_topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.kafka

LIMIT_S = 120.0
WORKSPACE = Path(__file__).parents[2] / "deploy" / "workspaces" / "plan_limits"
MESSAGES = 300

HOOK = """
provider: standard
connection: crm
owners: [{id: a}, {id: b}]
body:
  type: limit_reached
  owner: "{{ owner.id }}"
  used: "{{ event.used }}"
"""

CONNECTIONS = """
crm: {{provider: standard, url: "{url}/hook", secrets: ["${{HOOK_SECRET}}"], calls_at_once: 16}}
mute: {{provider: standard, url: "http://127.0.0.1:{mute}/", secrets: ["${{HOOK_SECRET}}"]}}
dead: {{provider: standard, url: "http://127.0.0.1:{dead}/", secrets: ["${{HOOK_SECRET}}"], deadline_s: 2}}
"""


def message(number: int, template: str) -> Message:
    """A webhook about one of fifty people."""
    return Message(
        id=f"{template}-{number}",
        channel="webhook",
        person=f"u{number % 50}",
        account=f"acme-{number % 10}",
        journey="upsell",
        version="v",
        enrollment="e",
        step="0",
        template=template,
        tags=[],
        context=MessageContext(user={}, account={}, event={"used": number}),
        requested_at_ms=now_ms(),
    )


async def test_webhooks_arrive_once_beside_providers_that_are_dead_or_hang(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Signed, in order per person, one of ten calls failing.

    Nothing is held up by a connection that is dead, by one that takes calls and answers none, or by a mail
    server that says nothing.
    """
    apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=4)
    workspace = Path(shutil.copytree(WORKSPACE, tmp_path / "workspace"))
    (workspace / "webhooks").mkdir()
    (workspace / "webhooks" / "hook.yaml").write_text(HOOK)
    for name, connection in (("lost", "dead"), ("unanswered", "mute")):
        (workspace / "webhooks" / f"{name}.yaml").write_text(HOOK.replace("crm", connection))
    receiver = Receiver()
    calls = iter(range(10**9))
    receiver.chance = lambda: answer(500) if next(calls) % 10 == 3 else None
    async with http_server(receiver.handle) as server, mute_server() as mute:
        connections = tmp_path / "connections.yaml"
        connections.write_text(CONNECTIONS.format(url=server.url, dead=free_port(), mute=mute.port))
        port = free_port()
        log = tmp_path / "log.txt"
        with log.open("wb") as errors:
            worker = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                [sys.executable, "-m", "workers.cli", "worker", "senders"],
                env={
                    **os.environ,
                    "BRIMFUL_KAFKA": kafka,
                    "BRIMFUL_TOPIC_PREFIX": topic_prefix,
                    "BRIMFUL_STATE_DIR": str(tmp_path / "state"),
                    "BRIMFUL_WORKSPACE": str(workspace),
                    "BRIMFUL_HTTP_PORT": str(port),
                    "BRIMFUL_SECRET": "s" * 32,
                    "BRIMFUL_CONNECTIONS": str(connections),
                    "BRIMFUL_PUBLIC_URL": "https://go.example.com",
                    "BRIMFUL_SMTP": f"smtp://127.0.0.1:{mute.port}",
                    "BRIMFUL_MAIL_FROM": "plans@example.com",
                    "BRIMFUL_OUTGOING_NETWORKS": "127.0.0.0/8",
                    "HOOK_SECRET": SECRET,
                },
                stderr=errors,
            )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                await _until(lambda: _ready(client), log)
                _produce(kafka, topic_prefix)
                await _until(lambda: _all_there(receiver), log)
                metrics = (await client.get("/metrics")).text
            assert mute.calls > 0
            worker.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(worker.wait, LIMIT_S) == 0, log.read_text()
        finally:
            worker.kill()
            worker.wait()
    assert receiver.count() == MESSAGES
    assert Counter(body["type"] for body in receiver.had.values()) == {"limit_reached": MESSAGES}
    assert all(body["used"] == int(name.rpartition("-")[2]) for name, body in receiver.had.items())
    arrived = [int(name.rpartition("-")[2]) for name in receiver.had]
    for person in range(50):
        mine = [number for number in arrived if number % 50 == person]
        assert mine == sorted(mine)
    assert re.search(r'brimful_provider_pauses_total\{cause="fails",connection="dead"\} [1-9]', metrics)
    assert SECRET not in log.read_text()


@dataclass
class Mute:
    """A server that takes connections, and says nothing."""

    port: int = 0
    calls: int = 0


@asynccontextmanager
async def mute_server() -> AsyncIterator[Mute]:
    """It runs for the block."""
    mute = Mute()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mute.calls += 1
        while await reader.read(65_536):
            pass
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        mute.port = server.sockets[0].getsockname()[1]
        yield mute


def _produce(kafka: str, prefix: str) -> None:
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    for number in range(MESSAGES):
        mail = replace(message(number, "limit_explained"), channel="email", to=f"u{number}@example.com")
        for one in (*(message(number, template) for template in ("lost", "unanswered", "hook")), mail):
            producer.produce(f"{prefix}messages.{one.channel}", wire.encode(one), one.person.encode())
    assert producer.flush(30) == 0


async def _ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def _all_there(receiver: Receiver) -> bool:
    return receiver.count() >= MESSAGES


async def _until(holds: object, log: Path) -> None:
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        if await holds():  # type: ignore[operator]
            return
        await asyncio.sleep(0.2)
    pytest.fail(_tail(log))


def _tail(log: Path) -> str:
    return log.read_text()[-3_000:]
