"""What SES tells through SNS: verified, then mapped to engagement; whoever else calls is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.unit.mail.samples import CLAIM, KEY, TOKEN
from workers.core.engaged import address_hash
from workers.mail.claims import HEADER
from workers.mail.ses_events import (
    CertificateMissing,
    NotFromSns,
    Unreadable,
    is_certificate_url,
    read_notice,
    verified,
)

TOPIC = "arn:aws:sns:eu-central-1:123456789012:ses-events"
URL = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-abc123.pem"
ORDER = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
"""In which SNS signs fields, all but the names of their own (SNS: verifying signatures)."""

NOW_MS = 1_773_486_000_000
SIGNING = rsa.generate_private_key(65537, 2048)
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
PEM = (
    x509.CertificateBuilder()
    .subject_name(NAME)
    .issuer_name(NAME)
    .public_key(SIGNING.public_key())
    .serial_number(1)
    .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    .not_valid_after(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=365))
    .sign(SIGNING, SHA256())
    .public_bytes(Encoding.PEM)
)


def event(kind: str, **fields: Any) -> dict[str, Any]:
    """An event as a configuration set publishes it."""
    headers = [{"name": "From", "value": "p@example.com"}, {"name": HEADER, "value": TOKEN}]
    mail = {"messageId": "0107-ses", "destination": ["ada@example.net"], "headers": headers}
    return {"eventType": kind, "mail": mail, **fields}


def envelope(message: Any, version: str = "2", **changes: str) -> bytes:
    """A notification, signed as SNS signs; ``changes`` come after the signature."""
    fields = {
        "Type": "Notification",
        "MessageId": "sns-1",
        "TopicArn": TOPIC,
        "Message": json.dumps(message),
        "Timestamp": "2026-03-14T10:00:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": URL,
    }
    return sign(fields, **changes)


def sign(fields: dict[str, str], **changes: str) -> bytes:
    """A request of SNS's, signed; ``changes`` come after the signature."""
    text = "".join(f"{name}\n{fields[name]}\n" for name in ORDER if name in fields)
    digest = SHA256() if fields["SignatureVersion"] == "2" else SHA1()  # noqa: S303 - SNS's first version
    signature = SIGNING.sign(text.encode(), PKCS1v15(), digest)
    return json.dumps({**fields, "Signature": base64.b64encode(signature).decode(), **changes}).encode()


def read(body: bytes, pem: bytes | None = PEM) -> Any:
    """With our topic and keys."""
    return read_notice(verified(body, {TOPIC}, lambda _: pem), (b"o" * 32, KEY), NOW_MS)


AT = {"timestamp": "2026-03-14T10:00:00.000Z"}


def bounce(kind: str, sub: str, status: str | None = None) -> dict[str, Any]:
    """A bounce of one recipient."""
    recipient = {"emailAddress": "ada@example.net", **({"status": status} if status else {})}
    return event(
        "Bounce", bounce={"bounceType": kind, "bounceSubType": sub, "bouncedRecipients": [recipient], **AT}
    )


CASES = [
    (bounce("Permanent", "General", "5.1.1"), "bounced", "5.1.1"),
    (bounce("Permanent", "General"), "bounced", None),
    (bounce("Permanent", "NoEmail", "5.1.1"), "bounced", "5.1.1"),
    (bounce("Permanent", "OnAccountSuppressionList"), "bounced", None),
    (bounce("Permanent", "General", "5.7.1"), "soft_bounced", "5.7.1"),
    (bounce("Transient", "MailboxFull", "5.2.2"), "soft_bounced", "5.2.2"),
    (bounce("Undetermined", "Undetermined"), "soft_bounced", None),
    (event("Complaint", complaint={"complaintFeedbackType": "abuse", **AT}), "complained", "abuse"),
    (event("Complaint", complaint=AT), "complained", None),
    (event("Delivery", delivery=AT), "delivered", None),
    (event("DeliveryDelay", deliveryDelay={"delayType": "MailboxFull", **AT}), "deferred", "MailboxFull"),
]


@pytest.mark.parametrize(("message", "kind", "code"), CASES)
@pytest.mark.parametrize("version", ["1", "2"])
def test_an_event_is_an_engagement(
    message: dict[str, Any], kind: str, code: str | None, version: str
) -> None:
    """Of the message whose claim the mail carries."""
    (record,) = read(envelope(message, version)).records
    assert (record.type, record.reason) == (kind, code)
    assert (record.person, record.message_id) == (CLAIM.person, CLAIM.message_id)
    assert (record.journey, record.step) == (CLAIM.journey, CLAIM.step)
    assert record.address == address_hash("ada@example.net")
    assert record.at_ms == 1_773_482_400_000
    assert read(envelope(message)).records == read(envelope(message)).records


@pytest.mark.parametrize(
    "changes",
    [
        {"Message": "{}"},
        {"MessageId": "other"},
        {"TopicArn": TOPIC + "2"},
        {"Type": "Other"},
        {"Signature": "AAAA"},
        {"Signature": "!"},
        {"SignatureVersion": "3"},
        {"SigningCertURL": "https://evil.example/SimpleNotificationService-abc123.pem"},
        {"SigningCertURL": "https://sns.eu-central-1.amazonaws.com.evil.example/a.pem"},
    ],
)
def test_what_sns_did_not_sign_is_refused(changes: dict[str, str]) -> None:
    """Before anything of it is believed, or any certificate fetched."""
    with pytest.raises(NotFromSns):
        read(envelope(bounce("Permanent", "General", "5.1.1"), **changes))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"Type": 1}'])
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    """Anybody can call."""
    with pytest.raises(NotFromSns):
        read(body)


def test_a_certificate_that_is_not_at_hand_is_asked_for() -> None:
    """And only from SNS."""
    with pytest.raises(CertificateMissing) as caught:
        read(envelope(event("Delivery", delivery=AT)), None)
    assert caught.value.url == URL
    assert is_certificate_url(URL)
    assert not is_certificate_url("http" + URL[5:])
    assert not is_certificate_url("https://sns.x.amazonaws.com@evil.example/a.pem")


def test_mails_that_are_not_ours_are_counted_alone() -> None:
    """Other software may send over the same account."""
    foreign = bounce("Permanent", "General", "5.1.1")
    foreign["mail"]["headers"] = [{"name": HEADER, "value": "x.y"}]
    assert read(envelope(foreign)).records == ()
    assert read(envelope(foreign)).unmatched == 1
    assert read(envelope(event("Send", send={}))).unmatched == 0


def test_a_verified_message_that_makes_no_sense_is_kept_for_a_person() -> None:
    """As a dead letter."""
    for message in ("text", {"eventType": "Bounce"}, {"eventType": "Bounce", "mail": {}}):
        with pytest.raises(Unreadable):
            read(envelope(message))
