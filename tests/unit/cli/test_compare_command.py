"""``brimful journey compare``: what it prints of decisions that the engine's core made, and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from schemas import wire
from tests.unit.core.kit import BANNER, DAY, MAIL, START, World
from tests.unit.core.shadows.kit import steps_beside
from workers.cli import compare as command
from workers.cli.main import cli
from workers.errors import Misconfigured
from workers.reading.topics import Found
from workers.versions.published import Published

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typer.testing import Result


class Clock:
    """Ten days after the beginning."""

    def now_ms(self) -> int:
        """That time."""
        return START + 10 * DAY


def in_force(shadow: str | None, version: str | None = "running") -> Published:
    """A workspace whose journey has a shadow, published a day before the beginning."""
    line = wire.JourneyLine(
        version=version,
        source="w1",
        shadow=shadow,
        shadow_source="w2" if shadow else None,
        shadow_at_ms=START - DAY if shadow else None,
        older={},
    )
    history = [
        wire.Publication(version=one, at_ms=START - days * DAY, by="me", message="")
        for one, days in (("w1", 30), ("w2", 1))
    ]
    published = Published()
    published.in_force["shop"] = wire.InForce(
        workspace="shop", version="w2", serial=2, journeys={"upsell": line}, history=history, at_ms=START
    )
    return published


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command over what was decided on persons in two versions."""

    def run(*arguments: str, worlds: tuple[World, ...], published: Published | None = None) -> Result:
        versions = {one.version for world in worlds for one in world.decisions if "~" in one.journey}
        versions_running = {
            one.version for world in worlds for one in world.decisions if "~" not in one.journey
        }
        told = published or in_force(next(iter(versions), "x"), next(iter(versions_running), "y"))

        def records(*_: Any) -> Iterator[Found]:
            for world in worlds:
                for number, one in enumerate(world.decisions):
                    yield Found(0, number, wire.encode(one))

        monkeypatch.setattr(command, "read", lambda _: told)
        monkeypatch.setattr(command, "read_topic", records)
        monkeypatch.setattr(command, "SystemClock", Clock)
        return CliRunner().invoke(cli, ["journey", "compare", *arguments])

    return run


def person(name: str, running: list[Any], shadow: list[Any]) -> World:
    """Somebody who went through both."""
    world = steps_beside(running, shadow)
    world.subject, world.progress = name, type(world.progress)(name)
    world.track("limit")
    world.advance(DAY)
    return world


ALIKE = ([BANNER], [BANNER])
OTHER = ([BANNER], [BANNER, MAIL])


def test_two_versions_that_do_the_same_are_told_so(call: Callable[..., Result]) -> None:
    """In CI: exit code 0, also with the strictest limit."""
    result = call("upsell", "--fail-over", "0%", worlds=(person("ada", *ALIKE),))
    assert result.exit_code == 0, result.output
    assert "0 of 1 enrollment(s) differ (0.00%); 1 began in both" in result.output


def test_differences_are_told_with_who_and_why(call: Callable[..., Result]) -> None:
    """A group for each kind and reason, with some subjects of each."""
    result = call("upsell", "--until", "1d", worlds=(person("ada", *OTHER),))
    assert result.exit_code == 0, result.output
    assert "message only in shadow: 1 (50.00%)" in result.output
    assert "1  it had ended, completed" in result.output
    assert "ada  email mail  shadow 2026-03-14 10:02:00Z" in result.output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 0),
        (("--fail-over", "100%"), 0),
        (("--fail-over", "99.9%"), 1),
        (("--fail-over", "0%", "--ignore", "message_only_in_shadow"), 0),
        (("--fail-over", "5"), 2),
        (("--fail-over", "101%"), 2),
    ],
)
def test_the_exit_code_says_whether_too_much_differs(
    arguments: tuple[str, ...], code: int, call: Callable[..., Result]
) -> None:
    """The share is of enrollments, whatever differs in them."""
    assert call("upsell", *arguments, worlds=(person("ada", *OTHER),)).exit_code == code


def test_where_nobody_entered_nothing_is_known(call: Callable[..., Result]) -> None:
    """An empty comparison must not pass for an equal one."""
    result = call("upsell", "--fail-over", "5%", worlds=(), published=in_force("x"))
    assert result.exit_code == 3
    assert "nobody entered upsell or its shadow" in result.output


def test_json_is_one_object_for_other_programs(call: Callable[..., Result]) -> None:
    """With the versions, and since when both ran: the default span."""
    result = call("upsell", "--json", worlds=(person("ada", *OTHER),))
    told = json.loads(result.stdout)
    assert (told["since_ms"], told["until_ms"]) == (START - DAY, START + 10 * DAY)
    assert (told["differing"], told["share"], told["decisions"]) == (1, 1.0, 7)
    assert told["differences"]["message_only_in_shadow"]["number"] == 1


@pytest.mark.parametrize(
    ("published", "arguments", "said"),
    [
        (in_force("x"), ("gone",), "there is no journey 'gone' in shop; there are: upsell"),
        (in_force(None), ("upsell",), "no shadow of 'upsell' is in force: say --since"),
        (in_force("x", None), ("upsell",), "runs as a shadow alone"),
        (in_force("x"), ("upsell", "--since", "1d", "--until", "2d"), "too short to compare"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_to_do(
    published: Published, arguments: tuple[str, ...], said: str, call: Callable[..., Result]
) -> None:
    """Before anything is read."""
    result = call(*arguments, worlds=(), published=published)
    assert isinstance(result.exception, Misconfigured)
    assert said in str(result.exception)
