"""Partials stand where they are included, and what is wrong in them is told with their own file and line."""

from __future__ import annotations

import pytest

from workers.core.templates.partials import MAX_INCLUDE_DEPTH, BadInclude, Partial, Partials, expand


def partials(**texts: str) -> Partials:
    """Partials of html by name; ``name__de`` is for a locale."""
    held = {}
    for key, text in texts.items():
        name, _, locale = key.partition("__")
        file = f"partials/{name}{'.' if locale else ''}{locale}.html"
        held[name, "html", locale] = Partial(file, text)
    return Partials(held)


def html(text: str, held: Partials, *locales: str) -> str:
    """The text with its partials, without the tags that they stand between."""
    expanded = expand(text, held, ("html",), locales).text
    for tag in ("{% with\n%}", "{% endwith\n%}"):
        expanded = expanded.replace(tag, "")
    return expanded


def test_a_partial_takes_the_place_of_its_include() -> None:
    """Also inside of another one, and as often as it is asked for."""
    held = partials(footer="<p>{% include 'address' %}</p>\n", address="Main St")
    assert html("a {% include 'footer' %} b {% include \"address\" %}", held) == "a <p>Main St</p> b Main St"


@pytest.mark.parametrize(
    ("locales", "shown"),
    [((), "en"), (("de",), "de"), (("de-AT", "de"), "de"), (("fr",), "en")],
)
def test_the_nearest_locale_has_its_partial(locales: tuple[str, ...], shown: str) -> None:
    """A variant has the footer of its own language, where there is one."""
    assert html("{% include 'f' %}", partials(f="en", f__de="de"), *locales) == shown


def test_a_text_without_includes_stays_as_it_is() -> None:
    """To the letter, so that its version does too."""
    text = "{# include #}\r\n{{ include }} {%- if x -%} {% endif %}\n"
    assert expand(text, partials(), ("html",)).text == text


def test_every_line_knows_where_it_was_written() -> None:
    """A mistake in a partial is told with the partial's file and line, one behind it with the text's own."""
    held = partials(footer="<p>\nBye {{ user.name }}</p>")
    expanded = expand("Hi\n{% include 'footer' %} {{ a }}\n{{ b }}", held, ("html",))
    lines = expanded.text.split("\n")
    where = {text: expanded.places[number] for number, text in enumerate(lines, 1)}
    assert where["Hi"] == ("", 1)
    assert next(place for text, place in where.items() if "Bye" in text) == ("partials/footer.html", 2)
    assert next(place for text, place in where.items() if "{{ a }}" in text) == ("", 2)
    assert where["{{ b }}"] == ("", 3)


@pytest.mark.parametrize(
    ("text", "file", "line", "says"),
    [
        ("{% include 'circle' %}", "partials/circle.html", 2, "includes itself: circle > circle"),
        ("{% include 'one' %}", "partials/two.html", 1, "one > two > one"),
        ("\n{% include 'nope' %}", "", 2, "there is no partials/nope.html; there are"),
        ("{% include name %}", "", 1, "by its name, written out"),
        ("{% include 'a' ignore missing %}", "", 1, "by its name, written out"),
        ("{% include 'a/b' %}", "", 1, "by its name, written out"),
        ("{% include '../a' %}", "", 1, "by its name, written out"),
        ("{% include ['a', 'b'] %}", "", 1, "by its name, written out"),
        ("{% include 'broken' %}", "partials/broken.html", 1, "unexpected"),
        ("{% include 'deep0' %}", "partials/deep4.html", 1, "nested deeper than 5"),
        ("{% include 'wide' %}", "partials/wide.html", 1, "more than 200 partials"),
        ("{% include 'long' %}" * 3, "partials/long.html", 1, "more than 200000 characters"),
    ],
)
def test_an_include_that_cannot_be_followed_is_refused(text: str, file: str, line: int, says: str) -> None:
    """With the file and line on which it stands."""
    deep = {f"deep{at}": f"{{% include 'deep{at + 1}' %}}" for at in range(MAX_INCLUDE_DEPTH + 1)}
    held = partials(
        circle="\n{% include 'circle' %}",
        one="{% include 'two' %}",
        two="{% include 'one' %}",
        a="a",
        broken="{% include 'a' $ %}",
        wide="{% include 'a' %}" * 300,
        long="x" * 90_000,
        **deep,
    )
    with pytest.raises(BadInclude, match=says) as caught:
        expand(text, held, ("html",))
    assert (caught.value.file, caught.value.line) == (file, line)


def test_a_partial_of_another_kind_is_named() -> None:
    """A footer of html is no text for a push."""
    with pytest.raises(BadInclude, match=r"there is no partials/a.txt; partials/a.html is for another kind"):
        expand("{% include 'a' %}", partials(a="x"), ("txt",))
