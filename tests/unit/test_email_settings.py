"""What the settings of e-mail become, and which are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from workers.email_settings import dkim_signer, email_sender, smtp_settings
from workers.errors import Misconfigured
from workers.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s" * 32
KEY = rsa.generate_private_key(65537, 2048)


def settings(**values: Any) -> Settings:
    """With a secret and a sender."""
    return Settings.model_validate(
        {"secret": SECRET, "mail_from": "Plans <plans@mail.example.com>", **values}
    )


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A private key."""
    path = tmp_path / "dkim.pem"
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_the_sender_signs_claims_and_takes_bounces() -> None:
    """With the key that signs links."""
    sender = email_sender(settings(mail_return_path="bounces@example.com", mail_reply_to="help@example.com"))
    assert (sender.address, sender.name) == ("plans@mail.example.com", "Plans")
    assert (sender.return_path, sender.reply_to) == ("bounces@example.com", "help@example.com")
    assert sender.key == SECRET.encode()


def test_without_a_selector_nothing_is_signed() -> None:
    """Or the mail server in between signs."""
    some = settings()
    assert dkim_signer(some, email_sender(some)) is None


@pytest.mark.parametrize(
    ("domain", "signs"),
    [(None, "mail.example.com"), ("Example.com", "example.com"), ("mail.example.com",) * 2],
)
def test_the_domain_of_the_sender_or_one_above_signs(domain: str | None, signs: str, key_file: Path) -> None:
    """As DMARC's relaxed alignment wants."""
    some = settings(dkim_selector="s1", dkim_key_file=key_file, dkim_domain=domain)
    signer = dkim_signer(some, email_sender(some))
    assert signer is not None
    assert signer.domain == signs


@pytest.mark.parametrize("domain", ["example.org", "ail.example.com", "x.mail.example.com"])
def test_another_domain_is_refused(domain: str, key_file: Path) -> None:
    """Its signature would not count for the sender."""
    some = settings(dkim_selector="s1", dkim_key_file=key_file, dkim_domain=domain)
    with pytest.raises(Misconfigured, match="signs nothing"):
        dkim_signer(some, email_sender(some))


def test_half_a_signature_is_refused(key_file: Path) -> None:
    """Either both, or none."""
    for values in ({"dkim_selector": "s1"}, {"dkim_key_file": key_file}):
        some = settings(**values)
        with pytest.raises(Misconfigured, match="come together"):
            dkim_signer(some, email_sender(some))


def test_a_return_path_is_an_address() -> None:
    """Named, before the first mail."""
    with pytest.raises(Misconfigured, match="return_path"):
        email_sender(settings(mail_return_path="bounces"))


def test_a_mail_server_is_named_by_a_url() -> None:
    """With TLS by scheme or query, and the usual ports."""
    plain, start = smtp_settings("smtp://h"), smtp_settings("smtp://u%40x:p@h:587?starttls=1")
    assert (plain.port, plain.tls) == (25, "none")
    assert (start.port, start.tls, start.username, start.password) == (587, "starttls", "u@x", "p")
    assert (smtp_settings("smtps://h").port, smtp_settings("smtps://h").tls) == (465, "implicit")


def test_the_number_of_connections_to_the_mail_server_is_a_setting() -> None:
    """What is no number, or more than ever send at once, is refused by its name."""
    assert smtp_settings("smtp://h").connections == 4
    assert smtp_settings("smtp://h?starttls=1&connections=64").connections == 64
    for wrong in ("0", "65", "many", "-1"):
        with pytest.raises(Misconfigured, match="BRIMFUL_SMTP: connections is a number from 1 to 64"):
            smtp_settings(f"smtp://h?connections={wrong}")
