"""Liquid as Shopify, Customer.io and Braze document it, and what it gives here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.core.render_kit import context, mail, rendered
from tests.unit.core.templates.liquid_kit import USER, body, run, shown
from workers.core.templates.compile import TemplateSource, compile_template, variables
from workers.core.templates.liquid_filters import NAMES
from workers.core.templates.mobile import RenderedPush, RenderedSms
from workers.core.templates.render import RenderedInApp, render
from workers.core.templates.webhooks import RenderedWebhook

LANGUAGE = [
    # values
    ("{{ user.first_name }}", "Ada"),
    ("{{ user['first_name'] }}", "Ada"),
    ("{{ user.seats }} {{ user.share }} {{ user.paid }}", "500 0.25 true"),
    ("{{ user.tags[0] }}-{{ user.tags[-1] }}-{{ user.tags.first }}-{{ user.tags.last }}", "a-c-a-c"),
    ("{{ user.tags.size }} {{ user.first_name.size }} {{ user.address.size }}", "3 3 2"),
    ("{{ user.orders[1].name }} {{ user.orders.1.name }}", "Pen Pen"),
    ("{% assign key = 'plan' %}{{ user[key] }}", "free"),
    ("{{ 'text' }} {{ \"text\" }} {{ 12 }} {{ 1.5 }} {{ -3 }}", "text text 12 1.5 -3"),
    # a key that is a word of Liquid's own is a key
    ("{{ user.limit }} {{ user.offset }} {{ user.for }} {{ user.cols }} {{ user.with }}", "10 20 f c w"),
    ("{{ user.plans.limit.continue }} {{ user.if | upcase }}", "7 IF"),
    ("{% for i in user.tags limit: user.one offset:1 %}{{ i }}{% endfor %}", "b"),
    ("{% if user.limit > 5 and user.plans.limit.continue == 7 %}yes{% endif %}", "yes"),
    ("{% for i in (1..user.one) %}{{ i }}{% endfor %}", "1"),
    ("{{ 'user.limit' }}", "user.limit"),
    # conditions: only nil and false are false; `and` and `or` are read from the right
    ("{% if user.first_name %}yes{% else %}no{% endif %}", "yes"),
    ("{% if user.nothing %}yes{% else %}no{% endif %}", "no"),
    ("{% if user.zero and user.empty_text %}yes{% endif %}", "yes"),
    ("{% if user.plan == 'pro' %}pro{% elsif user.plan == 'free' %}free{% endif %}", "free"),
    ("{% if true or false and false %}yes{% else %}no{% endif %}", "yes"),
    ("{% if false and false or true %}yes{% else %}no{% endif %}", "no"),
    ("{% unless user.plan == 'pro' %}not pro{% endunless %}", "not pro"),
    ("{% if user.tags contains 'b' %}b{% endif %}{% if user.first_name contains 'd' %}d{% endif %}", "bd"),
    ("{% if user.plan != 'pro' and user.seats >= 500 and user.seats <= 500 %}yes{% endif %}", "yes"),
    ("{% if user.seats <> 1 %}yes{% endif %}", "yes"),
    ("{% case user.plan %}{% when 'pro', 'max' %}paid{% when 'free' %}free{% else %}?{% endcase %}", "free"),
    ("{% case user.plan %}{% when 'free' or 'free' %}once{% endcase %}", "once"),
    ("{% case user.nothing %}{% when 'a' %}a{% else %}else{% endcase %}", "else"),
    # nothing equals nothing, and is neither more nor less than anything
    ("{% if user.nothing == nil and user.nothing == blank %}yes{% endif %}", "yes"),
    ("{% if user.nothing == 'x' %}a{% elsif user.nothing > 3 %}b{% else %}c{% endif %}", "c"),
    ("{% if user.nothing < 3 %}a{% elsif user.nothing >= 3 %}b{% else %}c{% endif %}", "c"),
    ("{% if user.empty_text == empty and user.blank_text == blank %}yes{% endif %}", "yes"),
    ("{% if user.none == blank and user.unpaid == blank %}yes{% endif %}", "yes"),
    ("{% if user.first_name != blank %}Hi {{ user.first_name }}{% endif %}", "Hi Ada"),
    ("{% if user.text_number == 12 %}same{% else %}a text is no number{% endif %}", "a text is no number"),
    # loops
    ("{% for t in user.tags %}{{ forloop.index }}{{ t }}{% if forloop.last %}.{% endif %}{% endfor %}",
     "1a2b3c."),
    ("{% for t in user.tags reversed %}{{ t }}{{ forloop.rindex0 }}{% endfor %}", "c2b1a0"),
    ("{% for t in user.tags limit:2 %}{% endfor %}{% for t in user.tags offset:continue %}!{% endfor %}",
     "!"),
    ("{% for t in user.nothing %}x{% else %}none{% endfor %}", "none"),
    ("{% for i in (1..4) %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "134"),
    ("{% for i in (1..4) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "12"),
    ("{% for p in user.address %}{{ p[0] }}={{ p[1] }};{% endfor %}", "city=Oslo;zip=0150;"),
    ("{% for a in (1..2) %}{% for b in (1..2) %}{{ forloop.parentloop.last }} {% endfor %}{% endfor %}",
     "false false true true"),
    ("{% for i in (1..3) %}{% cycle 'odd', 'even' %} {% endfor %}", "odd even odd"),
    ("{% cycle 'g': 'a', 'b' %}{% cycle 'g': 'a', 'b' %}", "ab"),
    # names, counters, layout
    ("{% assign left = user.limit | minus: 3 %}{{ left }}", "7"),
    ("{% capture who %}{{ user.first_name }} B{% endcapture %}{{ who }}", "Ada B"),
    ("{% for i in (1..2) %}{% assign last = i %}{% endfor %}{{ last }}", "2"),
    ("{% increment n %}{% increment n %} {% decrement m %}", "01 -1"),
    ("a {%- if true -%} b {%- endif -%} c", "abc"),
    ("{% comment %}{{ nothing of this }}{% endcomment %}x{% # nor this %}", "x"),
    ("{% raw %}{{ as it is }}{% endraw %}", "{{ as it is }}"),
    ("{% liquid\nassign a = 1\necho a | plus: 1\n%}", "2"),
    ("{% echo user.first_name | downcase %}", "ada"),
    ("{% for t in user.twice %}{% ifchanged %}{{ t }}{% endifchanged %}{% endfor %}", "ab"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), LANGUAGE)
def test_the_language(source: str, expected: str) -> None:
    """What Shopify's documentation says of it, but that words of Liquid's may be keys."""
    assert body(source) == expected


FILTERS = [
    ("'Ada' | append: '!' | prepend: '>'", ">Ada!"),
    ("'ada LOVELACE' | capitalize", "Ada lovelace"),
    ("'ada lovelace' | titlecase", "Ada Lovelace"),
    ("'Ada' | upcase", "ADA"),
    ("'Ada' | downcase", "ada"),
    ("'  a b ' | strip", "a b"),
    ("'  a  b ' | squish", "a b"),
    ("'a-b-b' | replace: 'b', 'c'", "a-c-c"),
    ("'a-b-b' | replace_first: 'b', 'c'", "a-c-b"),
    ("'a-b-b' | replace_last: 'b', 'c'", "a-b-c"),
    ("'a-b-b' | remove: '-b'", "a"),
    ("'a-b-b' | remove_first: '-b'", "a-b"),
    ("'Liquid' | slice: 2", "q"),
    ("'Liquid' | slice: -3, 2", "ui"),
    ("'a,b' | split: ',' | join: ' and '", "a and b"),
    ("'abc' | split: '' | join: '.'", "a.b.c"),
    ("'one two three' | truncate: 10", "one two..."),
    ("'one two three' | truncate: 9, '…'", "one two …"),
    ("'one two three' | truncatewords: 2", "one two..."),
    ("'a <b>c</b>' | strip_html", "a c"),
    ("'a b&c' | url_encode", "a+b%26c"),
    ("'a b&c' | url_param_escape", "a%20b%26c"),
    ("'a+b%26c' | url_decode", "a b&c"),
    ("'Ada' | base64_encode", "QWRh"),
    ("'Ada' | md5", "1a382809b7c03f686e12dd15677c5497"),
    ("5 | plus: 2", "7"),
    ("'5' | plus: '2'", "7"),
    ("0.1 | plus: 0.2", "0.3"),
    ("10 | divided_by: 4", "2"),
    ("10 | divided_by: 4.0", "2.5"),
    ("10 | modulo: 4", "2"),
    ("2.5 | round", "3"),
    ("2.345 | round: 2", "2.35"),
    ("2.1 | ceil", "3"),
    ("2.9 | floor", "2"),
    ("-2 | abs", "2"),
    ("7 | at_most: 5 | at_least: 3", "5"),
    ("17.8 | money", "17.80"),
    ("1234.5 | currency", "$1,234.50"),
    ("1234.5 | currency: 'EUR'", "€1,234.50"),
    ("12345 | number_with_delimiter", "12,345"),
    ("user.tags | join", "a b c"),
    ("user.tags | first", "a"),
    ("user.tags | last", "c"),
    ("user.tags | reverse | join: ''", "cba"),
    ("user.twice | uniq | join: ''", "ab"),
    ("user.twice | size", "3"),
    ("user.orders | map: 'name' | join: ', '", "Book, Pen"),
    ("user.orders | where: 'name', 'Pen' | map: 'price' | first", "2"),
    ("user.orders | sum: 'price'", "32"),
    ("user.orders | sort: 'price' | map: 'name' | join", "Pen Book"),
    ("user.mixed | sort_natural | join", "a B c"),
    ("user.tags | concat: user.twice | size", "6"),
    ("user.tags | limit: 2 | join: ''", "ab"),
    ("user.nothing | default: 'x'", "x"),
    ("user.empty_text | default: 'x'", "x"),
    ("user.paid | default: 'x'", "true"),
    ("user.unpaid | default: 'x'", "x"),
    ("user.unpaid | default: 'x', allow_false: true", "false"),
    ("user.zero | default: 'x'", "0"),
    ("user.nothing | upcase | default: 'x'", "x"),
    ("user.nothing | default: user.plan", "free"),
    ("user.seats | plural: 'seat'", "seats"),
    ("user.address | json", '{"city":"Oslo","zip":"0150"}'),
    # dates: ISO 8601, the seconds of Customer.io, our milliseconds, Braze's spelling, and the message's time
    ("'2026-03-04T15:05:09Z' | date: '%Y-%m-%d %H:%M:%S'", "2026-03-04 15:05:09"),
    ("'2026-03-04 15:05:09 UTC' | date: '%b %e, %l:%M %p'", "Mar 4, 3:05 PM"),
    ("'2026-03-04T15:05:09Z' | date: '%A %-d %B %y, %-I%P, day %j'", "Wednesday 4 March 26, 3pm, day 063"),
    ("'2026-03-04T23:30:00Z' | date: '%F %R', 'Europe/Oslo'", "2026-03-05 00:30"),
    ("'2026-03-04T23:30:00Z' | time_zone: 'America/Los_Angeles' | date: '%F %T'", "2026-03-04 15:30:00"),
    ("'2026-03-04T23:30:00+09:00' | date: '%H:%M %z'", "23:30 +0900"),
    ("1772636709 | date: '%F'", "2026-03-04"),
    ("1772636709000 | date: '%F'", "2026-03-04"),
    ("'2026-03-04T15:05:09Z' | date: '%s' | plus: 86400 | date: '%F'", "2026-03-05"),
    ("'now' | date: '%F'", "2026-03-04"),
    ("'2026-03-04' | date: '%d.%m.', 'America/New_York'", "04.03."),
    ("'2026-03-04T15:05:09Z' | date: '%^a %D %% %U'", "wrong_type:None"),
    ("'soon' | date: '%F'", "wrong_type:None"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), FILTERS)
def test_the_filters(expression: str, expected: str) -> None:
    """Shopify's, and those that Customer.io and Braze add."""
    assert body("{{ " + expression + " }}") == expected


MAPPED = [
    # Customer.io
    ("{{ customer.first_name }}", "Ada"),
    ("{{ customer.first_name | default: 'there' }} {{ event.limit }} {{ trigger.limit }}", "Ada 3 3"),
    ("{{ campaign.name }} {{ message.name }}", "upsell t"),
    ("{% unsubscribe_url %}", "https://example.com/u/1"),
    ("{%- unsubscribe_url -%}", "https://example.com/u/1"),
    ("{% manage_subscription_preferences_url %}", "https://example.com/p/1"),
    ("{% assign spend = customer.text_number | plus: 0 %}{% if spend > 5 %}more{% endif %}", "more"),
    # Braze
    ("{{${first_name}}}", "Ada"),
    ("Hi {{ ${first_name} | default: 'you' }}", "Hi Ada"),
    ("{{custom_attribute.${zip code}}}", "0150"),
    ("{{custom_attribute.${orders}[0].name}}", "Book"),
    ("{{${email_address}}} {{${phone_number}}}", "ada@example.com +4712345678"),
    ("{{event_properties.${limit}}} {{canvas_entry_properties.${limit}}} {{context.${limit}}}", "3 3 3"),
    ("{{ customer.id }} {{${user_id}}}", "u1 u1"),
    ("{{canvas.${name}}} {{campaign.${message_name}}}", "upsell t"),
    ("{{${set_user_to_unsubscribed_url}}}", "https://example.com/u/1"),
    ("{{preference_center.${weekly}}}", "https://example.com/p/1"),
    ("{% if {{custom_attribute.${seats}}} > 400 %}many{% endif %}", "many"),
    ("{% assign sum = {{custom_attribute.${limit} | plus: 5}} %}{{sum}}", "15"),
    ("{% assign a = {{custom_attribute.${offset}}} %}{{custom_attribute.${limit} | plus: {{a}}}}", "30"),
    ("{% for t in {{custom_attribute.${tags}}} limit:2 %}{% if {{t}} == 'b' %}{{t}}{% endif %}{% endfor %}",
     "b"),
    ("{% if ${first_name} != blank and ${last_name} != null %}both{% else %}one{% endif %}", "one"),
    ("{% if ${language} == 'no' %}no{% else %}other{% endif %}", "other"),
    # what only looks like it stays as it is
    ("costs ${{ customer.limit }} and ${x} and {x}", "costs $10 and ${x} and {x}"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), MAPPED)
def test_the_names_of_customer_io_and_braze(source: str, expected: str) -> None:
    """They are ours when the template runs, and ours stand beside them."""
    assert body(source) == expected


MISSING = [
    ("{{ customer.nothing }}", "missing_variable:user.nothing"),
    ("{{ customer.none }}", "missing_variable:user.none"),
    ("{{ customer.blank_text }}", "missing_variable:user.blank_text"),
    ("{{ customer.nothing.deeper | upcase }}", "missing_variable:user.nothing.deeper"),
    ("{{ 'a' | append: customer.nothing }}", "missing_variable:user.nothing"),
    ("{% for t in customer.nothing %}x{% endfor %}", "missing_variable:user.nothing"),
    ("{% assign a = customer.nothing %}{{ a }}", "missing_variable:user.nothing"),
    ("{% assign a = customer.blank_text %}{{ a }}", "missing_variable:a"),
    ("{{ customer.first_name | remove: 'Ada' }}", "missing_variable:user.first_name"),
    ("{% if false %}{% assign a = 1 %}{% endif %}{{ a }}", "missing_variable:a"),
    # what the template itself says may be blank
    ("a{{ customer.nothing | default: '' }}b", "ab"),
    ("{% assign a = '' %}[{{ a }}]", "[]"),
    ("{% capture a %}{% endcapture %}[{{ a }}]", "[]"),
    ("{% assign a = customer.nothing | default: '' %}{% assign b = a %}[{{ b }}]", "[]"),
    ("{% if customer.nothing %}{{ customer.nothing }}{% endif %}x", "x"),
    # what is no text
    ("{{ customer.address }}", "not_text:user.address"),
    ("{{ customer.tags }}", "not_text:user.tags"),
    ("{% if customer.first_name > 3 %}{% endif %}", "wrong_type:None"),
    ("{% if customer.tags == customer.twice %}{% endif %}", "wrong_type:None"),
    ("{{ 1 | divided_by: 0 }}", "wrong_type:None"),
    ("{{ 'many' | plus: 1 }}", "wrong_type:None"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), MISSING)
def test_a_missing_value_stops_the_message_unless_the_template_has_a_default(
    source: str, expected: str
) -> None:
    """The rule of our own language."""
    assert body(source) == expected


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% abort_message('not enough points') %}", "not enough points"),
        ('{% abort_message("why") %}', "why"),
        ("{% abort_message() %}", "abort_message"),
        ("{% abort_message %}", "abort_message"),
        ("{% if customer.limit < 100 %}{% abort_message('low') %}{% endif %}x", "low"),
    ],
)
def test_a_template_can_abort_its_message(source: str, reason: str) -> None:
    """The message is skipped, for the reason that the template writes out."""
    failed = shown(source)
    assert (failed.reason, failed.detail, failed.skips) == ("aborted", reason, True)


HTML = [
    ("<p>{{ user.html }}</p>", "<p>&lt;b&gt; &amp; &#34;co&#34;</p>"),
    ('<p title="{{ user.html }}">x</p>', '<p title="&lt;b&gt; &amp; &#34;co&#34;">x</p>'),
    ("{{ '<b>' }}{{ user.plan }}{{ '</b>' }}", "<b>free</b>"),
    ("{{ user.html | append: '<i>' }}", "&lt;b&gt; &amp; &#34;co&#34;<i>"),
    ("{{ '<i>' | append: user.html }}", "<i>&lt;b&gt; &amp; &#34;co&#34;"),
    ("{% capture a %} <b>{{ user.html }}</b> {% endcapture %}{{ a | strip }}",
     "<b>&lt;b&gt; &amp; &#34;co&#34;</b>"),
    ("{% assign a = user.html %}{{ a }}", "&lt;b&gt; &amp; &#34;co&#34;"),
    ("{{ user.html | escape }}", "&lt;b&gt; &amp; &#34;co&#34;"),
    ("{{ user.html | escape | escape_once }}", "&lt;b&gt; &amp; &#34;co&#34;"),
    ("{{ user.lines | newline_to_br }}", "&lt;a&gt;<br />\nb"),
    ("{{ user.htmls | join: '<br>' }}", "&lt;a&gt;<br>&lt;b&gt;"),
    ("{{ user.html | replace: '<', '<script>' }}", "&lt;script&gt;b&gt; &amp; &#34;co&#34;"),
    ("{{ '<b>NAME</b>' | replace: 'NAME', user.html }}", "<b>&lt;b&gt; &amp; &#34;co&#34;</b>"),
    ("{{ '<b>bold</b>' | truncate: 5, '' }}", "&lt;b&gt;bo"),
    ("{{ user.html | upcase }}", "&lt;B&gt; &amp; &#34;CO&#34;"),
    ("{% cycle user.html %}", "&lt;b&gt; &amp; &#34;co&#34;"),
    ("{{ user.html | split: ' ' | first }}", "&lt;b&gt;"),
    ("{{ user.html | url_decode }}", "&lt;b&gt; &amp; &#34;co&#34;"),
    ("{{ user.encoded | url_decode }}", "&lt;b&gt;"),
    ("{{ user.html | json }}", "&#34;&lt;b&gt; &amp; \\&#34;co\\&#34;&#34;"),
    ("{{ user.html | default: '<i>x</i>' }}{{ user.nothing | default: '<i>x</i>' }}",
     "&lt;b&gt; &amp; &#34;co&#34;<i>x</i>"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), HTML)
def test_values_are_escaped_in_html_and_the_templates_own_text_is_not(source: str, expected: str) -> None:
    """Whatever filters they go through, data never becomes html."""
    user = {**USER, "html": '<b> & "co"', "lines": "<a>\nb", "htmls": ["<a>", "<b>"], "encoded": "%3Cb%3E"}
    assert run(source, {"user": user}, "html") == expected


def test_a_link_must_be_one() -> None:
    """A value at the beginning of a link says where it leads: to no program."""
    template = mail('<a href="{{ customer.url }}">x</a>', language="liquid")
    assert (
        'href="https://example.com/?a=1&amp;b=2"'
        in rendered(template, user={"url": "https://example.com/?a=1&b=2"}).html
    )
    failed = render(template, context(user={"url": "javascript:alert(1)"}))
    assert getattr(failed, "reason", None) == "bad_url"


def test_an_e_mail_has_a_text_part_made_of_its_html() -> None:
    """The code goes over as it is, links are written out."""
    html = (
        "<p>Hi {{${first_name} | default: 'you'}},</p>{% for t in customer.tags %}<p>{{ t }}</p>{% endfor %}"
        '<a href="https://example.com">Plans</a> <a href="{% unsubscribe_url %}">Unsubscribe</a>'
    )
    template = mail(html, language="liquid", transactional=False, subject="{{ customer.limit }} left")
    result = rendered(template, user={"first_name": "Ada & co", "tags": ["<x>"], "limit": 3})
    assert result.subject == "3 left"
    assert (
        result.text
        == "Hi Ada & co,\n\n<x>\n\nPlans (https://example.com) Unsubscribe (https://example.com/u/1)"
    )
    assert "<p>Hi Ada &amp; co,</p><p>&lt;x&gt;</p>" in result.html


def test_every_channel_takes_liquid() -> None:
    """Each text of a template is in the template's language."""
    banner = TemplateSource(
        "t", "in_app", {"form": "banner", "title": "{{ customer.plan }}", "body": "b", "language": "liquid"}
    )
    sms = TemplateSource("t", "sms", {"text": "Hi {{${first_name}}}", "language": "liquid"})
    push = TemplateSource(
        "t", "push", {"title": "t", "body": "{{ event.limit }}", "data": {"p": "{{ customer.plan }}"},
                      "language": "liquid"},
    )  # fmt: skip
    data = context(user=USER, event={"limit": 3})
    one, two, three = (render(compile_template(source), data) for source in (banner, sms, push))
    assert isinstance(one, RenderedInApp)
    assert one.title == "free"
    assert isinstance(two, RenderedSms)
    assert two.text == "Hi Ada"
    assert isinstance(three, RenderedPush)
    assert (three.body, three.data) == ("3", {"p": "free"})


def test_a_webhook_keeps_the_types_of_lone_expressions() -> None:
    """And leaves out what the template says is nothing."""
    document = {
        "seats": "{{ customer.seats }}",
        "tags": "{{ customer.tags }}",
        "text": "{{ customer.seats }} seats",
        "none": "{{ customer.nothing | default: nil }}",
        "paid": "{{ customer.paid }}",
    }
    fields = {"provider": "standard", "connection": "crm", "body": document, "language": "liquid"}
    result = render(compile_template(TemplateSource("t", "webhook", fields)), context(user=USER))
    assert isinstance(result, RenderedWebhook)
    assert result.document == {"seats": 500.0, "tags": ["a", "b", "c"], "text": "500 seats", "paid": True}


def test_slack_shows_no_value_as_code() -> None:
    """No link, no mention."""
    fields = {
        "provider": "slack",
        "connection": "s",
        "body": {"text": "{{ customer.name }}!"},
        "language": "liquid",
    }
    template = compile_template(TemplateSource("t", "webhook", fields))
    result = render(template, context(user={"name": "<!channel>"}))
    assert isinstance(result, RenderedWebhook)
    assert result.document == {"text": "&lt;!channel&gt;!"}


def test_what_a_template_reads_is_known_by_our_names() -> None:
    """With its line, and whether a default covers it: for the linter."""
    text = (
        "{{ customer.first_name | default: event.name }}\n{{ custom_attribute.${zip code} }}\n"
        "{% if customer.plan != blank %}{{ customer.plan }}{% else %}{{ customer.plan }}{% endif %}\n"
        "{% for o in event.orders %}{{ o.name }}{% endfor %}{{ event.orders.size }}"
    )
    template = compile_template(TemplateSource("t", "sms", {"text": text, "language": "liquid"}))
    assert [(one.name, one.line, one.has_default) for one in variables(template)] == [
        ("user.first_name", 1, True),
        ("event.name", 1, False),
        ("user.zip code", 2, False),
        ("user.plan", 3, True),
        ("user.plan", 3, False),
        ("event.orders", 4, False),
    ]


def test_the_page_of_the_documentation_lists_every_filter_and_no_other() -> None:
    """People look there whether theirs is known."""
    page = (Path(__file__).parents[4] / "docs" / "liquid.md").read_text()
    table = page.split("| filters | |\n")[1].split("\n\n")[0]
    listed = re.findall(r"`([a-z_0-9]+)[`:]", table)
    assert sorted(set(listed)) == sorted({*NAMES, "limit"} - {"take"})
