"""What Amazon SES tells through SNS of mails, verified: bounces, complaints, deliveries, delays. Pure.

The signature is SNS's: RSA with the certificate at ``SigningCertURL``, which is on a host of SNS or nowhere.
Who calls has the certificates at hand; see :data:`Certificates`. Event publishing of a configuration set and
feedback notifications of an identity, with original headers, have one shape as far as it matters here.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

from schemas.wire import Engagement
from workers.core.engaged import address_hash
from workers.core.ids import stable_id
from workers.mail.claims import HEADER, read_token
from workers.mail.codes import is_no_address

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from schemas.fields import EngagementType

Certificates: TypeAlias = "Callable[[str], bytes | None]"
"""The PEM certificate at a URL that :func:`is_certificate_url` allows; None: it is not at hand yet."""

_CERTIFICATE = re.compile(r"https://sns\.[a-z0-9-]{1,30}\.amazonaws\.com(\.cn)?/[A-Za-z0-9_-]{1,200}\.pem")
_CONFIRMATION = re.compile(
    r"https://sns\.[a-z0-9-]{1,30}\.amazonaws\.com(\.cn)?/\?Action=ConfirmSubscription&[!-~]{1,2000}\Z"
)
_SIGNED: Final = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
    "UnsubscribeConfirmation": (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
}  # fmt: skip
"""Type -> the fields that SNS signs, in their order; those that are missing are left out."""


class NotFromSns(ValueError):
    """A request that is not SNS's, or of another topic: answer 403. The message holds nothing of the body."""


class CertificateMissing(Exception):
    """The certificate is not at hand: fetch ``url``, and answer 503; SNS comes again."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url

    def __reduce__(self) -> tuple[type[CertificateMissing], tuple[str]]:
        return (CertificateMissing, (self.url,))


class Unreadable(ValueError):
    """A verified notification that makes no sense; the message names the place, and no value."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified request. ``confirm`` is the URL to call where SNS asks whether we want the topic."""

    records: tuple[Engagement, ...] = ()
    confirm: str | None = None
    unmatched: int = 0
    """Events of mails that carry no claim of ours."""


def is_certificate_url(url: str) -> bool:
    """Whether a certificate may be fetched there: SNS's own host, by https."""
    return _CERTIFICATE.fullmatch(url) is not None


def is_confirmation_url(url: str) -> bool:
    """Whether a subscription may be confirmed there: SNS's own host, by https."""
    return _CONFIRMATION.match(url) is not None


def verified(body: bytes, topics: Collection[str], certificates: Certificates) -> dict[str, str]:
    """The fields of a request that SNS signed. ``topics`` are the ARNs that may tell.

    Raises:
        NotFromSns: the signature does not fit, or the topic is another.
        CertificateMissing: it cannot be verified yet.
    """
    try:
        fields = fields_of(body)
    except Unreadable as error:
        raise NotFromSns(str(error)) from None
    names, url = _SIGNED.get(fields.get("Type", "")), fields.get("SigningCertURL", "")
    if names is None or fields.get("TopicArn") not in topics:
        raise NotFromSns("the type or the topic is another")
    if not is_certificate_url(url) or fields.get("SignatureVersion") not in ("1", "2"):
        raise NotFromSns("the certificate is not at SNS, or the signature's version is unknown")
    pem = certificates(url)
    if pem is None:
        raise CertificateMissing(url)
    text = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
    try:
        key = _certificate(pem).public_key()
        if not isinstance(key, RSAPublicKey):
            raise NotFromSns("the certificate is of another kind")
        # SNS signs with SHA-1 unless the topic asks for version 2.
        digest = SHA256() if fields["SignatureVersion"] == "2" else SHA1()  # noqa: S303 - see above
        key.verify(base64.b64decode(fields.get("Signature", "")), text.encode(), PKCS1v15(), digest)
    except (InvalidSignature, binascii.Error, ValueError):
        raise NotFromSns("the signature does not fit") from None
    return fields


def fields_of(body: bytes) -> dict[str, str]:
    """The texts of a request, verified or not.

    Raises:
        Unreadable: the body is no JSON object.
    """
    return {name: value for name, value in _object(body, "body").items() if isinstance(value, str)}


def read_notice(fields: Mapping[str, str], keys: Sequence[bytes], now_ms: int) -> Notice:
    """What the fields of a :func:`verified` request say. ``keys`` are those that sign our mails.

    Raises:
        Unreadable: it is not of SES.
    """
    if fields["Type"] == "SubscriptionConfirmation":
        return Notice(confirm=fields.get("SubscribeURL"))
    if fields["Type"] != "Notification":
        return Notice()
    event = _object(fields["Message"].encode(), "Message")
    try:
        return _notice(event, fields["MessageId"], keys, now_ms)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unreadable(f"Message is no event of SES: {type(error).__name__}") from None


def _certificate(pem: bytes) -> Certificate:
    return load_pem_x509_certificate(pem)


def _object(data: bytes, place: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Unreadable(f"{place} is no JSON object")
    return found


def _notice(event: dict[str, Any], name: str, keys: Sequence[bytes], now_ms: int) -> Notice:
    told = str(event.get("eventType") or event.get("notificationType"))
    kinds = list(_kinds(told, event))
    headers = event["mail"].get("headers", [])
    tokens = [str(one["value"]) for one in headers if str(one["name"]).lower() == HEADER.lower()]
    claims = [claim for token in tokens if (claim := read_token(keys, token)) is not None]
    if not kinds or not claims:
        return Notice(unmatched=len(kinds))
    claim = claims[0]
    records = [
        Engagement(
            id=stable_id("ses", name, kind, claim.message_id),
            type=kind,
            person=claim.person,
            message_id=claim.message_id,
            channel="email",
            journey=claim.journey,
            step=claim.step,
            reason=code,
            address=address_hash(address) if address else None,
            at_ms=min(now_ms, _ms(at) if at else now_ms),
        )
        for kind, code, address, at in kinds
    ]
    return Notice(tuple(records))


_Told: TypeAlias = "tuple[EngagementType, str | None, str | None, str | None]"


def _kinds(told: str, event: dict[str, Any]) -> Sequence[_Told]:
    """Kind, code, address and time; one mail of ours has one recipient."""
    address = next(iter(event["mail"].get("destination", [])), None)
    if told == "Bounce":
        bounce = event["bounce"]
        recipient: dict[str, Any] = next(iter(bounce.get("bouncedRecipients", [])), {})
        code = recipient.get("status")
        # "Suppressed" and "OnAccountSuppressionList" are Permanent as well: SES knows the address.
        hard = bounce["bounceType"] == "Permanent" and (
            bounce.get("bounceSubType") != "General" or not code or _is_hard(code)
        )
        return [("bounced" if hard else "soft_bounced", code, address, bounce.get("timestamp"))]
    if told == "Complaint":
        complaint = event["complaint"]
        kind = complaint.get("complaintFeedbackType")
        return [] if kind == "not-spam" else [("complained", kind, address, complaint.get("timestamp"))]
    if told == "Delivery":
        return [("delivered", None, address, event["delivery"].get("timestamp"))]
    if told == "DeliveryDelay":
        delay = event["deliveryDelay"]
        return [("deferred", delay.get("delayType"), address, delay.get("timestamp"))]
    return []


def _is_hard(code: str) -> bool:
    return is_no_address(code, None) or code in ("5.0.0", "5.1.0", "5.4.1")


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
