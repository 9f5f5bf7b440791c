"""Whatever partials and blocks are made of: a template compiles to something bounded, or is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.core.templates.compile import BadTemplates, TemplateSource, compile_templates
from workers.core.templates.partials import BadInclude, Partial, Partials, expand
from workers.core.templates.parts import MAX_SOURCE_CHARS
from workers.core.templates.render import MAX_PART_CHARS, RenderedInApp, RenderFailed, render

NAMES = ("a", "b", "c", "d")
PIECES = st.one_of(
    st.sampled_from([f"{{% include '{name}' %}}" for name in NAMES]),
    st.sampled_from(
        [
            "{% for one in event.rows %}",
            "{% endfor %}",
            "{% block x %}",
            "{% fallback %}",
            "{% endblock %}",
            "{% if event.n %}",
            "{% else %}",
            "{% endif %}",
            "{% set t = 'x' ~ event.n %}",
            "{{ event.n }}",
            "{{ event.nothing }}",
            "{{ t | default('t') }}",
            "{% abort 'no' %}",
            "text " * 200,
        ]
    ),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)


@st.composite
def looped(draw: st.DrawFn) -> str:
    """A text that is whole: loops, blocks and conditions closed."""
    inner = draw(
        st.lists(
            st.sampled_from(["{% include 'b' %}", "{{ event.n }}", "{{ event.x }}", "z" * 300]), max_size=4
        )
    )
    text = "".join(inner)
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["for", "block", "with"]))
        text = {
            "for": f"{{% for one in event.rows %}}{text}{{% endfor %}}",
            "block": f"{{% block x %}}{text}{{% fallback %}}{{% include 'c' %}}{{% endblock %}}",
            "with": f"{{% with v=event.n %}}{text}{{% endwith %}}",
        }[kind]
    return text


def partials(texts: dict[str, str]) -> Partials:
    """Partials for texts."""
    return Partials({(name, "txt", ""): Partial(f"{name}.txt", text) for name, text in texts.items()})


@given(text=TEXTS, held=st.dictionaries(st.sampled_from(NAMES), TEXTS))
def test_includes_end_and_stay_within_the_size_of_a_text(text: str, held: dict[str, str]) -> None:
    """Whoever includes whom: circles are refused, and so is a text that grows by doubling."""
    try:
        expanded = expand(text, partials(held), ("txt",))
    except BadInclude:
        return
    assert len(expanded.text) <= MAX_SOURCE_CHARS
    assert "include" not in expanded.text
    lines = expanded.text.count("\n") + 1
    assert set(expanded.places) <= set(range(1, lines + 1))


@given(text=looped(), second=looped(), rows=st.integers(0, 400), there=st.booleans())
def test_no_partial_and_no_block_gets_around_the_meter(
    text: str, second: str, rows: int, *, there: bool
) -> None:
    """What is rendered is bounded by the budget of the message, or fails by a reason of ours."""
    held = {"b": second.replace("'b'", "'c'"), "c": "{{ event.n }}"}
    try:
        body = expand(text or "x", partials(held), ("txt",)).text
        fields = {"form": "banner", "title": "t", "body": body}
        template = compile_templates([TemplateSource("t", "in_app", fields)])["t"]
    except (BadInclude, BadTemplates):
        return
    event = {"rows": list(range(rows)), "n": 7} | ({"x": "X"} if there else {})
    result = render(template, {"event": event, "user": {}, "message": {}})
    assert isinstance(result, (RenderedInApp, RenderFailed))
    if isinstance(result, RenderedInApp):
        assert len(result.body) <= MAX_PART_CHARS
