"""Callbacks of providers: the frame with a provider of the test, and the one for systems of one's own."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from schemas import wire
from schemas.catalog import problems_of
from tests.unit.intake.kit import NOW_MS, Gateway
from workers.errors import Misconfigured
from workers.intake.callbacks import Read, Reply, Told, Unreadable, Word, registry
from workers.intake.engagement_callback import EngagementCallback, read_secret, sign
from workers.intake.problems import Problem
from workers.intake.publisher import KafkaUnavailable
from workers.intake.settings import CallbackSettings
from workers.intake.tokens import MessageClaim, make_callback_token, read_callback_token

if TYPE_CHECKING:
    from workers.intake.callbacks import Callback

NEW, OLD = b"n" * 32, b"o" * 32
MESSAGE = MessageClaim("person/1", "msg-1", "journey", "2")


class FakeProvider:
    """A provider of text messages: its callbacks name the message by a token in their address."""

    name = "fake"

    def __init__(self, key: bytes) -> None:
        self._key = key

    def verify(self, callback: Callback) -> None:
        """It signs the address that it was given."""
        if "x-signed" not in callback.headers:
            raise Problem(401, "unsigned", "x-signed is missing")
        if callback.headers["x-signed"] != callback.url:
            raise Problem(403, "bad_signature", "it does not fit")

    def read(self, callback: Callback) -> Read:
        """A word, or what became of a message."""
        text = callback.body.decode()
        if text == "STOP":
            word = Word("e1", "person/1", "sms", "opted_out", NOW_MS - 5)
            return Read([word], Reply(b"<Response/>", "text/xml"))
        if text == "typing":
            return Read()
        message = read_callback_token(self._key, callback.query.get("m", ""))
        if text != "delivered" or message is None:
            raise Unreadable("status: one of delivered, STOP, typing")
        return Read([Told("e1", "delivered", message, "sms", NOW_MS + 999)])


@pytest.fixture
def gateway() -> Gateway:
    """Two providers."""
    providers = (FakeProvider(b"k" * 32), EngagementCallback((NEW, OLD)))
    return Gateway(more={"callbacks": CallbackSettings(providers, "https://go.example.com/")})


async def fake(gateway: Gateway, body: str, token: str | None = None, signed: str | None = None) -> Any:
    """A request of the fake, signed as it should be unless said otherwise; "" leaves it unsigned."""
    token = make_callback_token(gateway.key, MESSAGE) if token is None else token
    path = f"/v1/callbacks/fake?m={token}"
    headers = {"x-signed": f"https://go.example.com{path}" if signed is None else signed}
    return await gateway.client.post(path, content=body.encode(), headers=headers if signed != "" else {})


def count(gateway: Gateway, kind: str, outcome: str, provider: str = "fake") -> float:
    """How many of a type had an outcome."""
    return gateway.sample("brimful_gateway_webhooks_total", provider=provider, type=kind, outcome=outcome)


async def test_what_became_of_a_message_is_an_engagement(gateway: Gateway) -> None:
    """Of the message that its address names; what lies ahead of our clock happened now."""
    answer = await fake(gateway, "delivered")
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    (record,) = gateway.publisher.records
    assert problems_of("engagement", record.value) == []
    one = wire.decode_engagement(record.value)
    assert (one.type, one.person, one.message_id, one.channel) == ("delivered", "person/1", "msg-1", "sms")
    assert (one.journey, one.step, one.at_ms, record.key) == ("journey", "2", NOW_MS, b"person/1")
    assert count(gateway, "delivered", "accepted") == 1


async def test_a_word_is_consent_and_the_provider_gets_its_answer(gateway: Gateway) -> None:
    """STOP reaches the engine, and the provider what it waits for."""
    answer = await fake(gateway, "STOP")
    assert (answer.content, answer.headers["content-type"]) == (b"<Response/>", "text/xml; charset=utf-8")
    (record,) = gateway.publisher.of("scheduler")
    assert problems_of("scheduler", record.value) == []
    change = wire.decode_scheduler(record.value)
    assert isinstance(change, wire.ConsentChange)
    assert (change.subject, change.channel, change.state) == ("person/1", "sms", "opted_out")
    assert change.source == "fake"


async def test_what_comes_again_is_the_same_record(gateway: Gateway) -> None:
    """Providers repeat what was not answered in time, and anybody may replay what is signed."""
    await fake(gateway, "delivered")
    await fake(gateway, "delivered")
    first, again = gateway.publisher.records
    assert first == again


@pytest.mark.parametrize(("signed", "status"), [("", 401), ("https://go.example.com/", 403)])
async def test_who_cannot_be_verified_changes_nothing(gateway: Gateway, signed: str, status: int) -> None:
    """And nothing of the body becomes a label."""
    answer = await fake(gateway, "delivered", signed=signed)
    assert answer.status_code == status
    assert gateway.publisher.records == []
    assert count(gateway, "unverified", "refused") == 1


async def test_what_is_of_no_use_is_answered_200(gateway: Gateway) -> None:
    """Else it would come for days."""
    assert (await fake(gateway, "typing")).status_code == 200
    assert gateway.publisher.records == []
    assert count(gateway, "other", "ignored") == 1


async def test_what_cannot_be_read_is_put_aside_whole(gateway: Gateway) -> None:
    """Such as what names no message of ours."""
    answer = await fake(gateway, "delivered", token="nonsense")
    assert answer.status_code == 200
    (letter,) = gateway.dead()
    assert problems_of("dead-letters", gateway.publisher.records[0].value) == []
    assert letter["detail"] == "callback of fake: status: one of delivered, STOP, typing"
    assert base64.b64decode(letter["payload"]) == b"delivered"
    assert count(gateway, "unreadable", "dead") == 1


async def test_an_unknown_provider_is_not_there(gateway: Gateway) -> None:
    """Nor is any without providers."""
    assert (await gateway.client.post("/v1/callbacks/twilio")).status_code == 404
    assert (await Gateway().client.post("/v1/callbacks/fake")).status_code == 404


async def test_while_kafka_is_away_the_provider_comes_again(gateway: Gateway) -> None:
    """503 with Retry-After."""
    gateway.publisher.fail_with = KafkaUnavailable("down", 3)
    answer = await fake(gateway, "delivered")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert count(gateway, "other", "unavailable") == 1


def test_two_providers_of_one_name_are_a_mistake() -> None:
    """One of them would never be asked."""
    with pytest.raises(Misconfigured, match="two callback providers 'fake'"):
        registry([FakeProvider(NEW), FakeProvider(OLD)])


# -- systems of one's own

BODY = {
    "type": "bounced",
    "person": "person/1",
    "message_id": "msg-1",
    "channel": "email",
    "at": "2026-03-01T09:49:00Z",
}


async def own(gateway: Gateway, body: bytes, secret: bytes = NEW, **changed: str) -> Any:
    """A request signed as Standard Webhooks has it; headers as changed, "" leaves one out."""
    at_s = NOW_MS // 1000
    headers = {"webhook-id": "e1", "webhook-timestamp": str(at_s)}
    headers["webhook-signature"] = sign(secret, "e1", at_s, body)
    headers |= {f"webhook-{name}": value for name, value in changed.items()}
    sent = {name: value for name, value in headers.items() if value}
    return await gateway.client.post("/v1/callbacks/engagement", content=body, headers=sent)


@pytest.mark.parametrize("secret", [NEW, OLD])
async def test_a_system_of_ones_own_tells_what_happened(gateway: Gateway, secret: bytes) -> None:
    """Either secret is good while they are rolled."""
    answer = await own(gateway, json.dumps(BODY).encode(), secret)
    assert answer.status_code == 200
    (record,) = gateway.publisher.of("engagement")
    one = wire.decode_engagement(record.value)
    assert (one.type, one.person, one.at_ms) == ("bounced", "person/1", NOW_MS - 60_000)
    assert count(gateway, "bounced", "accepted", "engagement") == 1


def test_the_signature_is_that_of_the_specification() -> None:
    """The vector that its libraries are tested with."""
    secret = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    given = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert given == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"id": ""}, 401, "unsigned"),
        ({"timestamp": ""}, 401, "unsigned"),
        ({"timestamp": "-1"}, 401, "unsigned"),
        ({"signature": ""}, 401, "unsigned"),
        ({"id": "e2"}, 403, "bad_signature"),
        ({"timestamp": "1772358601"}, 403, "bad_signature"),
        ({"signature": "v1,AAAA"}, 403, "bad_signature"),
        ({"signature": "v1," + "A" * 5_000}, 403, "bad_signature"),
    ],
)
async def test_a_signature_that_does_not_fit_is_refused(
    gateway: Gateway, changed: dict[str, str], status: int, code: str
) -> None:
    """Whichever part of it was changed."""
    answer = await own(gateway, json.dumps(BODY).encode(), NEW, **changed)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert gateway.publisher.records == []


@pytest.mark.parametrize(("off_s", "status"), [(-301, 403), (-300, 200), (300, 200), (301, 403)])
async def test_an_old_signature_is_refused(gateway: Gateway, off_s: int, status: int) -> None:
    """Five minutes either way: a request that was caught cannot be sent again for long."""
    at_s = NOW_MS // 1000 + off_s
    body = json.dumps(BODY).encode()
    given = sign(NEW, "e1", at_s, body)
    assert (await own(gateway, body, NEW, timestamp=str(at_s), signature=given)).status_code == status


@pytest.mark.parametrize("changed", [{"type": "eaten"}, {"person": ""}, {"at": "soon"}, {"channel": "fax"}])
async def test_a_body_that_makes_no_sense_is_put_aside(gateway: Gateway, changed: dict[str, str]) -> None:
    """It was signed: nothing of it is lost."""
    assert (await own(gateway, json.dumps({**BODY, **changed}).encode())).status_code == 200
    (letter,) = gateway.dead()
    assert f"$.{next(iter(changed))}" in letter["detail"]


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_%%%", "whsec_c2hvcnQ=", "bm8gcHJlZml4IGhlcmUgYXQgYWxsLg=="]
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    """At the start, by name."""
    with pytest.raises(Misconfigured, match="whsec_") as refused:
        read_secret(text)
    assert text in ("", "whsec_") or text not in str(refused.value)
