"""Which variant a person gets, and how values are written in it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.core.render_kit import context
from workers.core.templates.compile import TemplateSource, compile_templates
from workers.core.templates.locales import canonical, chain, customs, locale_of, pick
from workers.core.templates.render import RenderedInApp, render


@pytest.mark.parametrize(
    ("name", "locale"),
    [
        ("de", "de"),
        ("DE_at", "de-AT"),
        ("de_AT.UTF-8", "de-AT"),
        ("zh_hant_tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        (" en-us ", "en-US"),
        ("German", None),
        ("", None),
        ("x", None),
        ("de-", None),
        (7, None),
        (None, None),
    ],
)
def test_a_locale_is_written_in_many_ways(name: object, locale: str | None) -> None:
    """As programs and browsers write it; what is none is none."""
    assert canonical(name) == locale


@pytest.mark.parametrize(
    ("user", "account", "locale"),
    [
        ({"locale": "de-AT", "language": "fr"}, {}, "de-AT"),
        ({"language": "fr"}, {"locale": "de"}, "fr"),
        ({"locale": "German", "language": "de"}, {}, "de"),
        ({}, {"language": "nl"}, "nl"),
        ({"locale": None}, {}, None),
    ],
)
def test_the_person_comes_before_their_account(
    user: dict[str, Any], account: dict[str, Any], locale: str | None
) -> None:
    """And a trait that is no locale is passed by."""
    assert locale_of({"user": user, "account": account}) == locale


def test_a_locale_falls_back_to_what_it_is_a_kind_of() -> None:
    """Region, then script."""
    assert chain("zh-Hant-TW") == ("zh-Hant-TW", "zh-Hant", "zh")
    assert pick("de-AT", {"de"}) == "de"
    assert pick("de", {"de-AT"}) is None
    assert pick(None, {"de"}) is None


def test_values_are_written_by_the_region_of_who_reads() -> None:
    """Where they read their own language; else by that of the text."""
    assert customs("de", "de-CH") == "de-CH"
    assert customs("en", "fr-FR") == "en"
    assert customs("en", None) == "en"


VALUES = (
    "{{ event.price | money('EUR') }}; {{ event.price | number }}; {{ event.share | percent(1) }}; "
    "{{ event.at | date('long') }}; {{ event.at | date('datetime') }}; {{ event.at | date('weekday') }}"
)


@pytest.mark.parametrize(
    ("locale", "shown"),
    [
        (None, "€1,234.50; 1,234.5; 83.4%; 14 March 2026; 14 Mar 2026, 15:05; Saturday"),
        ("en-US", "€1,234.50; 1,234.5; 83.4%; March 14, 2026; Mar 14, 2026, 3:05 PM; Saturday"),
        ("fr", "€1,234.50; 1,234.5; 83.4%; 14 March 2026; 14 Mar 2026, 15:05; Saturday"),
        ("de", "1.234,50 €; 1.234,5; 83,4 %; 14. März 2026; 14.03.2026, 15:05; Samstag"),
        ("de-AT", "€ 1.234,50; 1.234,5; 83,4 %; 14. März 2026; 14.03.2026, 15:05; Samstag"),
        ("de-XX", "1.234,50 €; 1.234,5; 83,4 %; 14. März 2026; 14.03.2026, 15:05; Samstag"),
        ("pl", "1234,50 €; 1234,5; 83,4%; 14 marca 2026; 14 mar 2026, 15:05; sobota"),
    ],
)
def test_numbers_prices_and_dates_are_those_of_the_variant(locale: str | None, shown: str) -> None:
    """A person without a variant reads the default, in the default's own way."""
    sources = [TemplateSource("t", "in_app", {"form": "banner", "title": "t", "body": VALUES})]
    sources += [TemplateSource("t", "in_app", dict(sources[0].fields), locale=one) for one in ("de", "pl")]
    template = compile_templates(sources)["t"]
    event = {"price": 1234.5, "share": 0.834, "at": "2026-03-14T15:05:00Z"}
    result = render(template, context(event=event, user={"locale": locale}))
    assert isinstance(result, RenderedInApp), result
    plain = result.body.replace("\u00a0", " ").replace("\u202f", " ")
    # Polish groups digits from five on, which Babel 2.18 does not know.
    assert plain.replace("1 234", "1234") == shown if locale == "pl" else plain == shown


@pytest.mark.parametrize(
    ("locale", "counts"),
    [
        ("pl", {1: "miejsce", 2: "miejsca", 5: "miejsc", 22: "miejsca", 1.5: "miejsc"}),
        ("fr", {0: "miejsce", 1: "miejsce", 2: "miejsc"}),
        ("en", {0: "miejsc", 1: "miejsce", 2: "miejsc"}),
    ],
)
def test_a_word_has_the_form_that_the_language_has_for_the_number(
    locale: str, counts: dict[float, str]
) -> None:
    """Polish has a form for few; French counts nought as one."""
    text = "{{ event.n | plural('miejsce', 'miejsc', few='miejsca') }}"
    fields = {"form": "banner", "title": "t", "body": text}
    template = compile_templates([TemplateSource("t", "in_app", fields)], locale)["t"]
    for count, word in counts.items():
        result = render(template, context(event={"n": count}))
        assert isinstance(result, RenderedInApp)
        assert result.body == word, count


def test_a_template_knows_its_locale() -> None:
    """For links to pages in the reader's language."""
    fields = {"form": "banner", "title": "t", "body": "{{ message.locale }}"}
    sources = [TemplateSource("t", "in_app", fields), TemplateSource("t", "in_app", fields, locale="de")]
    template = compile_templates(sources)["t"]
    shown = [render(template, context(user={"language": one})) for one in ("de-CH", "nl")]
    assert [one.body for one in shown if isinstance(one, RenderedInApp)] == ["de", "en"]
