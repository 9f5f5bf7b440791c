"""The enroll route: who holds an API key may ask that somebody enters a journey."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import wire
from tests.unit.intake.kit import NOW_MS, Gateway
from workers.intake.publisher import KafkaUnavailable

PATH = "/v1/journeys/order_care/enroll"
KEY = {"authorization": "Bearer ak"}


async def ask(gateway: Gateway, body: Any, path: str = PATH, **headers: str) -> Any:
    """POST with the API key, unless other headers are given."""
    return await gateway.post(path, body, auth=None, headers=headers or KEY)


async def test_a_request_becomes_a_record_of_its_subject() -> None:
    """Keyed by the subject, with the caller's id: the same id enrols once."""
    gateway = Gateway()
    body = {"user": "u1", "properties": {"order_id": "4711"}, "id": "order-4711"}
    answer = await ask(gateway, body)
    assert (answer.status_code, answer.json()) == (202, {"success": True, "id": "order-4711"})
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
    gateway = Gateway()
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
    gateway = Gateway()
    answer = await ask(gateway, {"user": "u1"}, **headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
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
        (b"{", "send"),
    ],
)
async def test_a_request_that_is_wrong_is_told_so(body: Any, says: str) -> None:
    """And nothing is kept."""
    gateway = Gateway()
    answer = await ask(gateway, body)
    assert answer.status_code == 400
    assert says in answer.json()["message"]
    assert gateway.publisher.records == []


async def test_a_name_that_no_journey_can_have_is_not_found() -> None:
    """Whether a journey of a possible name exists, the engine knows."""
    answer = await ask(Gateway(), {"user": "u1"}, "/v1/journeys/Order-Care/enroll")
    assert answer.status_code == 404


async def test_while_kafka_is_away_the_caller_comes_again() -> None:
    """503, with the time to wait."""
    gateway = Gateway()
    gateway.publisher.fail_with = KafkaUnavailable("down", 2.0)
    answer = await ask(gateway, {"user": "u1"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


LEAVE = "/v1/journeys/order_care/exit"


async def test_a_request_to_leave_becomes_a_record_of_its_subject() -> None:
    """With the reason and the caller's id, which the decision names."""
    gateway = Gateway()
    answer = await ask(gateway, {"account": "a1", "reason": "asked by phone", "id": "t-812"}, LEAVE)
    assert (answer.status_code, answer.json()) == (202, {"success": True, "id": "t-812"})
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
        ({"user": "u1"}, LEAVE, {"authorization": "Bearer wk"}, 401),
        ({}, LEAVE, KEY, 400),
        ({"user": "u1", "reason": "x" * 201}, LEAVE, KEY, 400),
        ({"user": "u1", "properties": {}}, LEAVE, KEY, 400),
        ({"user": "u1"}, "/v1/journeys/Order-Care/exit", KEY, 404),
    ],
    ids=["a write key", "nobody", "a long reason", "properties", "no name"],
)
async def test_a_wrong_request_to_leave_is_told_so(
    body: Any, path: str, headers: dict[str, str], status: int
) -> None:
    """And nothing is kept."""
    gateway = Gateway()
    answer = await ask(gateway, body, path, **headers)
    assert answer.status_code == status
    assert gateway.publisher.records == []
