"""Sending to the gateway, with the network replaced by scripted answers."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from workers.errors import Retryable
from workers.local.demo.publish import GIVE_UP_S, GatewayPublisher, GatewayRefusalError

MESSAGES = [{"type": "track", "messageId": "m1", "userId": "u", "event": "search"}]


class Gateway:
    """Answers as scripted, the last answer for ever; remembers requests and how long it was waited."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        """``answers`` in order; an exception is a network failure."""
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def pause(self, seconds: float) -> None:
        """Remembers the wait instead of waiting."""
        self.waits.append(seconds)

    async def publish(self) -> None:
        """Sends the messages once."""
        transport = httpx.MockTransport(self.handle)
        async with GatewayPublisher(
            "http://gateway", "key", pause=self.pause, transport=transport
        ) as publisher:
            await publisher(MESSAGES)


async def test_a_batch_is_posted_as_an_sdk_posts_it() -> None:
    """/v1/batch, HTTP Basic with the write key as user, and no ``sentAt``."""
    gateway = Gateway(httpx.Response(200, json={"success": True}))
    await gateway.publish()
    (request,) = gateway.requests
    assert request.url.path == "/v1/batch"
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"key:").decode()
    assert json.loads(request.content) == {"batch": MESSAGES}


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_gateway_is_given_the_time_it_asks_for(status: int) -> None:
    """``Retry-After`` is obeyed, and the same batch is sent again."""
    gateway = Gateway(httpx.Response(status, headers={"Retry-After": "7"}), httpx.Response(200))
    await gateway.publish()
    assert gateway.waits == [7.0]
    assert [request.content for request in gateway.requests] == [gateway.requests[0].content] * 2


@pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "-5", "nan?"])
async def test_an_unreadable_wait_falls_back_to_our_own(header: str) -> None:
    """A date, a negative number or nonsense in ``Retry-After`` never stops the replay."""
    gateway = Gateway(httpx.Response(503, headers={"Retry-After": header}), httpx.Response(200))
    await gateway.publish()
    assert gateway.waits == [0.2]


async def test_a_gateway_that_cannot_be_reached_is_tried_with_growing_waits() -> None:
    """A restart of the gateway loses nothing."""
    gone = httpx.ConnectError("refused")
    gateway = Gateway(gone, httpx.Response(500), gone, httpx.Response(200))
    await gateway.publish()
    assert gateway.waits == pytest.approx([0.2, 0.4, 0.8])


async def test_a_gateway_that_never_answers_is_given_up_in_bounded_time() -> None:
    """The error says for how long it was tried and what the last problem was."""
    gateway = Gateway(httpx.Response(503, text="Kafka is down"))
    with pytest.raises(Retryable, match="503 Kafka is down"):
        await gateway.publish()
    assert sum(gateway.waits) <= GIVE_UP_S


async def test_a_wait_longer_than_the_patience_is_not_begun() -> None:
    """Being told to come back in an hour is an error now, not in an hour."""
    gateway = Gateway(httpx.Response(429, headers={"Retry-After": "3600"}))
    with pytest.raises(Retryable):
        await gateway.publish()
    assert gateway.waits == []


@pytest.mark.parametrize("status", [400, 401, 413])
async def test_a_refused_batch_is_an_error_at_once(status: int) -> None:
    """Sending it again would not help; the gateway's answer is in the message."""
    gateway = Gateway(httpx.Response(status, text="unknown write key"))
    with pytest.raises(GatewayRefusalError, match=f"{status} unknown write key"):
        await gateway.publish()
    assert gateway.waits == []
