"""What a mail to the bounce mailbox reports: delivery status (RFC 3464) or a complaint (RFC 5965). Pure.

A report is matched by the claim in the returned headers, else by that in the return path it was sent to.
Servers write reports loosely: what is read here is what they agree on, and whatever is of no use is left
alone rather than guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes, message_from_string
from email.errors import HeaderParseError
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from schemas.wire import Engagement
from workers.core.engaged import address_hash
from workers.core.ids import stable_id
from workers.mail.claims import HEADER, MailClaim, read_return_path, read_token
from workers.mail.codes import is_no_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.fields import EngagementType

Kind: TypeAlias = 'Literal["bounced", "soft_bounced", "deferred", "delivered", "complained", "unsubscribed"]'

BYTES_MAX: Final = 1_000_000
"""Of a mail that is looked at; reports that return whole mails stay below."""

_COMPLAINTS: Final[dict[str, Kind]] = {
    "abuse": "complained",
    "fraud": "complained",
    "virus": "complained",
    "other": "complained",
    "opt-out": "unsubscribed",
    "opt-out-list": "unsubscribed",
}
"""``Feedback-Type`` -> what it is to us; ``not-spam`` and authentication failures are nothing."""

_WORST: Final = ("bounced", "soft_bounced", "deferred", "delivered")
_DELIVERED_TO: Final = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To")
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_CODE = re.compile(r"(?<![\d.])([45]\d\d)[ -]")
_GENERIC = re.compile(r"[45]\.\d\.0")
"""``5.0.0``, ``5.5.0``: the class alone is known; the server's answer may say more."""

_TOKEN_LINE = re.compile(rf"^[> ]*{HEADER}: *(\S+)", re.IGNORECASE | re.MULTILINE)
_OUTLOOK = "X-HmXmrOriginalRecipient"
"""Outlook.com's complaints (JMRP) are no ARF: the mail is attached, with this header in it."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one message. ``code`` is an enhanced status such as 5.1.1, where one was told.

    ``address`` is the hash of the address the message went to; ``at_ms`` None: the report has no usable date.
    """

    kind: EngagementType
    claim: MailClaim
    code: str | None
    address: str | None
    at_ms: int | None
    id: str

    def record(self, now_ms: int) -> Engagement:
        """The record for the topic ``engagement``; what lies ahead of our clock happened now."""
        return Engagement(
            id=self.id,
            type=self.kind,
            person=self.claim.person,
            message_id=self.claim.message_id,
            channel="email",
            journey=self.claim.journey,
            step=self.claim.step,
            reason=self.code,
            address=self.address,
            at_ms=min(now_ms, now_ms if self.at_ms is None else self.at_ms),
        )


Why: TypeAlias = Literal["no_report", "no_claim", "nothing_told", "too_large"]


@dataclass(frozen=True, slots=True)
class NoReport:
    """A mail that tells of no message of ours.

    ``no_report``: a person or an answering machine wrote it. ``no_claim``: it is a report, and nothing in it
    is signed by us. ``nothing_told``: it says nothing that matters, such as that a mail was passed on.
    """

    why: Why


def read_report(raw: bytes, keys: Sequence[bytes]) -> Report | NoReport:
    """What a mail reports. ``keys`` are those that signed our mails, several while they are changed."""
    if len(raw) > BYTES_MAX:
        return NoReport("too_large")
    mail = message_from_bytes(raw)
    parts = list(mail.walk())
    found = _complaint(parts) or _status(parts) or _plain(mail, parts)
    if found is None:
        return NoReport("no_report")
    kind, code, told_address = found
    if kind is None:
        return NoReport("nothing_told")
    returned = list(_returned(parts))
    claim = _claim(mail, returned, parts, keys)
    if claim is None:
        return NoReport("no_claim")
    address = next((one for head in returned for one in _addresses(head, "To")), told_address)
    return Report(
        kind=kind,
        claim=claim,
        code=code,
        address=address_hash(address) if address else None,
        at_ms=_date_ms(mail),
        id=stable_id("mail_report", kind, claim.message_id, _text(mail, "Message-ID") or code or ""),
    )


_Found: TypeAlias = "tuple[Kind | None, str | None, str | None]"
"""Kind (None: nothing that matters), code, address as the report names it."""


def _complaint(parts: Sequence[Message]) -> _Found | None:
    for part in parts:
        if part.get_content_type() == "message/feedback-report":
            for block in _blocks(part):
                kind = _COMPLAINTS.get(_text(block, "Feedback-Type").lower())
                recipient = next(_addresses(block, "Original-Rcpt-To"), None)
                return kind, None, recipient
        if _OUTLOOK in part:
            return "complained", None, next(_addresses(part, _OUTLOOK), None)
    return None


def _status(parts: Sequence[Message]) -> _Found | None:
    for part in parts:
        if part.get_content_type() in ("message/delivery-status", "message/global-delivery-status"):
            found = [_recipient(block) for block in _blocks(part) if "Action" in block or "Status" in block]
            ranked = [one for one in found if one[0] is not None]
            return min(ranked, key=lambda one: _WORST.index(str(one[0])), default=(None, None, None))
    return None


def _recipient(block: Message) -> _Found:
    """The fields of one recipient."""
    action = _text(block, "Action").split("(")[0].strip().lower()
    diagnostic = _text(block, "Diagnostic-Code")
    code, kind = _verdict(_text(block, "Status"), diagnostic)
    recipient = _text(block, "Original-Recipient") or _text(block, "Final-Recipient")
    address = recipient.partition(";")[2].strip().strip("<>") or None
    if action == "failed" or (not action and kind is not None):
        return kind or "soft_bounced", code, address
    if action == "delayed":
        return "deferred", code, address
    return ("delivered" if action == "delivered" else None), code, address


def _verdict(status: str, diagnostic: str) -> tuple[str | None, Kind | None]:
    """Code and kind of a failure; the server's own answer says more than a general status does."""
    stated, answered = _ENHANCED.search(status), _ENHANCED.search(diagnostic)
    enhanced = stated[1] if stated else ""
    number = _CODE.search(diagnostic)
    smtp = int(number[1]) if number else None
    if answered and (not enhanced or _GENERIC.fullmatch(enhanced)):
        enhanced = answered[1]
    if not enhanced and smtp is None:
        return None, None
    bare = "" if smtp is not None and _GENERIC.fullmatch(enhanced) else enhanced
    passing = (enhanced or str(smtp)).startswith("4")
    hard = not passing and is_no_address(bare, smtp)
    return enhanced or str(smtp), "bounced" if hard else "soft_bounced"


def _plain(mail: Message, parts: Sequence[Message]) -> _Found | None:
    """A bounce in words alone, as qmail and old Exim write it: from the mailer, with a code in its text."""
    failed = next(_addresses(mail, "X-Failed-Recipients"), None)
    sender = next(_addresses(mail, "From"), "").partition("@")[0].lower()
    if failed is None and sender not in ("mailer-daemon", "postmaster"):
        return None
    for part in parts:
        if part.get_content_type() == "text/plain":
            words = _words(part).partition("--- Below this line")[0]
            code, kind = _verdict("", words)
            if kind is not None:
                return kind, code, failed
    return None


def _returned(parts: Sequence[Message]) -> Iterator[Message]:
    """Headers of the mail that a report returns."""
    for part in parts:
        kind = part.get_content_type()
        if kind in ("text/rfc822-headers", "message/global-headers"):
            yield message_from_string(_words(part))
        elif kind in ("message/rfc822", "message/global") and part.is_multipart():
            yield part.get_payload(0)  # type: ignore[misc]


def _claim(
    mail: Message, returned: Sequence[Message], parts: Sequence[Message], keys: Sequence[bytes]
) -> MailClaim | None:
    tokens = [_text(head, HEADER) for head in returned]
    tokens += [found[1] for part in parts if part.get_content_maintype() == "text" for found in _lines(part)]
    for token in tokens:
        if token and (claim := read_token(keys, token)) is not None:
            return claim
    for head, names in [(mail, _DELIVERED_TO), *((one, ("Return-Path",)) for one in returned)]:
        for name in names:
            for address in _addresses(head, name):
                if (claim := read_return_path(keys, address)) is not None:
                    return claim
    return None


def _lines(part: Message) -> Iterator[re.Match[str]]:
    return _TOKEN_LINE.finditer(_words(part))


def _blocks(part: Message) -> list[Message]:
    """The groups of fields of a report's machine-readable part."""
    payload = part.get_payload()
    if isinstance(payload, list):
        blocks = [one for one in payload if isinstance(one, Message) and one.keys()]
        # Of types that it does not know, the standard library reads the first group only.
        rest = blocks[0].get_payload() if len(blocks) == 1 else ""
        more = re.split(r"\r?\n[ \t]*\r?\n", rest) if isinstance(rest, str) else []
        return [*blocks, *(message_from_string(text.lstrip()) for text in more if text.strip())]
    return [message_from_string(text) for text in re.split(r"\r?\n\r?\n", _words(part)) if text.strip()]


def _words(part: Message) -> str:
    data = part.get_payload(decode=True)
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else ""


def _text(head: Message, name: str) -> str:
    """A header's text, unfolded; empty where there is none."""
    return " ".join(str(head.get(name, "")).split())


def _addresses(head: Message, name: str) -> Iterator[str]:
    try:
        values = [str(value) for value in head.get_all(name, [])]
        yield from (address for _, address in getaddresses(values) if "@" in address or name == "From")
    except (HeaderParseError, ValueError):
        return


def _date_ms(mail: Message) -> int | None:
    try:
        return int(parsedate_to_datetime(_text(mail, "Date")).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
