"""Every form in a real browser: what is seen, what the keyboard does, what is told, what cannot break in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.kit import item, until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.browser.kit import Site

FORMS = ("banner", "post", "modal", "tooltip", "checklist", "tour", "chat")
WIDTHS = (360, 1280)


def visit(page: Page, site: Site, path: str = "/app/start", **options: Any) -> None:
    """Open the page and start the SDK."""
    page.goto(site.url + path)
    page.evaluate("(given) => brimful.init(given)", {"host": site.url, "token": site.token(), **options})


def shown(page: Page, form: str) -> Locator:
    """What stands on the page of a form."""
    return page.locator(f"brimful-item[form={form}]")


def focused(page: Page) -> str:
    """The name of the focused element, also inside a shadow root."""
    script = "(document.activeElement.shadowRoot?.activeElement ?? document.activeElement)"
    return str(page.evaluate(f"{script}.getAttribute('aria-label') ?? {script}.textContent"))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_seen_whole(page: Page, site: Site, form: str, scheme: Any, width: int) -> None:
    """On a phone and on a desk, light and dark, with text that stands out from its ground, as told."""
    page.set_viewport_size({"width": width, "height": 740})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    site.show(item(form))
    visit(page, site)
    box = shown(page, form).locator(".box, .banner").first
    expect(box).to_be_visible()
    rect = until(box.bounding_box)
    assert rect["x"] >= 0
    assert rect["y"] >= 0
    assert rect["x"] + rect["width"] <= width
    assert rect["y"] + rect["height"] <= 740
    title = box.locator("h2").first
    assert _contrast(_colours(box, title)) >= 4.5
    if form not in ("tour", "checklist"):
        assert _contrast(_colours(box.locator("a.cta"), box.locator("a.cta"))) >= 4.5
    until(lambda: ("opened", "m1") in site.told())


def _colours(ground: Locator, text: Locator) -> tuple[list[float], list[float]]:
    read = """(element, name) => {
      const canvas = document.createElement("canvas").getContext("2d");
      canvas.fillStyle = getComputedStyle(element)[name];
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    return ground.evaluate(read, "backgroundColor"), text.evaluate(read, "color")


def _contrast(colours: tuple[list[float], list[float]]) -> float:
    """The ratio of WCAG 2.2."""

    def luminance(colour: list[float]) -> float:
        parts = [value / 255 for value in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    one, other = sorted(map(luminance, colours))
    return (other + 0.05) / (one + 0.05)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_dismissed_is_gone_and_told_once(page: Page, site: Site, form: str) -> None:
    """Also after a reload, when the gateway still has it."""
    site.show(item(form))
    visit(page, site)
    shown(page, form).get_by_role("button", name="Close").click()
    expect(shown(page, form)).to_have_count(0)
    until(lambda: ("dismissed", "m1") in site.told())
    visit(page, site)
    page.wait_for_timeout(700)
    expect(shown(page, form)).to_have_count(0)
    assert sorted(site.told()) == [("dismissed", "m1"), ("opened", "m1")]


@pytest.mark.parametrize("form", ["modal", "tooltip", "tour"])
def test_escape_dismisses_what_is_in_the_way(page: Page, site: Site, form: str) -> None:
    """Wherever the focus is."""
    site.show(item(form))
    visit(page, site)
    expect(shown(page, form)).to_be_attached()
    page.keyboard.press("Escape")
    expect(shown(page, form)).to_have_count(0)
    until(lambda: ("dismissed", "m1") in site.told())


def test_escape_leaves_a_banner_alone_unless_it_has_the_focus(page: Page, site: Site) -> None:
    """The key belongs to the page."""
    site.show(item("banner"))
    visit(page, site)
    close = shown(page, "banner").get_by_role("button", name="Close")
    expect(close).to_be_visible()
    page.keyboard.press("Escape")
    expect(close).to_be_visible()
    close.focus()
    page.keyboard.press("Escape")
    expect(close).to_have_count(0)


def test_a_modal_keeps_the_focus_and_gives_it_back(page: Page, site: Site) -> None:
    """Tab goes round in it, both ways; the page behind cannot be reached; it has a name and a description."""
    page.goto(f"{site.url}/app/start")
    page.locator("#before").focus()
    site.show(item("modal"))
    page.evaluate("(given) => brimful.init(given)", {"host": site.url, "token": site.token()})
    dialog = page.get_by_role("dialog", name="Title of m1")
    expect(dialog).to_be_visible()
    expect(dialog).to_have_accessible_description("Five seats are used.")
    seen = []
    for _ in range(4):
        page.keyboard.press("Tab")
        seen.append(focused(page))
    assert seen == ["Close", "See plans", "Not now", "Close"]
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "Not now"
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    assert focused(page) == "before"


def test_a_modal_that_must_be_answered_has_one_way_out(page: Page, site: Site) -> None:
    """No button closes it, nor does Escape, pressed twice; its link does."""
    site.show(item("modal", dismissible=False, cta_url="#plans"))
    visit(page, site)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    for _ in range(3):
        page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button")).to_have_count(0)
    dialog.get_by_role("link", name="See plans").click()
    expect(dialog).to_have_count(0)
    assert page.url.endswith("#plans")


@pytest.mark.parametrize("form", ["banner", "post", "tooltip", "chat"])
def test_what_does_not_take_the_focus_is_announced(page: Page, site: Site, form: str) -> None:
    """A live region says the title; the focus stays where the person is."""
    page.goto(f"{site.url}/app/start")
    page.locator("#before").focus()
    site.show(item(form))
    page.evaluate("(given) => brimful.init(given)", {"host": site.url, "token": site.token()})
    status = shown(page, form).get_by_role("status")
    expect(status).to_contain_text("Title of m1")
    expect(status).to_have_attribute("aria-live", "polite")
    assert focused(page) == "before"


def test_a_tooltip_waits_for_its_element_and_follows_it(page: Page, site: Site) -> None:
    """It comes with the element, moves with it, and leaves with it, without being told as dismissed."""
    site.show(item("tooltip", show={"selector": "#late"}))
    visit(page, site)
    page.wait_for_timeout(700)
    expect(shown(page, "tooltip")).to_have_count(0)
    page.evaluate("""() => {
      const late = document.createElement("button");
      late.id = "late";
      late.textContent = "Late";
      late.style.cssText = "position: fixed; left: 200px; top: 200px; margin: 0 !important";
      document.body.append(late);
    }""")
    panel = shown(page, "tooltip").locator(".panel")
    expect(panel).to_be_visible()
    anchor = page.locator("#late")

    def distance() -> float:
        one, other = panel.bounding_box(), anchor.bounding_box()
        assert one is not None
        assert other is not None
        return float(one["y"] - other["y"] - other["height"])

    assert 0 < distance() < 30
    page.evaluate("document.getElementById('late').style.top = '400px'")
    until(lambda: (panel.bounding_box() or {"y": 0})["y"] > 400)
    assert 0 < distance() < 30
    page.evaluate("document.getElementById('late').remove()")
    expect(shown(page, "tooltip")).to_have_count(0)
    assert site.told() == [("opened", "m1")]


def test_a_tour_goes_step_by_step(page: Page, site: Site) -> None:
    """By buttons and by arrow keys; it says where it is; the last step has one thing to do."""
    site.show(item("tour"))
    visit(page, site)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_have_accessible_name("First")
    expect(dialog).to_contain_text("1 of 3")
    expect(dialog).to_be_focused()
    dialog.get_by_role("button", name="Next").click()
    expect(dialog).to_have_accessible_name("Second")
    dialog.get_by_role("button", name="Back").click()
    expect(dialog).to_have_accessible_name("First")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(dialog).to_have_accessible_name("Third")
    dialog.get_by_role("link", name="Try Pro").click()
    page.wait_for_url("**/app/pro")
    until(lambda: ("clicked", "m1") in site.told())


def test_a_tour_brings_a_far_element_into_view(page: Page, site: Site) -> None:
    """The light is on it."""
    steps = [{"title": "Far", "selector": "#far"}, {"title": "Nowhere", "selector": "#nowhere"}]
    page.emulate_media(reduced_motion="reduce")
    site.show(item("tour", steps=steps))
    visit(page, site)
    until(lambda: page.evaluate("scrollY") > 300)
    expect(page.locator("#far")).to_be_in_viewport()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog")).to_have_accessible_name("Nowhere")
    expect(page.get_by_role("dialog")).to_be_in_viewport()


def test_a_checklist_counts_what_the_page_tracks(page: Page, site: Site) -> None:
    """What was done before counts; what is done stays done after a reload; it can be folded."""
    site.show(item("checklist"))
    visit(page, site, writeKey="wk")
    box = shown(page, "checklist")
    expect(box).to_contain_text("1 of 2")
    expect(box.get_by_role("listitem").nth(0)).to_contain_text("(done)")
    expect(box.get_by_role("listitem").nth(1)).to_contain_text("(to do)")
    page.evaluate("brimful.track('invited')")
    expect(box).to_contain_text("2 of 2")
    expect(box.get_by_role("status")).to_have_text("All done")
    visit(page, site)
    expect(box).to_contain_text("2 of 2")
    fold = box.get_by_role("button", name="Title of m1")
    fold.click()
    expect(fold).to_have_attribute("aria-expanded", "false")
    expect(box.get_by_role("list")).to_have_count(0)


@pytest.mark.parametrize("form", FORMS)
def test_texts_are_texts_under_the_strictest_policy(page: Page, site: Site, form: str) -> None:
    """HTML in a text is shown, scripts in links do not run, and nothing violates the page's policy."""
    evil = "<img src=x onerror=alert(1)>"
    texts: dict[str, Any] = {
        "title": evil,
        "body": f"{evil} [x](javascript:alert(1)) [y](https://example.com/)",
    }
    if form not in ("tour", "checklist"):
        texts |= {"cta_label": evil, "cta_url": "javascript:alert(1)"}
    else:
        steps = [{"title": evil, "body": texts["body"], "cta_label": "x", "cta_url": "data:text/html,x"}] * 2
        texts["steps"] = steps
    violations: list[str] = []
    page.on("console", lambda message: violations.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: violations.append(f"a script ran: {dialog.message}"))
    site.show(item(form, author=evil, image_url="javascript:alert(1)", **texts))
    visit(page, site, "/app/start?csp=1")
    expect(shown(page, form).locator("h2").first).to_have_text(evil)
    links = shown(page, form).locator("a").evaluate_all("all => all.map((one) => one.protocol)")
    assert set(links) <= {"https:"}
    assert ("https:" in links) or form == "checklist" or links == []
    assert [one for one in violations if "favicon" not in one] == []


def test_the_page_and_the_messages_do_not_disturb_each_other(page: Page, site: Site) -> None:
    """The page's `* { ... !important }` stops at the shadow root, and its own elements look as before."""
    site.show(item("banner"))
    page.goto(f"{site.url}/app/start")
    before = page.locator("#save").evaluate("(one) => JSON.stringify({...getComputedStyle(one)})")
    page.evaluate("(given) => brimful.init(given)", {"host": site.url, "token": site.token()})
    title = shown(page, "banner").locator("h2")
    expect(title).to_have_css("font-size", "15px")
    expect(title).to_have_css("color", "rgb(27, 31, 36)")
    assert page.locator("#save").evaluate("(one) => JSON.stringify({...getComputedStyle(one)})") == before


def test_a_page_from_right_to_left_gets_messages_from_right_to_left(page: Page, site: Site) -> None:
    """The close button is on the left, and the card in the left corner."""
    site.show(item("post"))
    visit(page, site, "/app/start?rtl=1")
    box = until(lambda: shown(page, "post").locator(".box").bounding_box())
    close = until(lambda: shown(page, "post").get_by_role("button").bounding_box())
    assert box["x"] < 40
    assert close["x"] - box["x"] < 40


def test_colours_come_from_the_page(page: Page, site: Site) -> None:
    """By custom properties, and the theme that was asked for wins over the system's."""
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    site.show(item("post"))
    page.goto(f"{site.url}/app/start")
    page.evaluate("document.documentElement.style.setProperty('--brimful-accent', 'rgb(10, 100, 20)')")
    given = {"host": site.url, "token": site.token(), "theme": "dark", "labels": {"close": "Zu"}}
    page.evaluate("(given) => brimful.init(given)", given)
    expect(shown(page, "post").locator(".cta")).to_have_css("background-color", "rgb(10, 100, 20)")
    expect(shown(page, "post").locator(".box")).to_have_css("background-color", "rgb(29, 34, 41)")
    expect(shown(page, "post").get_by_role("button", name="Zu")).to_be_visible()


@pytest.mark.parametrize(("motion", "name"), [("reduce", "none"), ("no-preference", "in")])
def test_nothing_moves_for_who_wants_no_motion(page: Page, site: Site, motion: Any, name: str) -> None:
    """And something does for others."""
    page.emulate_media(reduced_motion=motion)
    site.show(item("post"))
    visit(page, site)
    expect(shown(page, "post").locator(".box")).to_have_css("animation-name", re.compile(f"^{name}$"))


def test_the_page_can_take_a_click_over(page: Page, site: Site) -> None:
    """To open its own messenger, for example; it is told as a click all the same."""
    site.show(item("chat"))
    page.goto(f"{site.url}/app/start")
    page.evaluate(
        "() => { brimful.on('click', (event) => { event.preventDefault(); took = event.detail.url; }); }"
    )
    page.evaluate("(given) => brimful.init(given)", {"host": site.url, "token": site.token()})
    shown(page, "chat").get_by_role("link", name="See plans").click()
    expect(shown(page, "chat")).to_have_count(0)
    assert page.evaluate("took") == "/app/plans"
    assert page.url.endswith("/app/start")
    until(lambda: ("clicked", "m1") in site.told())
