"""Blocks with a fallback, and templates that say themselves that they are not to be shown."""

from __future__ import annotations

import tracemalloc

import pytest

from tests.unit.core.render_kit import banner, body, context, mail, rendered
from workers.core.templates.compile import BadTemplates, TemplateSource, compile_template, variables
from workers.core.templates.language import compile_part
from workers.core.templates.render import RenderFailed, render, render_in_app


def block(shown: str, otherwise: str = "") -> str:
    """A block and its fallback."""
    return f"{{% block o %}}{shown}{{% fallback %}}{otherwise}{{% endblock %}}"


OFFER = f"a {block('{{ event.x }}', 'plain')} b"


@pytest.mark.parametrize(
    ("source", "event", "shown"),
    [
        pytest.param(OFFER, {"x": "deal"}, "a deal b", id="all is there"),
        pytest.param(OFFER, {}, "a plain b", id="missing"),
        pytest.param(OFFER, {"x": "  "}, "a plain b", id="blank"),
        pytest.param(OFFER, {"x": [1]}, "a plain b", id="a list is no text"),
        pytest.param(f"a{block('{{ event.x + 1 }}')}b", {"x": "1"}, "ab", id="wrong type"),
        pytest.param(block("{{ event.x | date }}", "soon"), {"x": "?"}, "soon", id="no date"),
        pytest.param(
            block("{% for a, b in event.x %}{{ a }}{% endfor %}", "none"),
            {"x": [1]},
            "none",
            id="items that do not fit the names of a loop",
        ),
        pytest.param(
            block(block("{{ event.x }}", "{{ event.y }}"), "z"),
            {},
            "z",
            id="the outer one where the inner fallback fails",
        ),
        pytest.param(
            "{% for i in event.x %}" + block("{{ i.n }}{{ loop.index }}", "-") + "{% endfor %}",
            {"x": [{"n": "a"}, {}, {"n": "c"}]},
            "a1-c3",
            id="each time that a loop comes by",
        ),
        pytest.param(
            block("{% if not event.stock %}{% abort 'sold out' %}{% endif %}buy", "later"),
            {},
            "later",
            id="the template says so",
        ),
        pytest.param(
            "{% with a=event.x, b=2 %}{{ a }}{{ b }}{% endwith %}", {"x": 1}, "12", id="names for values"
        ),
        pytest.param(
            "{% set a = 1 %}{% block o %}{% set a = 2 %}{{ a }}{% fallback %}{% endblock %}{{ a }}",
            {},
            "21",
            id="what a block sets stays in it",
        ),
    ],
)  # fmt: skip
def test_a_block_shows_its_fallback_where_a_value_cannot_be_shown(
    source: str, event: dict[str, object], shown: str
) -> None:
    """The message goes out all the same."""
    assert body(source, event=event) == shown


def test_a_block_of_html_escapes_its_values_and_not_its_tags() -> None:
    """Both parts are html as what stands around them."""
    template = mail("<p>{% block o %}<b>{{ event.x }}</b>{% fallback %}<i>no</i>{% endblock %}</p>")
    assert "<p><b>&lt;&amp;</b></p>" in rendered(template, event={"x": "<&"}).html
    assert "<p><i>no</i></p>" in rendered(template).html
    assert rendered(template).text == "no"


def test_an_empty_url_picks_the_fallback() -> None:
    """No button leads nowhere."""
    template = mail(
        "{% block o %}<a href=\"{{ event.url | default('') }}\">Buy</a>{% fallback %}Ask us{% endblock %}"
    )
    assert "Ask us" in rendered(template, event={"url": ""}).html
    assert "Ask us" in rendered(template, event={"url": "javascript:x"}).html
    assert "https://a.example" in rendered(template, event={"url": "https://a.example"}).html


def test_what_a_fallback_reads_is_not_covered() -> None:
    """The linter tells what a message cannot do without."""
    source = "{% block o %}{{ event.a }}{% fallback %}{{ event.b }}{% endblock %}"
    found = {one.name: one.has_default for one in variables(banner(source))}
    assert found == {"event.a": True, "event.b": False}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{% block o %}a{% endblock %}", "a block says what is shown"),
        ("{% fallback %}", "stands directly inside of a"),
        (
            "{% block o %}{% if event.x %}{% fallback %}{% endif %}{% endblock %}",
            "a block says what is shown",
        ),
        ("{% block o %}a{% fallback %}b{% fallback %}c{% endblock %}", "once"),
        ("{% block o %}" * 5 + "{% fallback %}{% endblock %}" * 5, "nested deeper than 4"),
        ("{% abort %}", "abort says why"),
        ("{% abort event.x %}", "abort says why"),
        ("{% with event=1 %}{% endwith %}", "cannot be set"),
    ],
)
def test_a_block_that_cannot_be_meant_is_refused(source: str, says: str) -> None:
    """With its line, before anything runs."""
    with pytest.raises(BadTemplates, match=says):
        compile_template(TemplateSource("t", "in_app", {"form": "banner", "title": "t", "body": source}))


def test_too_much_work_is_not_made_good_by_a_fallback() -> None:
    """A block is no way around the meter, and neither is a text in a loop in it."""
    loop = "{% for i in event.x %}{% for j in event.x %}" + "z" * 5_000 + "{% endfor %}{% endfor %}"
    template = banner("{% block o %}" + loop + "{% fallback %}cheap{% endblock %}")
    result = render_in_app(template, context(event={"x": list(range(1_000))}))
    assert isinstance(result, RenderFailed)
    assert result.reason == "too_much_work"


def test_what_a_loop_repeats_costs_by_its_length() -> None:
    """A block is put together before its length is known, so a long text is paid for each time: no 20 MB."""
    loop = "{% for i in event.x %}" + "z" * 20_000 + "{% endfor %}"
    template, data = banner(block(loop)), context(event={"x": list(range(1_000))})
    tracemalloc.start()
    result = render_in_app(template, data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(result, RenderFailed)
    assert result.reason == "too_much_work"
    assert peak < 10_000_000


def test_a_message_that_aborts_says_why() -> None:
    """The reason is the template's own text, and no value."""
    result = render(banner("{% abort 'sold out' %}"), context())
    assert isinstance(result, RenderFailed)
    assert (result.reason, result.detail, result.skips) == ("aborted", "sold out", True)


def test_a_lone_block_in_a_document_is_a_text() -> None:
    """Only a lone expression keeps its type."""
    part = compile_part("{% block o %}{{ event.x }}{% fallback %}1{% endblock %}", "json")
    assert not part.typed
