"""What Twilio posts back: verified, and turned into records and an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from schemas import wire
from tests.unit.intake.kit import Gateway
from workers.core.addresses import number_id
from workers.gateway_settings import callback_settings
from workers.intake.settings import CallbackSettings
from workers.intake.twilio import SIGNATURE_HEADER, Replies, TwilioCallback, signature, verify
from workers.settings import from_env

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = "12345"
PATH = "/v1/callbacks/twilio"
OF_MESSAGE = f"{PATH}?message=m1&person=u1&journey=upsell&step=0"
NUMBER = "+14155552671"
REPLIES = Replies(stop="You get no more texts.", start="Welcome <back>.", help="Call us.")
EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'


@pytest.fixture
def gateway() -> Gateway:
    """Twilio alone, with a former token."""
    twilio = TwilioCallback(("former", TOKEN), REPLIES)
    return Gateway(more={"callbacks": CallbackSettings((twilio,), "https://example.com")})


async def posted(
    gateway: Gateway, fields: Mapping[str, str], path: str = PATH, token: str = TOKEN, **changed: Any
) -> Any:
    """A callback, signed over its public address."""
    signed = signature(f"https://example.com{path}", list(fields.items()), token)
    request = {"content": urlencode(fields).encode(), "headers": {SIGNATURE_HEADER: signed}, **changed}
    return await gateway.client.post(path, **request)


def consents(gateway: Gateway) -> list[tuple[str, str | None, str]]:
    """What people said."""
    told = [wire.decode_scheduler(record.value) for record in gateway.publisher.of("scheduler")]
    return [(one.subject, one.channel, one.state) for one in told if isinstance(one, wire.ConsentChange)]


def engagements(gateway: Gateway) -> list[wire.Engagement]:
    """What became of messages."""
    return [wire.decode_engagement(record.value) for record in gateway.publisher.of("engagement")]


def test_the_signature_is_twilios() -> None:
    """The example of Twilio's own validator, in all of its libraries."""
    params = [
        ("CallSid", "CA1234567890ABCDE"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
        ("Caller", "+14158675309"),
    ]
    url, given = "https://mycompany.com/myapp.php?foo=1&bar=2", "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    assert signature(url, params, "12345") == given
    assert verify(url, params, "12345", given)
    assert verify(url.replace(".com/", ".com:443/"), params, "12345", given), "Twilio leaves ports out"
    assert not verify(url, params, "12346", given)
    assert not verify(url + "&person=u2", params, "12345", given)
    assert not verify(url, [*params, ("X", "1")], "12345", given)
    assert not verify(url, params, "12345", "RSOYDt4T1cUTdK1PDd93/VVr8é8=")


@pytest.mark.parametrize(
    ("token", "changed", "status"),
    [
        ("other", {}, 403),
        (TOKEN, {"headers": {}}, 401),
        (TOKEN, {"headers": {SIGNATURE_HEADER: "é".encode()}}, 403),
        (TOKEN, {"content": b"From=%2B1&Body=STOP"}, 403),
        (TOKEN, {"content": b"\xff"}, 403),
    ],
)
async def test_what_is_not_signed_by_twilio_is_refused(
    gateway: Gateway, token: str, changed: dict[str, Any], status: int
) -> None:
    """And leaves no record."""
    answer = await posted(gateway, {"From": NUMBER, "Body": "STOP"}, token=token, **changed)
    assert answer.status_code == status
    assert gateway.publisher.records == []


@pytest.mark.parametrize(
    ("text", "state", "said"),
    [
        ("STOP", "opted_out", "You get no more texts."),
        (" unsubscribe ", "opted_out", "You get no more texts."),
        ("Start", "opted_in", "Welcome &lt;back&gt;."),
        ("help", None, "Call us."),
    ],
)
async def test_commands_are_answered_and_recorded(
    gateway: Gateway, text: str, state: str | None, said: str
) -> None:
    """As the word of the number's id, which finds the person."""
    answer = await posted(gateway, {"From": NUMBER, "Body": text, "MessageSid": "SM1"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert f"<Response><Message>{said}</Message></Response>" in answer.text
    assert consents(gateway) == ([(number_id(NUMBER), "sms", state)] if state else [])
    assert engagements(gateway) == []


async def test_an_answer_to_read_is_a_reply(gateway: Gateway) -> None:
    """Non-stop is no stop; the text itself is not kept."""
    fields = {"From": NUMBER, "Body": "non-stop fun, STOP IT", "MessageSid": "SM1"}
    answer = await posted(gateway, fields)
    assert answer.text == EMPTY
    (reply,) = engagements(gateway)
    assert (reply.type, reply.person, reply.message_id) == ("replied", number_id(NUMBER), "SM1")
    assert consents(gateway) == []
    assert all(b"non-stop" not in record.value for record in gateway.publisher.records)


@pytest.mark.parametrize(
    ("status", "code", "engagement", "refused"),
    [
        ("queued", "", None, False),
        ("sent", "", None, False),
        ("delivered", "", "delivered", False),
        ("read", "", "delivered", False),
        ("undelivered", "30005", "bounced", False),
        ("undelivered", "30006", "bounced", False),
        ("failed", "21610", None, True),
        ("undelivered", "30003", None, False),  # switched off: the next message may arrive
        ("undelivered", "30007", None, False),  # a filter's word about the text
        ("failed", "", None, False),
    ],
)
async def test_a_status_says_what_became_of_the_message(
    gateway: Gateway, status: str, code: str, engagement: str | None, refused: bool
) -> None:
    """Only what lasts closes a number; the same word twice has one id."""
    fields = {"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": code, "To": NUMBER}
    for _ in range(2):
        assert (await posted(gateway, fields, OF_MESSAGE)).status_code == 200
    told = engagements(gateway)
    assert len({one.id for one in told}) == (1 if engagement else 0)
    assert {(one.type, one.person, one.message_id, one.journey, one.step) for one in told} == (
        {(engagement, "u1", "m1", "upsell", "0")} if engagement else set()
    )
    assert set(consents(gateway)) == ({("u1", "sms", "opted_out")} if refused else set())


@pytest.mark.parametrize(
    "fields",
    [{"MessageSid": "SM1", "MessageStatus": "delivered"}, {"From": NUMBER}],
    ids=["nobody's", "nothing"],
)
async def test_what_is_signed_and_says_nothing_is_a_dead_letter(
    gateway: Gateway, fields: dict[str, str]
) -> None:
    """Its address was not made by the senders, or it is neither a status nor a message."""
    answer = await posted(gateway, fields)
    assert answer.status_code == 200
    (letter,) = gateway.publisher.of("dead-letters")
    assert wire.decode_dead_letter(letter.value).detail.startswith("callback of twilio: ")
    assert len(gateway.publisher.records) == 1


def test_the_gateway_has_it_where_a_token_is_set() -> None:
    """``BRIMFUL_TWILIO_AUTH_TOKENS``; without any there is no such path."""
    found = callback_settings(from_env({"BRIMFUL_TWILIO_AUTH_TOKENS": "a,b"}))
    assert found is not None
    assert [one.name for one in found.providers] == ["twilio"]
    assert callback_settings(from_env({})) is None
