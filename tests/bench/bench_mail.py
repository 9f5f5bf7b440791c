"""E-mails through one whole sender worker: from the topic, by rendering, DKIM and SMTP, to the deliveries.

The mails are in the topic when the worker starts; the mail server is a process that takes everything. Counted
is from the fifth part of them on, so that start-up is left out. ``mail_cpu`` is the worker's processor time
for each mail: unlike the rate it says something on a machine that does other work too.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Producer
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from schemas import wire
from schemas.topics import DEFAULT_PARTITIONS, load_topics
from tests.bench.load import QUIET
from tests.bench.model import BenchError, Context, Figure
from tests.bench.process import Worker, worker
from tests.bench.systems.arguments import ROOT
from workers.local.ports import free_port
from workers.stream.admin import apply_topics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SYSTEM = "brimful"
MAILS = 20_000
MAILS_QUICK = 3_000
WARM_SHARE = 0.2
GOAL_PER_MINUTE = 10_000
LIMIT_S = 600.0
_LOOK_S = 0.05
WORKSPACE = ROOT / "deploy" / "workspaces" / "plan_limits"


@dataclass(frozen=True, slots=True)
class Reading:
    """How far it had come: mails that the server has, and processor time of both sides until then."""

    at_s: float
    mails: int
    worker_s: float
    sink_s: float


def run(context: Context) -> list[Figure]:
    """One sender worker, one mail server, mails to as many people."""
    prefix = f"{context.topic_prefix}-mail."
    apply_topics(context.bootstrap, load_topics(), prefix=prefix, partitions=DEFAULT_PARTITIONS)
    mails = MAILS_QUICK if context.quick else MAILS
    folder = context.work_dir / "mail"
    _produce(context.bootstrap, f"{prefix}messages.email", mails)
    with worker("sink", [sys.executable, "-m", "tests.bench.smtp_sink"], folder / "sink") as sink:
        port = int(sink.facts("listening", 30.0)["port"])
        with _sender(context, prefix, folder / "worker", port) as sender, _asked(port) as stat:
            begun = _until(int(mails * WARM_SHARE), sender, sink, stat)
            ended = _until(mails, sender, sink, stat)
            _check(context.bootstrap, f"{prefix}deliveries", mails)
            rss = sender.peak_rss_bytes()
    return [*_figures(context, begun, ended), *([] if rss is None else [_figure("peak_rss", rss, "bytes")])]


def _figures(context: Context, begun: Reading, ended: Reading) -> list[Figure]:
    mails, took_s = ended.mails - begun.mails, ended.at_s - begun.at_s
    per_minute = mails / took_s * 60
    cpu_ms = (ended.worker_s - begun.worker_s) / mails * 1_000
    sink_ms = (ended.sink_s - begun.sink_s) / mails * 1_000
    busy = (ended.worker_s - begun.worker_s) / took_s
    word = "reaches" if per_minute >= GOAL_PER_MINUTE else "misses"
    context.say(f"  {per_minute:,.0f} mails/min {word} {GOAL_PER_MINUTE:,}, with {busy:.0%} of a core")
    context.say(f"  {cpu_ms:.2f} ms of it for each mail: a core does {60_000 / cpu_ms:,.0f}/min at most")
    return [
        _figure("rate", round(per_minute), "mails/min"),
        _figure("cpu", round(cpu_ms, 3), "ms/mail"),
        _figure("server_cpu", round(sink_ms, 3), "ms/mail"),
    ]


def _figure(what: str, value: float, unit: str) -> Figure:
    return Figure(f"mail_{what}", SYSTEM, value, unit)


def _produce(bootstrap: str, topic: str, mails: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", **QUIET})
    now_ms = time.time_ns() // 1_000_000
    for number in range(mails):
        one = message(number, now_ms)
        producer.produce(topic, wire.encode(one), one.person.encode())
        producer.poll(0)
    if producer.flush(60.0):
        raise BenchError("the mails were not taken by the broker")


def message(number: int, now_ms: int) -> wire.Message:
    """One mail to a person of their own."""
    return wire.Message(
        id=f"{number:032x}",
        channel="email",
        person=f"user-{number:07d}",
        account=f"acct-{number // 20:06d}",
        journey="plan_limit_upsell",
        version="v1",
        enrollment=f"{number:032x}",
        step="2",
        template="limit_explained",
        tags=["upsell"],
        to=f"user-{number:07d}@example.com",
        context=wire.MessageContext(
            user={"first_name": "Ada", "plan": "starter", "email": f"user-{number:07d}@example.com"},
            account={"name": "Acme", "plan": "starter"},
            event={"limit_type": "api_calls", "current_plan": "starter", "usage_percentage": 97},
        ),
        requested_at_ms=now_ms,
    )


@contextlib.contextmanager
def _sender(context: Context, prefix: str, folder: Path, port: int) -> Iterator[Worker]:
    """``brimful worker senders`` that signs what it sends; not waited for."""
    folder.mkdir(parents=True)
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = folder / "dkim.pem"
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    env = {
        "BRIMFUL_KAFKA": context.bootstrap,
        "BRIMFUL_TOPIC_PREFIX": prefix,
        "BRIMFUL_STATE_DIR": str(folder / "state"),
        "BRIMFUL_WORKSPACE": str(WORKSPACE),
        "BRIMFUL_HTTP_PORT": str(free_port()),
        "BRIMFUL_SECRET": "a key of the benchmark, known to all",
        "BRIMFUL_PUBLIC_URL": "https://go.example.com",
        "BRIMFUL_SMTP": f"smtp://127.0.0.1:{port}",
        "BRIMFUL_MAIL_FROM": "Plans <plans@example.com>",
        "BRIMFUL_DKIM_SELECTOR": "bench",
        "BRIMFUL_DKIM_KEY_FILE": str(pem),
        "BRIMFUL_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "workers.cli", "worker", "senders"]
    with worker("senders", command, folder, env) as running:
        yield running


@contextlib.contextmanager
def _asked(port: int) -> Iterator[socket.socket]:
    """A connection to the mail server by which it is asked how many mails it has."""
    with socket.create_connection(("127.0.0.1", port), timeout=30.0) as connection:
        connection.recv(1_024)
        yield connection


def _until(mails: int, sender: Worker, sink: Worker, stat: socket.socket) -> Reading:
    deadline_s = time.monotonic() + LIMIT_S
    while True:
        sender.check_alive()
        stat.sendall(b"STAT\r\n")
        taken = int(stat.recv(1_024).split()[1])
        if taken >= mails:
            return Reading(time.monotonic(), taken, sender.cpu_s() or 0.0, sink.cpu_s() or 0.0)
        if time.monotonic() > deadline_s:
            raise BenchError(f"the server has {taken:,} mails of {mails:,} after {LIMIT_S:.0f} s")
        time.sleep(_LOOK_S)


def _check(bootstrap: str, topic: str, mails: int) -> None:
    """Each mail has a delivery, and all are sent."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{topic}-reader",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            **QUIET,
        }
    )
    consumer.subscribe([topic])
    sent: set[str] = set()
    deadline_s = time.monotonic() + 60.0
    try:
        while len(sent) < mails and time.monotonic() < deadline_s:
            for record in consumer.consume(1_000, 0.2):
                delivery = wire.decode_delivery(record.value() or b"")
                if delivery.outcome != "sent" or delivery.message_id in sent:
                    raise BenchError(
                        f"{delivery.message_id}: {delivery.outcome}, {delivery.reason}, or twice"
                    )
                sent.add(delivery.message_id)
    finally:
        consumer.close()
    if len(sent) < mails:
        raise BenchError(f"{len(sent):,} deliveries of {mails:,} mails")
