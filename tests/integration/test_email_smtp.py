"""The e-mail channel before a real mail server: what arrives, and what every fault of the server means."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from structlog.testing import capture_logs

from tests.support.smtp import SmtpServer, smtp_server
from workers.clock import FixedClock
from workers.core.templates.render import RenderedEmail
from workers.mail.claims import HEADER, MailClaim, read_return_path, read_token
from workers.mail.dkim import Signer
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    OutgoingMessage,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.channels.email import EmailChannel
from workers.senders.channels.email_message import Sender
from workers.senders.channels.smtp_pool import SmtpSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOW_MS = 1_773_480_000_000  # 2026-03-14T09:20:00Z
SENDER = Sender("plans@example.com", "Plans, Ltd.", "help@example.com", "unsubscribe@example.com")
CONTENT = RenderedEmail(
    subject="Größe: 90 % … “almost” full",
    html="<!DOCTYPE html><html><body><p>Hi Ada,</p>\n.\n<p>…</p></body></html>",
    text="Hi Ada,\n.\n..dots\n… and a very long line " + "word " * 300,
    template="limit_explained",
    version="v1",
)


def message(to: str = "ada@example.com", **changes: Any) -> OutgoingMessage:
    """A promotional message to this address."""
    made = OutgoingMessage(
        id="0123456789abcdef0123456789abcdef",
        channel="email",
        person="user-1",
        content=CONTENT,
        to=to,
        journey="plan_limit_upsell",
        step="2",
        tags=("upsell", "limits"),
        unsubscribe_url="https://example.com/u/token?a=1&b=2",
    )
    return replace(made, **changes)


def channel(server: SmtpServer, **settings: Any) -> EmailChannel:
    """The channel before ``server``, with these settings."""
    values = {"host": "127.0.0.1", "port": server.port, "tls": "none", "deadline_ms": 10_000, **settings}
    return EmailChannel(SmtpSettings(**values), SENDER, FixedClock(NOW_MS))


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    """A server without encryption and login."""
    async with smtp_server() as running:
        yield running


def parsed(server: SmtpServer, number: int = -1) -> EmailMessage:
    """A mail as the server got it, parsed anew."""
    content = server.script.mails[number].content
    assert isinstance(content, bytes)
    mail = message_from_bytes(content, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


async def deliver_one(server: SmtpServer, sent: OutgoingMessage, **settings: Any) -> DeliveryResult:
    """Deliver over a channel of its own."""
    mails = channel(server, **settings)
    result = await mails.deliver(sent)
    await mails.close()
    return result


async def test_the_mail_arrives_as_multipart_with_both_unsubscribe_headers(server: SmtpServer) -> None:
    """What mailbox providers ask of bulk senders is in every mail (RFC 8058, RFC 2369)."""
    assert await deliver_one(server, message()) == Accepted("Q1", 0)
    mail = parsed(server)
    assert mail.get_content_type() == "multipart/alternative"
    text, html = mail.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert mail["List-Unsubscribe"] == (
        "<https://example.com/u/token?a=1&b=2>, "
        "<mailto:unsubscribe@example.com?subject=unsubscribe%200123456789abcdef0123456789abcdef>"
    )
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.defects == []


async def test_texts_arrive_as_they_were_rendered(server: SmtpServer) -> None:
    """Leading dots, long lines and letters beyond ASCII survive the way."""
    await deliver_one(server, message())
    mail = parsed(server)
    text, html = mail.iter_parts()
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    assert text.get_content().replace("\r\n", "\n").rstrip("\n") == CONTENT.text
    assert html.get_content().replace("\r\n", "\n").rstrip("\n") == CONTENT.html
    assert mail["Subject"] == CONTENT.subject


async def test_the_headers_name_sender_time_and_campaign_and_nobody_else(server: SmtpServer) -> None:
    """Date is the clock's, Message-ID the idempotency key's, Feedback-ID without a person."""
    await deliver_one(server, message())
    mail = parsed(server)
    assert mail["From"] == '"Plans, Ltd." <plans@example.com>'
    assert mail["To"] == "ada@example.com"
    assert mail["Reply-To"] == "help@example.com"
    assert mail["Date"].datetime.isoformat() == "2026-03-14T09:20:00+00:00"
    assert mail["Message-ID"] == "<0123456789abcdef0123456789abcdef@example.com>"
    assert mail["Feedback-ID"] == "plan_limit_upsell:upsell:limit_explained:brimful"
    assert "user-1" not in str(mail)
    assert server.script.mails[-1].mail_from == "plans@example.com"


async def test_a_transactional_mail_carries_no_unsubscribe_header(server: SmtpServer) -> None:
    """A receipt is not a subscription."""
    sent = message(content=replace(CONTENT, transactional=True), unsubscribe_url=None)
    assert isinstance(await deliver_one(server, sent), Accepted)
    assert parsed(server)["List-Unsubscribe"] is None
    assert parsed(server)["List-Unsubscribe-Post"] is None


BAD_MESSAGES = [
    ({"unsubscribe_url": None}, Refused("no_unsubscribe_url", "soft")),
    ({"unsubscribe_url": "http://example.com/u"}, Refused("bad_unsubscribe_url", "soft")),
    ({"unsubscribe_url": "http://127.0.0.1.example.com/u"}, Refused("bad_unsubscribe_url", "soft")),
    ({"unsubscribe_url": "https://example.com/u>,<x"}, Refused("bad_unsubscribe_url", "soft")),
    (
        {"unsubscribe_url": "https://example.com/u\r\nBcc: x@example.com"},
        Refused("bad_unsubscribe_url", "soft"),
    ),
    (
        {"content": replace(CONTENT, subject="a\r\nBcc: x@example.com")},
        Refused("control_character_in_header", "soft"),
    ),
    ({"to": None}, Refused("no_address", "hard")),
    ({"to": "ada@example.com\r\nRCPT TO:<x@example.com>"}, Refused("bad_address", "hard")),
    ({"to": "ada@example.com, bob@example.com"}, Refused("bad_address", "hard")),
    ({"to": "Ada <ada@example.com>"}, Refused("bad_address", "hard")),
]


@pytest.mark.parametrize(("changes", "expected"), BAD_MESSAGES)
async def test_an_injection_never_reaches_the_server(
    server: SmtpServer, changes: dict[str, Any], expected: DeliveryResult
) -> None:
    """A line break or a second address in a value is refused before anything is sent."""
    assert await deliver_one(server, message(**changes)) == expected
    assert server.script.sessions == 0


ANSWERS = [
    ("nobody-1", Refused("smtp_recipient_550_5.1.1", "hard")),
    ("bare-1", Refused("smtp_recipient_550", "hard")),
    ("full-1", Refused("smtp_recipient_552_5.2.2", "soft")),
    ("policy-1", Refused("smtp_recipient_550_5.7.1", "soft")),
    ("grey-1", RetryAfter(300_000, "smtp_recipient_451_4.7.1")),
    ("busy-1", RetryAfter(60_000, "smtp_recipient_421_4.3.2")),
    ("spam-1", Refused("smtp_body_554_5.7.1", "soft")),
    ("later-1", RetryAfter(60_000, "smtp_body_452_4.3.1")),
    ("odd-1", Unknown("smtp_body_299")),
    ("cut-rcpt-1", RetryAfter(60_000, "smtp_recipient_disconnected")),
    ("cut-data-1", RetryAfter(60_000, "smtp_data_disconnected")),
    ("cut-body-1", Unknown("smtp_body_disconnected")),
]


@pytest.mark.parametrize(("local", "expected"), ANSWERS)
async def test_every_answer_of_the_server_has_one_meaning(
    server: SmtpServer, local: str, expected: DeliveryResult
) -> None:
    """Address at fault, message at fault, passing trouble and not knowing are told apart."""
    assert await deliver_one(server, message(f"{local}@example.com")) == expected


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("hang-rcpt-1", RetryAfter(60_000, "smtp_recipient_timeout", "provider")),
        ("hang-body-1", Unknown("smtp_body_timeout")),
    ],
)
async def test_a_server_that_does_not_answer_costs_the_deadline_and_no_more(
    server: SmtpServer, local: str, expected: DeliveryResult
) -> None:
    """The deadline holds in every phase, and the next message gets a new connection."""
    mails = channel(server, deadline_ms=150, connections=1)
    assert await mails.deliver(message(f"{local}@example.com")) == expected
    assert isinstance(await mails.deliver(message()), Accepted)
    await mails.close()


async def test_waiting_for_a_connection_counts_towards_the_deadline(server: SmtpServer) -> None:
    """With all connections stuck, the others are told to come later; they were not sent."""
    mails = channel(server, deadline_ms=100, connections=1)
    async with mails._pool.connection():
        assert await mails.deliver(message()) == RetryAfter(60_000, "smtp_connect_timeout", "provider")
    assert isinstance(await mails.deliver(message()), Accepted)
    assert len(server.script.mails) == 1
    await mails.close()


async def test_a_server_that_is_away_is_tried_later() -> None:
    """Nothing listens: certainly not sent."""
    async with smtp_server() as server:
        gone = server
    assert await deliver_one(gone, message()) == RetryAfter(60_000, "smtp_connect_unreachable", "provider")


async def test_connections_are_used_again(server: SmtpServer) -> None:
    """One greeting serves many mails, also after a refusal, until the connection has had its share."""
    mails = channel(server, connections=1, messages_per_connection=3)
    for local in ("a", "nobody-1", "b", "c", "d"):
        await mails.deliver(message(f"{local}@example.com"))
    await mails.close()
    assert len(server.script.mails) == 4
    assert server.script.sessions == 2


async def test_a_connection_that_the_server_closed_while_idle_is_replaced_unseen(server: SmtpServer) -> None:
    """Servers hang up on idle connections; no message pays for that."""
    mails = channel(server, connections=1)
    assert isinstance(await mails.deliver(message()), Accepted)
    server.hang_up()
    assert isinstance(await mails.deliver(message()), Accepted)
    assert len(server.script.mails) == 2
    await mails.close()


async def test_a_cancelled_delivery_closes_its_connection(server: SmtpServer) -> None:
    """The answer to the cancelled mail cannot be taken for that of the next one."""
    mails = channel(server, connections=1)
    task = asyncio.create_task(mails.deliver(message("hang-rcpt-1@example.com")))
    await server.script.greeted.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await mails.deliver(message()), Accepted)
    assert server.script.sessions == 2
    await mails.close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("550 5.7.1 not from here", Misconfigured("smtp_sender_550_5.7.1")),
        ("530 5.7.0 log in first", Misconfigured("smtp_sender_530_5.7.0")),
        ("552 5.3.4 too large", Refused("smtp_sender_552_5.3.4", "soft")),
        ("451 4.3.0 later", RetryAfter(60_000, "smtp_sender_451_4.3.0")),
    ],
)
async def test_a_refused_sender_is_a_matter_for_the_operator(
    server: SmtpServer, answer: str, expected: DeliveryResult
) -> None:
    """No address is marked as bouncing because our own sender is not allowed."""
    server.script.refuse_sender = answer
    assert await deliver_one(server, message()) == expected


async def test_the_right_password_logs_in_and_a_wrong_one_is_a_matter_for_the_operator() -> None:
    """A changed password stops the channel with a message and keeps the mails."""
    async with smtp_server(auth=True) as server:
        assert isinstance(
            await deliver_one(server, message(), username="brimful", password="right"), Accepted
        )
        wrong = await deliver_one(server, message(), username="brimful", password="wrong")
        assert wrong == Misconfigured("smtp_auth_535_5.7.8")
        server.script.auth_answer = "454 4.7.0 later"
        passing = await deliver_one(server, message(), username="brimful", password="wrong")
        assert passing == RetryAfter(60_000, "smtp_auth_454_4.7.0", "provider")
        assert await deliver_one(server, message()) == Misconfigured("smtp_sender_530_5.7.0")


async def test_a_server_without_what_is_configured_is_a_matter_for_the_operator(server: SmtpServer) -> None:
    """STARTTLS or a login that the server does not offer is never left out silently."""
    assert await deliver_one(server, message(), tls="starttls") == Misconfigured("smtp_tls_not_supported")
    missing = await deliver_one(server, message(), username="brimful", password="x")
    assert missing == Misconfigured("smtp_auth_not_supported")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return folder


def server_tls(folder: Path) -> ssl.SSLContext:
    """The server's side of it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_mails_go_out_encrypted_to_a_server_that_we_trust(certificate: Path, tls: str) -> None:
    """With the server's certificate as trusted, both ways of encryption and the login work."""
    async with smtp_server(tls=server_tls(certificate), implicit=tls == "implicit", auth=True) as server:
        settings = {"tls": tls, "username": "brimful", "password": "right"}
        trusted = await deliver_one(server, message(), ca_file=str(certificate / "cert.pem"), **settings)
        assert isinstance(trusted, Accepted)
        assert await deliver_one(server, message(), **settings) == Misconfigured("smtp_tls_failed")
        assert len(server.script.mails) == 1


async def test_an_international_address_is_sent_where_the_server_takes_it(server: SmtpServer) -> None:
    """Otherwise the message is refused and the address is not marked as bad."""
    assert isinstance(await deliver_one(server, message("jörg@bücher.example")), Accepted)
    assert server.script.mails[-1].rcpt_tos == ["jörg@xn--bcher-kva.example"]
    assert parsed(server)["Subject"] == CONTENT.subject
    async with smtp_server(smtputf8=False) as old:
        refused = await deliver_one(old, message("jörg@bücher.example"))
        assert refused == Refused("smtp_recipient_553_5.6.7", "soft")


async def test_no_address_and_no_password_is_ever_logged(
    server: SmtpServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Logs are read by many."""
    with capture_logs() as logs, caplog.at_level(0):
        for local in ("secret", "nobody-secret", "cut-body-secret", "grey-secret"):
            await deliver_one(server, message(f"{local}@example.com"), username=None)
    said = f"{logs} {[record.getMessage() for record in caplog.records if record.name != 'mail.log']}"
    assert "secret" not in said
    assert "right" not in repr(SmtpSettings(host="h", port=1, username="u", password="right"))


KEY = rsa.generate_private_key(65537, 2048)


async def test_a_signed_mail_arrives_with_its_claim_and_verifies(server: SmtpServer) -> None:
    """After the conversation, dots and line ends included; bounces go to where the return path says."""
    signer = Signer("example.com", "s1", KEY)
    sender = replace(SENDER, return_path="bounces@example.com", key=b"k" * 32)
    settings = SmtpSettings(host="127.0.0.1", port=server.port, tls="none")
    signing = EmailChannel(settings, sender, FixedClock(NOW_MS), signer=signer)
    assert isinstance(await signing.deliver(message()), Accepted)
    await signing.close()
    arrived = server.script.mails[-1]
    assert isinstance(arrived.content, bytes)
    assert dkim.verify(arrived.content, dnsfunc=lambda *_, **__: signer.record.encode())
    claim = MailClaim("user-1", message().id, "plan_limit_upsell", "2")
    assert read_token((b"k" * 32,), parsed(server)[HEADER]) == claim
    assert arrived.mail_from is not None
    assert read_return_path((b"k" * 32,), arrived.mail_from) == MailClaim("user-1", message().id)
