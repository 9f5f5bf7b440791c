"""The channel of text messages before a fake of Twilio, over real HTTP, with every fault that matters."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from ipaddress import ip_network
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from tests.contract.test_webhook_counts import chance
from tests.support.http import Fault, Reply, http_server
from tests.support.mobile_providers import ACCOUNT, SERVICE, TOKEN, TwilioServer
from tests.support.providers import answer
from tests.unit.senders.test_lanes import pass_time
from tests.unit.senders.test_logic import NOW, Scripted, Senders, message
from workers.clock import FixedClock
from workers.core.templates.compile import TemplateSource
from workers.core.templates.mobile import RenderedSms
from workers.core.templates.text_messages import size_of
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    News,
    OutgoingMessage,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.channels.twilio import Twilio
from workers.senders.http.client import HttpClient
from workers.senders.mobile_connections import TwilioConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LOOPBACK = (ip_network("127.0.0.0/8"),)
NUMBER = "+14155552671"


class Bench:
    """The channel and the fake that it calls."""

    def __init__(self, url: str, provider: TwilioServer, **fields: Any) -> None:
        values: dict[str, Any] = {
            "provider": "twilio",
            "account_sid": ACCOUNT,
            "auth_token": SecretStr(TOKEN),
            "senders": {"*": SERVICE, "GB": "BRIMFUL"},
            "price_micros": {"US": 8_000, "*": 50_000},
            "region": "US",
            "api": url,
            "deadline_s": 0.3,
        }
        self.provider = provider
        self.client = HttpClient(LOOPBACK)
        self.channel = Twilio(TwilioConnection(**{**values, **fields}), self.client, FixedClock(NOW))

    async def send(self, to: str | None = NUMBER, text: str = "Hello", **fields: Any) -> DeliveryResult:
        """Deliver a message."""
        content = RenderedSms(text, size_of(text), "limit", "v1")
        values: dict[str, Any] = {"journey": "upsell", "step": "steps[0]", **fields}
        outgoing = OutgoingMessage(id="m1", channel="sms", person="u1", content=content, to=to, **values)
        return await self.channel.deliver(outgoing)


@asynccontextmanager
async def serving(**fields: Any) -> AsyncIterator[Bench]:
    """The channel before its provider."""
    provider = TwilioServer()

    async def handle(request: Any) -> Reply | Fault:
        return await provider.handle(request)

    async with http_server(handle) as server:
        bench = Bench(server.url, provider, **fields)
        try:
            yield bench
        finally:
            await bench.client.close()


async def test_a_message_is_sent_with_its_number_service_and_cost() -> None:
    """The number as E.164; the price of its country for each segment."""
    async with serving() as bench:
        result = await bench.send("(415) 555-2671", "x" * 161)
        assert result == Accepted(f"SM{1:032x}", 16_000, news=News(number=NUMBER))
        assert bench.provider.sent == [{"To": NUMBER, "Body": "x" * 161, "MessagingServiceSid": SERVICE}]


@pytest.mark.parametrize(
    ("to", "region", "sent"),
    [
        ("+44 7400 123456", None, ("+447400123456", "From", "BRIMFUL")),
        ("07400 123456", "GB", ("+447400123456", "From", "BRIMFUL")),
        ("0171 1234567", "DE", ("+491711234567", "MessagingServiceSid", SERVICE)),
        ("415 555 2671", None, (NUMBER, "MessagingServiceSid", SERVICE)),
    ],
)
async def test_the_country_of_the_number_chooses_the_sender(
    to: str, region: str | None, sent: tuple[str, str, str]
) -> None:
    """A number without country code is read by the person's region, else the connection's."""
    async with serving() as bench:
        assert isinstance(await bench.send(to, region=region), Accepted)
        (form,) = bench.provider.sent
        assert (form["To"], form[sent[1]]) == (sent[0], sent[2])


@pytest.mark.parametrize("to", [None, "", "call me", "12", "+1 415 555", "+999 1234567"])
async def test_what_is_no_number_is_refused_without_a_call(to: str | None) -> None:
    """For good, and the number is known to be dead."""
    async with serving() as bench:
        assert await bench.send(to) == Refused("number_invalid", "hard", news=News(dead=True))
        assert bench.provider.sent == []


async def test_a_country_without_a_sender_is_not_served() -> None:
    """Where no sender stands for all others."""
    async with serving(senders={"US": NUMBER}) as bench:
        assert await bench.send("+447400123456") == Refused("no_sender_for_GB", "soft")


async def test_the_callback_says_whose_message_it_is_about() -> None:
    """Twilio signs the address with its query."""
    async with serving(callback="https://brimful.example.com/v1/callbacks/twilio") as bench:
        await bench.send()
        assert bench.provider.sent[0]["StatusCallback"] == (
            "https://brimful.example.com/v1/callbacks/twilio"
            "?message=m1&person=u1&journey=upsell&step=steps%5B0%5D"
        )


async def test_an_api_key_logs_in_instead_of_the_auth_token() -> None:
    """The token stays what callbacks are signed with."""
    key = "SK" + "2" * 32
    async with serving(api_key=key, api_secret=SecretStr("s")) as bench:
        assert isinstance(await bench.send(), Misconfigured)
        bench.provider.login = (key, "s")
        assert isinstance(await bench.send(), Accepted)


def refusal(status: int, code: int, **headers: str) -> Reply:
    """Twilio's answer."""
    return answer(status, {"code": code, "message": "m", "status": status}, **headers)


ANSWERS: list[tuple[Reply | Fault, DeliveryResult, int]] = [
    (refusal(400, 21610), Refused("twilio_21610", "hard", news=News(opted_out=True)), 0),
    (refusal(400, 21211), Refused("twilio_21211", "hard", news=News(dead=True)), 0),
    (refusal(400, 21614), Refused("twilio_21614", "hard", news=News(dead=True)), 0),
    (refusal(400, 21408), Refused("twilio_21408", "soft"), 0),
    (refusal(400, 21606), Misconfigured("twilio_21606", "message"), 0),
    (refusal(400, 30001), RetryAfter(30_000, "twilio_30001", "rate"), 0),
    (refusal(400, 12345), Refused("twilio_12345", "soft"), 0),
    (refusal(401, 20003), Misconfigured("twilio_20003"), 0),
    (refusal(403, 12345), Misconfigured("twilio_12345"), 0),
    (refusal(429, 20429), RetryAfter(30_000, "twilio_20429", "rate"), 0),
    (refusal(429, 20429, Retry_After="7"), RetryAfter(7_000, "twilio_20429", "rate"), 0),
    (answer(429), RetryAfter(30_000, "http_429", "rate"), 0),
    (answer(500), RetryAfter(250, "http_500", "provider"), 0),
    (answer(503), RetryAfter(250, "http_503", "provider"), 0),
    (answer(502), Unknown("http_502"), 0),
    (answer(200, {"hello": "proxy"}), Unknown("twilio_answer"), 0),
    (answer(201, {"sid": "SM1", "status": "failed", "error_code": 21610}),
     Refused("twilio_21610", "hard", news=News(opted_out=True)), 0),
    ("cut_before", Unknown("http_connection_lost"), 0),
    ("cut_after", Unknown("http_connection_lost"), 1),
    ("hang", Unknown("http_timeout"), 0),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "result", "count"), ANSWERS)
async def test_what_each_answer_means(fault: Reply | Fault, result: DeliveryResult, count: int) -> None:
    """Of docs/channels.md, the table of answers."""
    async with serving() as bench:
        bench.provider.faults.append(fault)
        assert await bench.send() == result
        assert bench.provider.count() == count


TEXT = TemplateSource("limit", "sms", {"text": "{{ message.id }}"})


@pytest.mark.parametrize("seed", range(3))
async def test_the_providers_count_equals_ours(tmp_path: Path, seed: int) -> None:
    """Nobody has a text twice; what is sent is there, and only where the answer was lost nobody knows."""
    random = Random(seed)  # noqa: S311 - faults, not secrets
    async with serving() as bench:
        bench.provider.chance = lambda: chance(random)
        senders = Senders(tmp_path, Scripted([Accepted(None)]), TEXT, sms=bench.channel)
        names = [f"m{number}" for number in range(40)]
        await senders.take(
            *(
                message(name, "sms", template="limit", person=f"u{number % 8}", to=NUMBER)
                for number, name in enumerate(names)
            )
        )
        await senders.settle()
        await pass_time(senders, NOW + 25 * 3_600_000)
        assert senders.pending() == []
        outcomes = {name: outcome for name, outcome, _ in senders.deliveries()}
        held = Counter(form["Body"] for form in bench.provider.sent)
        sent = {name for name, outcome in outcomes.items() if outcome == "sent"}
        unknown = {name for name, outcome in outcomes.items() if outcome == "unknown"}
        assert sent | unknown == set(names)
        assert max(held.values()) == 1
        assert sent <= set(held) <= sent | unknown
        assert unknown, "the faults were met"
        senders.store.abandon()
