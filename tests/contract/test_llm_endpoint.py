"""Calls of an endpoint of chat completions over real HTTP, with every fault that matters."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from tests.support.http import Reply, http_server
from tests.support.llm import ChatServer, out_of_quota, problem, rate_limited, tokens
from tests.support.providers import answer
from tests.unit.senders.llm_kit import NOW, asked, connection_to, slot
from workers.clock import FixedClock
from workers.core.llm.prompt import prompt_of
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.http.answers import RETRY_MS
from workers.senders.http.client import HttpClient
from workers.senders.llm.connection import LlmConnection, Model
from workers.senders.llm.endpoint import Called, Endpoint, Said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.http import Fault, HttpServer

LOOPBACK = (ip_network("127.0.0.0/8"),)


@dataclass
class Bench:
    """An endpoint, and the fake that it calls."""

    endpoint: Endpoint
    fake: ChatServer
    server: HttpServer


@asynccontextmanager
async def bench(fake: ChatServer | None = None, **fields: Any) -> AsyncIterator[Bench]:
    """A fake that is served, and a connection to it."""
    fake = fake or ChatServer()
    async with http_server(fake.handle) as server:
        client = HttpClient(LOOPBACK)
        endpoint = Endpoint("assistant", connection_to(server.url, **fields), client, FixedClock(NOW))
        yield Bench(endpoint, fake, server)
        await client.close()


async def test_an_answer_comes_with_its_tokens_and_its_exact_cost() -> None:
    """As the endpoint tells them, at the declared prices."""
    async with bench() as one:
        called = await one.endpoint.ask(asked(), 5)
    sent, received = one.fake.usage[0]
    assert called == Called(
        Accepted(None),
        "told",
        Said('{"label": "other"}', "small-2026", sent, received),
        sent * 150 + received * 600,
    )
    assert called.cost_nanos <= one.endpoint.worst_nanos(asked())


async def test_a_request_says_all_that_the_contract_asks_for() -> None:
    """The strict schema, a bound for the answer, and the prompt."""
    async with bench() as one:
        await one.endpoint.ask(asked(), 5)
    (body,) = one.fake.completions
    assert body["messages"] == [
        {"role": message.role, "content": message.content} for message in prompt_of(asked())
    ]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("small-2026", 0.0, 58)
    schema = body["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["properties"]["label"]["enum"] == ["interested", "other"]


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"output": "json_object"}, {"response_format": {"type": "json_object"}}),
        ({"output": "text"}, {"response_format": None}),
        ({"limit_field": "max_completion_tokens"}, {"max_tokens": None, "max_completion_tokens": 58}),
        ({"temperature": None}, {"temperature": None}),
    ],
)
async def test_endpoints_that_take_less_are_told_less(fields: dict[str, Any], sent: dict[str, Any]) -> None:
    """None: the field is left out."""
    async with bench(**fields) as one:
        called = await one.endpoint.ask(asked(), 5)
    assert isinstance(called.result, Accepted)
    assert {name: one.fake.completions[0].get(name) for name in sent} == sent


async def test_a_model_that_thinks_has_room_to_and_a_step_may_name_it() -> None:
    """Its thoughts are tokens of the answer, and in the worst case."""
    large = Model(
        name="large-2026", input=Decimal(2), output=Decimal(8), cached_input=Decimal(1), thinking_tokens=500
    )
    small = Model(name="small-2026", input=Decimal(0), output=Decimal(0))
    async with bench(models={"small": small, "large": large}) as one:
        question = asked(model="large")
        await one.endpoint.ask(question, 5)
        assert one.endpoint.worst_nanos(question) > 500 * 8_000
        assert one.endpoint.worst_nanos(asked()) == 0
        assert not one.endpoint.knows(asked(model="huge"))
    assert (one.fake.completions[0]["model"], one.fake.completions[0]["max_tokens"]) == ("large-2026", 558)


async def test_other_headers_are_sent_and_a_local_endpoint_needs_no_key() -> None:
    """Gateways have headers of their own."""
    async with bench(token=None, headers={"api-key": SecretStr("k")}) as one:
        called = await one.endpoint.ask(asked(), 5)
    assert one.server.requests[0].headers["api-key"] == "k"
    assert "authorization" not in one.server.requests[0].headers
    assert called.result == Misconfigured("http_401")


RATE = RetryAfter(7_000, "http_429", "rate")
FAILS = RetryAfter(RETRY_MS, "http_500", "provider")
MALFORMED = RetryAfter(RETRY_MS, "llm_malformed", "provider")


@pytest.mark.parametrize(
    ("fault", "result", "charged"),
    [
        (rate_limited(7), RATE, "nothing"),
        (out_of_quota(), Misconfigured("llm_quota_used_up"), "nothing"),
        (problem(500, "The server had an error"), FAILS, "nothing"),
        (answer(503, None, Retry_After="7"), RetryAfter(7_000, "http_503", "rate"), "nothing"),
        (problem(400, "too long", "context_length_exceeded"), Refused("http_400", "soft"), "nothing"),
        (Reply(200, b"<html>"), MALFORMED, "unknown"),
        (answer(200, {"choices": []}), MALFORMED, "unknown"),
        (answer(200, {"choices": [{"message": {"content": 5}}]}), MALFORMED, "unknown"),
        (Reply(200, b"\xff\xfe"), MALFORMED, "unknown"),
        ("cut_before", Unknown("http_connection_lost"), "unknown"),
        ("cut_after", Unknown("http_connection_lost"), "unknown"),
        ("hang", Unknown("http_timeout"), "unknown"),
    ],
)
async def test_each_fault_means_one_thing(fault: Reply | Fault, result: DeliveryResult, charged: str) -> None:
    """What is to be asked again, what costs nothing, and what nobody knows the cost of."""
    fake = ChatServer()
    fake.faults.append(fault)
    async with bench(fake) as one:
        called = await one.endpoint.ask(asked(), 0.3)
    assert (called.result, called.charged, called.said) == (result, charged, None)


async def test_nobody_is_called_who_does_not_listen() -> None:
    """Certainly not asked, so it costs nothing."""
    async with bench() as one:
        pass
    endpoint = Endpoint("assistant", connection_to(one.server.url), HttpClient(LOOPBACK), FixedClock(NOW))
    called = await endpoint.ask(asked(), 5)
    assert (called.result, called.charged) == (RetryAfter(RETRY_MS, "http_connect", "provider"), "nothing")


async def test_addresses_inside_are_not_called_unless_they_are_allowed() -> None:
    """The guard of all connections."""
    connection = connection_to("https://169.254.169.254")
    called = await Endpoint("assistant", connection, HttpClient(), FixedClock(NOW)).ask(asked(), 5)
    assert isinstance(called.result, Misconfigured)
    assert called.charged == "nothing"


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"message": {"content": None, "refusal": "I cannot help"}}, ("I cannot help", "refusal")),
        ({"message": {"content": "half"}, "finish_reason": "length"}, ("half", "cut_off")),
        ({"message": {"content": "x"}, "finish_reason": "content_filter"}, ("x", "refusal")),
        ({"message": {"content": None}}, ("", None)),
    ],
)
async def test_what_is_no_answer_is_told_apart(choice: dict[str, Any], said: tuple[str, str | None]) -> None:
    """A refusal, an answer that was cut off, one that is empty; each was paid for."""
    async with bench(ChatServer(say=lambda _: choice)) as one:
        called = await one.endpoint.ask(asked(), 5)
    assert called.said is not None
    assert (called.said.text, called.said.problem, called.charged) == (*said, "told")


async def test_an_endpoint_that_tells_no_tokens_costs_what_it_costs_at_most() -> None:
    """Nobody knows better."""
    async with bench(ChatServer(tells_usage=False)) as one:
        called = await one.endpoint.ask(asked(), 5)
    assert (called.charged, called.cost_nanos) == ("unknown", 0)
    assert called.said is not None
    assert called.said.text == '{"label": "other"}'


async def test_what_the_endpoint_had_already_is_cheaper() -> None:
    """As the usage tells it."""
    body = {
        "choices": [{"message": {"content": "x"}}],
        "usage": {
            "prompt_tokens": 1_000,
            "completion_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 600},
        },
    }
    fake = ChatServer()
    fake.faults.append(answer(200, body))
    cached = Model(name="small-2026", input=Decimal(1), output=Decimal(2), cached_input=Decimal("0.5"))
    async with bench(fake, models={"small": cached}) as one:
        called = await one.endpoint.ask(asked(), 5)
    assert called.cost_nanos == 400 * 1_000 + 600 * 500 + 10 * 2_000


@pytest.mark.parametrize("text", ["x" * 8_000, "\u6771" * 8_000, "\U0001f389" * 2_000, "a b " * 2_000])
async def test_no_prompt_costs_more_than_its_worst_case(text: str) -> None:
    """Whatever is written in it."""
    async with bench() as one:
        question = slot(data={"reply": text})
        called = await one.endpoint.ask(question, 5)
        assert called.cost_nanos <= one.endpoint.worst_nanos(question)
    assert tokens(text) * 150 < called.cost_nanos


def test_a_connection_is_not_shown_with_its_secrets() -> None:
    """Neither by repr nor in a URL."""
    connection = connection_to("https://llm.example.com", headers={"api-key": SecretStr("hidden-key")})
    assert "sk-right" not in repr(connection)
    assert "hidden-key" not in repr(connection)
    with pytest.raises(ValueError, match="without a query"):
        connection_to("https://llm.example.com/v1?key=hidden")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"per_day": None}, "per_day"),
        ({"models": {}}, "models"),
        ({"models": {"small": {"name": "m", "input": -1, "output": 0}}}, "input"),
        ({"models": {"small": {"name": "m", "input": "0.0000001", "output": 0}}}, "input"),
        ({"url": "ftp://llm.example.com"}, "url"),
        ({"deadline_s": 301}, "deadline_s"),
    ],
)
def test_a_connection_says_what_is_wrong_with_it(fields: dict[str, Any], message: str) -> None:
    """A daily cap and prices are required: nothing is spent that nobody allowed."""
    plain = json.loads(
        json.dumps(
            {
                "provider": "llm",
                "url": "https://llm.example.com/v1",
                "models": {"small": {"name": "m", "input": "0.15", "output": 1}},
                "per_day": 5,
            }
        )
    )
    LlmConnection.model_validate(plain)
    with pytest.raises(ValueError, match=message):
        LlmConnection.model_validate({**plain, **fields})
