"""A real browser, and a site for it. Without a browser the tests are skipped, and in CI they fail."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.kit import Site
from tests.support.browser import find_browser
from tests.support.kafka import REQUIRE_VARIABLE, required

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

WAIT_MS = 15_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless browser, closed with the module: while it is there, this thread can run no event loop."""
    found = find_browser(os.environ)
    if isinstance(found, str):
        if required(os.environ):
            pytest.fail(f"{REQUIRE_VARIABLE} or CI asks for a browser: {found}", pytrace=False)
        pytest.skip(found)
    with sync_playwright() as playwright:
        # Whoever runs the tests as root, as containers do, has no sandbox; the pages are our own.
        browser = playwright.chromium.launch(
            executable_path=found.program,
            env={**os.environ, **found.env},
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served() -> Iterator[Site]:
    """One gateway for the session."""
    site = Site()
    yield site
    site.close()


@pytest.fixture
def site(served: Site) -> Site:
    """The gateway with nothing in its topics and feeds."""
    served.publisher.fail_with = None
    served.call(served.publisher.records.clear)
    served.call(lambda: served.feed.write("ada", None))
    served.tokens = 0
    return served


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page in a browser profile of its own; what it says on the console as an error fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    context.set_default_timeout(WAIT_MS)
    made = context.new_page()
    errors: list[str] = []
    made.on("pageerror", lambda error: errors.append(str(error)))
    yield made
    context.close()
    assert errors == []
