"""Messages that take several calls: how many are counted, and that no provider gets more than it allows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.support.http import Received
from tests.support.providers import HubSpotServer, Provider
from workers.clock import FixedClock
from workers.core.templates.render import RenderedEmail
from workers.core.templates.webhooks import RenderedWebhook
from workers.senders.calls import CallPace, calls_of, turn
from workers.senders.channels.base import Accepted, DeliveryResult, OutgoingMessage
from workers.senders.channels.hubspot import HubSpot
from workers.senders.connections import HubSpotConnection
from workers.senders.http.client import Answer, HttpClient
from workers.senders.lanes import Gate
from workers.senders.limits import Limits, take_token
from workers.simulate.loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from workers.senders.http.client import Request

NOW = 1_773_480_000_000
CONTACT = {"email": "ada@example.com"}
COMPANY = {"domain": "example.com"}
DEAL: dict[str, Any] = {"properties": {"dealname": "More seats"}}
TASK = {"subject": "Call Ada"}
NOTE = {"body": "Full"}
CHART = {"title": "Seats", "values": [1, 2]}


def hook(document: Any, provider: Any = "hubspot") -> RenderedWebhook:
    """A rendered webhook."""
    return RenderedWebhook(provider, "crm", document, {}, "lead", "v")


class Wire(HttpClient):
    """Requests that reach a fake after a while of virtual time; ``at_s`` is when each began."""

    def __init__(self, provider: Provider, loop: VirtualLoop, delay_s: Callable[[float], float]) -> None:
        self._provider, self._loop, self._delay_s = provider, loop, delay_s
        self.at_s: list[tuple[float, str]] = []

    async def call(self, request: Request) -> Answer:
        """What the fake answers."""
        self.at_s.append((self._loop.time(), request.url))
        await asyncio.sleep(self._delay_s(self._loop.time() - NOW / 1_000))
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.url.removeprefix("https://hub.test")
        reply = self._provider.take(Received(request.method, path, headers, request.body))
        return Answer(reply.status, {}, reply.body, whole=True)


def start(loop: VirtualLoop, coroutine: Coroutine[Any, Any, None]) -> None:
    """Let it begin as soon as the loop runs."""
    loop.at(loop.now_ms, lambda: loop.create_task(coroutine))


def connected(loop: VirtualLoop, delay_s: Callable[[float], float], **fields: Any) -> tuple[HubSpot, Wire]:
    """A connection to HubSpot whose answers take that long, by the seconds since the beginning."""
    connection = HubSpotConnection(
        provider="hubspot", token=SecretStr("pat-right"), api="https://hub.test", **fields
    )
    wire = Wire(HubSpotServer(), loop, delay_s)
    return HubSpot(connection, wire, FixedClock(NOW)), wire


def message(name: str, document: Any) -> OutgoingMessage:
    """A webhook on its way."""
    return OutgoingMessage(id=name, channel="webhook", person=name, content=hook(document))


async def deliver(channel: HubSpot, one: OutgoingMessage, ended: list[DeliveryResult]) -> None:
    """Deliver, and keep the result."""
    ended.append(await channel.deliver(one))


@pytest.mark.parametrize("contact", [{}, {"contact": CONTACT}])
@pytest.mark.parametrize("company", [{}, {"company": COMPANY}])
@pytest.mark.parametrize(
    "rest",
    [
        {"deal": DEAL},
        {"task": TASK},
        {"note": NOTE},
        {"note": {**NOTE, "chart": CHART}},
        {"deal": DEAL, "task": TASK, "note": {**NOTE, "chart": CHART}},
    ],
)
def test_as_many_calls_are_counted_as_are_made(contact: Any, company: Any, rest: Any) -> None:
    """Whatever HubSpot gets of a document, whether it knows the company or not."""
    loop, ended = VirtualLoop(NOW), list[DeliveryResult]()
    channel, wire = connected(loop, lambda _: 0.01)
    document = {**contact, **company, **rest}
    for name in ("m1", "m2"):
        before = len(wire.at_s)
        start(loop, deliver(channel, message(name, document), ended))
        loop.run_until(loop.now_ms + 60_000)
        assert isinstance(ended.pop(), Accepted)
        assert len(wire.at_s) - before == calls_of(hook(document))


def test_others_are_one_call_each() -> None:
    """Salesforce takes one for each record."""
    records = {"records": [{"object": "Task"}, {"object": "Contact"}]}
    assert calls_of(hook(records, "salesforce")) == 2
    assert calls_of(hook({"text": "x"}, "slack")) == 1
    assert calls_of(RenderedEmail("S", "<p>H</p>", "T", "mail", "v")) == 1


def test_a_message_of_many_calls_lets_the_next_wait_for_all_of_them() -> None:
    """It begins with what is there, though it takes more than a bucket holds; then its calls are owed."""
    limits = Limits(per_second=10)
    bucket, wait_ms = take_token(None, limits, NOW, 17)
    assert wait_ms == 0
    bucket, wait_ms = take_token(bucket, limits, NOW)
    assert wait_ms == 800
    gate = Gate(limits)
    gate.admit(NOW, calls=17)
    assert gate.wait_ms(NOW) == 800
    assert gate.wait_ms(NOW + 799) > 0
    assert gate.wait_ms(NOW + 800) == 0


@given(
    st.integers(1, 7),
    st.integers(1, 5_000),
    st.lists(st.integers(0, 2_000), min_size=1, max_size=60),
)
def test_no_window_sees_more_calls_than_allowed(calls: int, window_ms: int, gaps_ms: list[int]) -> None:
    """Of any length; whoever finds room does not wait."""
    loop = VirtualLoop(NOW)
    pace, begun = CallPace(calls, window_ms / 1_000), []

    async def call() -> None:
        await turn(pace)
        begun.append(loop.now_ms)

    for gap_ms in gaps_ms:
        loop.run_until(loop.now_ms + gap_ms)
        start(loop, call())
    loop.run_until(loop.now_ms + (len(gaps_ms) + 1) * (window_ms + 1))
    assert len(begun) == len(gaps_ms)
    assert all(later - first >= window_ms - 1 for first, later in zip(begun, begun[calls:], strict=False))


@pytest.mark.parametrize("stalled_s", [0.0, 30.0])
def test_hubspot_never_gets_more_than_it_allows(stalled_s: float) -> None:
    """100 calls in any ten seconds and 4 searches in any one, also when a stall ends and all answers come."""
    loop = VirtualLoop(NOW)
    channel, wire = connected(loop, lambda at_s: max(0.08, stalled_s - at_s), per_second=10.0)
    ended: list[DeliveryResult] = []
    for number in range(64):
        person = {"contact": {"email": f"u{number}@example.com"}, "company": {"domain": f"{number}.com"}}
        start(
            loop,
            deliver(channel, message(f"m{number}", {**person, "deal": DEAL, "task": TASK}), ended),
        )
    loop.run_until(NOW + 600_000)
    assert len(ended) == 64
    assert all(isinstance(one, Accepted) for one in ended)
    assert len(wire.at_s) == 64 * 11
    everything = [round(at_s * 1_000) for at_s, _ in wire.at_s]
    searches = [round(at_s * 1_000) for at_s, url in wire.at_s if url.endswith("/search")]
    for times, most, window_ms in ((everything, 100, 10_000), (searches, 4, 1_000)):
        assert all(later - first >= window_ms - 2 for first, later in zip(times, times[most:], strict=False))
