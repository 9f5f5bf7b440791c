"""SMS by Twilio's Messages resource (twilio.com/docs/messaging/api/message-resource)."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import urlencode

import phonenumbers

from workers.core.templates.mobile import RenderedSms
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    News,
    OutgoingMessage,
    Refused,
    Unknown,
)
from workers.senders.channels.over_http import HttpChannel, call
from workers.senders.channels.twilio_codes import meaning, taken_but_failed
from workers.senders.http.client import Answer, Request
from workers.senders.mobile_connections import ANYWHERE, TwilioConnection

if TYPE_CHECKING:
    from workers.clock import Clock
    from workers.senders.http.client import HttpClient

_FAILED: Final = frozenset({"failed", "undelivered"})


def parse_number(text: str | None, region: str | None) -> tuple[str, str] | None:
    """A telephone number as E.164, and its country; None where it is no number that can exist.

    ``region`` (ISO 3166) is where a number without ``+`` and country code is from.
    """
    try:
        number = phonenumbers.parse(text or "", region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    country = phonenumbers.region_code_for_number(number)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), country or ANYWHERE


class Twilio(HttpChannel[TwilioConnection]):
    """Sends text messages. Twilio takes no idempotency key, so a lost answer is not asked for again."""

    name: ClassVar[str] = "sms"
    provider = "twilio"
    idempotent = False
    on_unknown = "at_most_once"

    def __init__(self, connection: TwilioConnection, client: HttpClient, clock: Clock) -> None:
        super().__init__(connection, client, clock)
        user, secret = connection.account_sid, connection.auth_token
        if connection.api_key is not None and connection.api_secret is not None:
            user, secret = connection.api_key, connection.api_secret
        login = b64encode(f"{user}:{secret.get_secret_value()}".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {login}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        self._url = f"{connection.api.rstrip('/')}/2010-04-01/Accounts/{connection.account_sid}/Messages.json"

    async def _attempt(self, message: OutgoingMessage) -> DeliveryResult:
        content = message.content
        assert isinstance(content, RenderedSms), "a text message renders an sms template"
        parsed = parse_number(message.to, message.region or self._connection.region)
        if parsed is None:
            return Refused("number_invalid", "hard", news=News(dead=True))
        number, country = parsed
        senders = self._connection.senders
        sender = senders.get(country, senders.get(ANYWHERE))
        if sender is None:
            return Refused(f"no_sender_for_{country}", "soft")
        form = {"To": number, "Body": content.text}
        form["MessagingServiceSid" if _is_service(sender) else "From"] = sender
        if self._connection.callback is not None:
            form["StatusCallback"] = self._callback(self._connection.callback, message)
        body = urlencode(form).encode()
        request = Request("POST", self._url, self._headers, body, 0, self._connection.deadline_s)
        answer = await call(self._client, request)
        return self._read(answer, number, self._price(country) * content.size.segments)

    def _read(self, answer: Answer, number: str, cost_micros: int) -> DeliveryResult:
        now_ms = self._clock.now_ms()
        said = answer.json()
        said = said if isinstance(said, dict) else {}
        if 200 <= answer.status < 300:  # noqa: PLR2004 - RFC 9110
            sid = said.get("sid")
            if not isinstance(sid, str):
                return Unknown("twilio_answer")  # it has it, or somebody else answered
            if said.get("status") in _FAILED:
                return taken_but_failed(_code(said.get("error_code")))
            return Accepted(sid, cost_micros, news=News(number=number))
        return meaning(answer.status, _code(said.get("code")), answer.headers, now_ms)

    def _price(self, country: str) -> int:
        prices = self._connection.price_micros
        return prices.get(country, prices.get(ANYWHERE, 0))

    @staticmethod
    def _callback(url: str, message: OutgoingMessage) -> str:
        """Twilio signs the whole address, so what it says of the message can be believed."""
        named = {
            "message": message.id,
            "person": message.person,
            "journey": message.journey,
            "step": message.step,
        }
        return f"{url}?{urlencode(named)}"


def _is_service(sender: str) -> bool:
    return sender.startswith("MG") and len(sender) == 34  # noqa: PLR2004 - a SID: two letters, 32 hex digits


def _code(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
