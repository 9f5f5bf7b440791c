"""What a text takes on the air, and which texts are commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.core.sms_words import HELP, START, STOP, word_of
from workers.core.templates.text_messages import GSM7, GSM7_EXTENSION, TextSize, foreign, size_of


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", TextSize("gsm7", 0, 1)),
        ("a" * 160, TextSize("gsm7", 160, 1)),
        ("a" * 161, TextSize("gsm7", 161, 2)),
        ("a" * 306, TextSize("gsm7", 306, 2)),
        ("a" * 307, TextSize("gsm7", 307, 3)),
        ("€" * 80, TextSize("gsm7", 160, 1)),
        ("€" * 81, TextSize("gsm7", 162, 2)),
        ("a" * 152 + "€" + "a" * 152, TextSize("gsm7", 306, 3)),  # the € is not divided: 152, 153, 1
        ("ç" + "a" * 69, TextSize("ucs2", 70, 1)),  # the alphabet has the capital alone
        ("ç" + "a" * 70, TextSize("ucs2", 71, 2)),
        ("ñü@$\n" * 32, TextSize("gsm7", 160, 1)),
        ("\U0001f600" * 35, TextSize("ucs2", 70, 1)),
        ("\U0001f600" * 36, TextSize("ucs2", 72, 2)),
        ("a" * 66 + "\U0001f600" + "a" * 66, TextSize("ucs2", 134, 3)),
    ],
)
def test_what_a_text_takes(text: str, size: TextSize) -> None:
    """3GPP TS 23.038 and 23.040: 160 or 153 septets, 70 or 67 units; nothing is divided."""
    assert size_of(text) == size


def test_the_alphabet_has_its_127_characters() -> None:
    """128 places less the escape; nine more behind it, and the form feed."""
    assert len(GSM7) == 127
    assert len(GSM7_EXTENSION) == 10
    assert not GSM7 & GSM7_EXTENSION


@given(st.text(max_size=400))
def test_segments_hold_the_units(text: str) -> None:
    """There is room for all units, and at most one place a segment stays free for what is not divided."""
    size = size_of(text)
    each = {"gsm7": 153, "ucs2": 67}[size.encoding]
    assert size.encoding == ("ucs2" if foreign(text) else "gsm7")
    if size.segments > 1:
        assert size.units <= size.segments * each
        assert size.units >= (size.segments - 1) * (each - 1)


@pytest.mark.parametrize("word", sorted(STOP | START | HELP))
def test_a_word_counts_in_any_case_with_space_around_it(word: str) -> None:
    """As phones write it."""
    kind = "stop" if word in STOP else "start" if word in START else "help"
    assert word_of(word) == word_of(f" {word.lower()}\n") == word_of(word.title()) == kind


@pytest.mark.parametrize(
    "text",
    ["non-stop", "nonstop", "stop it", "please stop by", "stop.", "yes please", "", "the end"],
)
def test_anything_else_is_no_command(text: str) -> None:
    """Only the word alone is."""
    assert word_of(text) is None
