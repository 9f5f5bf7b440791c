"""Addresses that are taken, and headers that are made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.core.templates.render import RenderedEmail, RenderedInApp
from workers.errors import Misconfigured
from workers.senders.channels.base import OutgoingMessage
from workers.senders.channels.email_message import (
    BadAddress,
    Sender,
    build_email,
    check_address,
    feedback_id,
    message_id,
)
from workers.senders.channels.mime import BadHeader, header, mailbox, unstructured

AT = datetime(2026, 3, 14, 9, 20, tzinfo=UTC)
SENDER = Sender("plans@example.com")
CONTENT = RenderedEmail("S", "<p>H</p>", "T", "limit_explained", "v1")


def message(**changes: object) -> OutgoingMessage:
    """A message."""
    values = {"id": "m1", "channel": "email", "person": "p", "content": CONTENT, "journey": "j:1", **changes}
    return OutgoingMessage(**values)  # type: ignore[arg-type]


GOOD = [
    ("ada@example.com", "ada@example.com"),
    (" ada@Example.COM ", "ada@example.com"),
    ("Ada.L+tag_1@mail.example.co.uk", "Ada.L+tag_1@mail.example.co.uk"),
    ("o'brien@example.com", "o'brien@example.com"),
    ("ada@bücher.example", "ada@xn--bcher-kva.example"),
    ("jörg@example.com", "jörg@example.com"),
    ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
]


@pytest.mark.parametrize(("text", "address"), GOOD)
def test_an_address_is_taken_with_its_domain_in_one_spelling(text: str, address: str) -> None:
    """The local part belongs to the receiver and stays as it is."""
    assert check_address(text) == address


BAD = [
    "ada", "@example.com", "ada@", "ada@localhost", "ada@example", "ada@127.0.0.1", "ada@[127.0.0.1]",
    "a b@example.com", "ada@exa mple.com", ".ada@example.com", "ada.@example.com", "a..b@example.com",
    '"ada b"@example.com', "ada@@example.com", "<ada@example.com>", "Ada <ada@example.com>",
    "a@example.com,b@example.com", "ada@example.com\n", "a\tb@example.com", "ada\x00@example.com",
    "ada@-example.com", "ada@example-.com", "ada@example..com", "ada@" + "a" * 64 + ".com",
    "a" * 65 + "@example.com",
    "ada@" + "a." * 126 + "com", "jö rg@example.com", "jö<rg@example.com",
    "ada@exam_ple.com", "ada@\u2028.com",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_address_is_refused_without_repeating_it(text: str) -> None:
    """The reason is a code; the text may be anything that somebody typed."""
    with pytest.raises(BadAddress, match=r"^bad_address$"):
        check_address(text)


@pytest.mark.parametrize("text", [None, ""])
def test_no_address_is_its_own_reason(text: str | None) -> None:
    """Profiles without an address are counted apart from those with a wrong one."""
    with pytest.raises(BadAddress, match=r"^no_address$"):
        check_address(text)


@given(text=st.text(max_size=30) | st.from_regex(r"[^@]{1,10}@[^@]{1,10}\.com", fullmatch=True))
def test_whatever_is_taken_is_one_address_in_one_line(text: str) -> None:
    """No text that passes can add a header, a command or a second recipient."""
    try:
        address = check_address(text)
    except BadAddress:
        return
    assert not set(address) & set(' \r\n\t\x00,;<>"()')
    assert parseaddr(address) == ("", address)


def test_a_message_id_is_the_same_at_every_attempt_and_safe_for_any_key() -> None:
    """Receivers and people see that a repeat is one; odd keys are hashed, never put into the header."""
    assert message_id("abc_1-2", SENDER) == "<abc_1-2@example.com>"
    odd = message_id("a b\r\n>", SENDER)
    assert odd == message_id("a b\r\n>", SENDER)
    assert odd != message_id("a b\r\n> ", SENDER)
    assert set(odd[1:].partition("@")[0]) <= set("0123456789abcdef")


def test_a_feedback_id_has_four_clean_parts() -> None:
    """Mailbox providers read campaign, tag, template and sender; a colon in a name cannot shift them."""
    assert feedback_id(message(tags=("up sell",)), CONTENT) == "j_1:up_sell:limit_explained:brimful"
    assert feedback_id(message(journey=""), CONTENT) == "none:none:limit_explained:brimful"


@pytest.mark.parametrize(
    "sender",
    [
        {"address": "plans"},
        {"address": "plans@example.com", "name": "a\r\nBcc: x"},
        {"address": "plans@example.com", "reply_to": "x"},
        {"address": "plans@example.com", "unsubscribe_mailto": "x,y@example.com"},
    ],
)
def test_a_wrong_sender_is_refused_when_the_worker_starts(sender: dict[str, Any]) -> None:
    """Not when the first mail goes out."""
    with pytest.raises(Misconfigured):
        Sender(**sender)


def test_a_content_of_another_channel_is_a_bug() -> None:
    """It is never sent as an empty mail."""
    item = RenderedInApp("post", "T", "B", None, None, None, "t", "v")
    with pytest.raises(TypeError, match="RenderedInApp"):
        build_email(message(content=item), SENDER, "ada@example.com", AT)


def read(mail: bytes) -> EmailMessage:
    """A mail as the standard library reads it, which finds no fault with it."""
    parsed = message_from_bytes(mail, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    assert parsed.defects == []
    for part in parsed.walk():
        assert part.defects == []
    return parsed


def body(mail: EmailMessage, kind: str) -> str:
    """The content of the part of this kind."""
    part = mail.get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content()).replace("\r\n", "\n")


def test_the_same_message_makes_the_same_mail() -> None:
    """A retry is the same, byte by byte."""
    sent = message(unsubscribe_url="https://example.com/u")
    assert build_email(sent, SENDER, "a@example.com", AT) == build_email(sent, SENDER, "a@example.com", AT)


_line = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=250)
_text = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=400)


@given(subject=_line, name=_line, text=_text, html=_text)
@example(subject="x " * 100, name='Plans, "Ltd" \\', text=".\n..\n", html="From me\n--=_x\n")
@example(subject="=?utf-8?q?x?=", name="=?x?=", text="ä" * 500, html="a" * 2_000 + "  \n \n")
@example(subject="a" * 250, name="Größe", text="\n\n", html="")
def test_every_text_arrives_as_it_was(subject: str, name: str, text: str, html: str) -> None:
    """Whatever the language, length and signs, the standard library reads what was written."""
    content = RenderedEmail(subject.strip() or "x", html, text, "t", "v")
    sender = Sender("plans@example.com", name.strip())
    mail = build_email(
        message(content=content, unsubscribe_url="https://example.com/u"), sender, "a@example.com", AT
    )
    for line in mail.split(b"\r\n"):
        assert len(line) < 998
        assert line.isascii()
        assert not set(line) & {0, 10, 13}
    parsed = read(mail)
    assert parsed["Subject"] == content.subject
    assert parsed["From"].addresses[0].addr_spec == "plans@example.com"
    shown = parsed["From"].addresses[0].display_name
    # The parser drops blanks of a name where it joins encoded words, and makes one of several elsewhere.
    assert "".join(shown.split()) == "".join(sender.name.split())
    assert body(parsed, "plain") == text
    assert body(parsed, "html") == html


@pytest.mark.parametrize(
    "sign", ["\r\nBcc: x@example.com", "\n", "\r", "\x00", "\x85", "\u2028", "\r\n Bcc: x"]
)
def test_no_value_begins_another_header(sign: str) -> None:
    """Control characters are refused at every header that takes a value."""
    with pytest.raises(BadHeader):
        unstructured(f"a{sign}")
    with pytest.raises(BadHeader):
        mailbox(f"a{sign}", "a@example.com")
    with pytest.raises(BadHeader):
        build_email(message(content=replace(CONTENT, subject=f"a{sign}"), unsubscribe_url="https://example.com/u"),
                    SENDER, "a@example.com", AT)  # fmt: skip


def test_a_header_that_is_not_folded_cannot_hold_a_line_break() -> None:
    """The last check stands behind all others."""
    with pytest.raises(BadHeader, match=r"^control_character_in_header$"):
        header("To", "a@example.com\r\nBcc: x@example.com")
