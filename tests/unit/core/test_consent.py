"""Which word of a person counts, and what it allows."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.core.consent import (
    CHOICES_MAX,
    Choice,
    Consents,
    Said,
    allows,
    consents,
    known,
    merge,
    of_trait,
    take,
)
from workers.core.facts import SubjectFacts

EMAIL, NEWS = Said("email", None, True), Said("email", "news", True)
ALL = Said(None, None, True)


def no(said: Said) -> Said:
    """The refusal of the same thing."""
    return said._replace(opted_in=False)


def row(*words: tuple[Said, int]) -> Consents:
    """The row of who said this, at these times, in this order."""
    made = Consents({})
    for said, at_ms in words:
        take(made, said, at_ms, "test")
    return made


@pytest.mark.parametrize(
    ("words", "channel", "topic", "expected"),
    [
        ((), "email", None, None),
        (((EMAIL, 1),), "email", None, True),
        (((EMAIL, 1),), "email", "news", True),  # the channel, and so its topics
        (((EMAIL, 1),), "sms", None, None),
        (((NEWS, 1),), "email", None, None),  # a topic is not the channel
        (((no(NEWS), 1),), "email", "offers", None),  # nor another topic
        (((ALL, 1),), "sms", None, True),
        (((no(ALL), 1),), "push", "news", False),
        # the later word, whenever it arrives
        (((EMAIL, 1), (no(EMAIL), 2)), "email", None, False),
        (((no(EMAIL), 2), (EMAIL, 1)), "email", None, False),
        (((no(EMAIL), 1), (EMAIL, 2)), "email", None, True),
        (((EMAIL, 1), (no(EMAIL), 1)), "email", None, False),  # at one moment the refusal
        (((no(EMAIL), 1), (EMAIL, 1)), "email", None, False),
        # the narrower word, unless a wider refusal is not older
        (((no(NEWS), 1), (EMAIL, 2)), "email", "news", False),
        (((NEWS, 1), (no(EMAIL), 2)), "email", "news", False),
        (((no(EMAIL), 1), (NEWS, 2)), "email", "news", True),
        (((no(EMAIL), 1), (NEWS, 2)), "email", "offers", False),
        (((NEWS, 2), (no(EMAIL), 2)), "email", "news", False),
        (((EMAIL, 3), (no(ALL), 2)), "email", None, True),
        (((EMAIL, 1), (no(ALL), 2)), "email", None, False),
        # taken back: as if never said
        (((no(EMAIL), 1), (Said("email", None, None), 2)), "email", None, None),
        (((no(ALL), 1), (Said("email", None, None), 2)), "email", None, False),
        (((no(EMAIL), 2), (Said("email", None, None), 1)), "email", None, False),
    ],
)
def test_the_word_that_counts(
    words: tuple[tuple[Said, int], ...], channel: str, topic: str | None, expected: bool | None
) -> None:
    """In whatever order the words arrive."""
    for order in permutations(words):
        assert consents(row(*order), channel, topic) is expected


@pytest.mark.parametrize(
    ("channel", "said", "allowed"),
    [
        ("email", None, True),
        ("email", True, True),
        ("email", False, False),
        ("in_app", None, True),
        ("push", None, True),
        ("sms", None, False),  # a text message needs a yes
        ("sms", True, True),
        ("sms", False, False),
    ],
)
def test_what_a_word_allows(channel: str, said: bool | None, allowed: bool) -> None:
    """Nothing said is consent, but to text messages."""
    assert allows(channel, said) is allowed


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, []),
        (True, [ALL]),
        (False, [no(ALL)]),
        ("yes", [no(ALL)]),  # what is not true is no yes
        (1, [no(ALL)]),
        ({"email": True, "sms": False, "push": None}, [EMAIL, Said("sms", None, False)]),
        ({"email": {"news": True, "offers": None}}, [NEWS]),
        ({"email": {"news": "maybe"}}, [no(NEWS)]),
        ({"pigeon": False}, []),
        ({"email": {"x" * 65: False}}, []),
        ({}, []),
    ],
)
def test_what_the_trait_says(value: Any, words: list[Said]) -> None:
    """For everything, by channel, by channel and topic; null says nothing, so that it undoes no refusal."""
    assert list(of_trait(value)) == words


def test_a_word_says_whether_it_changed_anything() -> None:
    """Segments are looked at only then."""
    made = Consents({})
    assert take(made, EMAIL, 1, "a")
    assert not take(made, EMAIL, 2, "b")
    assert made.choices["email"] == Choice(True, 2, "b")
    assert take(made, no(EMAIL), 3, "c")
    assert not take(made, EMAIL, 2, "late")


def test_a_row_is_bounded_on_the_safe_side() -> None:
    """One more yes is not kept; one more refusal is taken for the whole channel."""
    full = row(*((Said("email", f"t{number}", True), 1) for number in range(CHOICES_MAX)))
    assert not take(full, Said("email", "more", True), 2, "test")
    assert take(full, Said("email", "other", False), 2, "test")
    assert len(full.choices) == CHOICES_MAX + 1
    assert consents(full, "email", "other") is False


def test_who_has_no_row_has_what_the_trait_says() -> None:
    """Rows of before are not misread as silence, and anything said since outweighs them."""
    facts = SubjectFacts(1, traits={"consent": {"email": False}})
    assert facts.consent("email", "news") is False
    held = row((EMAIL, 1))
    assert SubjectFacts(1, traits={"consent": False}, consented=lambda: held).consent("email", None) is True
    assert known(held, False) is held


words = st.tuples(
    st.builds(
        Said,
        st.sampled_from(["email", "sms"]),
        st.sampled_from([None, "news"]),
        st.sampled_from([True, False, None]),
    )
    | st.builds(Said, st.none(), st.none(), st.booleans()),
    st.integers(0, 3),
)


@given(st.lists(words), st.lists(words))
def test_two_ids_of_one_person_have_said_what_one_would_have(
    mine: list[tuple[Said, int]], theirs: list[tuple[Said, int]]
) -> None:
    """Whichever stays, and in whatever order the words came."""
    one = row(*mine, *theirs)
    assert merge(row(*mine), row(*theirs)) == one
    assert merge(row(*theirs), row(*mine)) == one
    assert row(*reversed((*mine, *theirs))) == one


@given(st.lists(words), words)
def test_a_refusal_of_all_that_is_newest_leaves_nothing(said: list[tuple[Said, int]], last: Any) -> None:
    """However much was agreed to before."""
    held = row(*said, last, (no(ALL), 4))
    assert all(
        consents(held, channel, topic) is False for channel in ("email", "sms") for topic in (None, "news")
    )
