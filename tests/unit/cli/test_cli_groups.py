"""The commands that modules bring together: each is found, and none is imported before it is called."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
from typer.main import get_group
from typer.testing import CliRunner

from workers.cli.main import Commands, cli


def test_all_that_is_said_about_a_journey_is_said_under_one_name() -> None:
    """A second group of the same name would hide the first."""
    told = CliRunner().invoke(cli, ["journey", "--help"]).output
    assert all(command in told for command in ("enroll", "list", "pause", "resume", "stop"))


@pytest.mark.parametrize("name", Commands.places)
def test_each_command_says_what_it_is_for(name: str) -> None:
    """A name whose place is wrong is found here, and not by who calls it."""
    told = CliRunner().invoke(cli, [name, "--help"])
    assert told.exit_code == 0
    assert f" {name} " in told.output


@pytest.mark.parametrize("place", sorted(set(Commands.places.values())))
def test_no_command_is_left_out(place: str) -> None:
    """Whatever a module brings has its name in the table, or is inside a group that has."""
    module, attribute = place.split(":")
    group = get_group(getattr(import_module(module), attribute))
    named = [name for name, other in Commands.places.items() if other == place]
    assert set(group.commands) <= set(named) or len(named) == 1


def test_a_worker_starts_without_what_other_commands_need() -> None:
    """Gateways, channels and readers of files are not imported to find a command."""
    code = "import sys, workers.cli.main; print(sorted({'httpx', 'faust', 'aiokafka'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_list_names_every_command() -> None:
    """Groups as well as single commands."""
    told = CliRunner().invoke(cli, ["--help"]).output
    assert [name for name in Commands.places if f" {name} " not in told] == []
