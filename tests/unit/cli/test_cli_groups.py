"""The commands that several modules bring together under one name."""

from __future__ import annotations

from typer.testing import CliRunner

from workers.cli.main import cli


def test_all_that_is_said_about_a_journey_is_said_under_one_name() -> None:
    """A second group of the same name would hide the first."""
    told = CliRunner().invoke(cli, ["journey", "--help"]).output
    assert all(command in told for command in ("enroll", "list", "pause", "resume", "stop"))
