"""The walk of a customer: page, event, banner, click, upgrade, and the banner is gone. All of it is real."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import expect

from schemas.topics import load_topics
from tests.browser.kit import PERSON
from workers.intake.tokens import make_feed_token
from workers.local.ports import free_port
from workers.stream.admin import apply_topics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

pytestmark = pytest.mark.kafka

WORKSPACE = Path(__file__).parents[2] / "deploy" / "workspaces" / "plan_limits"
SECRET = "s" * 32
LIMIT_S = 90.0
LIMIT_MS = LIMIT_S * 1000


@contextmanager
def worker(kafka: str, prefix: str, folder: Path) -> Iterator[str]:
    """A worker with all roles, as one runs it; the address of its gateway."""
    gateway, admin = free_port(), free_port()
    env = {
        **os.environ,
        "BRIMFUL_KAFKA": kafka,
        "BRIMFUL_TOPIC_PREFIX": prefix,
        "BRIMFUL_STATE_DIR": str(folder / "state"),
        "BRIMFUL_WORKSPACE": str(WORKSPACE),
        "BRIMFUL_WRITE_KEYS": "web=wk",
        "BRIMFUL_SECRET": SECRET,
        "BRIMFUL_GATEWAY_PORT": str(gateway),
        "BRIMFUL_HTTP_PORT": str(admin),
        "BRIMFUL_DEMO": "true",
    }
    log = folder / "log.txt"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", "worker", "all"], env=env, stderr=errors
        )
    try:
        deadline = time.monotonic() + LIMIT_S
        while not _ready(admin):
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{gateway}"
    finally:
        process.terminate()
        assert process.wait(LIMIT_S) == 0, log.read_text()[-3000:]


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_a_banner_comes_with_the_limit_and_goes_with_the_upgrade(
    kafka: str, topic_prefix: str, tmp_path: Path, page: Page
) -> None:
    """Through the gateway, Kafka, the engine, the senders and back, while the page is open."""
    apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=4)
    with worker(kafka, topic_prefix, tmp_path) as gateway:
        token = make_feed_token(SECRET.encode(), PERSON, time.time_ns() // 1_000_000 + 3_600_000)
        address = f"{gateway}/demo#user={PERSON}&key=wk&token={token}"
        page.set_default_timeout(LIMIT_MS)
        page.goto(address)
        page.get_by_role("button", name="Run into the seat limit").click()
        page.get_by_role("button", name="Run into the seat limit").click()
        banner = page.locator("brimful-item[form=banner]")
        expect(banner).to_contain_text("You keep reaching your seats limit", timeout=LIMIT_MS)
        banner.get_by_role("link", name="Compare plans").click()
        page.wait_for_url("**/settings/billing?from=limit_banner&limit=seats")

        tab = page.context.new_page()
        tab.goto(address)
        again = tab.locator("brimful-item[form=banner]")
        expect(again).to_be_visible(timeout=LIMIT_MS)
        began = time.monotonic()
        tab.get_by_role("button", name="Upgrade").click()
        expect(again).to_have_count(0, timeout=LIMIT_MS)
        assert time.monotonic() - began < LIMIT_S
        feed = httpx.get(f"{gateway}/v1/in-app/feed", headers={"authorization": f"Bearer {token}"}).json()
        assert feed["items"] == []
        assert feed["cursor"] != "none"
