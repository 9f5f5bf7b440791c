"""The console in a real browser without scripts: signing in, looking around, on a phone and on a desk."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.kit import WAIT_S
from tests.browser.test_forms import _contrast
from tests.unit.intake.console_kit import KEY, Made
from workers.intake.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page

PATHS = (
    "",
    "/journeys/plan_limit_upsell",
    "/journeys/plan_limit_upsell/enrollments?step=pause",
    "/people/ada?decisions=1d",
    "/timers?read=1",
    "/find",
)


@pytest.fixture(scope="module")
def console() -> Iterator[str]:
    """A gateway with a console over made-up numbers: where it is."""
    made, stop, listening, port = Made(), asyncio.Event(), threading.Event(), [0]
    late = {"kind": "put off", "journey": "welcome", "step": "1", "subject_type": "user", "subject": "ada"}
    made.late = [late | {"due_ms": 1}]
    loops: list[asyncio.AbstractEventLoop] = []

    def ready(number: int) -> None:
        port[0] = number
        listening.set()

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        await serve(made.gateway.app, "127.0.0.1", 0, stop, on_listening=ready)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert listening.wait(WAIT_S), "the gateway does not listen"
    yield f"http://127.0.0.1:{port[0]}/console"
    loops[0].call_soon_threadsafe(stop.set)
    thread.join(WAIT_S)


@pytest.fixture
def plain(chromium: Browser) -> Iterator[Page]:
    """A page in a browser that runs no scripts; what the policy refuses fails the test."""
    context = chromium.new_context(java_script_enabled=False, locale="en-US")
    context.set_default_timeout(15_000)
    made = context.new_page()
    errors: list[str] = []
    made.on("console", lambda told: errors.append(told.text) if "policy" in told.text.lower() else None)
    yield made
    context.close()
    assert errors == []


def enter(page: Page, address: str) -> None:
    """Sign in where one wanted to go."""
    page.goto(address)
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()


def test_somebody_finds_who_is_stuck_and_why(plain: Page, console: str) -> None:
    """From the list to the step, to the person, and out again; all without a script."""
    enter(plain, console)
    expect(plain.get_by_role("heading", name="Journeys")).to_be_visible()
    plain.get_by_role("link", name="plan_limit_upsell").click()
    stuck = plain.locator("#step-pause .step").first
    expect(stuck).to_contain_text("handler_error")
    expect(stuck).to_contain_text("1,204 here now")
    stuck.get_by_role("link", name="ada").click()
    expect(plain.get_by_role("heading", name="Person ada")).to_be_visible()
    plain.get_by_role("link", name="Of the last day").click()
    expect(plain.get_by_text("skip: no_consent")).to_be_visible()
    plain.go_back()
    plain.go_back()
    plain.get_by_role("link", name="1,204 here now").click()
    plain.get_by_role("link", name="Next page").click()
    expect(plain.get_by_role("link", name="grace")).to_be_visible()
    plain.get_by_role("button", name=re.compile("Sign out")).click()
    expect(plain.get_by_label("API key")).to_be_visible()
    plain.goto(console + "/people/ada")
    expect(plain.get_by_label("API key")).to_be_visible()


def test_a_wrong_key_is_told_and_the_right_one_leads_on(plain: Page, console: str) -> None:
    """To the page that was asked for first."""
    plain.goto(console + "/find")
    plain.get_by_label("API key").fill("bk_wrong")
    plain.get_by_role("button", name="Sign in").click()
    expect(plain.get_by_role("alert")).to_contain_text("no key")
    plain.get_by_label("API key").fill(KEY)
    plain.get_by_role("button", name="Sign in").click()
    expect(plain.get_by_role("heading", name="People and accounts")).to_be_visible()
    plain.get_by_label("Id").fill("ada")
    plain.get_by_role("button", name="Show").click()
    expect(plain.get_by_role("heading", name="Person ada")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_can_be_read(page: Page, console: str, scheme: Any, width: int) -> None:
    """Nothing sticks out sideways, and all text stands out from its ground, as told for small text."""
    page.set_viewport_size({"width": width, "height": 740})
    page.emulate_media(color_scheme=scheme)
    enter(page, console)
    for path in PATHS:
        page.goto(console + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate("document.querySelectorAll('h1').length") == 1
        for each in page.locator(".tag, .soft, h1, a, td, th, button, time").all():
            if each.is_visible():
                assert _contrast(colours(each)) >= 4.5, (path, each.text_content())


def colours(element: Locator) -> tuple[Any, Any]:
    """Of an element's text, and of the nearest ground behind it that is not transparent."""
    script = r"""(one) => {
        const ink = getComputedStyle(one).color;
        while (one.parentElement && /, 0\)$|transparent/.test(getComputedStyle(one).backgroundColor))
            one = one.parentElement;
        const ground = getComputedStyle(one).backgroundColor;
        return [ink, ground].map((colour) => colour.match(/\d+/g).slice(0, 3).map(Number));
    }"""
    ink, ground = element.evaluate(script)
    return ink, ground
