"""What is taken from a model's answer: an approved outcome, or nothing, whatever it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.slots import SlotRules, slot_problem
from tests.unit.senders.llm_kit import asked, slot
from workers.core.llm.check import ANSWER_MAX_CHARS, Taken, take


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        ('{"label": "interested"}', Taken("interested")),
        (' \n{"label":"other"}\n', Taken("other")),
        ('```json\n{"label": "other"}\n```', Taken("other")),
        ('```\n{"label": "other"}\n```', Taken("other")),
        ("", Taken(None, "not_json")),
        ("interested", Taken(None, "not_json")),
        ('"interested"', Taken(None, "not_json")),
        ('The answer is {"label": "interested"}', Taken(None, "not_json")),
        ('{"label": "interested"', Taken(None, "not_json")),
        ("[" * 10_000, Taken(None, "not_json")),
        ('{"label": "' + "x" * ANSWER_MAX_CHARS + '"}', Taken(None, "not_json")),
        ('{"label": ["interested"]}', Taken(None, "wrong_shape")),
        ('{"label": null}', Taken(None, "wrong_shape")),
        ('{"variant": "interested"}', Taken(None, "wrong_shape")),
        ('{"label": "interested", "also": 1}', Taken(None, "wrong_shape")),
        ('{"label": "Interested"}', Taken(None, "not_an_option")),
        ('{"label": "interested "}', Taken(None, "not_an_option")),
        ('{"label": "send everybody a gift"}', Taken(None, "not_an_option")),
    ],
)
def test_a_label_is_one_of_the_questions_letter_for_letter(answer: str, taken: Taken) -> None:
    """In one JSON object with the one field, perhaps in a block of code; nothing is guessed."""
    assert take(asked(), answer) == taken


def test_a_variant_stands_in_its_own_field() -> None:
    """So that an answer to another question is none to this."""
    question = asked(task="choose")
    assert take(question, '{"variant": "other"}') == Taken("other")
    assert take(question, '{"label": "other"}') == Taken(None, "wrong_shape")


@given(st.text(max_size=200))
def test_no_answer_at_all_comes_to_anything_but_an_approved_outcome(answer: str) -> None:
    """As text, and as the value of the right field."""
    question, texts = asked(), slot(forbid=["free"], links=["example.com"])
    rules = SlotRules(80, ("free",), ("example.com",))
    for said in (answer, json.dumps({"label": answer}), json.dumps({"text": answer})):
        assert take(question, said).value in (None, "interested", "other")
        value = take(texts, said).value
        assert value is None or slot_problem(value, rules) is None


def text_of(text: str, **fields: Any) -> Taken:
    """What becomes of a text that a model wrote."""
    return take(slot(**fields), json.dumps({"text": text}))


def test_a_text_is_brought_onto_one_line() -> None:
    """Models add line breaks and spaces that nobody means."""
    assert text_of("  You are\n growing   fast. ") == Taken("You are growing fast.")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x" * 81, "more than 80 characters"),
        ("", "it is empty"),
        (" \n ", "it is empty"),
        ("Totally FREE today", "forbidden phrase 'free'"),
        ("Totally \uff26\uff32\uff25\uff25 today", "forbidden phrase 'free'"),
        ("We guaranteed it", "forbidden phrase 'guarant*'"),
        ("No  strings attached", "forbidden phrase 'no strings'"),
        ("hid\u200bden", "invisible characters"),
        ("turned \u202etxet", "invisible characters"),
        ("{{ user.email }}", "markup"),
        ("{% include 'x' %}", "markup"),
        ("<b>bold</b>", "markup"),
        ("https://evil.example/x", "link"),
        ("See www.evil.example", "link"),
        ("see evil.example today", "link"),
        ("evil\u3002example", "link"),
        ("hxxp://evil", "link"),
        ("write to me@evil.example", "link"),
        ("javascript:alert(1)", "link"),
        ("call tel:+4712345678", "link"),
        ("http://192.168.0.1/x", "link"),
        ("visit 93.184.216.34 now", "link"),
        ("https://example.com@evil.example/x", "link"),
        ("https://example.com.evil.example/x", "link"),
        ("https://notexample.com/x", "link"),
    ],
)
def test_a_text_keeps_the_rules_of_its_slot(text: str, problem: str) -> None:
    """Length, phrases in any case and width, no markup, nothing that a reader's program makes a link of."""
    taken = text_of(text, forbid=["free", "guarant*", "no strings"], links=["example.com"])
    assert taken.value is None
    assert problem in (taken.problem or "")


@pytest.mark.parametrize(
    "text",
    [
        "You used 9.5 of 10 seats.",
        "Freedom for your team: ask us, e.g. about seats.",
        "See https://example.com/plans and docs.example.com.",
        "Your data: 80 % used, v2.0 is near.",
        "Grüße aus Köln, 東京より",
        "Well done \U0001f389",
    ],
)
def test_a_plain_text_passes(text: str) -> None:
    """Also one with an allowed host, and words that only look like forbidden ones."""
    assert text_of(text, forbid=["free"], links=["example.com"]) == Taken(text)


def test_a_reason_never_holds_what_the_model_wrote() -> None:
    """Reasons stand in metrics and logs."""
    assert "secret" not in (text_of("secret@evil.example").problem or "")
