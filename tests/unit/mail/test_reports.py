"""What reports of mail servers say, in the shapes that real servers write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mail.samples import (
    AWAY,
    CLAIM,
    EXIM_OLD,
    KEY,
    OUTLOOK,
    QMAIL,
    arf,
    dsn,
    recipient,
    without_claim,
)  # fmt: skip
from workers.core.engaged import address_hash
from workers.mail.claims import MailClaim
from workers.mail.reports import BYTES_MAX, NoReport, Report, read_report

ADA = address_hash("ada@example.net")

CASES = [
    (
        "Postfix: no such user",
        dsn(recipient("failed", "5.1.1", "550 5.1.1 User unknown")),
        "bounced",
        "5.1.1",
    ),
    ("Postfix: no such domain", dsn(recipient("failed", "5.4.4", "Host not found")), "bounced", "5.4.4"),
    (
        "Postfix: host refuses, general status",
        dsn(recipient("failed", "5.0.0", "550 5.1.1 unknown")),
        "bounced",
        "5.1.1",
    ),
    (
        "a bare 550 under a general status",
        dsn(recipient("failed", "5.0.0", "550 unknown user")),
        "bounced",
        "5.0.0",
    ),
    (
        "Gmail: does not exist",
        dsn(
            recipient("failed", "5.1.1", "550-5.1.1 The email account does not exist"),
            returned_as="message/rfc822",
            sender="mailer-daemon@googlemail.com",
        ),
        "bounced",
        "5.1.1",
    ),
    (
        "Exchange Online: not found",
        dsn(
            recipient("failed", "5.1.10", "550 5.1.10 RESOLVER.ADR.NotFound"),
            returned_as="message/rfc822",
            sender="postmaster@example.net",
        ),
        "bounced",
        "5.1.10",
    ),
    ("disabled mailbox", dsn(recipient("failed", "5.2.1", "550 5.2.1 disabled")), "bounced", "5.2.1"),
    ("null MX", dsn(recipient("failed", "5.1.10")), "bounced", "5.1.10"),
    ("full mailbox", dsn(recipient("failed", "5.2.2", "552 5.2.2 over quota")), "soft_bounced", "5.2.2"),
    ("policy", dsn(recipient("failed", "5.7.1", "550 5.7.1 blocked by policy")), "soft_bounced", "5.7.1"),
    (
        "spam by a 550",
        dsn(recipient("failed", "5.7.26", "550-5.7.26 unauthenticated")),
        "soft_bounced",
        "5.7.26",
    ),
    ("too large", dsn(recipient("failed", "5.3.4")), "soft_bounced", "5.3.4"),
    ("given up after days", dsn(recipient("failed", "4.4.7", "delivery expired")), "soft_bounced", "4.4.7"),
    ("failed and no code at all", dsn(recipient("failed", "")), "soft_bounced", None),
    (
        "Sendmail: delayed",
        dsn(recipient("delayed (warning)", "4.4.1", "connection timed out")),
        "deferred",
        "4.4.1",
    ),
    ("delivered, where it was asked", dsn(recipient("delivered", "2.0.0")), "delivered", "2.0.0"),
    (
        "international",
        dsn(
            recipient("failed", "5.1.1"),
            status_as="message/global-delivery-status",
            returned_as="message/global-headers",
        ),
        "bounced",
        "5.1.1",
    ),
    ("field names in small letters", dsn(recipient("Failed", "5.1.1").lower()), "bounced", "5.1.1"),
    (
        "of two recipients the worse",
        dsn(recipient("delayed", "4.4.1") + "\n" + recipient("failed", "5.1.1")),
        "bounced",
        "5.1.1",
    ),
    (
        "headers lost, return path left",
        dsn(recipient("failed", "5.1.1"), returned="Subject: x\n"),
        "bounced",
        "5.1.1",
    ),
    (
        "return path lost, headers left",
        dsn(recipient("failed", "5.1.1"), to="b@example.com"),
        "bounced",
        "5.1.1",
    ),
    ("qmail", QMAIL, "bounced", "5.1.1"),
    ("old Exim", EXIM_OLD, "bounced", "550"),
    ("ARF: abuse", arf("abuse"), "complained", None),
    ("ARF: fraud", arf("fraud"), "complained", None),
    ("ARF: opt-out", arf("opt-out"), "unsubscribed", None),
    ("Outlook.com", OUTLOOK, "complained", None),
]


@pytest.mark.parametrize(
    ("raw", "kind", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_report_says_what_became_of_a_message(raw: bytes, kind: str, code: str | None) -> None:
    """And of which, to whom."""
    report = read_report(raw, (b"o" * 32, KEY))
    assert isinstance(report, Report)
    assert (report.kind, report.code) == (kind, code)
    assert (report.claim.person, report.claim.message_id) == (CLAIM.person, CLAIM.message_id)
    assert report.address in (ADA, None)


@pytest.mark.parametrize("raw", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_what_nobody_of_us_signed_is_matched_to_nobody(raw: bytes) -> None:
    """Whoever makes up a bounce closes no address."""
    assert read_report(without_claim(raw), (KEY,)) == NoReport("no_claim")
    assert read_report(raw, (b"o" * 32,)) == NoReport("no_claim")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (AWAY, "no_report"),
        (b"", "no_report"),
        (b"From: Mailer-Daemon@x.example\r\n\r\nhello", "no_report"),
        (dsn(recipient("relayed", "2.0.0")), "nothing_told"),
        (dsn(recipient("expanded", "2.0.0")), "nothing_told"),
        (dsn("Reporting-MTA: dns; x\n"), "nothing_told"),
        (arf("not-spam"), "nothing_told"),
        (b"x" * (BYTES_MAX + 1), "too_large"),
    ],
)
def test_other_mails_say_nothing(raw: bytes, why: str) -> None:
    """An answering machine is no bounce, whatever numbers it names."""
    assert read_report(raw, (KEY,)) == NoReport(why)  # type: ignore[arg-type]


def test_a_report_that_comes_twice_is_one() -> None:
    """And a second deferral is another one."""
    raw = dsn(recipient("delayed", "4.4.1"))
    first, again = read_report(raw, (KEY,)), read_report(raw, (KEY,))
    later = read_report(raw.replace(b"<r1@", b"<r2@"), (KEY,))
    assert isinstance(first, Report)
    assert isinstance(later, Report)
    assert first == again
    assert first.id != later.id


def test_headers_say_more_than_the_return_path() -> None:
    """Journey and step have no room in it; the address is that of the mail, not where it was forwarded to."""
    whole = read_report(dsn(recipient("failed", "5.1.1", final="other@example.org")), (KEY,))
    short = read_report(dsn(recipient("failed", "5.1.1"), returned="Subject: x\n"), (KEY,))
    assert isinstance(whole, Report)
    assert isinstance(short, Report)
    assert whole.claim == CLAIM
    assert whole.address == ADA
    assert short.claim == MailClaim(CLAIM.person, CLAIM.message_id)


def test_a_report_without_a_date_has_no_time() -> None:
    """Rather than a wrong one."""
    report = read_report(EXIM_OLD, (KEY,))
    assert isinstance(report, Report)
    assert report.at_ms is None


@given(st.integers(0, 2_000), st.binary(max_size=30), st.sampled_from([case[1] for case in CASES]))
def test_damage_raises_nothing(at: int, noise: bytes, raw: bytes) -> None:
    """Anybody can write to the mailbox."""
    assert read_report(raw[:at] + noise + raw[at + len(noise) :], (KEY,))
