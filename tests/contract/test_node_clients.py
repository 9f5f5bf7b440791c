"""The official Segment and RudderStack clients for Node, unchanged, against our gateway on a real port.

They need Node, and ``make clients`` once; without, these tests are skipped.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Final

import pytest

from tests.contract.test_segment_clients import running
from tests.house.code import ROOT

if TYPE_CHECKING:
    from tests.contract.test_segment_clients import Running

CLIENTS: Final = ROOT / "tests" / "contract" / "clients"
NODE: Final = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None or not (CLIENTS / "node_modules").is_dir(), reason="needs Node, and `make clients` once"
)


async def send(name: str, gateway: Running, write_key: str) -> tuple[int | None, str]:
    """Exit code and what the client printed."""
    assert NODE is not None
    process = await asyncio.create_subprocess_exec(
        NODE,
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
