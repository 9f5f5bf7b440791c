"""What a gateway is made of: the console, where it is switched on and somebody could sign in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.unit.intake.console_kit import DEFINED, OTHER, READER
from workers import assemble_gateway
from workers.assemble_gateway import console_sources, gateway_part, with_console
from workers.clock import FixedClock
from workers.errors import Misconfigured
from workers.intake.settings import ApiSettings
from workers.intake.standing import BoundedReader, NotNow
from workers.settings import from_env
from workers.telemetry import new_registry

if TYPE_CHECKING:
    from pathlib import Path

    from workers.intake.console.sources import Sources
    from workers.intake.listing import BoundedPages
    from workers.reading.tallies import TallyFollower
    from workers.versions.active import Active

ENV = {"BRIMFUL_SECRET": "s" * 32, "BRIMFUL_CONSOLE": "true"}
NOW = 1_000_000


@pytest.mark.parametrize("api", [None, ApiSettings((OTHER,))])
def test_a_console_that_nobody_could_sign_in_to_is_refused(api: ApiSettings | None) -> None:
    """At the start, with what to do."""
    with pytest.raises(Misconfigured, match=r"brimful keys new NAME --scopes console:read"):
        with_console(api, from_env(ENV), cast("Sources", None))


@pytest.mark.parametrize(("url", "secure"), [("http://127.0.0.1:8080", False), ("https://go.acme.com", True)])
def test_its_cookie_goes_over_tls_where_the_gateway_is_reached_by_it(url: str, secure: bool) -> None:
    """Former secrets stay good, so that a change of the secret signs nobody out."""
    settings = from_env({**ENV, "BRIMFUL_PUBLIC_URL": url, "BRIMFUL_PREVIOUS_SECRETS": "o" * 32})
    console = with_console(ApiSettings((OTHER, READER)), settings, cast("Sources", None)).console
    assert console is not None
    assert (console.secure, console.secrets) == (secure, (b"s" * 32, b"o" * 32))


@pytest.mark.parametrize("on", [True, False])
def test_the_console_is_there_where_it_is_switched_on(on: bool, tmp_path: Path) -> None:
    """Nothing is connected by building it."""
    env = ENV if on else {"BRIMFUL_SECRET": "s" * 32}
    env = env | {"BRIMFUL_API_KEYS": READER.line(), "BRIMFUL_STATE_DIR": str(tmp_path)}
    part = gateway_part(from_env(env), new_registry("0", "gateway"), FixedClock(NOW), lambda: None)
    paths = {getattr(route, "path", "") for route in cast("Any", part)._app.routes}
    assert ("/console" in paths) is on


async def test_what_the_console_reads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timers and decisions take a place among the readings of the API, and their time."""
    settings, seconds = from_env(ENV), [0.0]
    bounded = BoundedReader(lambda *_: None, seconds=lambda: seconds[0])
    given: list[Any] = []

    def read_timers(_: Any, now_ms: int, until_ms: int, journey: Any, progress: Any) -> Any:
        given.append((now_ms, until_ms, journey))
        yield {"kind": "enrollment"}
        seconds[0] += 60
        progress(1, 2)

    monkeypatch.setattr(assemble_gateway, "read_timers", read_timers)
    monkeypatch.setattr(assemble_gateway, "read_decisions", lambda *what: [{"what": what[1:4]}])
    found = cast("Active", DEFINED)
    rows = cast("TallyFollower", type("Rows", (), {"rows": None, "ready": lambda: True}))
    sources = console_sources(
        settings, FixedClock(NOW), rows, lambda: found, bounded, cast("BoundedPages", None)
    )
    assert await sources.decisions("user", "ada", 5) == [{"what": ("user", "ada", 5)}]
    with pytest.raises(NotNow, match="1 of 2 records"):
        await sources.timers()
    assert given == [(NOW, NOW, None)]
    defined = sources.defined()
    assert defined is not None
    assert defined.workspace is DEFINED.workspace
