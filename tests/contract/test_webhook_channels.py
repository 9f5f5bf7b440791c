"""The channels of webhooks before fakes of their providers, over real HTTP, with every fault that matters."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from tests.support.http import Fault, HttpServer, Reply, http_server
from tests.support.providers import (
    SECRET,
    HubSpotServer,
    Provider,
    Receiver,
    SalesforceServer,
    SlackServer,
    answer,
    now_ms,
)
from workers.clock import FixedClock
from workers.core.templates.webhooks import RenderedWebhook
from workers.senders.channels.base import (
    Accepted,
    Channel,
    DeliveryResult,
    Misconfigured,
    OutgoingMessage,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.channels.hubspot import HubSpot
from workers.senders.channels.salesforce import Salesforce
from workers.senders.channels.slack import Slack
from workers.senders.channels.webhook import StandardWebhook
from workers.senders.connections import (
    HubSpotConnection,
    SalesforceConnection,
    SlackConnection,
    StandardConnection,
)
from workers.senders.http.client import HttpClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LOOPBACK = (ip_network("127.0.0.0/8"),)


@dataclass
class Bench:
    """A channel, its provider's fake and the server that serves it."""

    channel: Channel
    provider: Provider
    server: HttpServer
    document: Callable[[str], dict[str, Any]]

    async def send(self, name: str = "m1", **document: Any) -> DeliveryResult:
        """Deliver a message; ``document`` changes what is usual."""
        return await self.channel.deliver(
            OutgoingMessage(
                id=name,
                channel="webhook",
                person="u1",
                content=RenderedWebhook(
                    "standard", "crm", {**self.document(name), **document}, {"X-Plan": "pro"}, "hook", "v1"
                ),
            )
        )


DEADLINE_S = 0.3


def _standard(url: str, clock: FixedClock, client: HttpClient) -> tuple[Channel, Provider]:
    connection = StandardConnection(
        provider="standard",
        url=SecretStr(f"{url}/hook"),
        secrets=(SecretStr(SECRET),),
        headers={"X-Key": SecretStr("k")},
        deadline_s=DEADLINE_S,
    )
    return StandardWebhook(connection, client, clock), Receiver()


def _slack_bot(url: str, clock: FixedClock, client: HttpClient) -> tuple[Channel, Provider]:
    connection = SlackConnection(
        provider="slack", token=SecretStr("xoxb-right"), channel="C1", api=f"{url}/api", deadline_s=DEADLINE_S
    )
    return Slack(connection, client, clock), SlackServer()


def _slack_hook(url: str, clock: FixedClock, client: HttpClient) -> tuple[Channel, Provider]:
    connection = SlackConnection(
        provider="slack", url=SecretStr(f"{url}/services/T/B/right"), deadline_s=DEADLINE_S
    )
    return Slack(connection, client, clock), SlackServer()


def _hubspot(url: str, clock: FixedClock, client: HttpClient) -> tuple[Channel, Provider]:
    connection = HubSpotConnection(
        provider="hubspot", token=SecretStr("pat-right"), api=url, deadline_s=DEADLINE_S
    )
    return HubSpot(connection, client, clock), HubSpotServer()


def _salesforce(url: str, clock: FixedClock, client: HttpClient) -> tuple[Channel, Provider]:
    connection = SalesforceConnection(
        provider="salesforce",
        login=url,
        client_id="client",
        client_secret=SecretStr("right"),
        deadline_s=DEADLINE_S,
    )
    return Salesforce(connection, client, clock), SalesforceServer(url=url)


MAKERS: dict[str, tuple[Callable[..., tuple[Channel, Provider]], Callable[[str], dict[str, Any]]]] = {
    "standard": (_standard, lambda name: {"type": "limit", "data": {"n": name}}),
    "slack_bot": (_slack_bot, lambda name: {"text": f"Hello {name}"}),
    "slack_hook": (_slack_hook, lambda name: {"text": f"Hello {name}"}),
    "hubspot": (_hubspot, lambda name: {"deal": {"properties": {"dealname": name}}}),
    "salesforce": (
        _salesforce,
        lambda name: {"records": [{"object": "Task", "key": {"Brimful_Id__c": name}, "fields": {"a": 1}}]},
    ),
}


@asynccontextmanager
async def serving(kind: str) -> AsyncIterator[Bench]:
    """A channel of this kind before its provider."""
    async with AsyncExitStack() as stack:
        holder: list[Provider] = []

        async def handle(request: Any) -> Reply | Fault:
            return await holder[0].handle(request)

        server = await stack.enter_async_context(http_server(handle))
        client = HttpClient(LOOPBACK)
        make, document = MAKERS[kind]
        channel, provider = make(server.url, FixedClock(now_ms()), client)
        holder.append(provider)
        yield Bench(channel, provider, server, document)
        await channel.close()
        await client.close()


@pytest.fixture(params=list(MAKERS))
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Each channel in turn."""
    async with serving(request.param) as made:
        yield made


async def test_an_accepted_message_is_with_the_provider_once(bench: Bench) -> None:
    """Accepted means taken."""
    assert isinstance(await bench.send(), Accepted)
    assert bench.provider.count() == 1


FAULTS: list[tuple[Reply, type[DeliveryResult]]] = [
    (answer(500), RetryAfter),
    (answer(502), RetryAfter),
    (answer(503), RetryAfter),
    (answer(408), RetryAfter),
    (answer(429), RetryAfter),
    (answer(400), Refused),
    (answer(404), Refused),
    (answer(422), Refused),
    (answer(401), Misconfigured),
    (answer(403), Misconfigured),
    (Reply(302, headers={"Location": "https://example.com/"}), Misconfigured),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=[str(fault.status) for fault, _ in FAULTS])
async def test_a_status_has_its_meaning(bench: Bench, fault: Reply, expected: type[DeliveryResult]) -> None:
    """Whatever the provider; nothing was taken. Salesforce's first 401 only renews a session."""
    bench.provider.faults.extend([fault] * (2 if fault.status == 401 else 1))
    assert type(await bench.send()) is expected
    assert bench.provider.count() == 0


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("text", "delay_ms"),
    [("7", 7_000), ("0", 0), ("999999", 3_600_000), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", 30_000)],
)
async def test_a_provider_that_asks_for_patience_gets_it(
    bench: Bench, status: int, text: str, delay_ms: int
) -> None:
    """In seconds or by a date, an hour at most; and it is the connection that waits."""
    bench.provider.faults.append(answer(status, Retry_After=text))
    result = await bench.send()
    assert isinstance(result, RetryAfter)
    assert (result.delay_ms, result.about) == (delay_ms, "rate")


@pytest.mark.parametrize("fault", ["cut_before", "cut_after", "hang"])
async def test_a_lost_answer_leaves_the_outcome_unknown(bench: Bench, fault: Fault) -> None:
    """Saying "not sent" would send it twice where the provider cannot tell."""
    bench.provider.faults.append(fault)
    assert isinstance(await bench.send(), Unknown)
    assert bench.provider.count() == (1 if fault == "cut_after" else 0)


async def test_a_provider_that_is_away_got_nothing(bench: Bench) -> None:
    """Certainly: nothing listens."""
    dead = AsyncExitStack()
    server = await dead.enter_async_context(http_server(bench.provider.handle))
    await dead.aclose()
    client = HttpClient(LOOPBACK)
    kind = next(kind for kind, (_, document) in MAKERS.items() if document is bench.document)
    channel, _ = MAKERS[kind][0](server.url, FixedClock(0), client)
    result = await Bench(channel, bench.provider, server, bench.document).send()
    assert isinstance(result, RetryAfter)
    assert result.about == "provider"
    await client.close()


async def test_who_can_tell_a_repeat_has_the_message_once(bench: Bench) -> None:
    """Two calls with one id: the answer to the first was lost. Only such channels send again on their own."""
    bench.provider.faults.append("cut_after")
    await bench.send("m7")
    await bench.send("m7")
    assert bench.provider.count() == (1 if bench.channel.idempotent else 2)
    assert bench.channel.idempotent is (bench.channel.on_unknown == "at_least_once")


async def test_results_tell_no_secret(bench: Bench) -> None:
    """Reasons go to logs, metrics and topics."""
    replies: list[Reply | Fault] = [answer(500), answer(403, {"token": "right"}), "cut_after"]
    bench.provider.faults.extend(replies)
    for _ in replies:
        shown = repr(await bench.send())
        assert "right" not in shown
        assert "127.0.0.1" not in shown


async def test_the_guard_stands_before_every_provider(bench: Bench) -> None:
    """Without an allowed network the same connection calls nobody, and a person is told."""
    kind = next(kind for kind, (_, document) in MAKERS.items() if document is bench.document)
    client = HttpClient()
    channel, _ = MAKERS[kind][0](bench.server.url, FixedClock(0), client)
    result = await Bench(channel, bench.provider, bench.server, bench.document).send()
    assert result == Misconfigured("http_url_not_https")
    assert bench.server.connections == 0
    await client.close()


# -- signed webhooks


async def test_a_webhook_is_signed_and_has_its_headers() -> None:
    """The official library verifies it; the id is the message's."""
    async with serving("standard") as bench:
        assert await bench.send("m9") == Accepted(None)
        (request,) = bench.server.requests
        assert (request.method, request.path) == ("POST", "/hook")
        assert request.headers["content-type"] == "application/json"
        assert request.headers["webhook-id"] == "m9"
        assert (request.headers["x-plan"], request.headers["x-key"]) == ("pro", "k")


async def test_old_and_new_secrets_are_both_signed_with() -> None:
    """While a secret is rotated, a receiver with either of them verifies."""
    old, new = "whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xk", "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3"
    for secret in (old, new):
        receiver = Receiver(secret=secret)
        async with http_server(receiver.handle) as server:
            client = HttpClient(LOOPBACK)
            connection = StandardConnection(
                provider="standard", url=SecretStr(server.url), secrets=(SecretStr(new), SecretStr(old))
            )
            channel = StandardWebhook(connection, client, FixedClock(now_ms()))
            await Bench(channel, receiver, server, MAKERS["standard"][1]).send()
            assert receiver.count() == 1
            await client.close()


async def test_a_receiver_that_is_gone_wants_no_more() -> None:
    """410: the endpoint is no good, now and later."""
    async with serving("standard") as bench:
        bench.provider.faults.append(answer(410))
        assert await bench.send() == Refused("http_410", "hard")


# -- Slack


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("ratelimited", RetryAfter(30_000, "slack_ratelimited", "rate")),
        ("internal_error", RetryAfter(250, "slack_internal_error", "provider")),
        ("invalid_auth", Misconfigured("slack_invalid_auth")),
        ("missing_scope", Misconfigured("slack_missing_scope")),
        ("channel_not_found", Misconfigured("slack_channel_not_found", "message")),
        ("is_archived", Misconfigured("slack_is_archived", "message")),
        ("invalid_blocks", Refused("slack_invalid_blocks", "soft")),
        ("msg_too_long", Refused("slack_msg_too_long", "soft")),
        ("something new", Refused("slack_error", "soft")),
    ],
)
async def test_an_error_of_slack_has_its_meaning(error: str, expected: DeliveryResult) -> None:
    """It comes with status 200."""
    async with serving("slack_bot") as bench:
        bench.provider.faults.append(answer(200, {"ok": False, "error": error}))
        assert await bench.send() == expected


async def test_slack_posts_to_the_channel_of_the_template_or_of_the_connection() -> None:
    """Blocks come through; Slack's name of the message is kept."""
    async with serving("slack_bot") as bench:
        blocks = [{"type": "divider"}]
        result = await bench.send(channel="C2", blocks=blocks)
        assert result == Accepted("C2:1773480000.000001")
        await bench.send()
        assert isinstance(bench.provider, SlackServer)
        assert [post["channel"] for post in bench.provider.posted] == ["C2", "C1"]
        assert bench.provider.posted[0]["blocks"] == blocks
        assert await bench.send(channel="C9") == Misconfigured("slack_channel_not_found", "message")
        assert await bench.send(blocks=[{}]) == Refused("slack_invalid_blocks", "soft")


async def test_an_incoming_webhook_of_slack_says_its_errors_as_text() -> None:
    """With a 4xx; its channel is its own."""
    async with serving("slack_hook") as bench:
        assert await bench.send(channel="C2") == Accepted(None)
        assert await bench.send(blocks=[{}]) == Refused("slack_invalid_blocks", "soft")
        bench.provider.faults.append(Reply(404, b"no_service"))
        assert await bench.send() == Misconfigured("slack_no_service")
