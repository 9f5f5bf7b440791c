"""What Twilio posts back: verified, and turned into records and an answer."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from workers.core.addresses import number_id
from workers.intake.twilio import (
    SIGNATURE_HEADER,
    NotTaken,
    Received,
    Replies,
    signature,
    take_callback,
    verify,
)

NOW = 1_773_480_000_000
TOKEN = "12345"
URL = "https://example.com/v1/callbacks/twilio"
OF_MESSAGE = f"{URL}?message=m1&person=u1&journey=upsell&step=0"
NUMBER = "+14155552671"
REPLIES = Replies(stop="You get no more texts.", start="Welcome <back>.", help="Call us.")


def posted(fields: dict[str, str], url: str = URL, token: str = TOKEN, **more: Any) -> Received | NotTaken:
    """A signed callback."""
    headers = {SIGNATURE_HEADER: signature(url, list(fields.items()), token)}
    values = {"headers": headers, "url": url, "body": urlencode(fields).encode(), "token": TOKEN, **more}
    return take_callback(**values, replies=REPLIES, now_ms=NOW)


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
    ("changed", "status"),
    [
        ({"token": "other"}, 403),
        ({"headers": {}}, 403),
        ({"body": b"From=%2B1&Body=STOP"}, 403),
        ({"body": b"\xff"}, 400),
    ],
)
def test_what_is_not_signed_by_twilio_is_refused(changed: dict[str, Any], status: int) -> None:
    """And leaves no record."""
    result = posted({"From": NUMBER, "Body": "STOP"}, **changed)
    assert isinstance(result, NotTaken)
    assert result.status == status


@pytest.mark.parametrize(
    ("text", "state", "answer"),
    [
        ("STOP", "opted_out", "You get no more texts."),
        (" unsubscribe ", "opted_out", "You get no more texts."),
        ("Start", "opted_in", "Welcome &lt;back&gt;."),
        ("help", None, "Call us."),
    ],
)
def test_commands_are_answered_and_recorded(text: str, state: str | None, answer: str) -> None:
    """As the word of the number's id, which finds the person."""
    result = posted({"From": NUMBER, "Body": text, "MessageSid": "SM1"})
    assert isinstance(result, Received)
    assert f"<Response><Message>{answer}</Message></Response>" in result.twiml
    assert [(one.subject, one.channel, one.state) for one in result.consents] == (
        [(number_id(NUMBER), "sms", state)] if state else []
    )
    assert result.engagements == ()


def test_an_answer_to_read_is_a_reply() -> None:
    """Non-stop is no stop; the text itself is not kept."""
    result = posted({"From": NUMBER, "Body": "non-stop fun, STOP IT", "MessageSid": "SM1"})
    assert isinstance(result, Received)
    assert result.consents == ()
    (reply,) = result.engagements
    assert (reply.type, reply.person, reply.message_id) == ("replied", number_id(NUMBER), "SM1")
    assert "<Message>" not in result.twiml


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
def test_a_status_says_what_became_of_the_message(
    status: str, code: str, engagement: str | None, refused: bool
) -> None:
    """Only what lasts closes a number; the same word twice is one record."""
    fields = {"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": code, "To": NUMBER}
    result = posted(fields, OF_MESSAGE)
    assert isinstance(result, Received)
    assert result == posted(fields, OF_MESSAGE)
    told = [(one.type, one.person, one.message_id, one.journey, one.step) for one in result.engagements]
    assert told == ([(engagement, "u1", "m1", "upsell", "0")] if engagement else [])
    assert [(one.subject, one.state) for one in result.consents] == ([("u1", "opted_out")] if refused else [])


def test_a_status_of_nobodys_message_is_refused() -> None:
    """Its address was not made by the senders."""
    result = posted({"MessageSid": "SM1", "MessageStatus": "delivered"})
    assert isinstance(result, NotTaken)
    assert result.status == 400


def test_what_says_nothing_is_refused() -> None:
    """Neither a status nor a message."""
    assert isinstance(posted({"From": NUMBER}), NotTaken)
