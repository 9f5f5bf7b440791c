"""What a rendered e-mail and a rendered in-app item promise."""

from __future__ import annotations

import pytest

from tests.unit.core.render_kit import UNSUBSCRIBE, banner, context, mail, rendered
from workers.core.templates.compile import (
    BadTemplates,
)
from workers.core.templates.render import (
    RenderedEmail,
    RenderedInApp,
    RenderFailed,
    render_email,
    render_in_app,
)

# E-mail


def test_values_are_escaped_in_html_and_not_in_text() -> None:
    """A person called <script> is shown as such in both parts."""
    result = rendered(mail("<p>Hi {{ user.name }}</p>"), user={"name": "<script>alert(1)</script> & co"})
    assert "<p>Hi &lt;script&gt;alert(1)&lt;/script&gt; &amp; co</p>" in result.html
    assert result.text == "Hi <script>alert(1)</script> & co"


def test_a_fragment_becomes_a_document_with_the_hidden_preheader_in_front() -> None:
    """Mail clients show the preheader beside the subject; it is escaped and not part of the text."""
    result = rendered(mail("<p>Body</p>", preheader="For {{ user.name }}"), user={"name": "A & B"})
    assert result.html.startswith("<!DOCTYPE html><html><head><meta charset")
    assert result.html.index("For A &amp; B</div>") < result.html.index("<p>Body</p>")
    assert result.text == "Body"


def test_a_whole_document_keeps_its_head_and_gets_the_preheader_after_the_body_tag() -> None:
    """Designers' documents stay as they are."""
    html = '<html><head><title>T</title></head><body class="x"><p>Hi</p></body></html>'
    result = rendered(mail(html, preheader="Pre"))
    assert result.html.startswith(
        '<html><head><title>T</title></head><body class="x"><div style="display:none'
    )
    assert result.text == "Hi"


TEXTS = [
    ("<h1>Hi</h1><p>a  <b>b</b>\n c</p>", "Hi\n\na b c"),
    ('<p>See <a href="https://example.com/x">the plans</a>.</p>', "See the plans (https://example.com/x)."),
    ('<a href="https://example.com">https://example.com</a>', "https://example.com"),
    ('<a href="mailto:a@example.com">a@example.com</a>', "a@example.com"),
    ('<a href="https://example.com/x"><img src="https://example.com/i.png" alt="Plans"></a>',
     "Plans (https://example.com/x)"),
    ("<ul><li>one</li><li>two</li></ul>after", "- one\n- two\n\nafter"),
    ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
    ("a<br>b<hr>c", "a\nb\n\n---\n\nc"),
    ("<style>p { color: red }</style><p>shown</p><!-- not shown -->", "shown"),
    ('<div style="display: none">hidden <p>too</p></div><p>shown</p>', "shown"),
    ("<p>caf&eacute; &lt;b&gt; &amp;&nbsp;co</p>", "café <b> & co"),
    ("{% if user.x %}<p>yes</p>{% else %}<p>no</p>{% endif %}<p>end</p>", "no\n\nend"),
    ("<ul>{% for n in user.list %}<li>{{ n }}</li>{% endfor %}</ul>", "- a\n- b"),
    ('<a href="{{ unsubscribe_url }}">Unsubscribe</a>', f"Unsubscribe ({UNSUBSCRIBE})"),
    ("{% set n = user.list | length %}<p>{{ n }} {# note #}things {{ 'a<b' if n < 3 else 'c' }}</p>",
     "2 things a<b"),
]  # fmt: skip


@pytest.mark.parametrize(("html", "text"), TEXTS)
def test_the_text_part_says_what_the_html_says(html: str, text: str) -> None:
    """Links are written out behind their labels; what is hidden stays hidden; conditions hold in both."""
    assert rendered(mail(html), user={"list": ["a", "b"]}).text == text


def test_a_text_of_its_own_takes_the_place_of_the_derived_one() -> None:
    """Who writes the text part by hand gets exactly that."""
    assert rendered(mail("<p>Html</p>", text="Hi {{ user.name }}\n"), user={"name": "Ada"}).text == "Hi Ada"


UNSAFE_HTML = [
    ("<p>{{ user.x }}</p><script>x</script>", "<script> is refused"),
    ("<IFRAME src='https://example.com'></IFRAME>", "<iframe> is refused"),
    ("<p class={{ user.x }}>a</p>", "quoted attribute"),
    ("<p {{ user.x }}>a</p>", "quoted attribute"),
    ('<p onclick="{{ user.x }}">a</p>', "run as a program"),
    ("<style>p { color: {{ user.x }} }</style>a", "inside <style>"),
    ("<p>\n<b title='ok'\n{{ user.x }}>", "quoted attribute"),
]


@pytest.mark.parametrize(("html", "message"), UNSAFE_HTML)
def test_html_in_which_a_value_could_break_out_is_refused(html: str, message: str) -> None:
    """Escaping protects text and quoted attributes; everything else is refused with the way to mend it."""
    with pytest.raises(BadTemplates) as caught:
        mail(html)
    assert message in str(caught.value)


LINKS = [
    ("javascript:alert(1)", False),
    ("JavaScript:alert(1)", False),
    ("data:text/html,x", False),
    ("/settings", False),
    ("//example.com", False),
    ("https://example.com/a b", False),
    ("https://example.com/\nx", False),
    ("https://example.com/?a=1&b=2", True),
    ("HTTPS://example.com", True),
    ("mailto:a@example.com", True),
]


@pytest.mark.parametrize(("url", "good"), LINKS)
@pytest.mark.parametrize("around", ['<a href="{}">x</a>', "<a class='b' href = ' {}'>x</a>"])
def test_a_link_made_of_a_value_is_absolute_and_harmless(url: str, good: bool, around: str) -> None:
    """A value at the start of a URL cannot smuggle in a script or a relative address."""
    result = render_email(mail(around.format("{{ event.url }}")), context(event={"url": url}))
    if good:
        assert isinstance(result, RenderedEmail)
    else:
        assert isinstance(result, RenderFailed)
        assert (result.reason, result.variable) == ("bad_url", "event.url")


def test_a_value_inside_a_url_is_only_escaped() -> None:
    """Query values are the author's to encode; they cannot leave the attribute."""
    template = mail('<a href="https://example.com/?q={{ event.q }}">x</a>')
    assert 'href="https://example.com/?q=&#34;&gt;"' in rendered(template, event={"q": '">'}).html


SUBJECTS = [
    ("Hi\r\nBcc: a@example.com", "control_character"),
    ("Hi\nthere", "control_character"),
    ("Hi\x00", "control_character"),
    ("Hi\x85there", "control_character"),
    ("Hi\u2028there", "control_character"),
    ("x" * 256, "too_long"),
]


@pytest.mark.parametrize(("name", "reason"), SUBJECTS)
def test_a_subject_is_one_line(name: str, reason: str) -> None:
    """A value with a line break cannot add a header: the message is refused."""
    result = render_email(mail("<p>x</p>", subject="{{ user.name }}"), context(user={"name": name}))
    assert isinstance(result, RenderFailed)
    assert result.reason == reason


def test_the_layout_of_the_yaml_is_not_part_of_a_subject() -> None:
    """A subject written as a block ends in a line break, which is no injection."""
    assert rendered(mail("<p>x</p>", subject="Hi {{ 'Ada' }}\n")).subject == "Hi Ada"


def test_a_failure_in_any_part_fails_the_whole_mail() -> None:
    """No mail goes out whose html is good and whose text has a hole."""
    result = render_email(mail("<p>x</p>", text="{{ user.name }}"), context())
    assert isinstance(result, RenderFailed)
    assert (result.reason, result.variable, result.template) == ("missing_variable", "user.name", "t")


# In-app

APP_URLS = [
    ("/settings/billing?x=1", True),
    ("https://app.example.com/x", True),
    ("http://app.example.com/x", False),
    ("//evil.example.com", False),
    ("/\\evil.example.com", False),
    ("javascript:alert(1)", False),
    ("settings", False),
    ("/a b", False),
    ("/a\nb", False),
]


@pytest.mark.parametrize(("url", "good"), APP_URLS)
def test_a_call_to_action_leads_into_the_app_or_to_https(url: str, good: bool) -> None:
    """The app shows the link as it is, so nothing else may be in it."""
    template = banner("x", cta_label="Go", cta_url="{{ event.url }}")
    result = render_in_app(template, context(event={"url": url}))
    assert isinstance(result, RenderedInApp) is good
    assert good or (isinstance(result, RenderFailed) and result.reason == "bad_url")


def test_an_item_without_a_call_to_action_has_neither_label_nor_url() -> None:
    """The SDK shows no empty button."""
    result = render_in_app(banner("x", expires_after="2h"), context())
    assert isinstance(result, RenderedInApp)
    assert (result.cta_label, result.cta_url, result.expires_after_ms) == (None, None, 7_200_000)


@pytest.mark.parametrize("part", ["title", "cta_label"])
def test_a_line_of_an_item_is_one_line(part: str) -> None:
    """A title or label with a line break inside is refused."""
    fields = {"cta_label": "Go", "cta_url": "/x", part: "{{ user.name }}"}
    result = render_in_app(banner("x", **fields), context(user={"name": "a\nb"}))
    assert isinstance(result, RenderFailed)
    assert result.reason == "control_character"
