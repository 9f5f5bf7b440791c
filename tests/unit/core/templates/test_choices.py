"""What comes in the place of a template that cannot be rendered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.core.render_kit import context
from workers.core.templates.compile import BadTemplates, TemplateSource, compile_templates, records_of
from workers.core.templates.mobile import RenderedSms
from workers.core.templates.render import RenderFailed, render


def sms(name: str, text: str, locale: str = "", **fields: Any) -> TemplateSource:
    """A text message."""
    return TemplateSource(name, "sms", {"text": text, **fields}, f"templates/{name}.yaml", locale=locale)


def shown(*sources: TemplateSource, **names: Any) -> str:
    """What comes of the first template."""
    result = render(compile_templates(sources)[sources[0].name], context(**names))
    if isinstance(result, RenderedSms):
        return f"{result.template}: {result.text}"
    assert isinstance(result, RenderFailed)
    return f"{'skipped' if result.skips else 'failed'}: {result.template} {result.variable}"


OFFER = sms("offer", "{{ event.price }}", fallback="plain")
PLAIN = sms("plain", "Hi")


def test_the_fallback_comes_where_the_template_fails() -> None:
    """And only there."""
    assert shown(OFFER, PLAIN, event={"price": 3}) == "offer: 3"
    assert shown(OFFER, PLAIN) == "plain: Hi"


def test_a_fallback_has_a_fallback() -> None:
    """The failure is that of the template that was asked for, where none of them can be rendered."""
    second = sms("second", "{{ event.b }}", fallback="third")
    first = sms("first", "{{ event.a }}", fallback="second")
    assert shown(first, second, sms("third", "ok")) == "third: ok"
    assert shown(first, second, sms("third", "{{ event.c }}")) == "failed: first event.a"
    assert shown(first, second, sms("third", "{{ event.c }}", fallback="skip")) == "skipped: first event.a"


def test_a_message_may_be_left_out_without_being_a_failure() -> None:
    """``fallback: skip``."""
    assert shown(sms("offer", "{{ event.price }}", fallback="skip")) == "skipped: offer event.price"


def test_a_variant_that_fails_has_the_fallback_of_its_template_in_its_own_language() -> None:
    """Variants say nothing of fallbacks themselves."""
    sources = [OFFER, PLAIN, sms("offer", "{{ event.preis }}", "de"), sms("plain", "Hallo", "de")]
    german = {"language": "de-AT"}
    assert shown(*sources, user=german, event={"preis": 3}) == "offer: 3"
    assert shown(*sources, user=german, event={"price": 3}) == "plain: Hallo"


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ([sms("a", "x", fallback="b")], "there is no template 'b'; say skip, or one of none"),
        ([sms("a", "x", fallback="a")], "fallbacks go round: a > a"),
        ([sms("a", "x", fallback="b"), sms("b", "x", fallback="a")], "fallbacks go round: a > b > a"),
        ([sms("a", "x", fallback=3)], "the name of a template, or skip"),
        (
            [*(sms(f"t{at}", "x", fallback=f"t{at + 1}") for at in range(4)), sms("t4", "x")],
            "more than 3 fallbacks in a row",
        ),
        (
            [
                sms("a", "x", fallback="b"),
                TemplateSource("b", "in_app", {"form": "banner", "title": "t", "body": "b"}),
            ],
            "another channel or connection",
        ),
        ([sms("a", "x", "de")], "there is no template 'a', which those get"),
    ],
)
def test_a_fallback_that_leads_nowhere_is_refused(sources: list[TemplateSource], says: str) -> None:
    """Before anything is sent."""
    with pytest.raises(BadTemplates, match=says):
        compile_templates(sources)


def test_each_variant_has_a_version_of_its_own() -> None:
    """Decisions and deliveries tell them apart; what they are made of is in the workspace."""
    whole, variant = sms("a", "x"), sms("a", "x", "de")
    assert whole.version != variant.version
    assert records_of([variant, whole]) == {
        "a": {"channel": "sms", "fields": {"text": "x"}, "variants": {"de": {"text": "x"}}}
    }
