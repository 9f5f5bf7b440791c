"""Reports as real mail servers write them, of a message of ours."""

from __future__ import annotations

from workers.mail.claims import HEADER, MailClaim, make_return_path, make_token

KEY = b"k" * 32
CLAIM = MailClaim("u1", "0123456789abcdef0123456789abcdef", "upsell", "2")
TOKEN = make_token(KEY, CLAIM)
PATH = make_return_path(KEY, "bounces@example.com", CLAIM)
HEADERS = f"""From: Plans <plans@example.com>
To: ada@example.net
Subject: 90 %
Message-ID: <{CLAIM.message_id}@example.com>
{HEADER}: {TOKEN}
"""


def dsn(
    fields: str,
    *,
    returned: str = HEADERS,
    to: str = PATH,
    sender: str = "MAILER-DAEMON@mx.example.net",
    returned_as: str = "text/rfc822-headers",
    status_as: str = "message/delivery-status",
    words: str = "This is the mail system at host mx.example.net.",
    report_type: str = "delivery-status",
) -> bytes:
    """A multipart/report."""
    return f"""Return-Path: <>
From: Mail Delivery System <{sender}>
To: {to}
Date: Sat, 14 Mar 2026 10:00:00 +0000
Message-ID: <r1@mx.example.net>
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type={report_type}; boundary="B"

--B
Content-Type: text/plain; charset=us-ascii

{words}

--B
Content-Type: {status_as}

{fields}
--B
Content-Type: {returned_as}

{returned}
--B--
""".replace("\n", "\r\n").encode()


def recipient(action: str, status: str, diagnostic: str = "", final: str = "ada@example.net") -> str:
    """The two groups of a delivery status."""
    more = f"Diagnostic-Code: smtp; {diagnostic}\n" if diagnostic else ""
    return f"""Reporting-MTA: dns; mx.example.com
Arrival-Date: Sat, 14 Mar 2026 09:59:00 +0000

Final-Recipient: rfc822; {final}
Action: {action}
Status: {status}
{more}"""


QMAIL = f"""Return-Path: <>
From: MAILER-DAEMON@mx.example.net
To: {PATH}
Date: 14 Mar 2026 10:00:00 -0000
Subject: failure notice

Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.

<ada@example.net>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 <ada@example.net>: no such user
Giving up on 192.0.2.1.

--- Below this line is a copy of the message.

{HEADERS}
Hi
""".replace("\n", "\r\n").encode()

EXIM_OLD = f"""Return-Path: <>
X-Failed-Recipients: ada@example.net
From: Mail Delivery System <Mailer-Daemon@mx.example.net>
To: bounces@example.com
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.

  ada@example.net
    SMTP error from remote mail server after RCPT TO:<ada@example.net>:
    host mx.example.net: 550 no such user here

------ This is a copy of the message, including all the headers. ------

{HEADERS}
""".replace("\n", "\r\n").encode()

AWAY = f"""From: Ada <ada@example.net>
To: {PATH}
Subject: Out of office
Auto-Submitted: auto-replied

I am away. Call 550 5.1.1 in urgent cases.
""".encode()


def arf(kind: str, returned: str = HEADERS) -> bytes:
    """A complaint."""
    fields = f"Feedback-Type: {kind}\nUser-Agent: Example/1\nVersion: 1\nOriginal-Rcpt-To: ada@example.net\n"
    return dsn(
        fields,
        returned=returned,
        to="fbl@example.com",
        sender="fbl@isp.example",
        status_as="message/feedback-report",
        returned_as="message/rfc822",
        report_type="feedback-report",
    )


OUTLOOK = f"""From: staff@hotmail.com
To: fbl@example.com
Subject: complaint about message from 192.0.2.1
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="B"

--B
Content-Type: message/rfc822

X-HmXmrOriginalRecipient: <ada@example.net>
{HEADERS}
Hi
--B--
""".replace("\n", "\r\n").encode()


def without_claim(raw: bytes) -> bytes:
    """The report of a mail that was not ours."""
    token = (TOKEN or "").encode()
    return raw.replace(token, b"x.y").replace(PATH.encode(), b"bounces@example.com")
