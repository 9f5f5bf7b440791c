"""What SES tells the gateway through SNS: the frame around ``workers.mail.ses_events``."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import httpx
import pytest

from schemas import wire
from tests.unit.intake.kit import Gateway
from tests.unit.mail.samples import CLAIM, KEY
from tests.unit.mail.test_ses_events import PEM, TOPIC, URL, bounce, envelope, sign
from workers.core.engaged import address_hash
from workers.gateway_settings import callback_settings
from workers.intake.ses import SesCallback
from workers.intake.settings import CallbackSettings
from workers.settings import from_env

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = "/v1/callbacks/ses"
CONFIRM = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=abc"


class Sns:
    """The host of SNS: what it was asked for; it fails while ``fails``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails = False

    async def get(self, url: str) -> bytes:
        """A certificate, whatever the URL."""
        self.asked.append(url)
        if self.fails:
            raise httpx.ConnectError("away")
        return PEM


@pytest.fixture
def sns() -> Sns:
    """SNS, at hand."""
    return Sns()


@pytest.fixture
def gateway(sns: Sns) -> Gateway:
    """With SES alone."""
    ses = SesCallback([TOPIC], (b"o" * 32, KEY), sns.get)
    return Gateway(more={"callbacks": CallbackSettings((ses,), "https://go.example.com")})


async def post(gateway: Gateway, body: bytes) -> int:
    """SNS posts JSON and calls it plain text; the status, once what it set off is done."""
    answer = await gateway.client.post(PATH, content=body, headers={"content-type": "text/plain"})
    started = [task for task in asyncio.all_tasks() if "SesCallback" in repr(task.get_coro())]
    await asyncio.gather(*started)
    return answer.status_code


async def test_the_certificate_is_fetched_once_and_the_notice_taken_when_it_comes_again(
    gateway: Gateway, sns: Sns
) -> None:
    """503 until it is there; then an engagement record with code and hash of the address."""
    body = envelope(bounce("Permanent", "General", "5.1.1"))
    assert [await post(gateway, body) for _ in range(3)] == [503, 200, 200]
    assert sns.asked == [URL]
    first, again = (wire.decode_engagement(record.value) for record in gateway.publisher.of("engagement"))
    assert first.id == again.id
    assert (first.type, first.person, first.message_id) == ("bounced", CLAIM.person, CLAIM.message_id)
    assert (first.reason, first.address) == ("5.1.1", address_hash("ada@example.net"))


async def test_while_sns_is_away_nothing_is_lost(gateway: Gateway, sns: Sns) -> None:
    """SNS comes again, and so do we."""
    sns.fails = True
    body = envelope(bounce("Permanent", "General"))
    assert [await post(gateway, body) for _ in range(2)] == [503, 503]
    sns.fails = False
    assert [await post(gateway, body) for _ in range(2)] == [503, 200]
    assert sns.asked == [URL] * 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.replace(TOPIC.encode(), b"arn:aws:sns:eu-central-1:6:other"),
        lambda body: body.replace(b"bounce", b"bounty"),
        lambda body: body.replace(URL.encode(), b"https://evil.example/cert.pem"),
        lambda _: b"{",
    ],
    ids=["another topic", "another text", "another host", "no JSON"],
)
async def test_what_sns_did_not_sign_is_refused(
    gateway: Gateway, sns: Sns, spoil: Callable[[bytes], bytes]
) -> None:
    """403, and no other host is asked for anything."""
    body = envelope(bounce("Permanent", "General"))
    await post(gateway, body)
    assert await post(gateway, spoil(body)) == 403
    assert sns.asked == [URL]
    assert gateway.publisher.records == []


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (CONFIRM, [CONFIRM]),
        (CONFIRM.replace("amazonaws.com/", "amazonaws.com.evil.example/"), []),
        (CONFIRM.replace("ConfirmSubscription", "DeleteTopic"), []),
        (CONFIRM.replace("https", "http"), []),
    ],
)
async def test_a_topic_that_is_configured_is_confirmed(
    gateway: Gateway, sns: Sns, url: str, asked: list[str]
) -> None:
    """At SNS's own host, and with nothing but a confirmation."""
    body = sign(
        {
            "Type": "SubscriptionConfirmation",
            "MessageId": "sns-2",
            "TopicArn": TOPIC,
            "Message": "You have chosen to subscribe",
            "SubscribeURL": url,
            "Token": "abc",
            "Timestamp": "2026-03-14T10:00:00.000Z",
            "SignatureVersion": "2",
            "SigningCertURL": URL,
        }
    )
    assert [await post(gateway, body) for _ in range(2)] == [503, 200]
    assert sns.asked == [URL, *asked]


async def test_a_signed_notice_that_is_none_of_ses_is_a_dead_letter(gateway: Gateway) -> None:
    """With its place named."""
    body = envelope({"eventType": "Bounce"})
    assert [await post(gateway, body) for _ in range(2)] == [503, 200]
    (letter,) = gateway.publisher.of("dead-letters")
    found = wire.decode_dead_letter(letter.value)
    assert "no event of SES" in found.detail
    assert json.loads(body)["Message"] not in found.detail


def test_the_gateway_has_it_where_a_topic_is_set() -> None:
    """``BRIMFUL_SES_TOPICS``; it reads claims, so it needs the secret."""
    found = callback_settings(from_env({"BRIMFUL_SES_TOPICS": TOPIC, "BRIMFUL_SECRET": "s" * 32}))
    assert found is not None
    assert [one.name for one in found.providers] == ["ses"]
