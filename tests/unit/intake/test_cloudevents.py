"""CloudEvents: the three modes of the HTTP binding, and what each becomes."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from schemas import wire
from schemas.catalog import problems_of
from tests.unit.intake.kit import NOW_MS, Gateway
from workers.intake.limits import Limits

STRUCTURED = {"content-type": "application/cloudevents+json; charset=UTF-8"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
BINARY = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-type": "t",
    "ce-source": "s",
    "content-type": "application/json",
}
PATH = "/v1/cloudevents"


def event(**more: Any) -> dict[str, Any]:
    """A CloudEvent in its JSON form; None leaves an attribute out."""
    whole = {
        "specversion": "1.0",
        "id": "a-1",
        "source": "/billing",
        "type": "com.example.limit_reached",
        "subject": "u1",
        "time": "2026-03-01T09:00:00Z",
        "data": {"limit_type": "seats"},
        **more,
    }
    return {name: value for name, value in whole.items() if value is not None}


async def test_a_structured_event_is_a_track_call(gateway: Gateway) -> None:
    """Type -> event, subject -> userId, data -> properties, time -> timestamp."""
    answer = await gateway.post(PATH, event(accountid="acme"), headers=STRUCTURED)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    (record,) = gateway.publisher.of("product-events")
    assert problems_of("product-events", record.value) == []
    taken = wire.decode_product_event(record.value)
    assert (taken.type, taken.event) == ("track", "com.example.limit_reached")
    assert (taken.user_id, record.key, wire.account(taken)) == ("u1", b"u1", "acme")
    assert (wire.values(taken.properties), wire.at_ms(taken)) == ({"limit_type": "seats"}, 1_772_355_600_000)
    assert gateway.events()[0]["context"]["cloudevent"]["source"] == "/billing"
    assert dict(record.headers)["source"] == b"web"


async def test_a_binary_event_is_the_same(gateway: Gateway) -> None:
    """Attributes stand in headers, percent-encoded, and the body is the data."""
    await gateway.post(PATH, event(subject="ü 1"), headers=STRUCTURED)
    attributes = {f"ce-{name}": value for name, value in event(data=None).items()}
    headers = {**attributes, "ce-subject": "%C3%BC%201", "content-type": "application/json"}
    answer = await gateway.post(PATH, {"limit_type": "seats"}, headers=headers)
    assert answer.status_code == 200
    first, second = gateway.events()
    assert second["context"]["cloudevent"].pop("datacontenttype") == "application/json"
    assert first == second


async def test_a_batch_is_published_in_order(gateway: Gateway) -> None:
    """What is bad for an event is put aside, and the others are taken."""
    batch = [event(id="1"), event(id="2", subject=None), event(id="3", subject="u2")]
    answer = await gateway.post(PATH, batch, headers=BATCH)
    assert (answer.status_code, answer.json()["rejected_count"]) == (200, 1)
    assert answer.json()["rejected"][0]["reason"] == "no_subject"
    assert [one["userId"] for one in gateway.events()] == ["u1", "u2"]
    assert len(gateway.dead()) == 1
    assert (await gateway.post(PATH, [], headers=BATCH)).status_code == 200


async def test_an_event_is_known_by_its_source_and_its_id(gateway: Gateway) -> None:
    """By the specification only both together are unique: neither alone may drop an event."""
    for one in (event(), event(), event(source="/shop"), event(id="a-2")):
        await gateway.post(PATH, one, headers=STRUCTURED)
    first, again, other_source, other_id = (one["messageId"] for one in gateway.events())
    assert first == again
    assert len({first, other_source, other_id}) == 3


@pytest.mark.parametrize(
    ("more", "who"),
    [
        ({"subject": None, "partitionkey": "u7"}, {"userId": "u7"}),
        ({"partitionkey": "u7"}, {"userId": "u1"}),
        ({"subject": None, "anonymousid": "visitor"}, {"anonymousId": "visitor"}),
        ({"anonymousid": "visitor"}, {"userId": "u1", "anonymousId": "visitor"}),
    ],
)
async def test_whose_event_it_is(gateway: Gateway, more: dict[str, Any], who: dict[str, str]) -> None:
    """The subject, else the partition key, or the extension anonymousid."""
    await gateway.post(PATH, event(**more), headers=STRUCTURED)
    (taken,) = gateway.events()
    assert {name: taken[name] for name in ("userId", "anonymousId") if name in taken} == who


async def test_data_may_be_base64(gateway: Gateway) -> None:
    """Where it is JSON underneath."""
    packed = base64.b64encode(b'{"a": 1}').decode()
    one = event(data=None, data_base64=packed, datacontenttype="application/vnd.x+json")
    await gateway.post(PATH, one, headers=STRUCTURED)
    assert gateway.events()[0]["properties"] == {"a": 1}


async def test_an_event_without_data_and_time_happened_now(gateway: Gateway) -> None:
    """Both are optional."""
    await gateway.post(PATH, event(data=None, time=None), headers=STRUCTURED)
    (record,) = gateway.publisher.of("product-events")
    assert wire.at_ms(wire.decode_product_event(record.value)) == NOW_MS


@pytest.mark.parametrize(
    ("body", "headers", "status", "why"),
    [
        (event(id=None), STRUCTURED, 400, "id: a CloudEvent needs it"),
        (event(source=""), STRUCTURED, 400, "source: a CloudEvent needs it"),
        (event(type=5), STRUCTURED, 400, "type: a CloudEvent needs it"),
        (event(specversion="0.3"), STRUCTURED, 400, "specversion: 1.0"),
        (event(data=[1]), STRUCTURED, 400, "data: a JSON object"),
        (event(data="x", datacontenttype="text/plain"), STRUCTURED, 415, "only JSON"),
        (event(data=None, data_base64="%%%"), STRUCTURED, 400, "base64"),
        (event(time="soon"), STRUCTURED, 400, "timestamp"),
        (event(subject=None), STRUCTURED, 400, "userId or anonymousId"),
        ([event()], STRUCTURED, 400, "a JSON object"),
        (event(), BATCH, 400, "a JSON array"),
        ([event(), 5], BATCH, 400, "a JSON array"),
        ([event(), event(id=None)], BATCH, 400, "[1].id"),
        (b"{", STRUCTURED, 400, "not valid JSON"),
        (event(), {"content-type": "application/json"}, 415, "application/cloudevents+json"),
        (b"x", {**BINARY, "content-type": "text/xml"}, 415, "only JSON"),
        (b"{}", {**BINARY, "ce-id": "%FF"}, 400, "ce-id"),
    ],
)
async def test_what_is_no_cloudevent_is_refused_by_name(
    gateway: Gateway, body: Any, headers: dict[str, str], status: int, why: str
) -> None:
    """Nothing of the request is kept."""
    answer = await gateway.post(PATH, body, headers=headers)
    assert (answer.status_code, why in answer.json()["message"]) == (status, True), answer.text
    assert gateway.publisher.records == []


async def test_a_key_is_needed_and_bounds_hold() -> None:
    """Those of all events."""
    gateway = Gateway(Limits(batch_events=2))
    assert (await gateway.post(PATH, event(), headers=STRUCTURED, auth=None)).status_code == 401
    answer = await gateway.post(PATH, [event()] * 3, headers=BATCH)
    assert (answer.status_code, answer.json()["code"]) == (400, "too_large")
    large = event(data={"x": "y" * 40_000})
    assert (await gateway.post(PATH, large, headers=STRUCTURED)).json()["code"] == "too_large"
    assert gateway.publisher.records == []


async def test_a_strict_batch_is_refused_whole(gateway: Gateway) -> None:
    """As the tracking API does it."""
    headers = {**BATCH, "x-brimful-strict": "1"}
    answer = await gateway.post(PATH, [event(), event(subject=None)], headers=headers)
    assert (answer.status_code, answer.json()["rejected_count"]) == (400, 1)
    assert gateway.publisher.records == []
