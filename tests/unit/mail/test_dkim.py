"""Signatures that another implementation verifies, and what breaks them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import example, given
from hypothesis import strategies as st

from workers.core.templates.render import RenderedEmail
from workers.errors import Misconfigured
from workers.mail.dkim import Signer, read_signer
from workers.senders.channels.base import OutgoingMessage
from workers.senders.channels.email_message import Sender, build_email

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

AT = datetime(2026, 3, 14, 9, 20, tzinfo=UTC)
AT_S = int(AT.timestamp())
KEY = rsa.generate_private_key(65537, 2048)
SIGNER = Signer("example.com", "s1", KEY)
CONTENT = RenderedEmail("Größe: 90 %", "<p>Hi  Ada</p>\n\n", "Hi  Ada \n\n\n", "limit_explained", "v1")
MESSAGE = OutgoingMessage(
    id="0123456789abcdef0123456789abcdef",
    channel="email",
    person="u1",
    content=CONTENT,
    journey="j",
    unsubscribe_url="https://example.com/u/token",
)
SENDER = Sender("plans@example.com", "Plans", "help@example.com", "bye@example.com", key=b"k" * 32)


def mail(content: RenderedEmail = CONTENT) -> bytes:
    """A signed mail."""
    built = build_email(replace(MESSAGE, content=content), SENDER, "ada@example.com", AT)
    return SIGNER.sign(built, AT_S)


def verified(signed: bytes) -> bool:
    """Whether dkimpy verifies it against the record that DNS would hold."""

    def txt(name: bytes, timeout: int = 5) -> bytes:
        del timeout
        return SIGNER.record.encode() if name.decode() == f"{SIGNER.record_name}." else b""

    return bool(dkim.verify(signed, dnsfunc=txt))


def test_a_signature_verifies() -> None:
    """By the library that most of Python verifies with."""
    assert verified(mail())


@pytest.mark.parametrize(
    "header",
    ["From", "To", "Subject", "Date", "Message-ID", "Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post",
     "Content-Type", "Feedback-ID"],
)  # fmt: skip
def test_each_header_that_matters_is_inside_the_signature(header: str) -> None:
    """Changing it breaks the signature, and so the header cannot be forged."""
    signed = mail()
    name = header.encode()
    changed = re.sub(rb"\r\n" + name + rb": ", rb"\r\n" + name + rb": x", signed, count=1)
    assert changed != signed
    assert not verified(changed)


@pytest.mark.parametrize(
    "header", ["From: a@evil.example", "Subject: Forged", "List-Unsubscribe: <https://e/>"]
)
def test_a_header_that_may_stand_once_cannot_be_added(header: str) -> None:
    """Readers differ in which of two they show."""
    signed = mail()
    assert not verified(signed.replace(b"\r\nFrom:", b"\r\n" + header.encode() + b"\r\nFrom:", 1))


def test_a_changed_body_does_not_verify() -> None:
    """The text is signed in whole."""
    assert not verified(mail().replace(b"Ada", b"Eve"))


def test_what_mail_servers_do_to_spaces_does_no_harm() -> None:
    """They fold headers anew, and cut spaces and empty lines at ends."""
    signed = mail()
    assert verified(signed.replace(b"Subject: ", b"Subject:\r\n  ") + b"\r\n\r\n")


def test_headers_that_a_provider_replaces_are_left_out() -> None:
    """Amazon SES gives a mail its own Message-ID and Date."""
    signer = replace(SIGNER, omit=frozenset({"Message-ID", "Date"}))
    signed = signer.sign(build_email(MESSAGE, SENDER, "ada@example.com", AT), AT_S)
    head, _, rest = signed.partition(b"\r\nFrom:")
    replaced = rest.replace(b"Message-ID: <0", b"Message-ID: <ses").replace(b"09:20", b"09:21")
    assert replaced != rest
    assert verified(head + b"\r\nFrom:" + replaced)


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60),
    st.text(st.sampled_from("a \t\n.ä"), max_size=80),
)
@example("", "")
@example(" ", " \n \n")
def test_every_mail_that_can_be_built_verifies(subject: str, text: str) -> None:
    """Whatever spaces, folds and letters it has."""
    content = replace(CONTENT, subject=subject, text=text, html=text)
    assert verified(mail(content))


def test_lines_stay_short() -> None:
    """Some servers break lines beyond 78 characters, and signatures with them."""
    head = mail().partition(b"\r\nFrom:")[0]
    assert max(len(line) for line in head.split(b"\r\n")) <= 100


def write(path: Path, key: PrivateKeyTypes) -> Path:
    """A key as PEM."""
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_a_key_is_read_from_its_file(tmp_path: Path) -> None:
    """PEM, as openssl writes it."""
    signer = read_signer(write(tmp_path / "k.pem", KEY), "s1", "example.com")
    assert signer.record == SIGNER.record


def test_keys_that_cannot_sign_are_refused(tmp_path: Path) -> None:
    """With what to do instead, before the first mail."""
    with pytest.raises(Misconfigured, match="not readable"):
        read_signer(tmp_path / "none.pem", "s1", "example.com")
    (tmp_path / "text.pem").write_text("no key")
    with pytest.raises(Misconfigured, match="openssl genrsa"):
        read_signer(tmp_path / "text.pem", "s1", "example.com")
    with pytest.raises(Misconfigured, match="no RSA key"):
        read_signer(write(tmp_path / "ec.pem", ec.generate_private_key(ec.SECP256R1())), "s1", "example.com")
    with pytest.raises(Misconfigured, match="selector"):
        Signer("example.com", "s 1", KEY)
