from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from schemas import wire
from tests.unit.intake.kit import NOW_MS, Gateway
from workers.errors import Misconfigured
from workers.intake.app import create_gateway
from workers.intake.limits import Limits
from workers.intake.metrics import GatewayMetrics
from workers.intake.publisher import KafkaUnavailable
from workers.intake.tokens import make_feed_token

ITEM = {"id": "i1", "message_id": "msg-1", "journey": "j", "step": "0", "title": "Hello"}


def auth(gateway: Gateway, person: str = "u1", expires_ms: int = NOW_MS + 60_000) -> dict[str, str]:
    """The header with a person's feed token."""
    return {"authorization": f"Bearer {make_feed_token(gateway.key, person, expires_ms)}"}


async def poll(gateway: Gateway, **params: str) -> dict[str, Any]:
    """One feed request of person u1."""
    answer = await gateway.client.get("/v1/in-app/feed", headers=auth(gateway), params=params)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


async def somebody_waits(gateway: Gateway) -> None:
    """Return once a request of person u1 waits for their feed."""
    while not gateway.feed.watching("u1"):  # noqa: ASYNC110 - the request runs in this loop, nothing to listen to
        await asyncio.sleep(0)


async def test_a_person_reads_their_own_feed(gateway: Gateway) -> None:
    """The token says whose feed it is; expired items are left out."""
    gateway.feed.write("u1", [ITEM, {**ITEM, "id": "old", "expires_at_ms": NOW_MS}])
    gateway.feed.write("u2", [{**ITEM, "id": "other"}])
    assert [item["id"] for item in (await poll(gateway))["items"]] == ["i1"]


async def test_a_person_without_messages_has_an_empty_feed(gateway: Gateway) -> None:
    """Not an error."""
    assert (await poll(gateway))["items"] == []


@pytest.mark.parametrize("path", ["/v1/in-app/feed", "/v1/in-app/stream"])
async def test_without_a_good_token_nothing_is_shown(gateway: Gateway, path: str) -> None:
    """Missing, wrong and expired tokens get the same answer."""
    for headers in ({}, {"authorization": "Bearer x.y"}, auth(gateway, expires_ms=NOW_MS)):
        answer = await gateway.client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_the_token_may_stand_in_the_query(gateway: Gateway) -> None:
    """A browser's EventSource cannot send headers."""
    token = make_feed_token(gateway.key, "u1", NOW_MS + 1)
    assert (await gateway.client.get(f"/v1/in-app/feed?token={token}")).status_code == 200


async def test_a_long_poll_answers_when_the_feed_changes(gateway: Gateway) -> None:
    """The client says what it saw and hears of the next change."""
    gateway.feed.write("u1", [ITEM])
    cursor = (await poll(gateway))["cursor"]
    waiting = asyncio.create_task(poll(gateway, since=cursor))
    await somebody_waits(gateway)
    gateway.feed.write("u1", [ITEM, {**ITEM, "id": "i2"}])
    changed = await waiting
    assert [item["id"] for item in changed["items"]] == ["i1", "i2"]
    assert changed["cursor"] != cursor
    assert gateway.feed.watching("u1") == 0


async def test_a_long_poll_ends_without_a_change() -> None:
    """After its time it answers what the client already has."""
    gateway = Gateway(Limits(long_poll_seconds=0.01))
    assert await poll(gateway, since="none") == {
        "cursor": "none",
        "items": [],
        "now_ms": NOW_MS,
    }


async def test_a_shutdown_ends_long_polls(gateway: Gateway) -> None:
    """Nobody has to wait for their end."""
    waiting = asyncio.create_task(poll(gateway, since="none"))
    await somebody_waits(gateway)
    gateway.app.state.gateway.begin_shutdown()
    assert (await waiting)["items"] == []


async def read_stream(gateway: Gateway, chunks: asyncio.Queue[bytes], headers: dict[str, str]) -> int:
    """Speak ASGI to the stream route (httpx would wait for the whole answer); gives the status."""
    status = 0

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)
        if message.get("body"):
            await chunks.put(message["body"])

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/v1/in-app/stream",
        "raw_path": b"/v1/in-app/stream",
        "query_string": b"",
        "headers": raw,
    }
    await gateway.app(scope, receive, send)
    return status


async def test_a_stream_tells_every_change_once() -> None:
    """The feed first, then changes; silence is filled with comments; a shutdown ends it."""
    gateway = Gateway(Limits(heartbeat_seconds=0.01))
    gateway.feed.write("u1", [ITEM])
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    stream = asyncio.create_task(read_stream(gateway, chunks, auth(gateway)))
    assert (await chunks.get()).startswith(b"retry: ")
    first = (await chunks.get()).decode().splitlines()
    assert first[:2] == ["event: feed", "id: 1"]
    assert json.loads(first[2].removeprefix("data: "))["items"][0]["id"] == "i1"
    assert await chunks.get() == b": still here\n\n"
    gateway.feed.write("u1", [])
    while (chunk := await chunks.get()).startswith(b":"):
        pass
    assert b"id: 2" in chunk
    gateway.app.state.gateway.begin_shutdown()
    assert await stream == 200
    assert gateway.sample("brimful_gateway_streams_open") == 0


async def test_a_stream_goes_on_where_it_was() -> None:
    """With Last-Event-ID nothing is told twice."""
    gateway = Gateway(Limits(heartbeat_seconds=0.01))
    gateway.feed.write("u1", [ITEM])
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    stream = asyncio.create_task(read_stream(gateway, chunks, {**auth(gateway), "last-event-id": "1"}))
    assert (await chunks.get()).startswith(b"retry: ")
    assert await chunks.get() == b": still here\n\n"
    gateway.app.state.gateway.begin_shutdown()
    await stream


async def test_a_stream_ends_with_its_token() -> None:
    """Whoever lost the right to read stops reading."""
    gateway = Gateway(Limits(heartbeat_seconds=0.01))
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    stream = asyncio.create_task(read_stream(gateway, chunks, auth(gateway)))
    await chunks.get()
    gateway.clock.time_ms += 60_000
    assert await stream == 200


async def test_one_person_cannot_hold_all_streams() -> None:
    """Above the bound new ones are told to come back later."""
    gateway = Gateway(Limits(streams_per_person=1))
    waiting = asyncio.create_task(poll(gateway, since="none"))
    await somebody_waits(gateway)
    for path in ("/v1/in-app/feed", "/v1/in-app/stream"):
        answer = await gateway.client.get(path, headers=auth(gateway))
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_streams")
        assert "retry-after" in answer.headers
    gateway.app.state.gateway.begin_shutdown()
    await waiting


async def test_what_a_person_did_becomes_an_engagement(gateway: Gateway) -> None:
    """With journey and step of the message; saying it twice gives the same id."""
    gateway.feed.write("u1", [ITEM])
    for did, kind in (("seen", "opened"), ("clicked", "clicked"), ("dismissed", "dismissed")):
        body = {"message_id": "msg-1", "type": did}
        for _ in range(2):
            answer = await gateway.client.post("/v1/in-app/events", json=body, headers=auth(gateway))
            assert answer.json() == {"success": True}
        first, second = (wire.decode_engagement(one.value) for one in gateway.publisher.of("engagement")[-2:])
        assert (first.type, first.person, first.journey, first.step) == (kind, "u1", "j", "0")
        assert first.id == second.id


async def test_an_engagement_with_a_message_that_left_the_feed_counts(gateway: Gateway) -> None:
    """It expired while it was shown; its journey is found by the message id."""
    body = {"message_id": "msg-9", "type": "clicked"}
    answer = await gateway.client.post("/v1/in-app/events", json=body, headers=auth(gateway))
    assert answer.status_code == 200
    record = wire.decode_engagement(gateway.publisher.of("engagement")[0].value)
    assert (record.message_id, record.journey) == ("msg-9", None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"message_id":"m"}', 400),
        (b'{"message_id":"","type":"seen"}', 400),
        (b'{"message_id":"m","type":"bounced"}', 400),
        (b'{"message_id":"' + b"m" * 300 + b'","type":"seen"}', 400),
        (b" " * 5000, 413),
    ],
)
async def test_a_bad_in_app_event_gets_a_clear_answer(gateway: Gateway, body: bytes, status: int) -> None:
    """And nothing is kept."""
    answer = await gateway.client.post("/v1/in-app/events", content=body, headers=auth(gateway))
    assert answer.status_code == status
    assert answer.json()["message"]
    assert gateway.publisher.records == []


async def test_an_in_app_event_needs_the_token_and_kafka(gateway: Gateway) -> None:
    """401 without the one, 503 without the other."""
    body = {"message_id": "m", "type": "seen"}
    assert (await gateway.client.post("/v1/in-app/events", json=body)).status_code == 401
    gateway.publisher.fail_with = KafkaUnavailable("down", 1)
    answer = await gateway.client.post("/v1/in-app/events", json=body, headers=auth(gateway))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_feed_without_a_key_is_refused(gateway: Gateway) -> None:
    """Nobody could sign its tokens."""
    with pytest.raises(Misconfigured, match="feed key"):
        create_gateway(
            publisher=gateway.publisher,
            write_keys={},
            clock=gateway.clock,
            metrics=GatewayMetrics(CollectorRegistry()),
            feed=gateway.feed,
        )


async def test_a_stream_ends_when_its_token_does() -> None:
    """At once, also in the middle of a silence: who was logged out sees nothing more."""
    gateway = Gateway(Limits(heartbeat_seconds=60))
    gateway.feed.write("u1", [ITEM])
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    stream = asyncio.create_task(read_stream(gateway, chunks, auth(gateway, expires_ms=NOW_MS + 20)))
    await chunks.get()
    await chunks.get()
    gateway.clock.time_ms = NOW_MS + 20
    assert await asyncio.wait_for(stream, 10) == 200
    assert gateway.feed.watching("u1") == 0


async def test_a_client_that_takes_nothing_in_is_let_go() -> None:
    """It holds neither a place nor memory: what it would be told is read when it is told."""
    gateway = Gateway(Limits(stream_write_seconds=0.01))

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        if message.get("body"):
            await asyncio.Event().wait()

    raw = [(name.encode(), value.encode()) for name, value in auth(gateway).items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/v1/in-app/stream",
        "raw_path": b"/v1/in-app/stream",
        "query_string": b"",
        "headers": raw,
    }
    await asyncio.wait_for(gateway.app(scope, receive, send), 10)
    assert gateway.feed.watching("u1") == 0
    assert gateway.sample("brimful_gateway_streams_open") == 0


async def test_a_click_says_where_it_led(gateway: Gateway) -> None:
    """To tell a journey's links apart; not longer than any address of ours."""
    body = {"message_id": "msg-1", "type": "clicked", "url": "/plans"}
    answer = await gateway.client.post("/v1/in-app/events", json=body, headers=auth(gateway))
    assert answer.status_code == 200
    (record,) = gateway.publisher.of("engagement")
    assert json.loads(record.value)["url"] == "/plans"
    body["url"] = "/" * 2_001
    assert (
        await gateway.client.post("/v1/in-app/events", json=body, headers=auth(gateway))
    ).status_code == 400
