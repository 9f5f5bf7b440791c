"""Mappings: from files and from options, and the command's dry run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workers.errors import Misconfigured
from workers.imports.commands import cli
from workers.imports.mappings import mapping_of, name_of, read_mapping

GOOD = """
import: crm_accounts
as: accounts
id: account_id
traits:
  plan: plan_name
  renews_on: {column: renewal, type: date, format: "%d.%m.%Y"}
updated_at: {column: changed, type: datetime, zone: Europe/Berlin}
overlap: 10m
"""


def read(tmp_path: Path, text: str) -> str:
    """What is wrong with a mapping file."""
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(Misconfigured) as refused:
        read_mapping(path)
    return str(refused.value).replace(str(path), "m.yaml")


def test_a_mapping_is_read_from_its_file(tmp_path: Path) -> None:
    """A column's name alone is the column as it is."""
    path = tmp_path / "m.yaml"
    path.write_text(GOOD)
    mapping = read_mapping(path)
    assert mapping.traits is not None
    assert (mapping.name, mapping.as_, mapping.overlap) == ("crm_accounts", "accounts", 600_000)
    assert (mapping.traits["plan"].column, mapping.traits["plan"].type) == ("plan_name", "auto")
    assert mapping.traits["renews_on"].format == "%d.%m.%Y"


@pytest.mark.parametrize(
    ("change", "to", "told"),
    [
        ("as: accounts", "as: companies", "m.yaml:3:1: as: Input should be 'users', 'accounts' or 'objects'"),
        ("id: account_id\n", "", "m.yaml:1:1: id: this field is required"),
        ("overlap", "overlapp", "m.yaml:9:1: overlapp: not known here; allowed: import, as, id"),
        ("type: date,", "type: dte,", "m.yaml:7:32: traits.renews_on.type: Input should be 'auto'"),
        ("type: date,", "type: number,", "a format is for the types date and datetime"),
        ("Europe/Berlin", "Berlin", "m.yaml:8:47: updated_at.zone: a zone has a name such as UTC"),
        ("type: datetime, zone: Europe/Berlin", "type: number", "updated_at is a column of the type date"),
        ("id: account_id", "id: account_id\nrole: r", "account and role are for users"),
        ("id: account_id", "id: account_id\nskip: [x]", "skip is for imports without traits"),
        ("overlap: 10m", "overlap: soon", "m.yaml:9:1: overlap: a duration is a whole number"),
        ("overlap: 10m", "postgres: {query: x, key: y, password: z}", "postgres.password: not known here"),
        ("as: accounts", "as: [", "m.yaml:"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_place(tmp_path: Path, change: str, to: str, told: str) -> None:
    """File, line, column and field, and what is allowed; the value of a password is not repeated."""
    assert change in GOOD
    assert told in read(tmp_path, GOOD.replace(change, to))


def test_options_alone_are_a_mapping() -> None:
    """Of an id, and all other columns as traits."""
    mapping = mapping_of("people", "users", "id")
    assert (mapping.name, mapping.as_, mapping.id, mapping.traits) == ("people", "users", "id", None)
    with pytest.raises(Misconfigured, match="--as: as: Input should be"):
        mapping_of("people", "companies", "id")
    with pytest.raises(Misconfigured, match="--name: import: a name has small letters"):
        mapping_of("No Name", "users", "id")


@pytest.mark.parametrize(
    ("file", "name"),
    [("people.csv", "people"), ("Accounts 2026.csv.gz", "accounts_2026"), ("2026.csv", "import_2026")],
)
def test_an_import_is_named_after_its_file(file: str, name: str) -> None:
    """Unless it is told otherwise."""
    assert name_of(Path(file)) == name


def test_a_dry_run_shows_records_and_writes_none(tmp_path: Path) -> None:
    """Without a broker; bad rows are told with their line."""
    path = tmp_path / "people.csv"
    path.write_text("id,plan\nu1,pro\n,starter\n")
    shown = CliRunner().invoke(cli, ["csv", str(path), "--as", "users", "--id", "id", "--dry-run"])
    assert shown.exit_code == 0
    topic, _, record = shown.stdout.splitlines()[0].partition("  ")
    assert (topic, json.loads(record)["traits"]) == ("product-events", {"plan": "pro"})
    assert "people.csv:3: id: is empty" in shown.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_a_mapping_that_does_not_fit_the_file_is_refused(tmp_path: Path) -> None:
    """Before anything is sent."""
    path = tmp_path / "people.csv"
    path.write_text("id,plan\n")
    refused = CliRunner().invoke(cli, ["csv", str(path), "--as", "users", "--id", "user", "--dry-run"])
    assert isinstance(refused.exception, Misconfigured)
    assert "people.csv: the mapping names 'user', and the columns are id, plan" in str(refused.exception)
