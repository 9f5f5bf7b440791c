"""Which item is shown when: conditions, places, priority, once, expiry, and the ways a feed comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.kit import item, until
from tests.browser.test_forms import shown, visit

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.kit import Site


def title(page: Page, form: str) -> str:
    """The title that a form shows."""
    return shown(page, form).locator("h2").first.inner_text()


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("/app/projects/*", True),
        ("/app/projects/7/edit", True),
        ("/app/projects/7/edit/", True),
        ("/app/*/edit", True),
        ("/app/projects", False),
        ("/app/projects/7", False),
        ("*/edit", True),
        ("http://127.0.0.1:*/app/*", True),
        ("https://*", False),
        ("/app/projects/*?tab=1", True),
        ("/app/projects/*?tab=2", False),
        ("/app/.rojects/*", False),
    ],
)
def test_an_address_fits_a_pattern(page: Page, site: Site, pattern: str, fits: bool) -> None:
    """A star stands for anything, all else for itself; a query counts where the pattern has one."""
    site.show(item("banner", show={"url": pattern}), item("chat", "m2"))
    visit(page, site, "/app/projects/7/edit?tab=1")
    expect(shown(page, "chat")).to_be_attached()
    expect(shown(page, "banner")).to_have_count(1 if fits else 0)


def test_a_page_that_changes_its_address_changes_what_is_shown(page: Page, site: Site) -> None:
    """Without a reload, as single-page applications do; nothing of it is told as dismissed."""
    site.show(item("banner", show={"url": "/app/projects/*"}))
    visit(page, site)
    page.evaluate("history.pushState({}, '', '/app/projects/1')")
    expect(shown(page, "banner")).to_be_attached()
    page.evaluate("history.pushState({}, '', '/app/other')")
    expect(shown(page, "banner")).to_have_count(0)
    page.evaluate("history.back()")
    expect(shown(page, "banner")).to_be_attached()
    assert site.told() == [("opened", "m1")]


def test_an_item_waits_for_an_event_and_a_delay(page: Page, site: Site) -> None:
    """In this order: the delay begins when all else holds."""
    site.show(item("modal", show={"event": "report_created", "delay_ms": 900}))
    visit(page, site, writeKey="wk")
    page.wait_for_timeout(1_200)
    expect(shown(page, "modal")).to_have_count(0)
    began = time.monotonic()
    page.evaluate("brimful.track('report_created')")
    expect(shown(page, "modal")).to_be_attached()
    assert time.monotonic() - began >= 0.9


def test_the_most_important_item_is_shown_first_and_the_next_after_it(page: Page, site: Site) -> None:
    """One in each place; what is shown is not torn away by what is more important."""
    site.show(
        item("banner", "low", priority=1),
        item("banner", "high", priority=9),
        item("banner", "bottom", position="bottom"),
        item("post", "old", created_at_ms=1),
        item("chat", "new", created_at_ms=2),
    )
    visit(page, site)
    expect(shown(page, "banner")).to_have_count(2)
    ids = page.locator("brimful-item").evaluate_all("all => all.map((one) => one.dataset.id)")
    assert sorted(ids) == ["bottom", "high", "new"]
    page.locator("[data-id=new]").get_by_role("button", name="Close").click()
    expect(page.locator("[data-id=old]")).to_be_attached()
    page.locator("[data-id=high]").get_by_role("button", name="Close").click()
    expect(page.locator("[data-id=low]")).to_be_attached()


def test_once_a_session_and_once_ever(page: Page, site: Site) -> None:
    """The page that shows it keeps it, the next one does not; another tab has a session of its own."""
    site.show(item("banner", "session", once="session"), item("post", "ever", once="user"))
    visit(page, site)
    expect(page.locator("brimful-item")).to_have_count(2)
    until(lambda: len(site.told()) == 2)
    visit(page, site)
    page.wait_for_timeout(700)
    expect(page.locator("brimful-item")).to_have_count(0)
    other = page.context.new_page()
    visit(other, site)
    expect(other.locator("brimful-item")).to_have_count(1)
    assert other.locator("brimful-item").get_attribute("data-id") == "session"


def test_what_another_device_has_seen_is_not_shown_again(page: Page, site: Site) -> None:
    """The feed says so; what is on the page stays until the feed takes it back."""
    site.show(item("post", once="user"))
    visit(page, site)
    expect(shown(page, "post")).to_be_attached()
    site.show(item("post", once="user", seen_at_ms=5), item("chat", "m2", once="user", seen_at_ms=5))
    page.wait_for_timeout(700)
    expect(shown(page, "post")).to_be_attached()
    expect(shown(page, "chat")).to_have_count(0)
    site.show()
    expect(shown(page, "post")).to_have_count(0)


def test_a_banner_that_was_clicked_is_back_in_the_next_session(page: Page, site: Site) -> None:
    """Until the upgrade: who looked at the plans has not bought one."""
    site.show(item("banner", cta_url="#plans"))
    visit(page, site)
    shown(page, "banner").get_by_role("link").click()
    expect(shown(page, "banner")).to_have_count(0)
    visit(page, site)
    page.wait_for_timeout(700)
    expect(shown(page, "banner")).to_have_count(0)
    other = page.context.new_page()
    visit(other, site)
    expect(shown(other, "banner")).to_be_attached()


def test_an_item_leaves_when_it_expires_by_the_gateways_clock(page: Page, site: Site) -> None:
    """Also where the browser's clock is years behind."""
    page.add_init_script("const real = Date.now; Date.now = () => real() - 1e11")
    site.show(item("banner", expires_at_ms=time.time_ns() // 1_000_000 + 2_500))
    visit(page, site)
    expect(shown(page, "banner")).to_be_attached()
    expect(shown(page, "banner")).to_have_count(0)


def test_items_of_older_and_newer_gateways_are_read(page: Page, site: Site) -> None:
    """What this SDK does not know is not shown; a field that it does not know changes nothing."""
    old = {key: value for key, value in item("banner").items() if key not in ("journey", "step")}
    site.show(
        old, item("hologram", "m2"), item("post", "m3", sparkle=True), {**item("tour", "m4"), "steps": None}
    )
    visit(page, site)
    expect(page.locator("brimful-item")).to_have_count(2)


def test_a_change_of_the_feed_is_on_the_page_at_once(page: Page, site: Site) -> None:
    """By the stream; the token is in no address, and a cursor is handed on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visit(page, site)
    page.wait_for_timeout(300)
    site.show(item("banner"))
    expect(shown(page, "banner")).to_be_attached(timeout=1_000)
    site.show()
    expect(shown(page, "banner")).to_have_count(0, timeout=1_000)
    assert any(url.endswith("/v1/in-app/stream") for url in asked)
    assert not any("token" in url for url in asked)


def test_where_streams_do_not_come_through_long_polls_do(page: Page, site: Site) -> None:
    """After two streams that brought nothing."""
    page.route("**/v1/in-app/stream", lambda route: route.abort())
    site.show(item("banner"))
    visit(page, site)
    expect(shown(page, "banner")).to_be_attached()
    site.show(item("post", "m2"))
    expect(shown(page, "post")).to_be_attached()
    expect(shown(page, "banner")).to_have_count(0)


def test_a_token_that_ends_is_fetched_anew(page: Page, site: Site) -> None:
    """From the page's own backend, when the gateway says that the old one is over."""
    page.goto(f"{site.url}/app/start")
    short = site.token(1_200)
    script = """([host, first]) => brimful.init({host, token: async () => {
      if (!window.used) { window.used = true; return first; }
      return (await (await fetch("/token")).json()).token;
    }})"""
    page.evaluate(script, [site.url, short])
    page.wait_for_timeout(1_500)
    site.show(item("banner"))
    expect(shown(page, "banner")).to_be_attached()
    assert site.tokens >= 1


def test_a_wrong_token_is_told_once_and_not_again_and_again(page: Page, site: Site) -> None:
    """A fixed token cannot get better."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request) if "in-app" in request.url else None)
    visit(page, site, token="x.y")
    until(lambda: [one for one in said if "token is not valid" in one], page)
    page.wait_for_timeout(1_500)
    assert len(asked) == 1
