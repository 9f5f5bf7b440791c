"""The enroll route: who holds an API key may ask that somebody enters a journey."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import wire
from tests.unit.intake.kit import NOW_MS, Gateway
from workers.intake.keys import make_key
from workers.intake.publisher import KafkaUnavailable
from workers.intake.settings import ApiSettings

PATH = "/v1/journeys/order_care/enroll"
KEY, CONFIGURED = make_key("ops", ["journeys:write"], b"e" * 32)
BEARER = {"authorization": f"Bearer {KEY}"}


def gateway_of() -> Gateway:
    """With one API key."""
    return Gateway(more={"api": ApiSettings((CONFIGURED,))})


async def ask(gateway: Gateway, body: Any, path: str = PATH, **headers: str) -> Any:
    """POST with the API key, unless other headers are given."""
    return await gateway.post(path, body, auth=None, headers=headers or BEARER)


async def test_a_request_becomes_a_record_of_its_subject() -> None:
    """Keyed by the subject, with the caller's id: the same id enrols once."""
    gateway = gateway_of()
    body = {"user": "u1", "properties": {"order_id": "4711"}, "id": "order-4711"}
    answer = await ask(gateway, body)
    assert (answer.status_code, answer.json()) == (202, {"success": True, "accepted": 1, "id": "order-4711"})
    (record,) = gateway.publisher.of("scheduler")
    assert record.key == b"u1"
    assert wire.decode_scheduler(record.value) == wire.EnrollRequest(
        id="order-4711",
        journey="order_care",
        subject_type="user",
        subject="u1",
        properties={"order_id": "4711"},
        at_ms=NOW_MS,
    )


async def test_without_an_id_each_request_is_another() -> None:
    """The answer has the id that it got."""
    gateway = gateway_of()
    ids = {(await ask(gateway, {"account": "a1"})).json()["id"] for _ in range(2)}
    assert len(ids) == 2
    asked = [wire.decode_scheduler(record.value) for record in gateway.publisher.of("scheduler")]
    assert {one.id for one in asked if isinstance(one, wire.EnrollRequest)} == ids
    assert {one.subject_type for one in asked if isinstance(one, wire.EnrollRequest)} == {"account"}


@pytest.mark.parametrize(
    "headers",
    [
        {"x": "none"},
        {"authorization": "Bearer wk"},
        {"authorization": "Basic YWs6"},
        {"authorization": "Bearer"},
    ],
    ids=["no key", "a write key", "another scheme", "an empty key"],
)
async def test_without_an_api_key_nobody_enters(headers: dict[str, str]) -> None:
    """A write key stands in every page."""
    gateway = gateway_of()
    answer = await ask(gateway, {"user": "u1"}, **headers)
    expected = (403, "forbidden") if "wk" in headers.get("authorization", "") else (401, "unauthorized")
    assert (answer.status_code, answer.json()["code"]) == expected
    assert gateway.publisher.records == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "either user or account"),
        ({"user": "u1", "account": "a1"}, "either user or account"),
        ({"user": ""}, "user must have 1 to"),
        ({"user": "u1", "id": "x" * 1000}, "id must have 1 to"),
        ({"user": "u1", "propertys": {}}, "propertys"),
        ({"user": "u1", "properties": []}, "properties"),
        (b"{", "not valid JSON"),
    ],
)
async def test_a_request_that_is_wrong_is_told_so(body: Any, says: str) -> None:
    """And nothing is kept."""
    gateway = gateway_of()
    answer = await ask(gateway, body)
    assert answer.status_code == 400
    assert says in answer.json()["message"]
    assert gateway.publisher.records == []


async def test_a_name_that_no_journey_can_have_is_not_found() -> None:
    """Whether a journey of a possible name exists, the engine knows."""
    answer = await ask(gateway_of(), {"user": "u1"}, "/v1/journeys/Order-Care/enroll")
    assert answer.status_code == 404


async def test_while_kafka_is_away_the_caller_comes_again() -> None:
    """503, with the time to wait."""
    gateway = gateway_of()
    gateway.publisher.fail_with = KafkaUnavailable("down", 2.0)
    answer = await ask(gateway, {"user": "u1"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


LEAVE = "/v1/journeys/order_care/exit"


async def test_a_request_to_leave_becomes_a_record_of_its_subject() -> None:
    """With the reason and the caller's id, which the decision names."""
    gateway = gateway_of()
    answer = await ask(gateway, {"account": "a1", "reason": "asked by phone", "id": "t-812"}, LEAVE)
    assert (answer.status_code, answer.json()) == (202, {"success": True, "accepted": 1, "id": "t-812"})
    (record,) = gateway.publisher.of("scheduler")
    assert record.key == b"a1"
    assert wire.decode_scheduler(record.value) == wire.ExitRequest(
        id="t-812",
        journey="order_care",
        subject_type="account",
        subject="a1",
        reason="asked by phone",
        at_ms=NOW_MS,
    )


@pytest.mark.parametrize(
    ("body", "path", "headers", "status"),
    [
        ({"user": "u1"}, LEAVE, {"authorization": "Bearer wk"}, 403),
        ({}, LEAVE, BEARER, 400),
        ({"user": "u1", "reason": "x" * 201}, LEAVE, BEARER, 400),
        ({"user": "u1", "properties": {}}, LEAVE, BEARER, 400),
        ({"user": "u1"}, "/v1/journeys/Order-Care/exit", BEARER, 404),
    ],
    ids=["a write key", "nobody", "a long reason", "properties", "no name"],
)
async def test_a_wrong_request_to_leave_is_told_so(
    body: Any, path: str, headers: dict[str, str], status: int
) -> None:
    """And nothing is kept."""
    gateway = gateway_of()
    answer = await ask(gateway, body, path, **headers)
    assert answer.status_code == status
    assert gateway.publisher.records == []
