"""Amazon SES before a fake of its API, over real HTTP, with every fault that matters."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.http import Fault, HttpServer, Reply, http_server
from tests.support.providers import SesServer, answer
from tests.unit.mail.test_dkim import MESSAGE, SENDER
from workers.clock import FixedClock
from workers.mail.claims import HEADER, read_token
from workers.mail.dkim import Signer
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.channels.ses import COST_MICROS, REPLACED, SesChannel, SesSettings
from workers.senders.http.client import HttpClient
from workers.senders.http.sigv4 import Credentials
from workers.senders.limits import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW_MS = 1_773_480_000_000
TO = replace(MESSAGE, to="ada@example.net")
SIGNER = Signer("example.com", "s1", rsa.generate_private_key(65537, 2048), REPLACED)


@dataclass
class Bench:
    """A channel, the fake and its server."""

    channel: SesChannel
    fake: SesServer
    server: HttpServer


@asynccontextmanager
async def bench(**settings: Any) -> AsyncIterator[Bench]:
    """Channel and fake."""
    fake = SesServer()
    async with http_server(fake.handle) as server:
        credentials = Credentials(fake.access_key_id, settings.pop("secret", fake.secret_access_key))
        made = SesSettings(fake.region, credentials, "events", server.url, deadline_s=0.4)
        client = HttpClient((ip_network("127.0.0.0/8"),))
        sender = replace(SENDER, return_path="bounces@example.com", **settings)
        channel = SesChannel(made, sender, client, FixedClock(NOW_MS), Limits(), SIGNER)
        try:
            yield Bench(channel, fake, server)
        finally:
            await channel.close()


async def test_a_mail_arrives_whole() -> None:
    """With our headers, signature and claim; bounces go to our mailbox."""
    async with bench() as one:
        result = await one.channel.deliver(TO)
        assert result == Accepted("010701900001-ses-000000", COST_MICROS)
        (sent,) = one.fake.mails
        assert sent["Destination"] == {"ToAddresses": ["ada@example.net"]}
        assert sent["ConfigurationSetName"] == "events"
        assert sent["FeedbackForwardingEmailAddress"] == "bounces@example.com"
        mail = sent["mail"]
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        signed = "".join(mail["DKIM-Signature"].split()).partition(";h=")[2].partition(";")[0].split(":")
        assert {"from", "subject", "list-unsubscribe", "list-unsubscribe-post"} <= set(signed)
        assert not {"message-id", "date"} & set(signed)
        claim = read_token((b"k" * 32,), mail[HEADER])
        assert claim is not None
        assert claim.message_id == TO.id


FAULTS: list[tuple[Reply | Fault, DeliveryResult, int]] = [
    (
        SesServer().error(429, "TooManyRequestsException"),
        RetryAfter(1_000, "ses_429_TooManyRequestsException", "rate"),
        0,
    ),
    (
        answer(400, {"__type": "com.amazon#ThrottlingException"}),
        RetryAfter(1_000, "ses_400_ThrottlingException", "rate"),
        0,
    ),
    (
        SesServer().error(400, "LimitExceededException"),
        RetryAfter(300_000, "ses_400_LimitExceededException", "rate"),
        0,
    ),
    (
        SesServer().error(400, "AccountSuspendedException"),
        Misconfigured("ses_400_AccountSuspendedException"),
        0,
    ),
    (SesServer().error(400, "SendingPausedException"), Misconfigured("ses_400_SendingPausedException"), 0),
    (SesServer().error(404, "NotFoundException"), Misconfigured("ses_404_NotFoundException"), 0),
    (
        SesServer().error(403, "ExpiredTokenException:http://x"),
        Misconfigured("ses_403_ExpiredTokenException"),
        0,
    ),
    (SesServer().error(400, "MessageRejected"), Refused("ses_400_MessageRejected", "soft"), 0),
    (answer(500), RetryAfter(250, "http_500", "provider"), 0),
    (answer(503), RetryAfter(250, "http_503", "provider"), 0),
    (answer(503, retry_after="7"), RetryAfter(7_000, "http_503", "rate"), 0),
    (answer(429), RetryAfter(30_000, "http_429", "rate"), 0),
    (answer(403), Misconfigured("http_403"), 0),
    (Reply(200, b"<html>"), Unknown("ses_200_without_id"), 0),
    ("hang", Unknown("http_timeout"), 0),
    ("cut_before", Unknown("http_connection_lost"), 0),
    ("cut_after", Unknown("http_connection_lost"), 1),
]


@pytest.mark.parametrize(("fault", "result", "taken"), FAULTS)
async def test_each_fault_means_one_thing(fault: Reply | Fault, result: DeliveryResult, taken: int) -> None:
    """What was certainly not sent is told from what nobody knows."""
    async with bench() as one:
        one.fake.faults.append(fault)
        assert await one.channel.deliver(TO) == result
        assert one.fake.count() == taken
        assert isinstance(await one.channel.deliver(TO), Accepted)


async def test_wrong_credentials_and_senders_are_a_matter_for_the_operator() -> None:
    """The messages are kept."""
    async with bench(secret="wrong") as one:
        assert await one.channel.deliver(TO) == Misconfigured("ses_403_InvalidSignatureException")
    async with bench(address="plans@example.org") as one:
        assert await one.channel.deliver(TO) == Misconfigured("ses_400_MailFromDomainNotVerifiedException")


async def test_what_cannot_be_a_mail_is_refused_without_a_call() -> None:
    """SES takes no international local parts."""
    async with bench() as one:
        assert await one.channel.deliver(replace(TO, to="x")) == Refused("bad_address", "hard")
        assert await one.channel.deliver(replace(TO, to="jörg@example.net")) == Refused(
            "ses_address_not_ascii", "soft"
        )
        assert one.fake.count() == 0
