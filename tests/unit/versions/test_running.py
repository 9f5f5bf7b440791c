"""Commands ask the workspace that the workers run, as these choose it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from tests.unit.versions.test_published import FIRST, SECOND, Topic
from tests.unit.workspace.test_workspace_entries import workspace
from workers.cli import backfill, consent, enroll, enrollments, exits, segments
from workers.cli.enroll import cli
from workers.errors import Misconfigured
from workers.settings import from_env
from workers.versions import running

if TYPE_CHECKING:
    from pathlib import Path

TOPIC = {"BRIMFUL_WORKSPACE_SOURCE": "topic"}


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Topic:
    """What is published: another workspace than the folder's."""
    topic = Topic()
    topic.publish(FIRST)
    monkeypatch.setattr(running, "read", lambda _settings: topic.published)
    return topic


@pytest.mark.parametrize(
    ("source", "named", "found"),
    [
        ("topic", False, {"other", "upsell"}),
        ("topic", True, {"play"}),
        ("folder", False, {"play"}),
        ("folder", True, {"play"}),
    ],
)
def test_it_is_the_one_that_workers_run_unless_a_folder_is_named(
    published: Topic, tmp_path: Path, source: str, named: bool, found: set[str]
) -> None:
    """With the source topic the setting BRIMFUL_WORKSPACE is not what runs, for commands as for workers."""
    made = workspace(tmp_path, "{event: x}")
    settings = from_env({"BRIMFUL_WORKSPACE_SOURCE": source, "BRIMFUL_WORKSPACE": str(made)})
    active = running.in_force(settings, made if named else None)
    assert {one.journey for one in active.workspace.journeys} == found
    assert active.plan.user.journeys.keys() == found


def test_what_was_published_last_counts_with_all_that_runs_beside_it(published: Topic) -> None:
    """Older versions that people are inside of are part of the plan: their windows are counted."""
    published.publish(SECOND)
    active = running.in_force(from_env(TOPIC))
    assert (active.name, active.version, active.serial) == ("shop", SECOND.version, 2)
    assert active.plan.user.moves.keys() == {"upsell"}


def test_where_nothing_is_named_the_message_says_how() -> None:
    """Commands that can do without are told so."""
    with pytest.raises(Misconfigured, match=r"BRIMFUL_WORKSPACE_SOURCE=topic .*--workspace FOLDER"):
        running.in_force(from_env({}))
    assert running.in_force_if_any(from_env({})) is None


def test_nothing_published_is_no_empty_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs from the topic and has published nothing yet is told to."""
    monkeypatch.setattr(running, "read", lambda _settings: Topic().published)
    with pytest.raises(Misconfigured, match="brimful publish"):
        running.in_force_if_any(from_env(TOPIC))


def test_a_command_refuses_by_what_is_published(published: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journey is there, and nobody enters it on request."""
    monkeypatch.setenv("BRIMFUL_WORKSPACE_SOURCE", "topic")
    result = CliRunner().invoke(cli, ["upsell", "u1"])
    assert isinstance(result.exception, Misconfigured)
    assert "nobody enters 'upsell' on request" in str(result.exception)


def test_all_commands_that_ask_a_running_workspace_ask_for_it_here() -> None:
    """One that loads a folder by itself would look at what nobody runs."""
    for module in (backfill, consent, enroll, enrollments, exits, segments):
        assert not hasattr(module, "load_workspace"), module.__name__
        assert hasattr(module, "in_force") or hasattr(module, "in_force_if_any"), module.__name__
