"""The provider ``twilio``: what comes back over SMS, Twilio's word on messages and what people answer.

A number is an id of its person (:func:`number_id`): the senders say so by an ``alias`` once a message went to
it, so that an answer finds the person as anything that an anonymous id does. What was answered before, such
as START, waits at the number's id and comes along when it is the person's.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from workers.core.addresses import number_id
from workers.core.ids import stable_id
from workers.core.sms_words import word_of
from workers.intake.callbacks import Read, Reply, Told, Unreadable, Word
from workers.intake.problems import Problem
from workers.intake.tokens import MessageClaim

if TYPE_CHECKING:
    from workers.intake.callbacks import Callback

SIGNATURE_HEADER: Final = "x-twilio-signature"

Params: TypeAlias = Sequence[tuple[str, str]]
"""The fields of the form, in any order."""

DEAD_CODES: Final = frozenset({30005, 30006, 21211, 21614})
"""Unknown handset; a landline or an unreachable carrier; no number, or no mobile one."""

UNSUBSCRIBED: Final = 21610

_DELIVERED: Final = frozenset({"delivered", "read"})
_FAILED: Final = frozenset({"undelivered", "failed"})
_MAX_FIELDS: Final = 200


@dataclass(frozen=True, slots=True)
class Replies:
    """What is answered to each command; None: nothing, because the provider answers itself.

    A Twilio messaging service with opt-out handling answers STOP, START and HELP itself.
    """

    stop: str | None = None
    start: str | None = None
    help: str | None = None


class TwilioCallback:
    """See :class:`workers.intake.callbacks.Provider`. ``tokens``: several while they are rolled."""

    name = "twilio"

    def __init__(self, tokens: Iterable[str], replies: Replies) -> None:
        self._tokens = tuple(tokens)
        self._replies = replies

    def verify(self, callback: Callback) -> None:
        """By the header ``X-Twilio-Signature``, over the public address and the form."""
        given = callback.headers.get(SIGNATURE_HEADER)
        if not given:
            raise Problem(401, "unsigned", f"{SIGNATURE_HEADER} is missing")
        try:
            params = _params(callback.body)
        except ValueError:
            raise Problem(403, "bad_signature", "the body is no form, so no signature fits it") from None
        if not any(verify(callback.url, params, token, given) for token in self._tokens):
            raise Problem(
                403, "bad_signature", "the signature does not fit: check auth token and public address"
            )

    def read(self, callback: Callback) -> Read:
        """The status of a message, or a message of somebody's."""
        form = dict(_params(callback.body))
        if "MessageStatus" in form:
            return _status(form, callback)
        if "Body" in form and form.get("From"):
            return _inbound(form, self._replies, callback.now_ms)
        raise Unreadable("neither a status (MessageStatus) nor a message (From, Body)")


def signature(url: str, params: Params, token: str) -> str:
    """Twilio's signature: HMAC-SHA1 over the URL and the sorted fields, in base64 (usage/security)."""
    text = url + "".join(name + value for name, value in sorted(set(params)))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), sha1).digest()).decode()


def verify(url: str, params: Params, token: str, given: str) -> bool:
    """Whether ``given`` is Twilio's signature. ``url`` is as Twilio called it, with its query.

    Twilio signs some addresses with the port and some without (RequestValidator): both are tried.
    """
    return any(
        hmac.compare_digest(signature(one, params, token).encode(), given.encode("utf-8", "surrogatepass"))
        for one in _urls(url)
    )


def _params(body: bytes) -> Params:
    """The form. A ValueError where it is none."""
    fields = parse_qs(
        body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=_MAX_FIELDS
    )
    return [(name, value) for name, values in fields.items() for value in values]


def _status(form: Mapping[str, str], callback: Callback) -> Read:
    message, person = callback.query.get("message"), callback.query.get("person")
    if not message or not person:
        raise Unreadable("the address does not say whose message it is about")
    status, code = form["MessageStatus"], form.get("ErrorCode", "")
    number = int(code) if code.isdecimal() and code.isascii() else None
    claim = MessageClaim(person, message, callback.query.get("journey"), callback.query.get("step"))
    if status in _DELIVERED:
        return Read([Told(message, "delivered", claim, "sms", callback.now_ms)])
    if status in _FAILED and number in DEAD_CODES:
        return Read([Told(message, "bounced", claim, "sms", callback.now_ms)])
    if status in _FAILED and number == UNSUBSCRIBED:
        return Read([Word(f"opted_out {message}", person, "sms", "opted_out", callback.now_ms)])
    return Read()


def _inbound(form: Mapping[str, str], replies: Replies, now_ms: int) -> Read:
    person, text = number_id(form["From"]), form["Body"]
    name = form.get("MessageSid") or stable_id("inbound", form["From"], text, str(now_ms))
    match word_of(text):
        case "stop":
            return Read([Word(name, person, "sms", "opted_out", now_ms)], _twiml(replies.stop))
        case "start":
            return Read([Word(name, person, "sms", "opted_in", now_ms)], _twiml(replies.start))
        case "help":
            return Read(reply=_twiml(replies.help))
    replied = Told(name, "replied", MessageClaim(person, name, None, None), "sms", now_ms)
    return Read([replied], _twiml(None))


def _twiml(text: str | None) -> Reply:
    said = "" if text is None else f"<Message>{escape(text)}</Message>"
    twiml = f'<?xml version="1.0" encoding="UTF-8"?><Response>{said}</Response>'
    return Reply(twiml.encode(), "text/xml")


def _urls(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    port = 443 if parts.scheme == "https" else 80
    without, with_port = parts._replace(netloc=host), parts._replace(netloc=f"{host}:{parts.port or port}")
    return tuple(dict.fromkeys((url, without.geturl(), with_port.geturl())))
