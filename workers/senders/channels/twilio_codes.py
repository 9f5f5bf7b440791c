"""What Twilio's error codes mean (twilio.com/docs/api/errors). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workers.senders.channels.base import DeliveryResult, Misconfigured, News, Refused, RetryAfter, Unknown
from workers.senders.http.answers import RATE_MS, by_status, retry_after_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

UNSUBSCRIBED: Final = 21610
"""The person answered STOP: Twilio keeps their word and sends nothing."""

DEAD_NUMBERS: Final = frozenset({21211, 21214, 21217, 21265, 21614, 21635})
"""The number is none, or none that can have text messages."""

RATE: Final = frozenset({14107, 20429, 30022, 63017})
"""Too many requests, or messages, at once."""

QUEUE_FULL: Final = frozenset({21611, 30001})
"""The sender's queue of messages is full: it takes no more until some have left."""

LOGIN: Final = frozenset({20003, 20005, 20006, 20008, 30002})
"""Credentials, or a suspended account: a person has to act."""

SENDERS: Final = frozenset(
    (
        *(21212, 21603, 21606, 21659, 21660, 21661, 21701, 21702, 21703, 21704, 21705, 21712),
        *(21609, 30024, 30032, 30034, 30035),
    )
)
"""A sender, messaging service, registration or callback address that a person has to put right."""

NOT_HERE: Final = frozenset({21408, 21612, 63038})
"""A country or a way that the account does not serve, or its limit of messages a day."""

_LOGIN_STATUS: Final = frozenset({401, 403})
_MAYBE_TAKEN: Final = frozenset({502, 504})
"""A gateway lost the answer: whether the message was taken nobody knows, and it has no id to tell by."""


def meaning(status: int, code: int | None, headers: Mapping[str, str], now_ms: int) -> DeliveryResult:
    """The result of an answer that is no success; ``code`` is Twilio's, None where it gave none."""
    reason = f"twilio_{code}" if code is not None else f"http_{status}"
    result: DeliveryResult
    if code == UNSUBSCRIBED:
        result = Refused(reason, "hard", news=News(opted_out=True))
    elif code in DEAD_NUMBERS:
        result = Refused(reason, "hard", news=News(dead=True))
    elif code in RATE or code in QUEUE_FULL:
        result = RetryAfter(retry_after_ms(headers, now_ms, RATE_MS), reason, "rate")
    elif code in SENDERS:
        result = Misconfigured(reason, "message")
    elif code in LOGIN or (code is not None and status in _LOGIN_STATUS):
        result = Misconfigured(reason)
    elif status in _MAYBE_TAKEN:
        result = Unknown(reason)
    elif code in NOT_HERE or (code is not None and status == 400):  # noqa: PLR2004 - RFC 9110
        result = Refused(reason, "soft")
    else:
        result = by_status(status, headers, now_ms)
    return result


def taken_but_failed(code: int | None) -> DeliveryResult:
    """The result of a message that Twilio took and at once called failed; it tells why by the same codes."""
    return Refused("twilio_failed", "soft") if code is None else meaning(400, code, {}, 0)
