"""What Liquid templates cannot say here: found when the workspace is linted, with what to do instead."""

from __future__ import annotations

import sys

import pytest

from tests.unit.core.templates.liquid_kit import part
from workers.core.templates.compile import BadTemplates, TemplateSource, compile_template
from workers.core.templates.parts import MAX_NODES, MAX_SOURCE_CHARS, BadTemplate

REFUSED = [
    # what other products have and we have not
    ("{% connected_content https://example.com/api :save joke %}", 1, "nothing is fetched while a message"),
    ("\n{{ connected.a }}", 2, "nothing is fetched while a message"),
    ("a\n\n{{ content_blocks.${a b} }}", 3, "put the block into partials/NAME.html"),
    ("{{ snippets.a.b }}", 1, "put the snippet into partials/NAME.html"),
    ("{% catalog_items shoes {{x}} %}", 1, "catalogues are not looked up"),
    ("{% render 'card', x: 1 %}", 1, "put the text into partials/NAME.html"),
    ("{% include name %}", 1, "a partial is included by its name"),
    ("{% view_in_browser_url %}", 1, "leave the link out"),
    ("{% cio_link url:https://example.com %}", 1, "write the address"),
    ("{% random 100 %}", 1, "chance belongs into the journey"),
    ("{% render_liquid journey.body %}", 1, "never run as templates"),
    ("{% countdown point:64 %}", 1, "show the date"),
    ("{{ layout.name }}", 1, "there are no layouts"),
    ("{{ journey.a }}", 1, "set a trait with the step `update`"),
    ("{{ objects.companies[0].a }}", 1, "{{ related.NAME }}"),
    ("{{ content }}", 1, "there are no layouts"),
    ("{{ event_timestamp }}", 1, "the time of an event is a property"),
    ("{{ now | date: '%Y' }}", 1, "write it in quotes"),
    ("{{subscribed_state.${email_global}}}", 1, "let the journey ask"),
    ("{{most_recently_used_device.${os}}}", 1, "devices are not told to templates"),
    ("{{${random_bucket_number}}}", 1, "a split or an experiment"),
    ("{{${shoe_size}}}", 1, "none of Braze's names that are known here"),
    ("{{ campaign.type }}", 1, "{{ message.journey }}"),
    ("{{ user.a | hmac_sha256: 'secret' }}", 1, "a secret has no place in a template"),
    ("{{ user.a | json_parse }}", 1, "send lists and mappings as such"),
    # names, filters and tags that nobody knows
    ("x\n{{ custmer.name }}", 2, "unknown variable 'custmer'; there are customer, user"),
    ("{{ first_name }}", 1, "unknown variable 'first_name'"),
    ("{{ user.a[b] }}", 1, "unknown variable 'b'"),
    ("{{ user.a | upcse }}", 1, "unknown filter 'upcse': there are abs"),
    ("{{ user.a | append }}", 1, "filter append: missing a required argument"),
    ("{{ user.a | upcase: 1 }}", 1, "filter upcase: too many positional arguments"),
    (
        "{{ user.a | default: 'x', deep: true }}",
        1,
        "filter default: got an unexpected keyword argument 'deep'",
    ),
    ("\n{% foo %}", 2, "unexpected tag 'foo'"),
    ("{% tablerow a in user.b %}{% endtablerow %}", 1, "write a table row in a `for` loop"),
    # names that are taken
    ("{% assign user = 1 %}", 1, "'user' cannot be set"),
    ("{% capture event %}{% endcapture %}", 1, "'event' cannot be set"),
    ("{% for account in user.a %}{% endfor %}", 1, "'account' cannot be set"),
    ("{% assign _budget = 1 %}", 1, "'_budget' cannot be set"),
    ("{{ _budget }}", 1, "unknown variable '_budget'"),
    # what is not written to its end
    ("a\n{{ user.a", 2, "{{ is not closed by }}"),
    ("{% if user.a", 1, "is not closed by %}"),
    ("{% if user.a %}x", 1, "expected tag"),
    ("{% raw %}x", 1, "{% raw %} has no {% endraw %}"),
    ("{% comment %}x", 1, "{% comment %} has no {% endcomment %}"),
    ("{{ user.a | }}", 1, "expected"),
    ("{{ }}", 1, "expected"),
    ("{{ \u2018a\u2019 }}", 1, "write straight quotes"),
    ("{% abort_message(reason) %}", 1, "abort_message says why in quotes"),
    ("{% if user.a | size > 3 %}{% endif %}", 1, "expected"),
    ("{{ user.a | join: (1..3) }}", 1, "a range stands in `for`"),
    # sizes
    ("x" * (MAX_SOURCE_CHARS + 1), 1, "characters"),
    ("{{ user.a }}" * MAX_NODES, 1, "split the message"),
    ("{% for a in user.a %}" * 5 + "{% endfor %}" * 5, 1, "loops are nested deeper than 4"),
    ("{% if user.a %}" * 40 + "{% endif %}" * 40, 1, "block nesting limit"),
    ("{% if " + "user.a and " * 100 + "user.a %}{% endif %}", 1, "more than 60 conditions"),
    ("{% if " + "user.a and " * 5_000 + "user.a %}{% endif %}", 1, "nested too deep"),
    ("{{ user" + "[user" * 3_000 + "]" * 3_000 + " }}", 1, "too deep"),
    ("{{ user.a" + " " * 300 + "}}", 1, "200 blanks in a row"),
]


@pytest.mark.parametrize(("source", "line", "detail"), REFUSED, ids=[str(at) for at in range(len(REFUSED))])
def test_what_cannot_be_said_is_refused_with_its_line(source: str, line: int, detail: str) -> None:
    """Before anything is sent; the message says what to do."""
    with pytest.raises(BadTemplate) as caught:
        part(source)
    assert (caught.value.line, detail in caught.value.detail) == (line, True), caught.value


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("<a href={{ user.a }}>x</a>", "stands in a quoted attribute"),
        ("<p>{% if user.a %}<a href={% else %}<b {% endif %}{{ user.b }}>", "stands in a quoted attribute"),
        ('<p onclick="{{ user.a }}">', "would be run as a program"),
        ("<style>{{ user.a }}</style>", "an expression inside <style>"),
        ("<script>x</script>", "<script> is refused"),
        ("{% capture a %}<script>{% endcapture %}", "<script> is refused"),
        ("<p {% cycle 'a', user.b %}>", "stands in a quoted attribute"),
    ],
)
def test_html_in_which_a_value_could_break_out_is_refused(source: str, detail: str) -> None:
    """As in our own language."""
    with pytest.raises(BadTemplate, match=detail):
        part(source, "html")


def test_an_unknown_language_is_refused() -> None:
    """With those that there are."""
    source = TemplateSource("t", "sms", {"text": "x", "language": "handlebars"}, "templates/t.yaml")
    with pytest.raises(BadTemplates, match="language: there are jinja, liquid; not 'handlebars'"):
        compile_template(source)


def test_the_line_is_that_of_the_file() -> None:
    """A field's text begins on its own line."""
    source = TemplateSource(
        "t", "sms", {"text": "Hi\n{% random 3 %}", "language": "liquid"}, "templates/t.yaml", {"text": 4}
    )
    with pytest.raises(BadTemplates) as caught:
        compile_template(source)
    assert str(caught.value).startswith("templates/t.yaml:5: text: {% random %}: chance belongs")


def test_without_the_library_a_template_in_liquid_is_refused_by_the_name_of_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a worker without it does not take such a workspace; other templates need no library."""
    monkeypatch.setitem(sys.modules, "liquid", None)
    fields = {"text": "a text that no other test compiles", "language": "liquid"}
    with pytest.raises(BadTemplates, match=r"pip install 'brimful\[liquid\]'"):
        compile_template(TemplateSource("t", "sms", fields))
    assert compile_template(TemplateSource("t", "sms", {"text": "as before"}))
