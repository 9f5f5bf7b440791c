"""Templates of in-app messages: what each form has, and what is refused with a word on what to do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.core.render_kit import context
from workers.core.templates.compile import BadTemplates, TemplateSource, compile_template, variables
from workers.core.templates.in_app import InAppTemplate, Show
from workers.core.templates.render import RenderedInApp, RenderFailed, render_in_app

TOUR = [
    {"title": "One", "body": "Look", "selector": "#a"},
    {"title": "Two", "cta_label": "Go", "cta_url": "/x"},
]
INVITE = {
    "title": "Invite {{ user.name }}",
    "event": "invited",
    "done": "{% if user.invited %}{{ user.word | default('yes') }}{% endif %}",
}
CHECKLIST = [INVITE]
B = {"form": "banner", "body": "B"}
CTA = {"cta_label": "Go", "cta_url": "/x"}


def compiled(**fields: Any) -> InAppTemplate:
    """A template of these fields."""
    made = compile_template(TemplateSource("t", "in_app", {"title": "T", **fields}))
    assert isinstance(made, InAppTemplate)
    return made


def problems(**fields: Any) -> str:
    """What is wrong with a template of these fields; empty where nothing is."""
    try:
        compiled(**fields)
    except BadTemplates as error:
        return "\n".join(f"{one.field}: {one.detail}" for one in error.problems)
    return ""


@pytest.mark.parametrize(
    "fields",
    [
        {**B, "position": "bottom", "priority": 100, "once": "session"},
        {**B, "dismissible": False},
        {"form": "post", "body": "B", "image_url": "https://x/y.png", "image_alt": "A chart"},
        {"form": "modal", "body": "B", "dismissible": False, **CTA},
        {"form": "tooltip", "body": "B", "show": {"selector": "#save", "delay": "2s"}},
        {"form": "checklist", "steps": CHECKLIST},
        {"form": "tour", "steps": TOUR, "show": {"url": "/projects/*", "event": "opened"}},
        {"form": "chat", "body": "B", "author": "{{ user.owner | default('Ada') }}", **CTA},
    ],
)
def test_every_form_can_be_written(fields: dict[str, Any]) -> None:
    """With what is its own."""
    assert problems(**fields) == ""


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"form": "popup", "body": "B"}, "form: there are banner"),
        ({"form": "banner"}, "body: a banner needs this field"),
        (
            {**B, "steps": TOUR},
            "steps: a banner has none",
        ),
        ({**B, "author": "A"}, "author: a banner has none; it is for chat"),
        ({**B, "position": "left"}, "position: this is top or bottom"),
        ({**B, "once": "day"}, "once: this is user or session"),
        ({**B, "priority": 101}, "priority: this is a whole number from 0 to 100"),
        ({**B, "priority": True}, "priority: this is a whole number"),
        ({**B, "dismissible": "no"}, "dismissible: this is true or false"),
        ({**B, "cta_url": "/x"}, "cta_url: a label and a URL come together"),
        (
            {"form": "modal", "body": "B", "dismissible": False},
            "dismissible: what cannot be closed needs",
        ),
        ({"form": "post", "body": "B", "image_url": "/x.png"}, "image_alt: say what the picture shows"),
        ({"form": "tooltip", "body": "B"}, "show: a tooltip points at an element"),
        ({"form": "tour"}, "steps: a tour needs its steps"),
        ({"form": "tour", "steps": TOUR[:1]}, "steps: a tour has 2 to 5 steps"),
        ({"form": "tour", "steps": TOUR, "dismissible": False}, "dismissible: a tour can always be left"),
        ({"form": "tour", "steps": TOUR, **CTA}, "cta_label: a tour has none"),
        (
            {"form": "tour", "steps": [*TOUR, {"title": "X", "event": "y"}]},
            "steps: a step of a tour",
        ),
        ({"form": "checklist", "steps": [{"body": "B"}]}, "steps: title of a step is a text"),
        ({"form": "checklist", "steps": [{"title": "X", "cta_label": "Y"}]}, "steps: a label and a URL come"),
        ({"form": "checklist", "steps": [{"title": "{{ nope.x }}"}]}, "steps: "),
        ({**B, "show": {}}, "show: this is a mapping with url, event"),
        ({**B, "show": {"page": "/x"}}, "show: this is a mapping with url, event"),
        ({**B, "show": {"url": "projects"}}, "show: url is a pattern such as"),
        (
            {**B, "show": {"delay": "soon"}},
            "show: delay is a whole number",
        ),
        (
            {**B, "show": {"event": "{{ user.x }}"}},
            "show: event is the same",
        ),
        ({**B, "show": {"selector": " "}}, "show: selector is a text of 1 to 500"),
        ({**B, "expires_after": "soon"}, "expires_after: a duration is"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_word_on_what_to_do(fields: dict[str, Any], said: str) -> None:
    """By its field."""
    assert said in problems(**fields)


def test_a_rendered_item_has_all_that_its_template_says() -> None:
    """Texts are rendered; what the page does with the item is as written."""
    template = compiled(
        form="checklist", steps=CHECKLIST, priority=5, once="user", show={"url": "/*", "delay": "1m"}
    )
    made = render_in_app(template, context(user={"name": "Ada", "invited": True}))
    assert isinstance(made, RenderedInApp)
    assert (made.steps[0].title, made.steps[0].done, made.steps[0].event) == ("Invite Ada", True, "invited")
    assert (made.body, made.priority, made.once, made.show) == ("", 5, "user", Show("/*", None, 60_000, None))


@pytest.mark.parametrize("traits", [{}, {"invited": False}, {"invited": True, "word": "No"}])
def test_a_step_is_done_only_when_it_says_so(traits: dict[str, Any]) -> None:
    """Nothing, and a word for no, is a step that is still to do."""
    template = compiled(form="checklist", steps=CHECKLIST)
    made = render_in_app(template, context(user={"name": "Ada", **traits}))
    assert isinstance(made, RenderedInApp)
    assert not made.steps[0].done


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://x/y.png", "//x/y.png", "data:image/png,x"])
def test_a_picture_comes_by_https_or_from_the_app(url: str) -> None:
    """As links do."""
    template = compiled(form="post", body="B", image_url="{{ event.url }}", image_alt="A")
    made = render_in_app(template, context(event={"url": url}))
    assert isinstance(made, RenderFailed)
    assert (made.reason, made.detail) == ("bad_url", "image_url is neither an https URL nor a path")


def test_the_texts_of_steps_are_linted_like_all_others() -> None:
    """Their variables are known, and a value that is missing stops the message."""
    template = compiled(form="checklist", steps=CHECKLIST)
    assert {one.name for one in variables(template)} == {"user.name", "user.invited", "user.word"}
    failed = render_in_app(template, context())
    assert isinstance(failed, RenderFailed)
    assert failed.variable == "user.name"
