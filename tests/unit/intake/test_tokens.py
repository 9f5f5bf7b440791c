from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import Misconfigured
from workers.intake.auth import WriteKeys
from workers.intake.tokens import (
    UnsubscribeClaim,
    make_feed_token,
    make_unsubscribe_token,
    read_feed_token,
    read_unsubscribe_token,
)

KEY = b"k" * 32


@given(person=st.text(max_size=50), message_id=st.text(max_size=50), journey=st.none() | st.text(max_size=20))
def test_an_unsubscribe_token_says_what_was_signed(person: str, message_id: str, journey: str | None) -> None:
    """Any ids survive, and the token fits into a path without escaping."""
    token = make_unsubscribe_token(KEY, person, message_id, journey)
    assert token.replace(".", "").replace("-", "").replace("_", "").isalnum()
    assert read_unsubscribe_token(KEY, token) == UnsubscribeClaim(person, message_id, journey)


def test_fields_cannot_be_shifted_into_each_other() -> None:
    """("ab", "c") and ("a", "bc") are different tokens."""
    assert make_unsubscribe_token(KEY, "ab", "c") != make_unsubscribe_token(KEY, "a", "bc")


@pytest.mark.parametrize("position", range(0, 60, 7))
def test_a_changed_token_is_worth_nothing(position: int) -> None:
    """Wherever it is changed."""
    token = make_unsubscribe_token(KEY, "person-1", "message-1")
    changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
    assert read_unsubscribe_token(KEY, changed) is None


@pytest.mark.parametrize("token", ["", ".", "a.b", "é.é", "A" * 100_000, "====.====", "W10.", "W10"])
def test_what_is_no_token_is_refused(token: str) -> None:
    """Without an error of ours."""
    assert read_unsubscribe_token(KEY, token) is None
    assert read_feed_token(KEY, token, 0) is None


def test_a_token_works_with_its_own_key_and_for_its_own_purpose_only() -> None:
    """A feed token never unsubscribes anybody, and the other way round."""
    assert read_unsubscribe_token(b"x" * 32, make_unsubscribe_token(KEY, "p", "m")) is None
    assert read_unsubscribe_token(KEY, make_feed_token(KEY, "p", 1)) is None
    assert read_feed_token(KEY, make_unsubscribe_token(KEY, "p", "m"), 0) is None


@pytest.mark.parametrize(("now_ms", "valid"), [(999, True), (1000, False), (1001, False)])
def test_a_feed_token_ends(now_ms: int, valid: bool) -> None:
    """The expiry itself is excluded."""
    token = make_feed_token(KEY, "p", 1000)
    assert read_feed_token(KEY, token, now_ms) == (("p", 1000) if valid else None)


def test_short_keys_are_refused() -> None:
    """A guessable key would sign anything for anybody."""
    with pytest.raises(Misconfigured, match="at least 32 bytes"):
        make_feed_token(b"short", "p", 1)


def test_write_keys_are_found_by_their_whole_text_only() -> None:
    """Case, prefixes and odd characters do not match."""
    keys = WriteKeys({"Key-1": "web", "schlüssel": "shop"})
    assert keys.source("Key-1") == "web"
    assert keys.source("schlüssel") == "shop"
    for wrong in ("key-1", "Key-", "Key-1 ", "", "\ud800"):
        assert keys.source(wrong) is None


def test_empty_write_keys_are_refused() -> None:
    """An empty key would let everybody in."""
    with pytest.raises(Misconfigured, match="must not be empty"):
        WriteKeys({"": "web"})
