"""Which workspace a gateway knows, by the settings of its process. Nothing is connected to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from schemas.workspace import Segment, Workspace
from tests.unit.workspace.test_workspace_entries import workspace
from workers.assemble import Assembly
from workers.core.templates.compile import Templates
from workers.intake.keys import make_key
from workers.settings import from_env
from workers.versions.active import Active, from_folder
from workers.workspace.files import LoadedWorkspace

if TYPE_CHECKING:
    from pathlib import Path

KEY, CONFIGURED = make_key("crm", ["lists:write"], b"r" * 32)


def assembled(folder: Path, **more: str) -> tuple[Assembly, list[Any]]:
    """A process with the role gateway alone, and its parts."""
    env = {
        "BRIMFUL_API_KEYS": CONFIGURED.line(),
        "BRIMFUL_SECRET": "s" * 32,
        "BRIMFUL_STATE_DIR": str(folder / "state"),
        "BRIMFUL_KAFKA": "127.0.0.1:1",
        **more,
    }
    assembly = Assembly(from_env(env), ["gateway"])
    return assembly, assembly.parts()


async def listed(gateway: Any, segment: str) -> httpx.Response:
    """What the gateway says to members of a list whose request has a mistake, so that nothing is kept."""
    transport = httpx.ASGITransport(gateway._app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.post(
            f"/v1/lists/{segment}/members",
            json={"members": []},
            headers={"authorization": f"Bearer {KEY}"},
        )


def published(*lists: str) -> Active:
    """A workspace with these lists."""
    segments = tuple(Segment(segment=name, static=True) for name in lists)
    return from_folder(LoadedWorkspace(Workspace(name="w", segments=segments), Templates({}, {})))


async def test_with_the_topic_as_source_a_gateway_knows_what_is_published(tmp_path: Path) -> None:
    """Also where a folder is set; it starts without any, and takes up each version that comes."""
    folder = workspace(tmp_path, "{event: x}")
    env = {"BRIMFUL_WORKSPACE_SOURCE": "topic", "BRIMFUL_WORKSPACE": str(folder)}
    assembly, (follower, gateway) = assembled(tmp_path, **env)
    assert (follower.name, follower.ready()) == ("workspace", False)
    assert (await listed(gateway, "vip")).status_code == 501
    assembly._take_up(published("vip"))
    assert (await listed(gateway, "vip")).status_code == 400
    assert (await listed(gateway, "beta")).status_code == 404
    assembly._take_up(published("beta"))
    assert (await listed(gateway, "vip")).status_code == 404
    assert (await listed(gateway, "beta")).status_code == 400


async def test_with_a_folder_as_source_a_gateway_knows_that_one(tmp_path: Path) -> None:
    """And follows nothing; without a folder it knows nothing."""
    folder = workspace(tmp_path, "{event: x}")
    (folder / "segments").mkdir(exist_ok=True)
    (folder / "segments" / "vip.yaml").write_text("segment: vip\nstatic: true\n")
    _, (gateway,) = assembled(tmp_path, BRIMFUL_WORKSPACE=str(folder))
    assert (await listed(gateway, "vip")).status_code == 400
    _, (gateway,) = assembled(tmp_path)
    assert (await listed(gateway, "vip")).status_code == 501
