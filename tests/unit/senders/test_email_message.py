"""Addresses that are taken, and headers that are made."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.core.render import RenderedEmail, RenderedInApp
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
def test_a_wrong_sender_is_refused_when_the_worker_starts(sender: dict[str, str]) -> None:
    """Not when the first mail goes out."""
    with pytest.raises(Misconfigured):
        Sender(**sender)


def test_a_content_of_another_channel_is_a_bug() -> None:
    """It is never sent as an empty mail."""
    item = RenderedInApp("post", "T", "B", None, None, None, "t", "v")
    with pytest.raises(TypeError, match="RenderedInApp"):
        build_email(message(content=item), SENDER, "ada@example.com", AT)


def test_the_same_message_makes_the_same_headers() -> None:
    """A retry is the same mail."""
    made = [
        build_email(message(unsubscribe_url="https://example.com/u"), SENDER, "a@example.com", AT)
        for _ in "12"
    ]
    first, second = (sorted((k, str(v)) for k, v in mail.items() if k != "Content-Type") for mail in made)
    assert first == second
