"""What a template may do, and what stops it."""

from __future__ import annotations

import resource
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.render_kit import banner, body, context, mail, rendered
from workers.core.templates.compile import (
    BadTemplates,
    TemplateSource,
    compile_template,
    source_of_record,
    variables,
)
from workers.core.templates.language import compile_part
from workers.core.templates.parts import BadTemplate
from workers.core.templates.render import RenderedInApp, RenderFailed, render_in_app

SHOWN = [
    # a value is shown as people write it
    ("{{ user.name }}", {"name": "Ada"}, "Ada"),
    ("{{ user.seats }}", {"seats": 500.0}, "500"),
    ("{{ user.share }}", {"share": 0.25}, "0.25"),
    ("{{ user['first name'] }}", {"first name": "Ada"}, "Ada"),
    ("{{ user.tags[0] }}-{{ user.tags[-1] }}", {"tags": ["a", "b"]}, "a-b"),
    # a key is a key, also when it is called as a method of Python's
    ("{{ user.items }} {{ user.keys }}", {"items": "i", "keys": "k"}, "i k"),
    # nothing is escaped in plain texts
    ("{{ user.name }}", {"name": "<b> & co"}, "<b> & co"),
    # a missing, null or blank value takes the default; a chain takes the first that is there
    ("{{ user.name | default('there') }}", {}, "there"),
    ("{{ user.name | default('there') }}", {"name": None}, "there"),
    ("{{ user.name | default('there') }}", {"name": "  "}, "there"),
    ("{{ user.a.b.c | default('deep') }}", {}, "deep"),
    ("{{ user.a | default(user.b) | default('last') }}", {"b": "B"}, "B"),
    ("{{ user.a | default(user.b) | default('last') }}", {}, "last"),
    ("a{{ user.name | default('') }}b", {}, "ab"),
    ("{{ 0 | default('x') }}", {}, "0"),
    # conditions: missing is false, `is defined` asks, `else` is shown
    ("{% if user.name %}yes{% else %}no{% endif %}", {}, "no"),
    ("{% if not user.name %}no{% endif %}", {}, "no"),
    ("{% if user.name is defined %}yes{% else %}no{% endif %}", {"name": None}, "no"),
    ("{{ 'many' if user.n > 1 else 'one' }}", {"n": 2}, "many"),
    ("a{{ 'x' if user.n else '' }}b", {}, "ab"),
    ("{% if user.plan in ['pro', 'max'] %}in{% elif user.plan == 'free' %}free{% endif %}", {"plan": "free"},
     "free"),
    # loops
    ("{% for t in user.tags %}{{ loop.index }}{{ t }}{% if not loop.last %},{% endif %}{% endfor %}",
     {"tags": ["a", "b"]}, "1a,2b"),
    ("{% for k, v in user.m | items %}{{ k }}={{ v }};{% endfor %}", {"m": {"a": 1, "b": 2}}, "a=1;b=2;"),
    ("{% for t in user.tags if t != 'b' %}{{ t }}{% else %}none{% endfor %}", {"tags": ["a", "b"]}, "a"),
    ("{% for t in user.tags %}{{ t }}{% else %}none{% endfor %}", {"tags": []}, "none"),
    # arithmetic, joining and local names
    ("{% set left = user.limit - user.used %}{{ left }} of {{ user.limit * 2 }}", {"limit": 10, "used": 8},
     "2 of 20"),
    ("{{ -user.n }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 1 / 4 }}", {"n": 3}, "-3 3 3 0.25"),
    ("{{ user.a ~ '-' ~ user.n }}", {"a": "x", "n": 1}, "x-1"),
    # filters
    ("{{ user.n | money }} {{ user.n | money('JPY') }} {{ user.n | money('chf') }}", {"n": 1234.5},
     "$1,234.50 ¥1,235 1,234.50 CHF"),
    ("{{ -3 | money('EUR') }}", {}, "-€3.00"),
    ("{{ 2.675 | money }}", {}, "$2.68"),
    ("{{ user.n | number }} {{ user.n | number(1) }}", {"n": 12345.678}, "12,345.68 12,345.7"),
    ("{{ 1200 | number }} {{ '17' | number }}", {}, "1,200 17"),
    ("{{ 0.835 | percent }} {{ 0.835 | percent(1) }}", {}, "84% 83.5%"),
    ("{{ 1 | plural('seat') }} {{ 2 | plural('seat') }} {{ 3 | plural('box', 'boxes') }}", {},
     "seat seats boxes"),
    ("{{ 'api calls' | title }} {{ 'aPI' | capitalize }} {{ 'Ab' | upper }}{{ 'Ab' | lower }}", {},
     "Api Calls API ABab"),
    ("{{ 'one two three' | truncate(9) }}", {}, "one two…"),
    ("{{ 'a_b' | replace('_', ' ') }} {{ 'a b/c' | urlencode }}", {}, "a b a%20b%2Fc"),
    ("{{ user.tags | join(', ') }} {{ user.tags | first }} {{ user.tags | last }} {{ user.tags | length }}",
     {"tags": ["a", "b"]}, "a, b a b 2"),
    ("{{ 2.5 | round }} {{ 2.449 | round(1) }}", {}, "3 2.4"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "user", "expected"), SHOWN)
def test_a_template_shows_what_its_author_means(source: str, user: dict[str, Any], expected: str) -> None:
    """Each construct of docs/templates.md gives what the page says."""
    assert body(source, user=user) == expected


MISSING = [
    ("Hi {{ user.name }}", {}, "user.name"),
    ("Hi {{ user.name }}", {"name": None}, "user.name"),
    ("Hi {{ user.name }}", {"name": " \n"}, "user.name"),
    ("Hi {{ user.name | upper }}", {}, "user.name"),
    ("{{ user.company.name }}", {"company": "not a mapping"}, "user.company.name"),
    ("{{ user.tags[3] }}", {"tags": ["a"]}, "user.tags.3"),
    ("{{ user.tags | join }}", {"tags": ["a", None]}, "value"),
    ("{% for t in user.tags %}{% endfor %}x", {}, "user.tags"),
    ("{% if user.n > 3 %}x{% endif %}y", {}, "user.n"),
    ("{% if user.plan == 'pro' %}x{% endif %}y", {}, "user.plan"),
    ("{% if 'a' in user.tags %}x{% endif %}y", {}, "user.tags"),
    ("{{ user.a ~ '!' }}", {}, "user.a"),
    ("{{ user.n + 1 }}", {}, "user.n"),
    ("{{ user.a | default(user.b) }}", {}, "user.b"),
    ("{{ 'x' if user.a else user.b }}", {}, "user.b"),
    ("{{ user.tags | first }}", {"tags": []}, "the first item of an empty list"),
    ("{% set name = user.name %}{{ name }}", {}, "user.name"),
    ("{% for o in user.orders %}{{ o.id }}{% endfor %}", {"orders": [{"id": 1}, {}]}, "o.id"),
]


@pytest.mark.parametrize(("source", "user", "variable"), MISSING)
def test_a_missing_value_stops_the_message_and_is_named(
    source: str, user: dict[str, Any], variable: str
) -> None:
    """No message goes out with a hole where a value should be, and the failure says which value."""
    assert body(source, user=user) == f"missing_variable:{variable}"


REFUSED_VALUES = [
    ("{{ user.flag }}", {"flag": True}, "not_text:user.flag"),
    ("{{ user.list }}", {"list": ["a"]}, "not_text:user.list"),
    ("{{ user.map }}", {"map": {"a": 1}}, "not_text:user.map"),
    ("{{ user.n }}", {"n": float("inf")}, "not_text:None"),
    ("{{ user.n | money }}", {"n": "a lot"}, "wrong_type:None"),
    ("{{ user.n | money }}", {"n": float("nan")}, "wrong_type:None"),
    ("{{ user.n | money('dollars') }}", {"n": 1}, "wrong_type:None"),
    ("{{ user.at | date }}", {"at": "soon"}, "wrong_type:None"),
    ("{{ user.at | date('%Y') }}", {"at": "2026-01-01"}, "wrong_type:None"),
    ("{{ 1 / user.n }}", {"n": 0}, "wrong_type:None"),
    ("{{ 'a' * user.n }}", {"n": 3}, "wrong_type:None"),
    ("{{ '%s' % user.n }}", {"n": 3}, "wrong_type:None"),
    ("{% if user.n > 'a' %}x{% endif %}", {"n": 3}, "wrong_type:None"),
    ("{% for a, b in user.list %}x{% endfor %}", {"list": [1]}, "wrong_type:None"),
    ("{{ user.loop }}", {"loop": object()}, "bad_context:None"),
    ("{{ user.n }}", {"n": 2**80}, "bad_context:None"),
    ("{{ user.n }}", {"n": {1: 2}}, "bad_context:None"),
    ("{{ user.n }}", {"n": "x" * 300_000}, "bad_context:None"),
    ("{{ user.n }}", {"n": list(range(6_000))}, "bad_context:None"),
]


@pytest.mark.parametrize(("source", "user", "expected"), REFUSED_VALUES)
def test_a_value_of_the_wrong_kind_stops_the_message(
    source: str, user: dict[str, Any], expected: str
) -> None:
    """What cannot be shown well is not shown at all; objects of Python never get in."""
    assert body(source, user=user) == expected


def test_data_that_is_nested_too_deep_stops_the_message() -> None:
    """A hostile event of thousands of brackets is refused without exhausting the stack."""
    nested: Any = "x"
    for _ in range(2_000):
        nested = [nested]
    assert body("hello", event={"nested": nested}) == "bad_context:None"


DATES = [
    ("{{ user.at | date }}", "2026-03-14T23:30:00Z", None, "14 Mar 2026"),
    ("{{ user.at | date }}", "2026-03-14T23:30:00Z", "Europe/Oslo", "15 Mar 2026"),
    ("{{ user.at | date('time') }}", "2026-03-14T23:30:00", "America/New_York", "19:30"),
    (
        "{{ user.at | date('datetime', 'Asia/Tokyo') }}",
        1_773_531_000_000,
        "Europe/Oslo",
        "15 Mar 2026, 08:30",
    ),
    ("{{ user.at | date('long') }}", "2026-03-14", "America/New_York", "14 March 2026"),
    ("{{ user.at | date('weekday') }} {{ user.at | date('short') }}", "2026-03-14", None, "Saturday 14 Mar"),
    ("{{ user.at | date('iso') }}", "2026-03-14T10:00:00+02:00", "Not/AZone", "2026-03-14"),
]


@pytest.mark.parametrize(("source", "at", "zone", "expected"), DATES)
def test_a_date_is_shown_in_the_persons_zone(source: str, at: Any, zone: str | None, expected: str) -> None:
    """The zone is the filter's, the person's, the account's or UTC; a day without a time is not moved."""
    assert body(source, user={"at": at, "timezone": zone}) == expected


def test_a_date_falls_back_to_the_accounts_zone() -> None:
    """A person without a zone sees the account's."""
    source = "{{ event.at | date('time') }}"
    assert body(source, account={"timezone": "Asia/Tokyo"}, event={"at": "2026-01-01T00:00:00Z"}) == "09:00"


REFUSED_TEMPLATES = [
    ("{{ usr.name }}", "unknown variable 'usr'; there are user, account"),
    ("{{ user.name | upcase }}", "unknown filter 'upcase'"),
    ("{{ user.name | truncate(1, 2, 3) }}", "filter truncate: too many positional arguments"),
    ("{{ user.name() }}", "nothing can be called here"),
    ("{{ range(3) }}", "nothing can be called here"),
    ("{{ user.name[1:2] }}", "slices are not available"),
    ("{{ 2 ** 9 }}", "`pow` is not available"),
    ("{{ {'a': 1} }}", "`dict` is not available"),
    ("{{ 1 < 2 < 3 }}", "compare two values at a time"),
    ("{{ 'a' if user.x }}", "needs an `else`"),
    ("{{ user.x is divisibleby 3 }}", "`is` knows defined"),
    ("{% macro m() %}{% endmacro %}", "`macro` is not available"),
    ("{% include 'x' %}", "`include` is not available"),
    ("{% import 'x' as y %}", "`import` is not available"),
    ("{% extends 'x' %}", "`extends` is not available"),
    ("{% block x %}{% endblock %}", "a block says what is shown"),
    ("{% filter upper %}x{% endfilter %}", "`filterblock` is not available"),
    ("{% set x %}y{% endset %}", "`assignblock` is not available"),
    ("{% raw %}x{% endraw %}", "{% raw %} is not available"),
    ("{% set user = 1 %}", "'user' cannot be set"),
    ("{% set _budget = 1 %}", "'_budget' cannot be set"),
    ("{{ _budget.left }}", "unknown variable '_budget'"),
    ("{{ user | _read('x') }}", "unknown filter '_read'"),
    ("{% for x in user.l recursive %}{% endfor %}", "a loop cannot be recursive"),
    ("{% for x in user.l %}{{ loop.cycle }}{% endfor %}", "of a loop there are loop.first"),
    ("{{ loop.index }}", "unknown variable 'loop'"),
    ("{{ self }}", "unknown variable 'self'"),
    ("{{ none }}", "none cannot be shown"),
    ("line one\n{{ user.name", "unexpected end of template"),
    ("{% if user.x %}{% set y = 1 %}{% endif %}{{ y }}", "unknown variable 'y'"),
    ("{{ 9" + "9" * 5_000 + " }}", "cannot be compiled"),
    ("{{ " + "(" * 2_000 + "1" + ")" * 2_000 + " }}", ""),
    ("{{ " + "-" * 2_000 + "1 }}", ""),
    ("{{ user.x" + " | upper" * 2_000 + " }}", "nested deeper"),
    ("{% for x in user.l %}" * 5 + "{% endfor %}" * 5, "nested deeper than 4"),
    ("{{ user.x }}" * 6_000, "more than 5000 expressions"),
    ("x" * 200_001, "200000 are allowed"),
]


@pytest.mark.parametrize(("source", "message"), REFUSED_TEMPLATES)
def test_what_is_not_bounded_is_refused_before_it_runs(source: str, message: str) -> None:
    """The language is an allow-list: the refusal says what is wrong, and where."""
    with pytest.raises(BadTemplate) as caught:
        compile_part(source, "text")
    assert message in str(caught.value)


def test_a_refusal_names_the_line() -> None:
    """A long template is mended without searching."""
    with pytest.raises(BadTemplate) as caught:
        compile_part("one\ntwo\n{{ usr.x }}\n", "text")
    assert caught.value.line == 3


INJECTIONS = [
    "{{ ''.__class__.__mro__ }}",
    "{{ user.__class__.__init__.__globals__ }}",
    "{{ user['__class__']['__mro__'] }}",
    "{{ message.x.__subclasses__ }}",
    "{{ '{0.__class__}' | format(user) }}",
    "{{ user | attr('__class__') }}",
    "{{ user.update({'a': 1}) }}",
    "{{ cycler.__init__ }}",
]


@pytest.mark.parametrize("source", INJECTIONS)
def test_templates_do_not_reach_pythons_insides(source: str) -> None:
    """The known ways out of a template give a refusal or a missing value, never a Python object."""
    try:
        assert body(source, user={"a": "b"}).startswith("missing_variable:")
    except BadTemplates as error:
        assert error.problems  # noqa: PT017 - either outcome is right


WIDE = {
    "l": list(range(1_500)),
    "s": "x" * 90_000,
    "m": {str(n): "v" * 40 for n in range(1_000)},
    "t": "x" * 90_000,
}
LOOP3 = "{% for a in user.l %}{% for b in user.l %}{% for c in user.l %}"
BOMBS = [
    # nested loops, empty and with work in them
    LOOP3 + "{% endfor %}" * 3,
    LOOP3 + "{{ a }}{{ b }}{{ c }}" + "{% endfor %}" * 3,
    LOOP3 + "{% if a == b %}x{% endif %}" + "{% endfor %}" * 3,
    LOOP3 + "{% set x = a * b * c %}" + "{% endfor %}" * 3,
    "{% for a in user.l if a < 0 %}{% endfor %}" * 400,
    # long texts, doubled
    "{% set a = user.s ~ user.s %}x",
    "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    "{{ user.s | replace('x', user.s) }}",
    "{{ user.s | replace('x', 'xx') | replace('x', 'xx') }}",
    "{{ user.l | join(user.s) }}",
    # a large value compared, searched or changed in a loop
    "{% for a in user.l %}{% for b in user.l %}{% if user.s == user.t %}{% endif %}{% endfor %}{% endfor %}",
    "{% for a in user.l %}{% for b in user.l %}{% if 'y' in user.s %}{% endif %}{% endfor %}{% endfor %}",
    "{% for a in user.l %}{% for b in user.l %}{% if user.s in user.l %}{% endif %}{% endfor %}{% endfor %}",
    "{% for a in user.l %}{% for b in user.l %}{% set x = user.s | upper %}{% endfor %}{% endfor %}",
    "{% for a in user.l %}{% for b in user.l %}{% set x = user.m | items %}{% endfor %}{% endfor %}",
    "{% for a in user.l %}{% for b in user.l %}{{ b | money }}{{ a | date }}{% endfor %}{% endfor %}",
    "{% for a in user.l %}{{ user.s }}{% endfor %}",
    # numbers
    "{% set a = 9223372036854775806 %}" + "{% set a = a * a %}" * 30 + "{{ a }}",
    "{% for a in user.l %}{% for b in user.l %}{% set x = 1e308 * a %}{% endfor %}{% endfor %}",
]


@pytest.mark.parametrize("source", BOMBS)
def test_a_bomb_is_stopped_within_a_tenth_of_a_second_and_64_mb(source: str) -> None:
    """A hostile or careless template costs one message, not the sender: CPU and memory stay small."""
    template = banner(source)
    data = context(user=WIDE)
    before = resource.getrusage(resource.RUSAGE_SELF)
    result = render_in_app(template, data)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert isinstance(result, RenderFailed)
    assert result.reason in ("too_much_work", "too_long", "wrong_type", "missing_variable")
    assert after.ru_utime - before.ru_utime < 0.1
    assert after.ru_maxrss - before.ru_maxrss < 64 * 1024


def test_a_text_of_blanks_does_not_slow_the_layout() -> None:
    """Tidying takes time in proportion to the text, whatever the text is."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    blank = "x" + " " * 90_000 + "y"
    result = rendered(mail("<p>{{ user.name }}</p>"), user={"name": blank})
    assert result.text == "x y"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before.ru_utime < 0.1


def test_constants_are_not_folded_while_a_template_is_compiled() -> None:
    """A bomb made of constants does not go off in the linter either."""
    assert body("{{ 'a' * 1000000000 }}") == "wrong_type:None"
    assert body("{{ 'ab' | replace('a', 'xxxxxxxxxx') }}") == "xxxxxxxxxxb"


BAD_FIELDS = [
    ("email", {"subject": "x", "html": "<p>x</p>"}, "html: link to {{ unsubscribe_url }}"),
    (
        "email",
        {"subject": "x", "html": "<p>{{ unsubscribe_url }}</p>", "tracking": "some"},
        "tracking: this is one of",
    ),
    ("email", {"html": "<p>{{ unsubscribe_url }}</p>"}, "subject: a template for email needs this field"),
    ("email", {"subject": "x", "html": " "}, "html: this is a text that is not blank"),
    ("email", {"subject": 3, "html": "x"}, "subject: this is a text"),
    ("email", {"subject": "x", "html": "x", "transactional": "yes"}, "transactional: this is true or false"),
    ("email", {"subject": "x", "html": "<img src='https://example.com/a.png'>", "transactional": True},
     "html: the html shows no text"),
    ("email", {"subject": "x", "html": "x", "title": "x"}, "title: unknown field of a template for email"),
    ("in_app", {"form": "popup", "title": "x", "body": "x"}, "form: there are banner, post"),
    ("in_app", {"form": "post", "title": "x", "body": "x", "cta_label": "Go"},
     "a label and a URL come together"),
    ("in_app", {"form": "post", "title": "x", "body": "x", "expires_after": "soon"},
     "a duration is a whole number"),
    ("fax", {}, "channel: 'fax' has no templates; there are email, in_app"),
]  # fmt: skip


@pytest.mark.parametrize(("channel", "fields", "message"), BAD_FIELDS)
def test_a_template_that_cannot_be_used_says_why(channel: str, fields: dict[str, Any], message: str) -> None:
    """Each problem names file, line and field, and what is allowed."""
    with pytest.raises(BadTemplates) as caught:
        compile_template(TemplateSource("t", channel, fields, file="templates/t.yaml"))
    assert message in str(caught.value)
    assert str(caught.value).startswith("templates/t.yaml:1: ")


def test_the_version_changes_with_the_content_and_survives_the_workspace_topic() -> None:
    """A delivery's template version identifies exactly what was sent."""
    fields = {"form": "post", "title": "x", "body": "y"}
    source = TemplateSource("t", "in_app", fields, file="a.yaml")
    assert (
        source.version == TemplateSource("t", "in_app", dict(reversed(fields.items())), file="b.yaml").version
    )
    assert source.version == source_of_record("t", source.record()).version
    assert source.version != TemplateSource("t", "in_app", {**fields, "body": "z"}).version
    assert source.version != TemplateSource("u", "in_app", fields).version


def test_an_unchanged_text_is_compiled_once() -> None:
    """Publishing a workspace again costs only what changed."""
    assert banner("Hello {{ user.name }}").body is banner("Hello {{ user.name }}").body


def test_the_linter_learns_what_a_template_reads_and_where_nothing_helps_if_it_is_missing() -> None:
    """A name is covered by a default, a condition or a test at the place where it is read, or it is not."""
    template = banner(
        "{{ user.a }}\n{{ user.b | default('x') }}{% if user.c %}{{ user.c }}{% endif %}"
        "{% for o in event.orders %}{{ o.id }}{% endfor %}{{ user.d | upper | default('x') }}"
        "{{ user.e if user.e is defined else 'x' }}{{ user.f | default(user.g) }}",
    )
    read = {found.name: found.has_default for found in variables(template)}
    assert read == {
        "user.a": False,
        "user.b": True,
        "user.c": True,
        "event.orders": False,
        "user.d": False,
        "user.e": True,
        "user.f": True,
        "user.g": False,
    }


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("x" * 4_000, "x" * 4_000),
        ("x" * 4_001, "too_long:None"),
        ("x" * 4_001 + "{{ user.name }}", "too_long:None"),
        ("a{# nobody sees this #} b", "a b"),
        ("a <b> & c", "a <b> & c"),
    ],
)
def test_a_text_with_nothing_to_fill_in_is_what_it_says(source: str, shown: str) -> None:
    """Up to the length of any other."""
    assert body(source, user={"name": "Ada"}) == shown


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(name=_values, orders=_values)
def test_whatever_the_data_is_a_message_is_whole_or_fails_with_a_reason(name: Any, orders: Any) -> None:
    """Rendering never raises, never shows Python's None, True or brackets, and never leaves a tag behind."""
    template = banner("Hi {{ user.name }}!{% for o in user.orders %} {{ o.id | default('-') }}{% endfor %}")
    result = render_in_app(template, context(user={"name": name, "orders": orders}))
    if isinstance(result, RenderedInApp):
        assert isinstance(name, (str, int, float))
        assert not isinstance(name, bool)
        assert result.body.startswith("Hi ")
    else:
        assert result.reason in ("missing_variable", "not_text", "wrong_type")
