"""The official Segment and RudderStack clients for Python, unchanged, against our gateway on a real port."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import rudderstack.analytics.client as rudderstack
import segment.analytics.client as segment
from prometheus_client import CollectorRegistry

from schemas import wire
from workers.clock import SystemClock
from workers.intake.app import create_gateway
from workers.intake.metrics import GatewayMetrics
from workers.intake.publisher import InMemoryPublisher, KafkaUnavailable
from workers.intake.server import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENTS = {"segment": segment.Client, "rudderstack": rudderstack.Client}


@dataclass
class Running:
    """A gateway that listens, and what it published."""

    url: str
    publisher: InMemoryPublisher

    def events(self) -> list[dict[str, Any]]:
        """The published events, as the engine would have to read them."""
        events = []
        for record in self.publisher.of("product-events"):
            event = wire.decode_product_event(record.value)
            assert wire.problem(event) is None
            assert wire.subject(event).encode() == record.key
            events.append(json.loads(record.value))
        return events


@asynccontextmanager
async def running() -> AsyncIterator[Running]:
    """A gateway on a free loopback port."""
    publisher = InMemoryPublisher()
    app = create_gateway(
        publisher=publisher,
        write_keys={"wk": "backend"},
        clock=SystemClock(),
        metrics=GatewayMetrics(CollectorRegistry()),
    )
    shutdown = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(app, port=0, shutdown_event=shutdown, on_listening=port.set_result))
    try:
        yield Running(f"http://127.0.0.1:{await port}", publisher)
    finally:
        shutdown.set()
        await server


def call_everything(client: Any) -> None:
    """Each of the six calls, through the client's queue and thread."""
    client.identify("u1", {"plan": "starter", "seats": 3})
    client.track("u1", "plan_limit_reached", {"limit_type": "seats"}, context={"groupId": "acme"})
    client.group("u1", 42, {"name": "Acme"})
    client.alias("visitor-9", "u1")
    client.page("u1", "docs", "Limits", {"path": "/limits"})
    client.screen(anonymous_id="visitor-9", name="Home")
    client.flush()
    client.join()


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", CLIENTS)
async def test_every_call_of_the_client_arrives(name: str, gzip: bool) -> None:
    """All six calls reach Kafka with their fields, and the client sees no error."""
    errors: list[Exception] = []
    async with running() as gateway:
        client = CLIENTS[name](
            "wk",
            host=gateway.url,
            gzip=gzip,
            upload_interval=0.05,
            on_error=lambda error, _batch: errors.append(error),
        )
        await asyncio.to_thread(call_everything, client)
        events = gateway.events()
    assert errors == []
    assert [event["type"] for event in events] == ["identify", "track", "group", "alias", "page", "screen"]
    identify, track, group, alias, page, screen = events
    assert identify["traits"] == {"plan": "starter", "seats": 3}
    assert (track["event"], track["properties"]["limit_type"]) == ("plan_limit_reached", "seats")
    assert track["context"]["groupId"] == "acme"
    assert track["context"]["library"]["name"] == "analytics-python"
    assert (group["groupId"], group["traits"]) == ("42", {"name": "Acme"})
    assert (alias["previousId"], alias["userId"]) == ("visitor-9", "u1")
    assert (page["category"], page["name"]) == ("docs", "Limits")
    assert screen["anonymousId"] == "visitor-9"
    assert all(event["sentAt"] and event["receivedAt"] for event in events)
    assert gateway.publisher.of("dead-letters") == []


@pytest.mark.parametrize("name", CLIENTS)
async def test_the_client_keeps_its_events_while_kafka_is_away(name: str) -> None:
    """It gets 503, tries again, and nothing is lost when Kafka is back."""
    errors: list[Exception] = []
    async with running() as gateway:
        gateway.publisher.fail_with = KafkaUnavailable("down", 1)
        client = CLIENTS[name]("wk", host=gateway.url, on_error=lambda error, _batch: errors.append(error))
        client.track("u1", "e", message_id="m1")
        while not gateway.publisher.refused:  # noqa: ASYNC110 - the client runs in a thread of its own
            await asyncio.sleep(0.01)
        gateway.publisher.fail_with = None
        await asyncio.to_thread(client.shutdown)
        events = gateway.events()
    assert errors == []
    assert [event["messageId"] for event in events] == ["m1"]


@pytest.mark.parametrize("name", CLIENTS)
async def test_the_client_hears_of_a_wrong_write_key(name: str) -> None:
    """Its error callback gets our code and message."""
    errors: list[Any] = []
    async with running() as gateway:
        client = CLIENTS[name]("wrong", host=gateway.url, on_error=lambda error, _batch: errors.append(error))
        client.track("u1", "e")
        await asyncio.to_thread(client.shutdown)
        assert gateway.publisher.records == []
    (error,) = errors
    assert (error.status, error.code) == (401, "unauthorized")
    assert "write key" in error.message
