"""Claims by which reports find back to their message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.mail.claims import MailClaim, make_return_path, make_token, read_return_path, read_token

KEY, OLD = b"k" * 32, b"o" * 32
ID = "0123456789abcdef0123456789abcdef"
CLAIM = MailClaim("u1", ID, "plan_limit", "2")
BOX = "bounces@example.com"


@given(st.text(min_size=1, max_size=100), st.text(max_size=20), st.none() | st.text(max_size=20))
def test_a_token_says_what_was_claimed(person: str, journey: str, step: str | None) -> None:
    """Whatever signs the names have."""
    claim = MailClaim(person, ID, journey, step)
    token = make_token(KEY, claim)
    assert token is not None
    assert read_token((OLD, KEY), token) == claim


@pytest.mark.parametrize("change", [0, 5, -3])
def test_a_changed_token_claims_nothing(change: int) -> None:
    """Nobody makes up a claim."""
    token = make_token(KEY, CLAIM)
    assert token is not None
    letters = list(token)
    letters[change] = "A" if letters[change] != "A" else "B"
    assert read_token((KEY,), "".join(letters)) is None
    assert read_token((OLD,), token) is None


@pytest.mark.parametrize("token", ["", ".", "a.b", "ä.b", "x" * 2_000, "!!.??"])
def test_what_is_no_token_claims_nothing(token: str) -> None:
    """Headers of reports are anybody's text."""
    assert read_token((KEY,), token) is None


@pytest.mark.parametrize("person", ["u1", "12345678901234567", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"])
def test_a_return_path_holds_message_and_person(person: str) -> None:
    """UUIDs and short ids fit into 64 characters."""
    path = make_return_path(KEY, BOX, MailClaim(person, ID, "j", "1"))
    assert path.startswith("bounces+")
    assert path.endswith("@example.com")
    assert len(path.partition("@")[0]) <= 64
    assert read_return_path((KEY,), f"<{path}>") == MailClaim(person, ID)


@pytest.mark.parametrize(
    "claim",
    [MailClaim("p" * 18, ID), MailClaim("u1", "m1"), MailClaim("6F9619FF-8B86-D011-B42D-00CF4FC964FF", ID)],
)
def test_what_does_not_fit_is_left_to_the_header(claim: MailClaim) -> None:
    """A UUID in capitals is another id."""
    assert make_return_path(KEY, BOX, claim) == BOX


@pytest.mark.parametrize(
    "address", [BOX, "bounces+@example.com", "bounces+abc@example.com", "", "a+ä@b.example"]
)
def test_other_addresses_claim_nothing(address: str) -> None:
    """Mail to the mailbox that is no bounce of ours."""
    assert read_return_path((KEY,), address) is None


def test_a_return_path_of_another_key_claims_nothing() -> None:
    """Or one whose case was lost."""
    path = make_return_path(KEY, BOX, CLAIM)
    assert read_return_path((OLD,), path) is None
    assert read_return_path((KEY,), path.lower()) is None
