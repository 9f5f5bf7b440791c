"""Whatever is written in Liquid, and whatever the data holds."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.templates.liquid_kit import DATA, run
from workers.core.templates.parts import BadTemplate
from workers.core.templates.values import Unrenderable


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_PATHS = _split("user.first_name user.tags user.seats user.nothing user.orders event x forloop user.address")
_NAMED = _split("size upcase split join plus times date default json map replace slice sort")
_WORDS = st.sampled_from((
    *_split("{{ }} {% %} -%} {{- if else endif for in endfor assign x = capture endcapture case when"),
    *_split("endcase unless endunless cycle liquid raw endraw comment endcomment | : , (1..9) ( ) .. [ ]"),
    *_split("${ } ${first_name} custom_attribute. abort_message('x') == > contains and or blank nil limit"),
    *_split(". 'a' 1 -2.5 offset continue break <a href= increment echo # ifchanged \" '"),
    *(" ", " ", "\n", *_PATHS, *_NAMED),
))  # fmt: skip
_EXPRESSION = st.builds(
    lambda path, filters: " | ".join((path, *filters)),
    st.sampled_from((*_PATHS, "'a,b'", "12", "(1..3)", "user.tags[0]", "user['limit']")),
    st.lists(
        st.builds(
            lambda name, values: f"{name}: {', '.join(values)}" if values else name,
            st.sampled_from(_NAMED),
            st.lists(st.sampled_from(("'a'", "1", "-3", "'name'", "nil", "1.5", *_PATHS)), max_size=2),
        ),
        max_size=3,
    ),
)
_TEMPLATE = st.recursive(
    st.one_of(
        st.text(string.ascii_letters + " <>&'\"\n", max_size=5),
        _EXPRESSION.map(lambda one: "{{ " + one + " }}"),
        _EXPRESSION.map(lambda one: "{% assign x = " + one + " %}"),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map("".join),
        st.builds(
            lambda path, body: "{% for x in " + path + " %}" + body + "{% endfor %}",
            st.sampled_from(_PATHS),
            inner,
        ),
        st.builds(
            lambda path, sign, body: (
                "{% if " + f"{path} {sign} {path}" + " %}" + body + "{% else %}" + body + "{% endif %}"
            ),
            st.sampled_from(_PATHS),
            st.sampled_from(("==", "!=", "<", ">=", "contains", "and")),
            inner,
        ),
        inner.map(lambda body: "{% capture x %}" + body + "{% endcapture %}{{ x }}"),
        inner.map(lambda body: "{% unless user.nothing %}" + body + "{% endunless %}"),
    ),
    max_leaves=12,
)


@given(
    st.lists(_WORDS, max_size=40).map("".join) | _TEMPLATE | st.text(max_size=60),
    st.sampled_from(["text", "html", "json", "slack"]),
)
def test_whatever_is_written_is_refused_or_renders_or_fails_by_name(source: str, mode: Any) -> None:
    """Nothing but our own errors comes out, and no more text than there is room for."""
    try:
        text = run(source, DATA, mode, max_chars=1_000)
    except (BadTemplate, Unrenderable):
        return
    assert len(text) <= 1_000


@given(
    st.text(max_size=30),
    st.sampled_from(
        [
            "{{ user.v }}",
            "{{ user.v | append: '!' }}",
            "{{ user.v | split: 'a' | join: '<' }}",
            "{% capture c %}{{ user.v }}{% endcapture %}{{ c | downcase }}",
            "{{ '<' | append: user.v | replace: '>', user.v }}",
            "{{ user.v | default: '<' | strip | newline_to_br }}",
        ]
    ),
)
def test_a_value_never_becomes_html(value: str, source: str) -> None:
    """Whatever it is and goes through: no tag of the result has a part of the value in it."""
    try:
        text = run(source, {"user": {"v": value + "<i>"}}, "html")
    except Unrenderable:
        return
    assert "<i>" not in text
