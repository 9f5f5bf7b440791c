"""What comes back over SMS: Twilio's word on messages, and what people answer, as records. Pure.

A number is an id of its person (:func:`number_id`): the senders say so by an ``alias`` once a message went to
it, so that an answer finds the person as anything that an anonymous id does. What was answered before, such
as START, waits at the number's id and comes along when it is the person's.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from schemas import wire
from workers.core.addresses import number_id
from workers.core.ids import stable_id
from workers.core.sms_words import word_of

if TYPE_CHECKING:
    from schemas.fields import ConsentState

SIGNATURE_HEADER: Final = "x-twilio-signature"
SOURCE: Final = "sms"

Params: TypeAlias = Sequence[tuple[str, str]]
"""The fields of the form, in any order."""

DEAD_CODES: Final = frozenset({30005, 30006, 21211, 21614})
"""Unknown handset; a landline or an unreachable carrier; no number, or no mobile one."""

UNSUBSCRIBED: Final = 21610

_DELIVERED: Final = frozenset({"delivered", "read"})
_FAILED: Final = frozenset({"undelivered", "failed"})
_EMPTY_TWIML: Final = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'


@dataclass(frozen=True, slots=True)
class Replies:
    """What is answered to each command; None: nothing, because the provider answers itself.

    A Twilio messaging service with opt-out handling answers STOP, START and HELP itself.
    """

    stop: str | None = None
    start: str | None = None
    help: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """What a callback says: records, each keyed by its person or number, and the TwiML to answer with."""

    consents: tuple[wire.ConsentChange, ...] = ()
    engagements: tuple[wire.Engagement, ...] = ()
    twiml: str = _EMPTY_TWIML


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A callback that is not taken: 403 where its signature does not verify, 400 where it cannot be read."""

    status: int
    reason: str


def signature(url: str, params: Params, token: str) -> str:
    """Twilio's signature: HMAC-SHA1 over the URL and the sorted fields, in base64 (usage/security)."""
    text = url + "".join(name + value for name, value in sorted(set(params)))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), sha1).digest()).decode()


def verify(url: str, params: Params, token: str, given: str) -> bool:
    """Whether ``given`` is Twilio's signature. ``url`` is as Twilio called it, with its query.

    Twilio signs some addresses with the port and some without (RequestValidator): both are tried.
    """
    return any(
        hmac.compare_digest(signature(one, params, token).encode(), given.encode()) for one in _urls(url)
    )


def take_callback(
    headers: Mapping[str, str], url: str, body: bytes, token: str, replies: Replies, now_ms: int
) -> Received | NotTaken:
    """A request of Twilio's, as records. ``headers`` by small letters; ``url`` public, as Twilio has it."""
    try:
        params = [
            (name, value)
            for name, values in parse_qs(
                body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=200
            ).items()
            for value in values
        ]
    except ValueError:
        return NotTaken(400, "the body is no form")
    if not verify(url, params, token, headers.get(SIGNATURE_HEADER, "")):
        return NotTaken(403, "the signature does not verify: check the auth token and the public address")
    form = dict(params)
    if "MessageStatus" in form:
        return _status(form, url, now_ms)
    if "Body" in form and form.get("From"):
        return _inbound(form, replies, now_ms)
    return NotTaken(400, "this is neither a status nor a message")


def _status(form: Mapping[str, str], url: str, now_ms: int) -> Received | NotTaken:
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    message, person = query.get("message"), query.get("person")
    if not message or not person:
        return NotTaken(400, "the address does not say whose message it is about")
    status, code = form["MessageStatus"], form.get("ErrorCode", "")
    number = int(code) if code.isdecimal() and code.isascii() else None
    kind = "delivered" if status in _DELIVERED else "bounced" if _is_dead(status, number) else None
    engagements: tuple[wire.Engagement, ...] = ()
    consents: tuple[wire.ConsentChange, ...] = ()
    if kind is not None:
        engagements = (
            wire.Engagement(
                id=stable_id("twilio", message, kind),
                type=kind,  # type: ignore[arg-type]  # one of two kinds of engagement
                person=person,
                message_id=message,
                channel="sms",
                journey=query.get("journey"),
                step=query.get("step"),
                at_ms=now_ms,
            ),
        )
    if status in _FAILED and number == UNSUBSCRIBED:
        consents = (_consent(stable_id("opted_out", message), person, "opted_out", now_ms),)
    return Received(consents, engagements)


def _is_dead(status: str, code: int | None) -> bool:
    return status in _FAILED and code in DEAD_CODES


def _inbound(form: Mapping[str, str], replies: Replies, now_ms: int) -> Received:
    person, text = number_id(form["From"]), form["Body"]
    name = form.get("MessageSid") or stable_id("inbound", form["From"], text, str(now_ms))
    match word_of(text):
        case "stop":
            change = _consent(stable_id("sms", name), person, "opted_out", now_ms)
            return Received((change,), twiml=_twiml(replies.stop))
        case "start":
            change = _consent(stable_id("sms", name), person, "opted_in", now_ms)
            return Received((change,), twiml=_twiml(replies.start))
        case "help":
            return Received(twiml=_twiml(replies.help))
    replied = wire.Engagement(
        id=stable_id("sms", name), type="replied", person=person, message_id=name, channel="sms", at_ms=now_ms
    )
    return Received(engagements=(replied,))


def _consent(name: str, person: str, state: ConsentState, now_ms: int) -> wire.ConsentChange:
    return wire.ConsentChange(
        id=name, subject=person, channel="sms", state=state, source=SOURCE, at_ms=now_ms
    )


def _twiml(text: str | None) -> str:
    if text is None:
        return _EMPTY_TWIML
    return f'<?xml version="1.0" encoding="UTF-8"?><Response><Message>{escape(text)}</Message></Response>'


def _urls(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    port = 443 if parts.scheme == "https" else 80
    without, with_port = parts._replace(netloc=host), parts._replace(netloc=f"{host}:{parts.port or port}")
    return tuple(dict.fromkeys((url, without.geturl(), with_port.geturl())))
