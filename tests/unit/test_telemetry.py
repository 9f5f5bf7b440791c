"""Health, metrics and logs of a process."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
import structlog
from starlette.applications import Starlette

from workers import telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Part:
    """A part in some state."""

    name: str
    is_started: bool = False
    is_ready: bool = False

    def started(self) -> bool:
        """Whether it was started."""
        return self.is_started

    def ready(self) -> bool:
        """Whether it works."""
        return self.is_ready


async def ask(path: str, *parts: Part) -> httpx.Response:
    """One answer of a process with these parts."""
    app = Starlette(routes=telemetry.routes(telemetry.new_registry("1.2.3", "engine"), lambda: parts))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker") as client:
        return await client.get(path)


async def test_a_live_process_says_so_whatever_its_parts_do() -> None:
    """A restore of an hour is no reason to kill it."""
    answer = await ask("/livez", Part("engine"))
    assert (answer.status_code, answer.json()) == (200, {"live": True})


@pytest.mark.parametrize(
    ("path", "state", "parts", "waiting"),
    [
        # restoring: neither started nor ready
        ("/startupz", "started", [Part("engine"), Part("senders", True, True)], ["engine"]),
        ("/readyz", "ready", [Part("engine"), Part("senders", True, True)], ["engine"]),
        # a rebalance: started once, not ready now
        ("/startupz", "started", [Part("engine", True, False)], []),
        ("/readyz", "ready", [Part("engine", True, False), Part("senders", True)], ["engine", "senders"]),
        # all well
        ("/startupz", "started", [Part("engine", True, True)], []),
        ("/readyz", "ready", [Part("engine", True, True)], []),
    ],
)
async def test_health_names_the_parts_that_are_waited_for(
    path: str, state: str, parts: list[Part], waiting: list[str]
) -> None:
    """200 with nothing to wait for, else 503 with the names and when to ask again."""
    answer = await ask(path, *parts)
    if waiting:
        assert answer.status_code == 503
        assert answer.json() == {state: False, "waiting_for": waiting}
        assert answer.headers["retry-after"] == "1"
    else:
        assert (answer.status_code, answer.json()) == (200, {state: True})


async def test_readiness_tells_what_a_part_says_of_itself() -> None:
    """Which workspace version runs: for whoever rolls one out."""

    class Telling(Part):
        def about(self) -> dict[str, str]:
            return {"version": "v1"}

    answer = await ask("/readyz", Telling("workspace", True, True), Part("engine", True, True))
    assert answer.json() == {"ready": True, "workspace": {"version": "v1"}}
    waiting = await ask("/readyz", Telling("workspace", True, True), Part("engine"))
    assert waiting.json() == {"ready": False, "waiting_for": ["engine"], "workspace": {"version": "v1"}}


async def test_metrics_are_openmetrics() -> None:
    """With the process's own and its version and role."""
    answer = await ask("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert 'brimful_build_info{role="engine",version="1.2.3"} 1.0' in answer.text
    assert answer.text.endswith("# EOF\n")


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """The logging of the test session is put back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in telemetry._QUIET}
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def test_logs_are_a_json_object_a_line(restored_logging: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours and those of libraries, which are heard from warnings on."""
    telemetry.configure_logging("info", "json")
    structlog.get_logger("ours").info("worker.started", role="engine")
    structlog.get_logger("ours").debug("too.quiet")
    logging.getLogger("aiokafka").info("chatter")
    logging.getLogger("aiokafka").warning("trouble with %s", "a broker")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["worker.started", "trouble with a broker"]
    assert lines[0]["role"] == "engine"
    assert {line["level"] for line in lines} == {"info", "warning"}
    assert all(line["timestamp"].endswith("Z") for line in lines)


def test_logs_for_people_are_text(restored_logging: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The same facts, readable."""
    telemetry.configure_logging("debug", "text")
    structlog.get_logger("ours").debug("worker.started", role="engine")
    text = capsys.readouterr().err
    assert "worker.started" in text
    assert "engine" in text
    assert not text.startswith("{")
