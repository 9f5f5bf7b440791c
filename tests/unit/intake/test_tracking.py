from __future__ import annotations

import gzip
import json
from base64 import b64decode
from typing import Any

import pytest

from schemas import wire
from tests.unit.intake.kit import NOW_MS, Gateway
from workers.intake.limits import Limits
from workers.intake.publisher import KafkaUnavailable


def track(**fields: Any) -> dict[str, Any]:
    """A good track event with changes."""
    return {"type": "track", "event": "e", "userId": "u1", "messageId": "m1", **fields}


@pytest.mark.parametrize("call", ["track", "identify", "group", "alias", "page", "screen"])
async def test_each_call_has_a_path(gateway: Gateway, call: str) -> None:
    """One event per request, its type from the path."""
    body = {"userId": "u1", "event": "e", "groupId": "g", "previousId": "p"}
    answer = await gateway.post(f"/v1/{call}", body)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    (event,) = gateway.events()
    assert event["type"] == call


async def test_a_batch_is_published_in_order_with_its_source(gateway: Gateway) -> None:
    """Key, headers and order are what the engine and the operators rely on."""
    batch = [track(messageId="1"), track(messageId="2", userId="u2"), track(messageId="3")]
    answer = await gateway.post("/v1/batch", {"batch": batch}, auth=("wk2", ""))
    assert answer.json() == {"success": True}
    records = gateway.publisher.of("product-events")
    assert [record.key for record in records] == [b"u1", b"u2", b"u1"]
    assert [event["messageId"] for event in gateway.events()] == ["1", "2", "3"]
    assert records[0].headers == (("source", b"server"), ("received_at_ms", str(NOW_MS).encode()))


async def test_gzip_bodies_are_read(gateway: Gateway) -> None:
    """Clients compress when told to; several gzip members in one body are one stream."""
    answer = await gateway.post("/v1/batch", {"batch": [track()]}, zip=True)
    assert answer.status_code == 200
    parts = gzip.compress(b'{"batch":[') + gzip.compress(json.dumps(track()).encode() + b"]}")
    answer = await gateway.post("/v1/batch", parts, headers={"content-encoding": "gzip"})
    assert answer.status_code == 200
    assert len(gateway.events()) == 2


async def test_the_write_key_may_stand_in_the_body(gateway: Gateway) -> None:
    """A browser's sendBeacon sends text/plain and no Authorization header."""
    plain = {"content-type": "text/plain"}
    answer = await gateway.post("/v1/batch", {"batch": [track()], "writeKey": "wk"}, auth=None, headers=plain)
    assert answer.status_code == 200
    answer = await gateway.post("/v1/track", {**track(), "writeKey": "wk"}, auth=None, headers=plain)
    assert answer.status_code == 200
    assert all("writeKey" not in event for event in gateway.events())


@pytest.mark.parametrize(
    ("auth", "headers", "body_key"),
    [
        (None, {}, None),
        (None, {}, "nobody"),
        (None, {}, 5),
        (("nobody", ""), {}, None),
        (("nobody", ""), {}, "wk"),
        (None, {"authorization": "Bearer wk"}, "wk"),
        (None, {"authorization": "Basic !!!"}, "wk"),
        (None, {"authorization": "Basic /w=="}, "wk"),
    ],
)
async def test_unknown_write_keys_are_refused(
    gateway: Gateway,
    auth: tuple[str, str] | None,
    headers: dict[str, str],
    body_key: object,
) -> None:
    """401 for a missing, wrong or unreadable key; a header that is wrong is not saved by the body."""
    body = {"batch": [track()], "writeKey": body_key}
    answer = await gateway.post("/v1/batch", body, auth=auth, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert gateway.publisher.records == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed"),
        (b'{"batch":[{', 400, "malformed"),
        (b'{"batch":[{"a":NaN}]}', 400, "malformed"),
        (b'{"batch":' + b"[" * 100_000, 400, "malformed"),
        (b"\xff\xfe", 400, "malformed"),
        (b"[]", 400, "invalid"),
        (b'{"events":[]}', 400, "invalid"),
        (b'{"batch":{}}', 400, "invalid"),
        (b'{"batch":[' + b"{}," * 2500 + b"{}]}", 400, "too_large"),
        (b'{"batch":["' + b"x" * 512_000 + b'"]}', 413, "too_large"),
    ],
)
async def test_a_bad_body_gets_a_clear_answer(gateway: Gateway, body: bytes, status: int, code: str) -> None:
    """Status, code and message say what to mend; the clients look for code and message."""
    answer = await gateway.post("/v1/batch", body)
    assert answer.status_code == status
    said = answer.json()
    assert (said["success"], said["code"]) == (False, code)
    assert said["message"]
    assert gateway.publisher.records == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"not gzip", 400, "bad_gzip"),
        (gzip.compress(b"{}" * 1000)[:-9], 400, "bad_gzip"),
        (gzip.compress(b'{"batch":[]}') + b"rest", 400, "bad_gzip"),
        (gzip.compress(b" " * 50_000_000), 413, "too_large"),
    ],
    ids=["not gzip", "cut", "more after its end", "bomb"],
)
async def test_bad_gzip_gets_a_clear_answer(gateway: Gateway, body: bytes, status: int, code: str) -> None:
    """Also a bomb of 50 MB in 50 KB, of which never more than the limit is unpacked."""
    answer = await gateway.post("/v1/batch", body, headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_other_encodings_are_refused(gateway: Gateway) -> None:
    """415 says which encoding to use."""
    answer = await gateway.post("/v1/batch", b"", headers={"content-encoding": "br"})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip")


async def test_a_body_without_a_length_is_bounded_too(gateway: Gateway) -> None:
    """Reading stops at the first byte too many, whatever the client announced."""

    async def endless() -> Any:
        for _ in range(1000):
            yield b" " * 65_536

    answer = await gateway.client.post("/v1/batch", content=endless(), auth=("wk", ""))
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


async def test_an_empty_batch_is_fine(gateway: Gateway) -> None:
    """Nothing to keep is kept."""
    assert (await gateway.post("/v1/batch", {"batch": []})).json() == {"success": True}


async def test_bad_events_of_a_good_batch_are_dead_lettered(gateway: Gateway) -> None:
    """The good ones are taken, each bad one is kept with its reason, and the answer names them."""
    batch = [track(), {"type": "track", "userId": "u"}, 5, track()]
    answer = await gateway.post("/v1/batch", {"batch": batch})
    assert answer.status_code == 200
    said = answer.json()
    assert said["success"] is True
    assert said["rejected_count"] == 2
    assert [(one["index"], one["field"], one["reason"]) for one in said["rejected"]] == [
        (1, "event", "invalid"),
        (2, "", "invalid"),
    ]
    assert len(gateway.events()) == 2
    first, second = gateway.dead()
    assert b64decode(first["payload"]) == b'{"type": "track", "userId": "u"}'
    assert (first["topic"], first["partition"], first["offset"]) == ("product-events", -1, -1)
    assert first["id"] != second["id"]
    for record in gateway.publisher.of("dead-letters"):
        wire.decode_dead_letter(record.value)
    assert gateway.sample("brimful_gateway_events_total", type="track", outcome="accepted") == 2
    assert gateway.sample("brimful_gateway_events_total", type="track", outcome="rejected") == 1
    assert gateway.sample("brimful_gateway_events_total", type="unknown", outcome="rejected") == 1


async def test_a_too_large_event_is_cut_in_its_dead_letter(gateway: Gateway) -> None:
    """The dead letter itself must fit the topic."""
    await gateway.post("/v1/batch", {"batch": [track(properties={"x": "y" * 300_000})]})
    (letter,) = gateway.dead()
    assert (letter["reason"], letter["truncated"]) == ("too_large", True)
    assert letter["payload_bytes"] > 300_000
    assert len(b64decode(letter["payload"])) == 65_536


async def test_a_strict_batch_is_refused_whole(gateway: Gateway) -> None:
    """Nothing is kept, and the answer lists what to mend."""
    body = {"batch": [track(), track(event="")]}
    answer = await gateway.post("/v1/batch", body, headers={"x-brimful-strict": "1"})
    assert answer.status_code == 400
    said = answer.json()
    assert said["code"] == "rejected"
    assert "batch[1]" in said["message"]
    assert said["rejected"][0]["field"] == "event"
    assert gateway.publisher.records == []


async def test_strict_may_be_the_default() -> None:
    """A setting makes every request strict."""
    gateway = Gateway(Limits(strict=True))
    assert (await gateway.post("/v1/batch", {"batch": [{}]})).status_code == 400


async def test_a_single_bad_event_is_answered_and_not_kept(gateway: Gateway) -> None:
    """There is no rest of the batch to save: the answer names the field."""
    answer = await gateway.post("/v1/track", {"userId": "u"})
    assert answer.status_code == 400
    assert (answer.json()["field"], answer.json()["reason"]) == ("event", "invalid")
    assert gateway.publisher.records == []


async def test_a_single_event_over_32_kb_is_refused(gateway: Gateway) -> None:
    """Segment's limit per call."""
    answer = await gateway.post("/v1/track", track(properties={"x": "y" * 33_000}))
    assert (answer.status_code, answer.json()["code"]) == (400, "too_large")


async def test_nothing_is_answered_200_while_kafka_is_away(gateway: Gateway) -> None:
    """503 with Retry-After keeps the clients' events; never a 4xx."""
    gateway.publisher.fail_with = KafkaUnavailable("down", 4.2)
    answer = await gateway.post("/v1/batch", {"batch": [track(), {}]})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["code"] == "unavailable"
    assert gateway.sample("brimful_gateway_events_total", type="track", outcome="unavailable") == 1
    assert gateway.sample("brimful_gateway_requests_total", path="/v1/batch", code="503") == 1


async def test_too_many_requests_at_once_are_told_to_come_back() -> None:
    """The memory that requests in work hold is bounded."""
    gateway = Gateway(Limits(concurrent_requests=1))
    inner: list[int] = []

    async def body() -> Any:
        inner.append((await gateway.post("/v1/batch", {"batch": []})).status_code)
        yield b'{"batch":[]}'

    answer = await gateway.client.post("/v1/batch", content=body(), auth=("wk", ""))
    assert (answer.status_code, inner) == (200, [503])


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("POST", "/v1/import", 404, "not_found"),
        ("GET", "/v1/track", 405, "method_not_allowed"),
        ("DELETE", "/u/abc", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_ours_is_refused(
    gateway: Gateway,
    method: str,
    path: str,
    status: int,
    code: str,
) -> None:
    """Default-deny, in JSON."""
    answer = await gateway.client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_invented_paths_do_not_make_new_metrics(gateway: Gateway) -> None:
    """A scanner must not fill the memory of the metrics system."""
    for number in range(3):
        await gateway.client.get(f"/scan/{number}")
    assert gateway.sample("brimful_gateway_requests_total", path="other", code="404") == 3


async def test_pages_of_other_origins_are_let_in_only_when_listed() -> None:
    """Browsers ask first; without a listed origin they get no permission."""
    ask = {
        "origin": "https://shop.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    refused = await Gateway().client.options("/v1/batch", headers=ask)
    assert "access-control-allow-origin" not in refused.headers
    gateway = Gateway(cors_origins=("https://shop.example",))
    allowed = await gateway.client.options("/v1/batch", headers=ask)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    answer = await gateway.post("/v1/batch", {"batch": []}, headers={"origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
