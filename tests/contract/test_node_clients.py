"""The official Segment and RudderStack clients for Node, unchanged, against our gateway on a real port.

They need Node and npm, by which the clients are installed once per checkout. Without, they are skipped,
and in CI they fail.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from tests.contract.test_segment_clients import running
from tests.house.code import ROOT
from tests.support.kafka import CACHE_DIR, REQUIRE_VARIABLE, required
from tests.support.once import alone

if TYPE_CHECKING:
    from tests.contract.test_segment_clients import Running

CLIENTS: Final = ROOT / "tests" / "contract" / "clients"
INSTALL: Final = (
    "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--omit=optional",
)  # fmt: skip
INSTALL_S: Final = 300


@pytest.fixture(scope="module", autouse=True)
def clients() -> None:
    """The clients, installed once per checkout at the versions of ``clients/package.json``."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        reason = "the JavaScript clients need node and npm"
        if required(os.environ):
            pytest.fail(f"{REQUIRE_VARIABLE} or CI asks for them: {reason}", pytrace=False)
        pytest.skip(reason)
    with alone("node-clients", CACHE_DIR):
        if not (CLIENTS / "node_modules").is_dir():
            subprocess.run(INSTALL, cwd=CLIENTS, check=True, capture_output=True, timeout=INSTALL_S)


async def send(name: str, gateway: Running, write_key: str) -> tuple[int | None, str]:
    """Exit code and what the client printed."""
    process = await asyncio.create_subprocess_exec(
        "node",
        "send.mjs",
        name,
        gateway.url,
        write_key,
        cwd=CLIENTS,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize("name", ["segment", "rudderstack"])
async def test_every_call_of_the_client_arrives(name: str) -> None:
    """All six calls reach Kafka with their fields, and the client sees no error."""
    async with running() as gateway:
        code, output = await send(name, gateway, "wk")
        events = {event["type"]: event for event in gateway.events()}
    assert code == 0, output
    assert sorted(events) == ["alias", "group", "identify", "page", "screen", "track"]
    assert events["identify"]["traits"] == {"plan": "starter"}
    assert events["track"]["properties"] == {"limit_type": "seats"}
    assert events["track"]["context"]["groupId"] == "acme"
    assert (events["group"]["groupId"], events["alias"]["previousId"]) == ("acme", "visitor-9")
    assert (events["page"]["name"], events["screen"]["anonymousId"]) == ("Limits", "visitor-9")
    assert gateway.publisher.of("dead-letters") == []


@pytest.mark.parametrize("name", ["segment", "rudderstack"])
async def test_a_wrong_write_key_keeps_nothing(name: str) -> None:
    """The clients drop what gets 401: it is for whoever configured them."""
    async with running() as gateway:
        await send(name, gateway, "wrong")
    assert gateway.publisher.records == []
